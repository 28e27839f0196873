import re

import numpy as np
import pytest
import tensorflow as tf

from p5_keras.data.records import Field, Records
from p5_keras.data.user_data import UserData, user_data


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures of two classes, one of them broken on demand."""
    for i, name in enumerate(["cat", "dog"] * 6):
        picture = tmp_path / "pets" / name / f"{i}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((20, 30, 3), 20 * i, "uint8")
        tf.io.write_file(str(picture), tf.io.encode_png(pixels))
    return tmp_path / "pets"


def test_a_folder_becomes_a_data_set(folder):
    data = user_data(f"folder:{folder}")
    assert list(data.records.fields) == ["class"]
    assert data.shape == (3,)
    assert data.pictures.startswith("12 RGB pictures (12 PNG)")
    source = data.source("train", (20, 30))
    example = source.read(tf.range(source.size, dtype="int64"), tf.zeros(1, "int64"))
    np.testing.assert_array_equal(  # pictures i are of class i % 2
        example["class"], example["image"][:, 0, 0, 0].numpy() // 20 % 2
    )


def test_options_go_to_the_loader_and_to_the_kinds(folder):
    options = ["label=pet", "split=0.5,0.25,0.25", "kind.pet=multi_label"]
    data = user_data(f"folder:{folder}", options)
    assert data.records.fields["pet"] == Field("labels", ("cat", "dog"))
    assert (data.records.splits == "train").sum() == 6


def test_a_table_has_its_own_ignore(tmp_path):
    rows = "\n".join(f"{i},{i % 2},{i / 7}" for i in range(30))
    (tmp_path / "t.csv").write_text("a,b,c\n" + rows)
    data = user_data(f"table:{tmp_path / 't.csv'}", ["targets=b", "ignore=a"])
    assert data.records.encoders["table"].names == ["c"]
    with pytest.raises(ValueError, match=re.escape("Did you mean 'targets'?")):
        user_data(f"table:{tmp_path / 't.csv'}", ["target=b"])


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        (
            "foldr:pets",
            [],
            "`dataset` must be folder:PATH, voc:PATH, coco:PATH, table:PATH, or the "
            "name of a public set. Did you mean 'folder'? "
            "Received: dataset='foldr:pets'",
        ),
        (
            "",
            [],
            "`dataset` must be folder:PATH, voc:PATH, coco:PATH, table:PATH, or the "
            "name of a public set. Received: dataset=''",
        ),
        (
            "folder:/no/such/place",
            [],
            "`path` must be a folder. Received: path='/no/such/place'",
        ),
        (
            "folder:PETS",
            ["lable=x"],
            "Unknown option of this data set. Did you mean 'label'? Received: 'lable'; "
            "['split', 'label', 'classes', 'rate', 'seconds', 'max_sound_bytes', "
            "'encoding', 'ignore', 'kind.FIELD', 'image_range', 'image_background', "
            "'max_pixels']",
        ),
        (
            "folder:PETS",
            ["label"],
            "`dataset_options` must be name=value. Received: 'label'",
        ),
        (
            "folder:PETS",
            ["split=half"],
            "`split` must be of type tuple[float, float, float]. Received: split=half",
        ),
    ],
)
def test_mistakes(folder, dataset, options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        user_data(dataset.replace("PETS", str(folder)), options)


def test_a_path_alone_and_data_dir_are_refused(folder):
    with pytest.raises(ValueError, match=r"^`dataset` must be folder:PATH"):
        user_data(str(folder))
    with pytest.raises(ValueError, match="`data_dir` is for public data sets"):
        user_data(f"folder:{folder}", data_dir="x")


def test_a_bad_example_is_an_error_or_left_out(folder):
    bad = folder / "cat" / "0.png"
    bad.write_bytes(b"")
    message = (
        f"{bad}: it is empty. Put it right, or leave such examples out with "
        "--on_bad_example=skip"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        user_data(f"folder:{folder}")
    data = user_data(f"folder:{folder}", on_bad_example="skip")
    assert len(data.records) == 11
    assert data.records.problems.dropped == [(str(bad), "it is empty")]


def pictures(sizes, channels=3):
    shapes = np.array([(*size, channels, 1) for size in sizes], "int32")
    return Records("p", np.full(len(sizes), "train"), {}, {}, shapes=shapes)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28)] * 3, (28, 28)),  # one small size stays
        ([(480, 640)] * 3, (160, 224)),  # 168 x 224, to multiples of 32
        ([(100, 50), (200, 100), (300, 150)], (192, 96)),  # 200 x 100, not enlarged
        ([(10, 2000)] * 3, (32, 224)),
    ],
)
def test_the_input_suits_the_pictures(sizes, expected):
    data = UserData(pictures(sizes), "", "folder:p", lambda *_: None)
    assert data.image_size(224) == expected


@pytest.mark.parametrize(
    ("fields", "channels", "reason"),
    [
        ({"pet": Field("class", ("cat", "dog"))}, 3, ""),
        ({"pet": Field("class", ("cat", "dog"))}, 1, "the pictures are grey"),
        ({"digit": Field("class", ("0", "1"))}, 3, "single characters"),
        ({"hand": Field("class", ("Left hand", "other"))}, 3, "'left' in its name"),
        ({"age": Field("number")}, 3, "holds numbers"),
        ({"mask": Field("mask", ("0", "1"))}, 3, ""),
    ],
)
def test_pictures_move_only_where_labels_may_follow(fields, channels, reason):
    records = Records(
        "p", np.array(["train"]), fields, {}, shapes=np.int32([[9, 9, channels, 1]])
    )
    found = UserData(records, "", "folder:p", lambda *_: None).why_unmoved()
    assert (reason in found) if reason else found == ""


def test_what_is_worth_a_look_is_found_when_data_are_read(tmp_path):
    """Each check sees the records of a loader, with the names of the file."""
    rng = np.random.default_rng(0)
    rows = [
        f"{x:.5f},{'ab'[i % 2]},{7 * x:.5f},p{i % 80},{i % 2}"
        for i, x in enumerate(np.tile(rng.normal(size=100), 2))
    ]
    table = tmp_path / "rows.csv"
    table.write_text("\n".join(["x,kind,more,patient ID,y y", *rows]))
    data = user_data(f"table:{table}", ["targets=kind,more,y y"])
    found = [(severity, what) for severity, what, _ in data.records.problems.findings()]
    # How many copies are parted follows from the hashes of the rows' numbers.
    for severity, start in (
        ("high", " of 20 rows of test stand in train too (x="),
        ("high", "input 'x' says the target 'more' in other words"),
        ("medium", "column 'patient ID' has the name of a group, and "),
    ):
        assert any(s == severity and start in w for s, w in found), found
    table.write_text("\n".join(["x,y,z", *(f"{i * i},{i},3" for i in range(50))]))
    problems = user_data(f"table:{table}", ["targets=y,z"]).records.problems
    ignored = "column 'z' ignored: all rows have the same value"
    assert problems.severities[ignored] == "medium"
    (splits,) = [what for what in data.records.problems.guesses if "splits" in what]
    assert splits.endswith("10 % validation and 10 % test")
