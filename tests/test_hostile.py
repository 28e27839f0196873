"""Small inputs that could cost much: each is read, or refused in one line, at once.

Images, sounds and archives have their own beside what reads them, as have requests to
an exported model.
"""

import contextlib
import signal

import pytest

import p5_keras as p5
from p5_keras import json_file
from p5_keras.data.importers import reading
from p5_keras.data.loaders import coco_file, table_file, voc_lists, voc_xml
from p5_keras.data.records import Problems
from p5_keras.values import typed

DEEP = "[" * 10**5 + "]" * 10**5
LONG = "9" * 10**5
SPACES = " " * 30_000


@pytest.fixture
def in_20_seconds():
    """Ends what takes longer."""

    def end(number, frame):
        pytest.fail("it took more than 20 seconds of a processor")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, 20)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


def one_line(error):
    text = str(error.value)
    assert "\n" not in text and len(text) < 1000, text
    return text


@pytest.mark.parametrize("text", [DEEP, f"[{LONG}]", "[1e400]", "[NaN]", "{", "\xff"])
def test_json_names_its_file(text, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"config\.json cannot be read") as error:
        json_file.read(path)
    one_line(error)


@pytest.mark.parametrize("name", ["config.json", "results.json"])
def test_a_workdir_names_it_too(name, tmp_path):
    (tmp_path / name).write_text(DEEP)
    with pytest.raises(ValueError, match=name) as error:
        p5.Workdir(tmp_path).read(name)
    one_line(error)


@pytest.mark.parametrize(
    "text", [DEEP, f'{{"images": [], "annotations": [{LONG}]}}', '{"images": 1e9']
)
def test_coco_names_its_file(text, tmp_path):
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(ValueError, match=r"train\.json") as error:
        coco_file._document(tmp_path / "train.json")
    one_line(error)


def test_readings_are_named(tmp_path):
    (tmp_path / reading.FILE).write_text(DEEP)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=reading.FILE) as error:
        reading.load(tmp_path, "folder:x")
    one_line(error)


@pytest.mark.parametrize("text", ["(" * 10**5, "-" * 10**5 + "1", LONG, "1e400", DEEP])
@pytest.mark.parametrize("hint", [int, float, tuple[int, ...]])
def test_values_of_flags(text, hint):
    with pytest.raises(ValueError, match="`x` must be of type") as error:
        typed("x", text, hint)
    one_line(error)


def test_a_cluster_that_is_nested_without_end(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", DEEP)
    assert not p5.strategy.in_cluster()


def test_labels_of_a_map_without_ends(tmp_path):
    (tmp_path / "label_map.pbtxt").write_text("item {" * 10**5)
    assert voc_lists._label_map(tmp_path / "label_map.pbtxt") == []
    two = "item { id: 2 name: \"b\" }\nitem{id: 1, name: 'a'}"
    (tmp_path / "label_map.pbtxt").write_text(two)
    assert voc_lists._label_map(tmp_path / "label_map.pbtxt") == ["a", "b"]


def test_marks_behind_names_of_a_list():
    lines = {"a b 1": "a b", "a -1": "a", "a 0": "a", "a 2": "a 2", "1": "1"}
    for line, name in lines.items():
        assert voc_lists._unmarked(line) == name
    long = "a" + SPACES * 10 + "b"
    assert voc_lists._unmarked(long) == long


def test_spaces_between_cells(tmp_path, in_20_seconds):
    for inside in (SPACES, "\t" * 30_000, SPACES + "x" + SPACES):
        rows = f"a b c\n1{inside}2 3\n4  5 6{SPACES}\n  7 8 9\n" + "1 2 3\n" * 9
        (tmp_path / "table.csv").write_text(rows)
        with contextlib.suppress(ValueError):
            table_file.read(tmp_path / "table.csv", Problems("skip"))


def test_xml_that_is_nested_without_end():
    for text in ("<a>" * 10**5, "<annotation>" + "<a>" * 10**5 + "</a>" * 10**5):
        with pytest.raises(Exception, match="no XML") as error:
            voc_xml.parse(text.encode(), "a.xml")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("number", ["1e400", LONG, "nan", "0x1"])
def test_numbers_in_xml(number):
    text = (
        "<annotation><object><name>a</name><bndbox><xmin>1</xmin><ymin>1</ymin>"
        f"<xmax>{number}</xmax><ymax>3</ymax></bndbox></object></annotation>"
    )
    with pytest.raises(Exception, match="must hold a number"):
        voc_xml.parse(text.encode(), "a.xml")
