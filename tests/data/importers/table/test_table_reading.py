"""Columns are read by one rule, decided once and kept."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import p5_keras as p5
from p5_keras.data.importers.table.reading import reading
from p5_keras.data.loaders import table, table_columns
from p5_keras.data.records import Problems

nan = np.nan


def write(root, content, name="table.csv"):
    (root / name).write_text(content)
    return str(root / name)


def decided(problems=None, **columns):
    own = {name: pa.array(cells, pa.string()) for name, cells in columns.items()}
    rules = table_columns.decide(own, (), (), problems or Problems())
    return rules, own


def read(cells, others=("0",), **options):
    """Values of a column and the notes, where another column says something too."""
    problems = Problems()
    columns = {"x": pa.array(cells, pa.string()), "z": pa.array(others, pa.string())}
    rules = table_columns.decide(columns, (), (), problems, **options)
    values, faults = table_columns.apply(rules["x"], columns["x"], "x")
    assert not faults
    return values.tolist(), list(problems.notes), problems.severities


@pytest.mark.parametrize(
    ("cells", "values", "what"),
    [
        (["1,234", "12", "-1,234,567.5"], [1234, 12, -1234567.5], "thousands"),
        (["12,34,567", "1,200"], [1234567, 1200], "thousands"),
        (["12,5", "1.234,25", "-7"], [12.5, 1234.25, -7], "before decimals"),
        (["0,125", "0,250"], [0.125, 0.25], "before decimals"),
        (["1'234.5", "2’000"], [1234.5, 2000], "apostrophes"),
        (["1 234,5", "2\u00a0000,25"], [1234.5, 2000.25], "spaces"),
        (["$3.50", "-$ 2", "4 €"], [3.5, -2, 4], "units"),
        (["40%", "3.5 %"], [40, 3.5], "units"),
        (["(40)", "1.5", "−2"], [-40, 1.5, -2], ""),
        (["1E3", "2.5e-1", "+.5", "1."], [1000, 0.25, 0.5, 1], ""),
        (["1,5e3", "2"], [1500, 2], "before decimals"),
    ],
)
def test_numbers_as_people_write_them(cells, values, what):
    found, notes, _ = read(cells)
    assert found == values
    assert bool(notes) == bool(what) and all(what in note for note in notes)


@pytest.mark.parametrize(
    ("cells", "others", "likely", "values"),
    [
        (["1,234", "5,678"], ["1,5", "2,25"], ".", [1.234, 5.678]),
        (["1,234", "5,678"], ["1.5", "2.25"], ",", [1234, 5678]),
        (["1.234", "5.678"], ["1,5", "2,25"], ".", [1234, 5678]),
        (["1.234", "5.678"], ["1.5", "2.25"], ",", [1.234, 5.678]),
        (["1,234", "5,678"], ["7", "8"], ".", [1234, 5678]),
        (["1,234", "5,678"], ["7", "8"], ",", [1.234, 5.678]),
        (["1.234", "5.678"], ["7", "8"], ",", [1.234, 5.678]),
    ],
)
def test_a_file_has_one_sign_of_decimals(cells, others, likely, values):
    found, notes, severities = read(cells, others, likely=likely)
    assert found == values
    guessed = others == ["7", "8"]  # nothing tells: said, with what decides it
    assert bool(severities) == guessed
    assert any("--dataset_options=decimal=" in note for note in notes) == guessed
    sign = "," if found[0] > 1000 and "," not in cells[0] else "."
    for decimal in (sign, {",": ".", ".": ","}[sign]):
        again, notes, severities = read(cells, ["7"], decimal=decimal)
        assert again == [
            float(c.replace(decimal, "!").translate({44: "", 46: ""}).replace("!", "."))
            for c in cells
        ]
        assert not severities


def test_two_signs_of_decimals_in_one_file_are_said():
    found, *_ = read(["1.5", "2.25"], ["1,25", "2,5", "3,75"])
    assert found == [1.5, 2.25]
    problems = Problems()
    columns = {"x": ["1.5", "2.5"], "y": ["1,5", "2,5"], "z": ["3,5", "2,5"]}
    rules, _ = decided(problems, **columns)
    assert [rules[n].numbers.decimal for n in "xyz"] == [".", ",", ","]
    ((severity, what, _),) = problems.findings()
    assert severity == "medium" and "'x'" in what and "points before decimals" in what


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["007", "12"], "text"),
        (["0x1F", "0x20"], "text"),
        (["12345678901234567", "12345678901234568"], "text"),
        (["20240131", "20231224"], "date"),
        (["20240131", "20231399"], "number"),
        (["2024-01-31", "2023-12-24 10:30"], "date"),
        (["31.01.2024", "24.12.2023"], "date"),
        (["1/31/24", "12/24/23"], "date"),
        (["31 Jan 2024", "24-Dec-2023"], "date"),
        (["10:30", "23:59:59"], "date"),
        (["2024-01-31T10:30:00.5Z", "2024-01-31T10:30:00+01:00"], "date"),
        (["true", "False"], "truth"),
        (["true", "0", "1", "no"], "truth"),
        (["yes", "no"], "text"),
        (["t", "n", "f"], "text"),
        (["1.2.3", "4.5.6"], "text"),
        (["1_000", "2_000"], "text"),
        (["1,2,3"], "text"),
        (["red", "3,5"], "text"),
        ([None], "text"),
    ],
)
def test_what_is_no_number(cells, form):
    rules, _ = decided(x=cells)
    assert rules["x"].form == form


def test_truths_in_several_ways():
    rules, columns = decided(x=["true", "0", "FALSE", "yes", None])
    values, faults = table_columns.apply(rules["x"], columns["x"], "x")
    np.testing.assert_array_equal(values, [1, 0, 0, 1, nan])
    _, faults = table_columns.apply(rules["x"], pa.array(["maybe"]), "x")
    assert "neither true nor false" in faults[0]


TRAIN = {
    "plain": ["1.5", "2", "300"],
    "commas": ["1,5", "2", "0,25"],
    "thousands": ["1,234.5", "12", "9,000"],
    "percent": ["40%", "3 %", "5.5%"],
    "dollars": ["$3", "$4.5", "5"],
}


@pytest.mark.parametrize(
    ("trained", "cell", "value"),
    [
        ("plain", "1e3", 1000),
        ("plain", "1,500", None),
        ("plain", "1,5", None),
        ("plain", "$3", None),
        ("plain", "1 500", None),
        ("commas", "1,500", 1.5),
        ("commas", "1500", 1500),
        ("commas", "1.5", None),
        ("commas", "1.500", None),
        ("thousands", "1,500", 1500),
        ("thousands", "1,5", None),
        ("thousands", "1.5", 1.5),
        ("percent", "41%", 41),
        ("percent", "0.41", None),
        ("dollars", "$6", 6),
        ("dollars", "6", 6),
        ("dollars", "€6", None),
    ],
)
def test_a_kept_rule_reads_a_cell_in_its_way_or_refuses_it(trained, cell, value):
    rules, _ = decided(x=TRAIN[trained])
    rule = table_columns.rule(json.loads(json.dumps(rules["x"].config())))
    assert rule == rules["x"]
    cells = pa.array([cell, "7%" if trained == "percent" else "7"] * 2)
    if value is None:
        values, faults = table_columns.apply_stored(rule, cells, "x")
        assert list(faults) == [0, 2] and repr(cell) in faults[0]
        assert np.isnan(values[0])
        with pytest.raises(ValueError, match="'x' must be written as in the training"):
            table_columns.apply_stored(rule, cells[:1], "x")
    else:
        values, faults = table_columns.apply_stored(rule, cells, "x")
        assert not faults and values[0] == value


def test_whole_numbers_take_the_sign_of_their_file():
    rules, _ = decided(x=["1", "2"], y=["1,5", "2,5"])
    values, faults = table_columns.apply(rules["x"], pa.array(["3,25", "4"]), "x")
    assert values.tolist() == [3.25, 4] and not faults


ROWS = "y;x;c;d\n" + "".join(
    f"{'ab'[i % 2]};{i * 13 % 29},{i % 7};{('red', 'blue')[i % 3 > 1]};1.1.2024\n"
    for i in range(40)
)


def test_other_data_are_read_as_training_was(tmp_path):
    first = table.load(write(tmp_path, ROWS), Problems(), targets=("y",))
    kept = json.loads(json.dumps(first.reading))
    assert reading(kept).config().items() <= kept.items()
    assert reading({"splits": 1}) is None
    again = table.load(write(tmp_path, ROWS), Problems(), reading=kept)
    assert again.fields == first.fields and again.reading == first.reading
    np.testing.assert_array_equal(again.columns["y"], first.columns["y"])
    encoded = [p5.inputs.encode(r.encoders, r.inputs).numpy() for r in (first, again)]
    np.testing.assert_array_equal(*encoded)

    # Other columns, in another order, with another delimiter: the names tell.
    problems = Problems()
    path = write(tmp_path, 'n,c,y,x\n1,red,b,"1,234"\n2,green,a,"2"\n3,blue,b,"3"\n')
    some = table.load(path, problems, reading=kept, split=(0.4, 0.3, 0.3))
    assert some.inputs["x"].tolist() == [1.234, 2, 3]
    assert some.columns["y"].tolist() == [1, 0, 1]
    assert some.encoders["table"].get_config() == first.encoders["table"].get_config()
    assert "cells are parted by ',', and by ';' in the training data" in problems.notes
    assert problems.notes["values of input column 'c' that no training row has"] == 1

    # What does not fit is refused by name, and so is a class that was not there.
    more = ROWS + "a;1.5;red;\nbird;2,5;red;\n"
    for row, why in (
        (42, "column 'x' holds '1.5'"),
        (43, "the class 'bird', which is"),
    ):
        lines = more.splitlines()
        path = write(tmp_path, "\n".join([*ROWS.splitlines(), lines[row - 1]]))
        with pytest.raises(ValueError, match=f"row 42: .*{why}"):
            table.load(path, Problems(), reading=kept)
    problems = Problems("skip")
    rest = table.load(write(tmp_path, more), problems, reading=kept)
    assert len(rest) == 40 and len(problems.dropped) == 2
    with pytest.raises(ValueError, match="must have the column 'c'"):
        table.load(write(tmp_path, "y;x\na;1\n"), Problems(), reading=kept)
    with pytest.raises(ValueError, match="must have a column that can be learned"):
        table.load(write(tmp_path, "c;x\nred;1\n"), Problems(), reading=kept)


def test_classes_are_matched_by_name_however_they_are_written(tmp_path):
    rows = [f"{i % 3 + 1},{i % 7},{('true', 'False')[i % 2]}" for i in range(30)]
    path = write(tmp_path, "y,x,z\n" + "\n".join(rows))
    first = table.load(path, Problems(), targets=("y", "z"))
    assert first.fields["y"].class_names == ("1", "2", "3")
    rows = [f"{i % 2 + 2}.0,{i % 7},{('1', '0')[i % 2]}" for i in range(30)]
    rows[0] = ",1,"
    path = write(tmp_path, "y,x,z\n" + "\n".join(rows))
    again = table.load(path, Problems(), reading=first.reading)
    assert again.fields == first.fields
    assert again.columns["y"][:4].tolist() == [-1, 2, 1, 2]
    assert again.columns["z"][:4].tolist() == [-1, 0, 1, 0]


def test_parquet_and_text_are_one_for_a_kept_rule(tmp_path):
    rows = {"y": [0, 1] * 10, "x": [i * 0.5 for i in range(20)]}
    pyarrow.parquet.write_table(pa.table(rows), tmp_path / "table.parquet")
    lines = [f"{y},{x}" for y, x in zip(*rows.values(), strict=True)]
    paths = [write(tmp_path, "y,x\n" + "\n".join(lines)), tmp_path / "table.parquet"]
    for one, two in (paths, paths[::-1]):
        first = table.load(str(one), Problems(), targets=("y",))
        again = table.load(str(two), Problems(), reading=first.reading)
        np.testing.assert_array_equal(again.inputs["x"], first.inputs["x"])
        np.testing.assert_array_equal(again.columns["y"], first.columns["y"])


def test_dates_and_row_numbers_are_no_inputs(tmp_path):
    order = np.random.default_rng(0).permutation(40)
    rows = [
        f"{i % 2},{i * 7 % 11},{order[i]},2024-01-{i % 28 + 1:02d}" for i in range(40)
    ]
    path = write(tmp_path, "y,x,n,day\n" + "\n".join(rows))
    problems = Problems()
    found = table.load(path, problems, targets=("y",))
    assert list(found.inputs) == ["x"]
    assert {note[:26] for note in problems.notes} >= {
        "input column 'n' left out:",
        "input column 'day' left ou",
    }
    found = table.load(path, Problems(), targets=("y",), numbers=("n",))
    assert list(found.inputs) == ["x", "n"]
