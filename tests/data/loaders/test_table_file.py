import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import p5_keras as p5
from p5_keras.data.loaders import table, table_file
from p5_keras.data.records import Field, Problems


def vectors(records):
    return p5.inputs.encode(records.encoders, records.inputs).numpy()


def names(records):
    return tuple(records.encoders["table"].names)


OUT = ". Put it right, or leave such examples out with --on_bad_example=skip"


def write(root, content, name="table.csv"):
    data = content if isinstance(content, bytes) else content.encode()
    (root / name).write_bytes(data)
    return str(root / name)


def failure(path, problems=None, **options):
    with pytest.raises(ValueError) as error:
        table.load(path, problems or Problems(), **options)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("y;x\na;1,5\nb;2,5\n", "table.csv"),
        ("y\tx\na\t1,5\nb\t2,5\n", "table.tsv"),
        ("y|x\na|1,5\nb|2,5\n", "table.txt"),
        ('y,x\r\na,"1,5"\r\n\r\nb,"2,5"\r\n', "table.data"),
        ('\ufeffy,x\na,"1,5"\nb,"2,5"', "table.CSV"),
        ('\r\n\r\ny , x\r\n a,"1,5"\r\nb ,"2,5"\r\n,\r\n\r\n', "table.csv"),
        ('y,x\ra,"1,5"\rb,"2,5"\r', "table.csv"),
    ],
)
def test_delimiters_and_line_ends(tmp_path, text, name):
    path = write(tmp_path, text, name)
    found = table_file.read(table_file.find(path), Problems())
    columns = {name: column.to_pylist() for name, column in found.columns.items()}
    assert columns == {"y": ["a", "b"], "x": ["1,5", "2,5"]}


def test_a_given_delimiter(tmp_path):
    text = "y:x\n" + "a:1\nb:2\n" * 10
    path = write(tmp_path, text)
    records = table.load(path, Problems(), targets=("y",), delimiter=":")
    assert names(records) == ("x",)
    path = write(tmp_path, text.replace(":", "\t"))
    for tab in ("tab", "\\t", "\t"):
        records = table.load(path, Problems(), targets=("y",), delimiter=tab)
        assert names(records) == ("x",)
    assert failure(path, delimiter="::") == (
        "`delimiter` must be one character, 'tab' or 'space'. Received: delimiter='::'"
    )


def test_no_header(tmp_path):
    path = write(tmp_path, "a,1,0\nb,2,1\n" * 10)
    records = table.load(path, Problems(), header=False, targets=("column_0",))
    assert len(records) == 20
    assert names(records) == ("column_1", "column_2")
    problems = Problems()
    table.load(path, problems, targets=("a",))
    note = "names of columns are numbers or files; give header=False if the first row "
    assert problems.notes[f"{note}is data"] == 1


def test_columns_without_a_name_are_ignored(tmp_path):
    rows = "".join(f"{i},{'ab'[i % 2]},{i % 3},\n" for i in range(20))
    problems = Problems()
    records = table.load(write(tmp_path, f",y,x,\n{rows}"), problems, targets=("y",))
    assert names(records) == ("x",)
    assert dict(problems.notes) == {"columns without a name, ignored": 2}


def test_rows_are_counted_with_blank_lines(tmp_path):
    path = write(tmp_path, '\n\ny,x\n\na,1\n"b\nb",2\n\na,2,3\nb,1\n')
    assert failure(path, targets=("y",)) == (
        f"{path}, row 8: it has 3 cells, and the first row has 2{OUT}"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "A table must have a row. Received: {path}, which is empty"),
        (
            b"\xef\xbb\xbf\r\n \r\n",
            "A table must have a row. Received: {path}, which is empty",
        ),
        (b"y,x\n", "A table must have a row. Received: {path}, which has none"),
        (
            b"y,x\r\n,\r\n\r\n",
            "A table must have a row. Received: {path}, which has none",
        ),
        (
            "y,x\na,1\ncafé,2\n".encode("latin-1"),
            "A table must be text in UTF-8; save it so, or say its `encoding`, such as "
            "cp1252. Received: {path}, with byte 0xe9 in line 3",
        ),
        (
            "y,x\na,1\n".encode("utf-16-le"),
            "A table must be text in UTF-8; save it so, or say its `encoding`, such as "
            "cp1252. Received: {path}, with byte 0x00 in line 1",
        ),
        (
            b"y,x,y,x,z\n1,2,3,4,5\n",
            "Each column must have a name of its own. Received: {path}, with "
            "['x', 'y'] more than once",
        ),
        (
            b'y,x\na,"1\nb,2\na,3\n',
            "A quotation mark must be closed. Received: {path}, where one reaches to "
            "the end of the file",
        ),
        (
            b'y,x\n"a,1\nb,2\na,3\n',
            "A quotation mark must be closed. Received: {path}, where one reaches to "
            "the end of the file",
        ),
    ],
)
def test_bad_text(tmp_path, content, message):
    path = write(tmp_path, content)
    assert failure(path, targets=("y",)) == message.format(path=path)


def test_a_single_quotation_mark_inside_a_cell(tmp_path):
    path = write(tmp_path, 'y,x\na,2" pipe\n' + "b,hose\na,hose\n" * 5)
    records = table.load(path, Problems(), targets=("y",), classes=("x",))
    assert names(records) == ('x=2" pipe', "x=hose")


def test_paths(tmp_path):
    content = "y,x\n" + "a,1\nb,2\n" * 10
    path = write(tmp_path, content, "labels.csv")
    write(tmp_path, "read me", "README.txt")
    write(tmp_path, "x", ".hidden.csv")
    options = {"targets": ("y",)}
    assert table.load(str(tmp_path), Problems(), **options).name == "labels"
    wrong = path.replace("labels", "label")
    assert failure(wrong) == (
        "`path` must be a table, or a folder with one. Did you mean 'labels.csv'? "
        f"Received: path={wrong!r}"
    )
    write(tmp_path, content, "other.TSV")
    assert failure(str(tmp_path)) == (
        "`path` must be a table, or a folder with one. Received: "
        f"path={str(tmp_path)!r}, with ['labels.csv', 'other.TSV']; name the file"
    )
    (tmp_path / "empty").mkdir()
    empty = str(tmp_path / "empty")
    known = ".csv .tsv .parquet .pq .jsonl .ndjson .arff .data .txt"
    assert failure(empty) == (
        "`path` must be a table, or a folder with one. "
        f"Received: path={empty!r}, without any {known}"
    )
    sheet = write(tmp_path, content, "a.xlsx")
    assert "save it as CSV (UTF-8)" in failure(sheet)
    packed = write(tmp_path, content, "a.csv.zst")
    assert failure(packed) == (
        f"`path` must end in {known}, packed by gzip or not; unpack another archive "
        f"first. Received: path={packed!r}"
    )
    assert failure("") == (
        "`path` must be a table, or a folder with one. Received: path=''"
    )


def test_a_table_that_cannot_be_opened(tmp_path, monkeypatch):
    path = write(tmp_path, "y,x\na,1\n")

    def deny(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "read_bytes", deny)
    assert failure(path) == (
        f"A table must be readable (Permission denied). Received: {path}"
    )


# Parquet.


def parquet(root, **columns):
    path = str(root / "table.parquet")
    pa.parquet.write_table(pa.table(columns), path)
    return path


def test_parquet(tmp_path):
    path = parquet(
        tmp_path,
        split=pa.array(["train"] * 4 + ["val", "test"]).dictionary_encode(),
        y=pa.array([True, False, None, True, False, True]),
        n=pa.array([0, 1, 2, 0, 1, 2], pa.int8()),
        f=pa.array([0.0, 1.0, float("nan"), 0.0, None, 1.0]),
        t=pa.array([" a", "b", "NA", "a", "b", None], pa.large_string()),
        day=pa.array([1, 2, 3, 4, 5, 6], pa.date32()),
        x=pa.array([1, 3, 1, 3, 1, 3], pa.uint16()),
        z=pa.array([0.0, 4.0, None, 2.0, 8.0, 2.0], pa.float32()),
    )
    problems = Problems()
    records = table.load(path, problems, targets=("y", "n", "f", "t"))
    assert records.fields == {
        "y": Field("class", ("false", "true")),
        "n": Field("class", ("0", "1", "2")),
        "f": Field("class", ("0", "1")),
        "t": Field("class", ("a", "b")),
    }
    assert records.columns["y"].tolist() == [1, 0, -1, 1, 0, 1]
    assert records.columns["n"].tolist() == [0, 1, 2, 0, 1, 2]
    assert records.columns["f"].tolist() == [0, 1, -1, 0, -1, 1]
    assert records.columns["t"].tolist() == [0, 1, -1, 0, 1, -1]
    assert names(records) == ("x", "z", "z is missing")
    np.testing.assert_array_equal(vectors(records)[:, 0], [-1, 1, -1, 1, -1, 1])
    d = (8 / 3) ** 0.5  # of 0, 4, 2
    wanted = [-2 / d, 2 / d, 0, 0, 6 / d, 0]
    np.testing.assert_allclose(vectors(records)[:, 1], wanted, rtol=1e-6)
    assert records.splits.tolist() == ["train"] * 4 + ["validation", "test"]
    assert "column 'day' ignored: it is of type date32[day]" in problems.notes


def test_parquet_floats_as_classes(tmp_path):
    path = parquet(tmp_path, y=[2.0, 10.0, 2.5, 2.0] * 5, x=[1, 2, 3, 4] * 5)
    records = table.load(path, Problems(), targets=("y",), classes=("y",))
    assert records.fields["y"] == Field("class", ("2", "2.5", "10"))


def test_parquet_with_faults(tmp_path):
    path = parquet(tmp_path, y=[0, 1] * 5, x=[1.0, float("inf")] + [3.0, 4.0] * 4)
    reason = "column 'x' holds inf, which is no number that fits into 32 bits"
    assert failure(path, targets=("y",)) == f"{path}, row 2: {reason}{OUT}"
    path = parquet(tmp_path, y=pa.array([], pa.int8()))
    assert failure(path) == f"A table must have a row. Received: {path}, which has none"
    twice = pa.table([[1], [2]], names=["y", "y"])
    pa.parquet.write_table(twice, path)
    assert "with ['y'] more than once" in failure(path)


@pytest.mark.parametrize("content", [b"", b"y,x\n1,2\n", None])
def test_parquet_that_cannot_be_read(tmp_path, content):
    path = parquet(tmp_path, y=list(range(100)))
    if content is None:
        content = (tmp_path / "table.parquet").read_bytes()[:-9]
    write(tmp_path, content, "table.parquet")
    message = failure(path)
    assert message.startswith("A Parquet file must be readable (")
    assert message.endswith(f"). Received: {path}")
    assert "\n" not in message


def test_geoplaces_is_not_utf8(real_data):
    path = real_data / "restaurant_consumer" / "RCdata" / "geoplaces2.csv"
    if not path.exists():
        pytest.skip(f"no {path}; set P5_TEST_DATA")
    assert "with byte 0xf3 in line 4" in failure(str(path))
