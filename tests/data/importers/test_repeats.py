import numpy as np
import pytest

import p5_keras as p5
from p5_keras.data.importers.repeats import note_repeats, same_files, same_rows
from p5_keras.data.records import Field, Problems, Records

SPLITS = np.array(["train"] * 6 + ["validation"] * 2 + ["test"] * 2)


def records(labels=(0, 1) * 5, **given):
    return Records(
        "set",
        SPLITS,
        {"y": Field("class", ("a", "b"))},
        {"y": np.array(labels)},
        **{"problems": Problems(), **given},
    )


def found(own):
    note_repeats(own)
    return own.problems.findings()


def files(folder, contents):
    paths = []
    for i, content in enumerate(contents):
        paths.append(str(folder / f"{i}.png"))
        with open(paths[-1], "wb") as file:
            file.write(content)
    return paths


def test_files_are_the_same_by_all_their_bytes(tmp_path):
    middle = bytearray(30_000)
    middle[15_000] = 1  # of one size, with the same ends
    paths = files(tmp_path, [bytes(30_000), bytes(middle), b"a", bytes(30_000), b"b"])
    paths += [
        paths[2],
        str(tmp_path / "none"),
        str(tmp_path / "no"),
        *files_empty(tmp_path),
    ]
    number = same_files(paths)
    assert number[0] == number[3] and number[2] == number[5]
    assert len(set(number)) == len(paths) - 2


def files_empty(folder):
    paths = [folder / "empty", folder / "bare"]
    for path in paths:
        path.touch()
    return [str(path) for path in paths]


def test_only_files_of_one_size_are_read(tmp_path, monkeypatch):
    paths = files(tmp_path, [b"x" * i for i in range(1, 20)])

    def fail(*_):
        raise AssertionError

    monkeypatch.setattr("p5_keras.data.importers.repeats._ends", fail)
    assert len(set(same_files(paths))) == 19


@pytest.mark.parametrize(
    ("columns", "number"),
    [
        ([np.array([1.0, 2.0, 1.0])], 2),
        ([np.array([0.0, -0.0, np.nan]), np.array(["", "", "x"], object)], 2),
        ([np.array([np.nan, np.nan]), np.array(["", ""], object)], 1),
        ([np.array([1.0, 2.0]), np.array([2.0, 1.0])], 2),  # not by their sum
        ([np.array(["ab", "a"], object), np.array(["c", "bc"], object)], 2),
        ([np.arange(6, dtype="int16").reshape(3, 2) // 4], 2),
        ([np.arange(100_000.0)], 100_000),
    ],
)
def test_rows_are_the_same_by_all_their_columns(columns, number):
    assert len(set(same_rows(columns))) == number


def test_an_image_in_two_splits_and_one_with_two_labels(tmp_path):
    contents = [bytes([i]) * 9 for i in range(10)]
    contents[6] = contents[0]  # validation, same label
    contents[9] = contents[0]  # test, another label
    contents[3] = contents[2]  # both training, other labels
    own = records(images=np.array(files(tmp_path, contents)))
    assert [(severity, what) for severity, what, _ in found(own)] == [
        (
            "high",
            "1 of 2 images of test stand in train too (9.png is 0.png): a score on "
            "them tells of memory, not of new data; leave out copies, or keep them in "
            "one split",
        ),
        (
            "high",
            "1 of 2 images of validation stand in train or test too (6.png is 0.png): "
            "a score on them tells of memory, not of new data; leave out copies, or "
            "keep them in one split",
        ),
        (
            "high",
            "2 images stand with two labels of 'y' (0.png: 'a', 9.png: 'b'; 2.png: "
            "'a', 3.png: 'b'): at most one can be learned",
        ),
    ]


def test_copies_of_one_split_and_label_matter_little(tmp_path):
    contents = [bytes([i]) * 9 for i in range(10)]
    contents[2] = contents[4] = contents[0]
    own = records(images=np.array(files(tmp_path, contents)))
    assert found(own) == [("low", "images that repeat another of their split", 2)]


def test_no_repeat_no_note(tmp_path):
    own = records(images=np.array(files(tmp_path, [bytes([i]) for i in range(1, 11)])))
    assert not found(own)
    assert not found(records(inputs={"x": np.arange(10.0)}))
    assert not found(records())  # neither images nor inputs: a public set


@pytest.mark.parametrize(
    ("inputs", "encoder", "what"),
    [
        ({"t": np.array([f"text {i % 8}" for i in range(10)], object)}, "Text", "text"),
        ({"w": np.arange(40, dtype="int16").reshape(10, 4) % 32}, "Waveform", "sound"),
        ({"x": np.arange(10) % 8 / 7, "z": np.arange(10) % 8 / 3}, "Table", "row"),
    ],
)
def test_what_is_not_an_image(inputs, encoder, what):
    made = {
        "Text": lambda: p5.inputs.Text("t", 4),
        "Waveform": lambda: p5.inputs.Waveform("w", 8, 0.5),
        "Table": lambda: p5.inputs.Table({"x": "number", "z": "number"}),
    }[encoder]()
    own = records(inputs=inputs, encoders={"one": made})
    (first,) = found(own)
    assert first[0] == "high"
    assert first[1].startswith(f"2 of 2 {what}s of test stand in train too (")


def test_rows_of_few_categories_repeat_by_chance():
    rng = np.random.default_rng(0)
    splits = np.array(["train"] * 800 + ["validation"] * 100 + ["test"] * 100)
    inputs = {c: rng.choice(list("abc"), 1000).astype(object) for c in "xyz"}
    own = Records(
        "set",
        splits,
        {"y": Field("class", ("a", "b"))},
        {"y": rng.integers(0, 2, 1000)},
        inputs=inputs,
        problems=Problems(),
    )
    assert {severity for severity, _, _ in found(own)} == {"low"}
    # Numbers with many digits, each row six times.
    rows = rng.random((1000, 2))[np.arange(1000) % 160]
    own = Records(
        "set",
        splits,
        own.fields,
        own.columns,
        inputs={"x": rows[:, 0], "z": rows[:, 1]},
        problems=Problems(),
    )
    first = found(own)[0]
    assert first[0] == "high" and first[1].startswith("100 of 100 rows of test")


@pytest.mark.parametrize(
    ("digits", "copies", "severity"),
    [(3, 0, {"low"}), (12, 30, {"high"}), (3, 700, {"high"})],
)
def test_rounded_numbers_repeat_by_chance(digits, copies, severity):
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=1000), digits)
    x[1000 - copies :] = x[:copies]
    own = Records(
        "set",
        np.array(["train"] * 800 + ["validation"] * 100 + ["test"] * 100),
        {"y": Field("number")},
        {"y": rng.normal(size=1000)},
        inputs={"x": x},
        problems=Problems(),
    )
    assert {s for s, _, _ in found(own)} == severity
