"""Tables as people write them."""

import numpy as np
import pytest
import scipy.io.wavfile

from p5_keras.data.loaders import table, table_columns
from p5_keras.data.records import Problems


def write(root, content, name="table.csv", encoding="utf-8"):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content.encode(encoding))
    return str(root / name)


def columns(records):
    return list(records.inputs)


def test_a_comma_between_labels_is_none_of_a_number(tmp_path):
    text = "y;x\n" + "1,5;2\n5;3\n1;4\n" * 10
    path = write(tmp_path, text)
    found = table.load(path, Problems(), targets=("y",), separator=",")
    assert found.fields["y"].class_names == ("1", "5")
    found = table.load(path, Problems(), targets=("y",))
    assert found.fields["y"].kind == "number"


def test_encodings(tmp_path):
    text = "y,x\n" + "café,1\nthé,2\n" * 10
    for encoding in ("latin-1", "cp1252"):
        path = write(tmp_path, text, encoding=encoding)
        found = table.load(path, Problems(), targets=("y",), encoding=encoding)
        assert found.fields["y"].class_names == ("café", "thé")
    for marked in ("utf-16", "utf-8-sig"):
        path = write(tmp_path, text, encoding=marked)
        found = table.load(path, Problems(), targets=("y",))
        assert found.fields["y"].class_names == ("café", "thé")
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=r"`encoding` must be .*encoding='klingon'"):
        table.load(path, Problems(), targets=("y",), encoding="klingon")


def test_quotation_marks_between_tabs_belong_to_the_text(tmp_path):
    lines = [f'{"ab"[i % 2]}\t"so {i}, he said' for i in range(30)]
    path = write(tmp_path, "y\tx\n" + "\n".join(lines), "table.tsv")
    problems = Problems()
    found = table.load(path, problems, targets=("y",), texts=("x",))
    assert found.inputs["x"].tolist() == [line[2:] for line in lines]
    assert "quotation marks are read as part of the text" in problems.notes
    # Cells that reach over several lines are none of these.
    lines = [f'{"ab"[i % 2]}\t"so\n{i}"' for i in range(30)]
    path = write(tmp_path, "y\tx\n" + "\n".join(lines), "table.tsv")
    found = table.load(path, Problems(), targets=("y",), texts=("x",))
    assert found.inputs["x"].tolist() == [f"so\n{i}" for i in range(30)]


def test_a_tab_or_semicolon_is_the_delimiter_before_a_comma(tmp_path):
    for delimiter in "\t;":
        text = "".join(f"{'ab'[i % 2]}{delimiter}well, {i}\n" for i in range(30))
        found = table.load(
            write(tmp_path, text),
            Problems(),
            targets=("column_0",),
            texts=("column_1",),
            header=False,
        )
        assert found.inputs["column_1"][3] == "well, 3"


def test_a_first_row_that_holds_no_names(tmp_path):
    path = write(tmp_path, "5.1,3.5,setosa\n4.9,3.0,setosa\n6.2,2.9,other\n")
    with pytest.raises(ValueError, match="give header=False; columns are then"):
        table.load(path, Problems(), targets=("species",))


def test_texts_of_scripts_without_spaces_are_read_by_character(tmp_path):
    rows = [
        "我喜欢这部电影" + "好看" * (i % 5) + f"第{i}次," + "ab"[i % 2]
        for i in range(60)
    ]
    path = write(tmp_path, "text,y\n" + "\n".join(rows))
    found = table.load(path, Problems(), targets=("y",))
    assert found.encoders["text"].split == "character"
    thai = np.array(["ฉันชอบหนังเรื่องนี้", "หนังเรื่องนี้ไม่ดี"], object)
    assert table_columns.is_unspaced(thai)
    assert not table_columns.is_unspaced(np.array(["a film 好", ""], object))


def test_texts_of_a_few_dozen_rows_are_read(tmp_path):
    rows = [f"a film of {i} stars,{'ab'[i % 2]},{i % 3}" for i in range(30)]
    path = write(tmp_path, "text,y,n\n" + "\n".join(rows))
    found = table.load(path, Problems(), targets=("y",))
    assert list(found.encoders) == ["table", "text"]
    # What is no text is no category either where most rows have one of their own.
    path = write(tmp_path, path and "id,y,n\n" + "\n".join(f"k{r[10:]}" for r in rows))
    problems = Problems()
    assert columns(table.load(path, problems, targets=("y",))) == ["n"]
    assert any(note.startswith("input column 'id' left out") for note in problems.notes)


def test_what_may_be_a_slip_is_noted(tmp_path):
    rows = [f"{i % 20 or 'gone'},{('yes', 'Yes', 'no')[i % 3]}" for i in range(60)]
    path = write(tmp_path, "n,y\n" + "\n".join(rows))
    # 19 numbers of which 5 % are not: as faults; with more, as texts, with a note.
    rows = [f"{i % 5 or 'gone'},{'Ab' if i % 2 else 'ab'},{i % 3}" for i in range(60)]
    path = write(tmp_path, "n,c,y\n" + "\n".join(rows))
    problems = Problems()
    table.load(path, problems, targets=("y",))
    assert dict(problems.notes) == {
        "column 'c' has values that differ in case alone, such as ['ab', 'Ab']": 1,
        "column 'n' has numbers and 1 other values such as 'gone', so all are read as "
        "texts; if that stands for a missing value name it in `missing`": 1,
    }


@pytest.mark.parametrize(
    ("cells", "units"),
    [
        (("5 %", "0.05"), "%, none"),
        (("$5", "€5"), "$, €"),
        (("$5", "5"), ""),
        (("5 %", "6%"), ""),
    ],
)
def test_numbers_of_different_units_are_noted(tmp_path, cells, units):
    cells = tuple(cell.replace("5", "{0}5") for cell in cells)
    rows = [f"{cells[i % 2].format(i % 7)},{'ab'[i % 3 % 2]}" for i in range(60)]
    problems = Problems()
    table.load(write(tmp_path, "n,y\n" + "\n".join(rows)), problems, targets=("y",))
    worst = [what for severity, what, _ in problems.findings() if severity == "high"]
    assert worst == [
        f"column 'n' has numbers with different units ({units}), which are left out as "
        "if they were the same: bring them to one"
    ] * bool(units)


@pytest.fixture
def sounds(tmp_path):
    """As ESC-50 is laid out: a table beside a folder of sounds, in folders."""
    rows = ["filename,fold,category"]
    for i in range(20):
        name = f"{i % 5}-{i}.wav"
        path = tmp_path / "audio" / f"fold{i % 5}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        scipy.io.wavfile.write(path, 2000, np.full(900 + i, 100 + i, "int16"))
        rows.append(f"{name},{i % 5},{('dog', 'rain')[i % 2]}")
    return write(tmp_path, "\n".join(rows), "meta/esc50.csv")


def test_a_table_that_names_sounds(sounds, tmp_path):
    found = table.load(sounds, Problems(), targets=("category",), group="fold")
    assert list(found.encoders) == ["sound"] and found.images is None
    assert found.fields["category"].class_names == ("dog", "rain")
    assert found.inputs["waveform"][:, 0].tolist() == [*range(100, 120)]
    for fold in range(5):
        assert len(set(found.splits[fold::5].tolist())) == 1
    given = {"sound": "filename", "sound_dir": str(tmp_path / "audio"), "seconds": 0.1}
    again = table.load(sounds, Problems(), targets=("category",), **given)
    assert again.inputs["waveform"].shape == (20, 200)


def test_sounds_that_are_not_there(sounds, tmp_path):
    def failure(**options):
        with pytest.raises(ValueError) as error:
            table.load(sounds, Problems(), targets=("category",), **options)
        return str(error.value)

    missing = tmp_path / "audio" / "fold0" / "0-0.wav"
    missing.rename(tmp_path / "audio" / "other.wav")
    assert "0-0.wav: there is no such sound; give its folder as `sound_dir`" in (
        failure()
    )
    assert "`sound_dir` must be a folder" in failure(sound_dir="../never")
    problems = Problems("skip")
    assert len(table.load(sounds, problems, targets=("category",))) == 19
    twice = tmp_path / "audio" / "fold0" / "1-1.wav"
    twice.write_bytes((tmp_path / "audio" / "fold1" / "1-1.wav").read_bytes())
    missing.write_bytes(twice.read_bytes())
    assert "sound '1-1.wav' is there 2 times" in failure()


def test_a_folder_of_sounds_for_a_table_without(tmp_path):
    path = write(tmp_path, "y,x\n" + "a,1\nb,2\n" * 10)
    with pytest.raises(ValueError, match="`sound_dir` needs a column"):
        table.load(path, Problems(), targets=("y",), sound_dir=str(tmp_path))


def test_spaces_between_cells(tmp_path):
    lines = [
        f'  {18 + i:.1f}   {i % 3}\t3{i:03d}.  {"ab"[i % 2]} \t"a {i} car"'
        for i in range(40)
    ]
    path = write(tmp_path, "\r\n".join(lines) + "\r\n", "auto-mpg.data")
    options = {"targets": ("column_0",), "header": False, "texts": ("column_4",)}
    options["numbers"] = ("column_2",)
    for delimiter in (None, "space"):
        found = table.load(path, Problems(), delimiter=delimiter, **options)
        assert columns(found) == ["column_1", "column_2", "column_3", "column_4"]
        assert found.columns["column_0"].tolist()[:2] == [18.0, 19.0]
        assert found.inputs["column_2"][7] == 3007
        assert found.inputs["column_4"][7] == "a 7 car"
    # Spaces in other tables are none of these.
    path = write(tmp_path, "a, b, y\n" + "1, 2, 0\n3, 4, 1\n" * 10)
    assert columns(table.load(path, Problems(), targets=("y",))) == ["a", "b"]


def test_semicolons_with_commas_in_numbers(tmp_path):
    text = "".join(f"{i},5;{i},25;{'ab'[i % 2]}\n" for i in range(30))
    path = write(tmp_path, text)
    options = {"targets": ("column_2",), "header": False}
    found = table.load(path, Problems(), **options)
    assert found.inputs["column_1"][4] == 4.25
    # A semicolon at the end of each text is none.
    text = "".join(f'"{"ab"[i % 2]}","{i}","some, more #36;"\n' for i in range(30))
    found = table.load(
        write(tmp_path, text),
        Problems(),
        targets=("column_0",),
        header=False,
        classes=("column_1",),
    )
    assert len(found.encoders["table"].names) > 10
