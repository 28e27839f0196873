"""A digest of data changes with the data, and with nothing else."""

import numpy as np
import pytest

from p5_keras.data.importers.digest import digest
from p5_keras.data.records import Field, Records

BOXES = [
    (np.float32([[0, 0, 0.5, 0.5], [0, 0, 1, 1]]), np.int64([0, 1])),
    None,
    (np.zeros((0, 4), "float32"), np.zeros(0, "int64")),
]


@pytest.fixture
def records(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(bytes(i + 1))
    files = np.array([str(tmp_path / f"{i}.png") for i in range(3)])
    return Records(
        "pets",
        np.array(["train"] * 3),
        {
            "pet": Field("class", ("cat", "dog")),
            "signs": Field("labels", ("a", "b")),
            "age": Field("number"),
            "tags": Field("tags", ("O", "B")),
            "objects": Field("boxes", ("cat", "dog")),
            "mask": Field("mask", ("no", "yes")),
        },
        {
            "pet": np.int64([0, 1, -1]),
            "signs": np.float32([[0, 1], [1, 0], [np.nan, np.nan]]),
            "age": np.float32([1.5, np.nan, 0]),
            "tags": np.int64([[0, 1], [0, -1], [-1, -1]]),
            "objects": BOXES,
            "mask": [files[0], "", ""],
        },
        images=files,
        names=files,
    )


def whole(records):
    return digest(records, np.arange(len(records)))


def test_counts(records):
    found = whole(records)
    assert found["examples"] == 3
    assert found["classes"] == {
        "pet": {"cat": 1, "dog": 1},
        "signs": {"a": 1, "b": 1},
        "tags": {"O": 2, "B": 1},
        "objects": {"cat": 1, "dog": 1},
    }


def test_order_of_examples_fields_and_columns_does_not_matter(records):
    other = records.take(np.array([2, 0, 1]))
    fields = dict(reversed(other.fields.items()))
    other = Records(**{**vars(other), "fields": fields})
    assert whole(other)["content"] == whole(records)["content"]


def test_order_of_classes_does_not_matter(records):
    fields = records.fields | {"pet": Field("class", ("ant", "dog", "cat"))}
    columns = records.columns | {"pet": np.int64([2, 1, -1])}
    other = Records(**{**vars(records), "fields": fields, "columns": columns})
    assert whole(other) == whole(records)


def test_another_place_is_the_same_data(records, tmp_path):
    (tmp_path / "moved").mkdir()
    names = []
    for i in range(3):
        names.append(str(tmp_path / "moved" / f"{i}.png"))
        (tmp_path / "moved" / f"{i}.png").write_bytes(bytes(i + 1))
    other = Records(**{**vars(records), "names": np.array(names)})
    assert whole(other) == whole(records)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("pet", np.int64([0, 0, -1])),
        ("pet", np.int64([1, 0, -1])),  # the same counts
        ("signs", np.float32([[0, 1], [1, 1], [np.nan, np.nan]])),
        ("signs", np.float32([[0, 1], [1, 0], [0, 0]])),
        ("age", np.float32([1.5, np.nan, np.nan])),
        ("tags", np.int64([[1, 0], [0, -1], [-1, -1]])),
        ("objects", [(BOXES[0][0] * 0.9, BOXES[0][1]), *BOXES[1:]]),
        ("objects", [BOXES[0], BOXES[2], BOXES[2]]),  # none, and not labelled
        ("mask", ["", "", ""]),
    ],
)
def test_any_label_counts(records, name, column):
    columns = records.columns | {name: column}
    other = Records(**{**vars(records), "columns": columns})
    assert whole(other)["content"] != whole(records)["content"]


def test_names_and_sizes_of_files_count(records, tmp_path):
    before = whole(records)["content"]
    (tmp_path / "1.png").write_bytes(bytes(9))
    sized = whole(records)["content"]
    (tmp_path / "1.png").write_bytes(bytes(2))
    (tmp_path / "1.png").rename(tmp_path / "x.png")
    names = np.array([str(tmp_path / f"{i}.png") for i in (0, "x", 2)])
    named = whole(Records(**{**vars(records), "names": names}))["content"]
    assert len({before, sized, named}) == 3


def rows(**inputs):
    count = len(next(iter(inputs.values())))
    return Records("t", np.array(["train"] * count), {}, {}, inputs=inputs)


def test_rows_of_a_table():
    first = rows(x=np.array([1.0, np.nan]), y=np.array(["a", ""], object))
    swapped = rows(y=np.array(["", "a"], object), x=np.array([np.nan, 1.0]))
    mixed = rows(x=np.array([1.0, np.nan]), y=np.array(["", "a"], object))
    twice = rows(x=np.array([1.0, 1.0]), y=np.array(["a", "a"], object))
    none = rows(x=np.array([0.0, -0.0]), y=np.array(["a", "a"], object))
    assert whole(first) == whole(swapped)
    assert len({whole(r)["content"] for r in (first, mixed, twice, none)}) == 4
