import pytest

import p5_keras as p5
from p5_keras.data.loaders import folder
from p5_keras.data.records import Problems


def fill(root, encoding="utf-8"):
    """As the film reviews of Maas et al. are laid out."""
    for split, count in (("train", 10), ("test", 4)):
        for label in ("neg", "pos"):
            for i in range(count):
                path = root / split / label / f"{i}_7.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                text = f"a {label}ative film,\n\nnumber {i}, at the café\n"
                path.write_bytes(text.encode(encoding))
    (root / "README").write_text("")
    return str(root)


def test_texts_in_folders(tmp_path):
    records = folder.load(fill(tmp_path), Problems())
    assert records.fields["class"].class_names == ("neg", "pos")
    assert {s: int((records.splits == s).sum()) for s in set(records.splits)} == {
        "train": 18,
        "validation": 2,
        "test": 8,
    }
    place = records.columns["class"].tolist().index(1)
    assert records.inputs["text"][place].startswith("a posative film,\n\nnumber ")
    encoder = records.encoders["text"]
    assert encoder.split == "whitespace" and encoder.length == 8
    assert "posative" in encoder.vocabulary
    source = p5.data.of_records(records).source("train")
    ((x, labels, _),) = p5.data.training(
        source, [p5.tasks.Classification("class", num_classes=2)], 4
    ).take(1)
    assert x.shape == (4, 8) and labels["class"].shape == (4,)


def test_faults_of_texts(tmp_path):
    path = fill(tmp_path)
    (tmp_path / "train" / "pos" / "empty.txt").write_text(" \n")
    with pytest.raises(ValueError, match=r"empty\.txt: it holds no text\. Put it"):
        folder.load(path, Problems())
    (tmp_path / "train" / "neg" / "bad.txt").write_bytes(b"caf\xe9")
    problems = Problems("skip")
    assert len(folder.load(path, problems)) == 28
    assert sorted(reason for _, reason in problems.dropped) == [
        "it holds no text",
        "it is no text in utf-8; say its `encoding`, such as cp1252",
    ]


def test_an_encoding(tmp_path):
    path = fill(tmp_path, "latin-1")
    records = folder.load(path, Problems(), encoding="latin-1")
    assert records.inputs["text"][0].endswith("café")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("a.mp3", "ffmpeg -i a.mp3 a.wav"), ("a.jsonl", "give table:FILE")],
)
def test_files_that_are_not_read(tmp_path, name, hint):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        (tmp_path / label / name).write_text("x")
    if name == "a.mp3":
        (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=f"{hint}.*with files ending in .{name[2:]}"):
        folder.load(str(tmp_path), Problems())


def test_a_table_beside_sounds_is_named(tmp_path):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "a.wav").write_text("x")
    (tmp_path / "meta.csv").write_text("x")
    with pytest.raises(ValueError, match=r"the classes, give table:.*meta\.csv\. Rec"):
        folder.load(str(tmp_path), Problems())
