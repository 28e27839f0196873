"""Labels as people write them: several in a cell, words for none, numbers for none."""

import numpy as np
import pytest

from p5_keras.data.importers.table import labels
from p5_keras.data.importers.table.missing import note_stand_ins
from p5_keras.data.loaders import table
from p5_keras.data.loaders.table_columns import Rule
from p5_keras.data.records import Problems


def load(tmp_path, cells, **options):
    """The column, its kind and its classes, and what is worth a look."""
    rows = [f'"{cell}",{i * 37 % 101 / 7:.3f}' for i, cell in enumerate(cells)]
    path = tmp_path / "table.csv"
    path.write_text("y,x\n" + "\n".join(rows))
    problems = Problems()
    found = table.load(str(path), problems, targets=("y",), **options)
    field = found.fields["y"]
    return field.kind, field.class_names, found.columns["y"], problems.findings()


def decide(cells, separator=None):
    problems = Problems()
    values = np.array(cells, object)
    found = labels.decide(
        values, Rule("text"), "y", False, False, separator, False, problems
    )
    return found, problems.findings()


SETS = [
    ["cat"],
    ["dog"],
    ["bird"],
    ["cat", "dog"],
    ["bird", "cat"],
    ["cat", "dog", "bird"],
]
WRITTEN = {
    ";": ";".join,
    ",": ", ".join,
    "|": "|".join,
    " ": " ".join,
    "list": lambda own: str(own),
}


@pytest.mark.parametrize("sign", WRITTEN)
def test_several_labels_in_a_cell(sign):
    cells = [WRITTEN[sign](own) for own in SETS] * 5 + [""]
    found, _ = decide(cells)
    assert found == labels.Labels("labels", ("bird", "cat", "dog"), sign)
    field, hot, faults = labels.apply(found, np.array(cells, object), "y")
    assert field.kind == "labels" and not faults
    assert hot[:6].tolist() == [
        [float(name in own) for name in found.names] for own in SETS
    ]
    assert np.isnan(hot[-1]).all()
    other = WRITTEN[sign](["cat", "fox"])
    _, _, faults = labels.apply(found, np.array([other, "cat"], object), "y")
    assert list(faults) == [0] and "'fox'" in faults[0]


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("['a', 'b c']", ["a", "b c"]),
        ('["b", "a"]', ["a", "b"]),
        ('{"choices": ["a", "b"]}', ["a", "b"]),
        ("{a,b}", ["a", "b"]),
        ("[a, 'b']", ["a", "b"]),
        ("[]", []),
        ("[" * 100_000, []),
    ],
)
def test_lists_in_brackets(cell, parts):
    assert labels.split(cell, labels.LIST) == parts


@pytest.mark.parametrize(
    "cells",
    [
        ["New York", "New Jersey", "Ohio"],
        ["Albany, NY", "Buffalo, NY", "Boston, MA"],
        ["Smith, John", "Doe, Jane"],
        ["iris setosa", "iris versicolor", "iris virginica"],
    ],
)
def test_names_of_several_words_are_one_class_each(cells):
    found, _ = decide(cells * 5)
    assert found.kind == "class" and found.names == tuple(sorted(cells))


def test_what_may_be_several_labels_is_asked():
    found, ((severity, what, _),) = decide(["very good", "good", "bad", "very bad"] * 5)
    assert found.kind == "class" and severity == "medium"
    assert "separator=space" in what and "10 cells" in what
    found, _ = decide(["very good", "good", "bad", "very bad"] * 5, "space")
    assert found.names == ("bad", "good", "very")


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (["+"] * 9 + ["-"] * 9, ("+", "-")),
        (["EU"] * 9 + ["AS"] * 9 + ["NA"] * 5, ("AS", "EU", "NA")),
        (["dent"] * 5 + ["None"] * 20 + [""] * 5, ("None", "dent")),
        (["yes"] * 9 + ["no"] * 9 + ["n/a"] * 9, ("n/a", "no", "yes")),
        (["yes"] * 9 + ["no"] * 9 + ["null"] * 9, ("no", "null", "yes")),
        (["yes"] * 9 + ["?"] * 9, ("?", "yes")),
    ],
)
def test_words_for_nothing_that_are_labels(tmp_path, cells, names):
    kind, found, column, findings = load(tmp_path, cells)
    assert (kind, found) == ("class", names)
    assert (column < 0).sum() == cells.count("")
    word = next(w for w in names if w in ("-", "NA", "None", "n/a", "null", "?"))
    ((severity, what, _),) = [f for f in findings if "read as a class" in f[1]]
    assert severity == "medium" and f"{cells.count(word)} cells {word!r}" in what
    # The option that is named decides it.
    if len(names) > 2:
        _, rest, column, _ = load(tmp_path, cells, missing=(word,))
        assert rest == tuple(n for n in names if n != word)
        assert (column < 0).sum() == cells.count(word) + cells.count("")


@pytest.mark.parametrize(
    "cells",
    [
        ["a"] * 50 + ["b"] * 50 + ["NA"] * 2,
        ["a"] * 9 + ["b"] * 9 + ["NA"] * 5 + ["None"] * 5,
        ["a"] * 9 + ["b"] * 9 + ["?"] * 9,
    ],
)
def test_words_for_nothing_that_are_missing_are_counted(tmp_path, cells):
    kind, names, column, findings = load(tmp_path, cells)
    assert (kind, names) == ("class", ("a", "b"))
    assert (column < 0).sum() == len(cells) - cells.count("a") - cells.count("b")
    word = cells[-1]
    assert any(f"{cells.count(word)} cells {word!r}" in what for _, what, _ in findings)
    assert any("read as missing labels" in what for _, what, _ in findings)


def test_a_word_that_is_missing_in_numbers_is_so_in_labels(tmp_path):
    path = tmp_path / "table.csv"
    rows = [f"{('a', 'b', 'NA')[i % 3]},{'NA' if i % 5 else i}" for i in range(60)]
    path.write_text("y,x\n" + "\n".join(rows))
    found = table.load(str(path), Problems(), targets=("y",))
    assert found.fields["y"].class_names == ("a", "b")


@pytest.mark.parametrize(
    ("values", "severity", "count"),
    [
        ([-999] * 3 + [1.5, 2, 7], "high", 3),
        ([-999] * 3 + [-40, 2, 37.5], "high", 3),
        ([9999] * 2 + [1900, 1999, 2020], "high", 2),
        ([999, 1, 5, 10], "medium", 1),
        ([-1] * 4 + [0, 1, 2, 30], "medium", 4),
        ([-200] * 4 + [0.5, 1, 60], "high", 4),
        ([-1, 0, 1] * 3, None, 0),
        ([-2.5, -1, 0, 1, 2.5], None, 0),
        ([1, 2, 3, 99.5], None, 0),
        ([97, 98, 99], None, 0),
    ],
)
def test_numbers_that_stand_for_nothing(values, severity, count):
    problems = Problems()
    note_stand_ins("x", np.array([*values, np.nan], float), problems)
    found = [(s, int(what.split()[0])) for s, what, _ in problems.findings()]
    assert found == ([(severity, count)] if severity else [])


def test_a_number_given_as_missing_is_so_however_it_is_written(tmp_path):
    cells = ["-999", "-999.0", "1.5", "2.5", "3.5", "-999"] * 4
    _, _, column, findings = load(tmp_path, cells)
    assert findings[0][0] == "high" and "missing=-999" in findings[0][1]
    kind, _, column, findings = load(tmp_path, cells, missing=("-999",))
    assert kind == "number" and np.isnan(column[:2]).all() and column[2] == 1.5
    assert not any("-999" in what for _, what, _ in findings)


def test_labels_that_may_be_decimals_are_asked(tmp_path):
    cells = ["1,2", "2", "1", "3,1", "3"] * 6
    kind, _, _, findings = load(tmp_path, cells)
    assert kind == "number" and any("separator=," in what for _, what, _ in findings)
    kind, names, *_ = load(tmp_path, cells, separator=",")
    assert (kind, names) == ("labels", ("1", "2", "3"))
    kind, _, _, findings = load(tmp_path, ["1,25", "2", "1,5", "3,75", "3"] * 6)
    assert kind == "number" and not any("separator" in what for _, what, _ in findings)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["0.0", "1.0", ""], "number"),
        (["a;b", "a", "b"], "class"),
        (["a", "b", "NA"], "class"),
    ],
)
def test_a_run_of_an_earlier_version_keeps_its_labels(tmp_path, cells, kind):
    found, names, *_ = load(tmp_path, cells * 9, reading={"splits": {"rule": "rank"}})
    assert found == kind and "NA" not in names
    assert load(tmp_path, cells * 9)[:2] != (found, names)


def test_a_class_of_minus_one_is_asked(tmp_path):
    kind, names, _, findings = load(tmp_path, [0, 1, 2, -1] * 9)
    assert (kind, names) == ("class", ("-1", "0", "1", "2"))
    assert findings[0][0] == "high" and "missing=-1" in findings[0][1]
    kind, names, column, _ = load(tmp_path, [0, 1, 2, -1] * 9, missing=("-1",))
    assert names == ("0", "1", "2") and (column < 0).sum() == 9
