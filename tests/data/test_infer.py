import re

import numpy as np
import pytest

from p5_keras.data import infer
from p5_keras.data.records import Field, Records
from p5_keras.naming import check_names

SPLITS = np.array(["train"] * 4 + ["validation", "test"])


def boxes(*counts):
    """Boxes for each example; None stands for no label."""
    one = np.array([[0.25, 0.25, 0.75, 0.75]], "float32")
    return [
        None if n is None else (np.repeat(one, n, axis=0), np.zeros(n, "int64"))
        for n in counts
    ]


FIELDS = {
    "breed": (Field("class", ("pug", "boxer")), np.array([0, 1, 0, -1, 0, 1])),
    "tags": (
        Field("labels", ("old", "new")),
        np.array([[0, 1]] * 5 + [[np.nan] * 2], "float32"),
    ),
    "weight": (Field("number"), np.array([1, 2, 3, np.nan, 5, 6], "float32")),
    "head": (Field("boxes", ("cat", "dog")), boxes(1, 2, None, 0, 6, 1)),
    "mask": (Field("mask", ("no", "yes")), ["a", "", "b", "", "c", ""]),
}


def records(**fields):
    fields = fields or FIELDS
    return Records(
        "pets",
        SPLITS,
        {name: field for name, (field, _) in fields.items()},
        {name: column for name, (_, column) in fields.items()},
    )


def test_every_kind_of_field_becomes_its_task():
    found = infer.make_tasks(infer.usable(records()), (64, 96))
    kinds = {task.name: type(task).__name__ for task in found}
    assert kinds == {
        "breed": "Classification",
        "tags": "MultiLabel",
        "weight": "Regression",
        "head": "Detection",
        "mask": "Segmentation",
    }
    by_name = {task.name: task for task in found}
    assert by_name["breed"].class_names == ["pug", "boxer"]
    assert by_name["weight"].size == 1
    assert by_name["mask"].class_names == ["no", "yes"]
    assert by_name["mask"].ignore_label == 255
    assert by_name["head"].class_names == ["cat", "dog"]
    assert by_name["head"].max_boxes == 8  # a quarter more than the most, 6


def test_a_vector_of_numbers_is_one_regression():
    column = np.arange(12, dtype="float32").reshape(6, 2)
    (task,) = infer.make_tasks(infer.usable(records(xy=(Field("number"), column))))
    assert task.size == 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("marital status", "marital_status"),
        ("Jitter(%)", "Jitter"),
        ("2nd", "field_2nd"),
        ("größe", "groe"),
        ("年齢", "field"),
        ("_x", "x"),
        ("km/h", "km_h"),
        ("image", "image_2"),
        ("loss", "loss_2"),
        ("trunk_P2", "field_trunk_P2"),
    ],
)
def test_names_are_made_fit_for_tasks(name, expected):
    assert infer.task_name(name) == expected
    check_names([expected], ["image", "trunk_P2"])


def test_names_that_clash_are_kept_apart():
    given = ["a b", "a_b", "A b", "a_b_loss", "val_a_b"]
    found = []
    for name in given:
        found.append(infer.task_name(name, found))
    assert found[0] == "a_b"
    check_names(found, [])
    assert len({name.casefold() for name in found}) == 5


def test_what_was_renamed_and_left_out_is_noted():
    given = records(
        **{
            "marital status": FIELDS["breed"],
            "same": (Field("class", ("only",)), np.zeros(6, int)),
            "flat": (Field("number"), np.ones(6, "float32")),
            "none": (Field("number"), np.full(6, np.nan, "float32")),
            "late": (Field("class", ("a", "b")), np.array([-1, -1, -1, -1, 0, 1])),
            "empty": (Field("boxes", ("a",)), boxes(0, 0, 0, None, 1, 1)),
        }
    )
    found = infer.usable(given)
    assert list(found.fields) == list(found.columns) == ["marital_status"]
    assert list(found.problems.notes) == [
        "'marital status' is called 'marital_status'",
        "'same' left out: there is only one class, 'only'",
        "'flat' left out: every training example has the value 1",
        "'none' left out: no example has a label",
        "'late' left out: no training example has a label",
        "'empty' left out: no training example has a box",
    ]


def test_a_data_set_without_anything_to_learn_is_refused():
    given = records(same=(Field("class", ("only",)), np.zeros(6, int)))
    with pytest.raises(ValueError, match="must have a field that can be learned"):
        infer.usable(given)


def convert(name, kind, **fields):
    found = infer.usable(records(**fields), kind={name: kind})
    return found.fields[name], found.columns[name]


def test_classes_named_by_numbers_can_be_numbers():
    ages = (Field("class", ("8", "12.5")), np.array([0, 1, 1, -1, 0, 1]))
    field, column = convert("age", "regression", age=ages)
    assert field == Field("number")
    np.testing.assert_array_equal(column, [8, 12.5, 12.5, np.nan, 8, 12.5])


def test_numbers_can_be_classes():
    stars = (Field("number"), np.array([5, 1, np.nan, 1, 3, 5], "float32"))
    field, column = convert("stars", "classification", stars=stars)
    assert field == Field("class", ("1", "3", "5"))
    np.testing.assert_array_equal(column, [2, 0, -1, 0, 1, 2])


def test_a_class_can_be_one_of_several_labels():
    field, column = convert("breed", "multi_label")
    assert field == Field("labels", ("pug", "boxer"))
    np.testing.assert_array_equal(
        column, [[1, 0], [0, 1], [1, 0], [np.nan] * 2, [1, 0], [0, 1]]
    )


def test_boxes_can_be_counted_or_told_by_kind():
    field, column = convert("head", "regression")
    assert field == Field("number")
    np.testing.assert_array_equal(column, [1, 2, np.nan, 0, 6, 1])
    field, column = convert("head", "multi_label")
    np.testing.assert_array_equal(column[:4], [[1, 0], [1, 0], [np.nan] * 2, [0, 0]])


def test_a_field_is_named_as_in_the_data_or_as_its_task():
    given = {"marital status": FIELDS["breed"], "weight": FIELDS["weight"]}
    for name in ("marital status", "marital_status"):
        found = infer.usable(records(**given), kind={name: "multi_label"})
        assert found.fields["marital_status"].kind == "labels"
        found = infer.usable(records(**given), ignore=[name])
        assert list(found.fields) == ["weight"]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"kind": {"bread": "regression"}},
            "Unknown field of this data set. Did you mean 'breed'? Received: 'bread'; "
            "['breed', 'tags', 'weight', 'head', 'mask']",
        ),
        (
            {"ignore": ["heads"]},
            "Unknown field of this data set. Did you mean 'head'? Received: 'heads'; "
            "['breed', 'tags', 'weight', 'head', 'mask']",
        ),
        (
            {"kind": {"head": "detector"}},
            "`kind.head` must be one of classification, multi_label, regression, "
            "tagging, detection, segmentation. Did you mean 'detection'? "
            "Received: kind.head=detector",
        ),
        (
            {"kind": {"breed": "regression"}},
            "`kind.breed` cannot be regression: the field holds classification of pug, "
            "boxer. Received: kind.breed=regression",
        ),
        (
            {"kind": {"mask": "detection"}},
            "`kind.mask` cannot be detection: the field holds segmentation of no, yes. "
            "Received: kind.mask=detection",
        ),
    ],
)
def test_mistakes(kwargs, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        infer.usable(records(), **kwargs)


def test_anchors_follow_the_boxes():
    # Sides of 20 and 80 pixels: quarters of strides 5 and 20, so levels 2 to 4.
    small, large = [0.0, 0.0, 0.1, 0.1], [0.0, 0.0, 0.4, 0.4]
    rows = np.array([small] * 5 + [large] * 5, "float32")
    found = infer.anchors(rows, (200, 200))
    assert found["features"] == ["P2", "P3", "P4"]
    assert found["anchor_ratios"] == [1.0]
    # All of 48 x 24 pixels: a side of 33.9, nearest to 5 strides of 8.
    rows = np.tile(np.float32([[0.0, 0.0, 0.4, 0.2]]), (6, 1))
    found = infer.anchors(rows, (120, 120))
    assert found["features"] == ["P3"]
    assert found["anchor_ratios"] == [2.0]
    assert found["anchor_size"] * 2 ** (1 / 3) * 8 == pytest.approx(33.9, abs=0.1)


def test_anchors_stay_within_the_trunk_and_the_levels():
    rows = np.tile(np.float32([[0.0, 0.0, 1.0, 1.0]]), (3, 1))
    assert infer.anchors(rows, (512, 512))["features"] == ["P5"]
    assert infer.anchors(rows, (512, 512), levels=3)["features"] == ["P3"]
    assert infer.anchors(rows / 100, (64, 64))["features"] == ["P2"]


def test_wide_and_high_boxes_get_three_ratios():
    high, wide, square = [0, 0, 0.4, 0.1], [0, 0, 0.1, 0.4], [0, 0, 0.2, 0.2]
    rows = np.array([high] * 3 + [wide] * 3 + [square] * 4, "float32")
    assert infer.anchors(rows, (100, 100))["anchor_ratios"] == [0.25, 1.0, 4.0]
