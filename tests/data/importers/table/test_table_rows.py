"""Files of tables as programs write them."""

import gzip
import json
import re

import numpy as np
import pytest

from p5_keras.data.loaders import table, table_file
from p5_keras.data.records import Problems


def cells(tmp_path, content, name="table.csv", problems=None):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = table_file.read(table_file.find(str(path)), problems or Problems())
    return {n: c.to_pylist() for n, c in found.columns.items()}, found.rows.tolist()


def failure(tmp_path, content, name="table.csv"):
    with pytest.raises(ValueError) as error:
        cells(tmp_path, content, name)
    return str(error.value)


WANTED = {"y": ["a", "b", "a"], "x": ["1,5", "2", "3"]}


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("sep=;\ny;x\na;1,5\nb;2\na;3\n", [3, 4, 5]),
        ('\ufeff"sep=;"\r\ny;x\r\na;1,5\r\nb;2\r\na;3\r\n', [3, 4, 5]),
        ("sep=:\ny:x\na:1,5\nb:2\na:3\n", [3, 4, 5]),
        ("# made by hand\n#\ny;x\na;1,5\nb;2\n# a note\na;3\n", [4, 5, 7]),
        ("y;x\na;1,5;\nb;2;\na;3;\n", [2, 3, 4]),
        ("y;x;\na;1,5;\nb;2;\na;3;\n", [2, 3, 4]),
    ],
)
def test_what_stands_around_rows(tmp_path, content, rows):
    assert cells(tmp_path, content) == (WANTED, rows)


def test_names_that_begin_with_a_hash(tmp_path):
    found, _ = cells(tmp_path, "#y,x\na,1\nb,2\n")
    assert found == {"#y": ["a", "b"], "x": ["1", "2"]}


def test_gzip(tmp_path):
    plain = b"y;x\na;1,5\nb;2\na;3\n"
    for name in ("a.csv.gz", "b.csv"):
        assert cells(tmp_path, gzip.compress(plain), name)[0] == WANTED
    assert "must be readable" in failure(
        tmp_path, gzip.compress(plain)[:-9], "a.csv.gz"
    )
    assert "save it as CSV" in failure(tmp_path, b"PK\x03\x04...", "a.csv")
    lines = b'{"y": "a"}\n{"y": "b"}\n'
    assert cells(tmp_path, gzip.compress(lines), "a.jsonl.gz")[0] == {"y": ["a", "b"]}


def test_json(tmp_path):
    rows = [
        {"y": "a", "n": 1, "f": 0.5, "t": True, "l": ["p", "q"]},
        {"y": " b", "n": None, "t": False, "zip": "007"},
    ]
    wanted = {
        "y": ["a", "b"],
        "n": ["1", None],
        "f": ["0.5", None],
        "t": ["true", "false"],
        "l": ['["p", "q"]', None],
        "zip": [None, "007"],
    }
    lines = "\n\n".join(map(json.dumps, rows))
    assert cells(tmp_path, lines, "a.jsonl") == (wanted, [1, 3])
    assert cells(tmp_path, json.dumps(rows), "a.json") == (wanted, [1, 2])


@pytest.mark.parametrize(
    ("content", "name", "what"),
    [
        ("[" * 100_000, "a.jsonl", "must not be so deep. Received: .*, line 1"),
        ('{"y": 1}\n{"y": }\n', "a.jsonl", "must be readable .*line 2"),
        ('{"y": 1, "y": 2}\n', "a.jsonl", "stands twice .*line 1"),
        ('{"y": 1}\n[1]\n', "a.jsonl", "must be an object.*row 2"),
        ('{"y": {"0": 1}}', "a.json", "must be a list of rows"),
        ("[]", "a.json", "must have a row"),
    ],
)
def test_json_that_is_no_table(tmp_path, content, name, what):
    message = failure(tmp_path, content, name)
    assert re.search(what, message) and "\n" not in message


def test_many_columns_and_long_cells(tmp_path):
    count = 15_000
    head = ",".join(["y", *(f"column_number_{i}" for i in range(count))])
    row = ",".join(["a", *["0.25"] * count])
    found, _ = cells(tmp_path, f"{head}\n{row}\n{row}\n")
    assert len(found) == count + 1 and found["column_number_14999"] == ["0.25"] * 2
    found, _ = cells(tmp_path, 'y,x\na,"' + "long, " * 50_000 + '"\n')
    assert len(found["x"][0]) == 299_999


def test_a_run_of_spaces(tmp_path):
    content = "y x\n" + "1 2\n" * 30 + "3" + " " * 100_000 + "4\n" + " " * 100_000
    found, _ = cells(tmp_path, content)
    assert found == {"y": ["1"] * 30 + ["3"], "x": ["2"] * 30 + ["4"]}


def test_errors_of_a_spreadsheet_are_missing_and_counted(tmp_path):
    rows = [
        f"{'ab'[i % 2]},{('#DIV/0!', '#N/A')[i % 2] if i < 4 else i * 7 % 11}"
        for i in range(40)
    ]
    path = tmp_path / "table.csv"
    path.write_text("y,x\n" + "\n".join(rows))
    problems = Problems()
    found = table.load(str(path), problems, targets=("y",))
    assert np.isnan(found.inputs["x"]).sum() == 4
    ((_, _, count),) = [f for f in problems.findings() if "spreadsheet" in f[1]]
    assert count == 4


@pytest.mark.parametrize(
    "name",
    [
        "/data/upload/1/{}",
        "/data/local-files/?d=some%20where/{}",
        "s3://bucket/raw/{}",
        "https://host/x/{}?token=1",
        "C:\\images\\{}",
        "elsewhere/{}",
        "{}",
        "/data/upload/1/0a1b2c3d-{}",
    ],
)
def test_pictures_are_found_by_their_names(tmp_path, name):
    (tmp_path / "deep" / "down").mkdir(parents=True)
    rows = []
    for i in range(30):
        (tmp_path / "deep" / "down" / f"p {i}.png").write_bytes(b"")
        shown = f"p%20{i}.png" if "?d=" in name or "://" in name else f"p {i}.png"
        rows.append(f"{name.format(shown)},{'ab'[i % 2]}")
    path = tmp_path / "table.csv"
    path.write_text("file,y\n" + "\n".join(rows))
    problems = Problems()
    found = table.load(str(path), problems)
    assert found.images.tolist() == [
        str(tmp_path / f"deep/down/p {i}.png") for i in range(30)
    ]
    ((*_, count),) = [f for f in problems.findings() if "found by their" in f[1]]
    assert count == 30
    # A second one of that name cannot be told apart, unless its folder is named.
    (tmp_path / "deep" / "p 1.png").write_bytes(b"")
    with pytest.raises(ValueError, match="is there 2 times"):
        table.load(str(path), Problems())


def test_a_relative_path_that_is_wrong_is_not_looked_for_elsewhere(tmp_path):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        for i in range(15):
            (tmp_path / split / f"{split}{i}.png").write_bytes(b"")
    rows = [
        f"{s}/{s}{i}.png,{'ab'[i % 2]}" for s in ("train", "val") for i in range(15)
    ]
    rows[20] = "train/val5.png,a"
    (tmp_path / "table.csv").write_text("file,y\n" + "\n".join(rows))
    with pytest.raises(ValueError, match=r"train/val5\.png: there is no such"):
        table.load(str(tmp_path), Problems())
