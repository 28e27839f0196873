"""Classes of data and of tasks, matched by name where a source meets tasks."""

import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.data.class_names import by_name

NAMES = ["cat", "dog", "owl"]  # of the data
WANTED = ["ant", "owl", "cat", "dog"]  # of the task: 2, 3 and 1


def task(kind, names=WANTED):
    return getattr(p5.tasks, kind)("pet", class_names=names)


def reading(names=NAMES):
    return {"fields": {"pet": {"class_names": names}}}


def matched(kind, value, names=NAMES):
    example = {"pet": tf.nest.map_structure(tf.constant, value)}
    found = by_name([task(kind)], reading(names), example, example)["pet"]
    return tf.nest.map_structure(lambda t: t.numpy().tolist(), found)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("Classification", np.int64([0, 1, 2, -1]), [2, 3, 1, -1]),
        ("Ordinal", np.int64([2, -1]), [1, -1]),
        ("Tagging", np.int64([[0, 2, -1], [1, -1, -1]]), [[2, 1, -1], [3, -1, -1]]),
        (
            "Segmentation",
            np.uint8([[[0], [255]], [[2], [1]]]),
            [[[2], [255]], [[1], [3]]],
        ),
    ],
)
def test_numbers_of_classes(kind, value, expected):
    assert matched(kind, value) == expected


def test_several_labels():
    value = np.float32([[1, 0, 1], [np.nan] * 3])
    first, missing = matched("MultiLabel", value)
    assert first == [0, 1, 1, 0]
    assert np.isnan(missing).all()


def test_boxes():
    value = {"bbox": np.zeros((1, 3, 4), "float32"), "label": np.int64([[2, 0, -1]])}
    assert matched("Detection", value)["label"] == [[1, 2, -1]]


def test_what_has_no_names_is_left_alone():
    for names, wanted in (
        (NAMES, ["0", "1", "2"]),
        (["0", "1"], WANTED),
        (NAMES, NAMES),
    ):
        example = {"pet": tf.constant([1])}
        own = [task("Classification", wanted)]
        assert by_name(own, reading(names), example, example) is example


def test_labels_that_a_transformation_made_are_left_alone():
    read, made = {"pet": tf.constant([5])}, {"pet": tf.constant([1])}
    assert by_name([task("Classification")], reading(["x", "y"]), made, read) is made


def source(**kwargs):
    def read(indices, epochs):
        return {"image": tf.zeros([len(indices), 2, 2, 1]), "pet": indices % 3}

    return p5.data.Source(3, read, reading=reading(), **kwargs)


@pytest.mark.parametrize("batches", [p5.data.training, p5.data.evaluation])
def test_a_class_that_the_task_lacks_is_one_line(batches):
    with pytest.raises(ValueError, match=r"^The classes of the data must be") as error:
        batches(source(), [task("Classification", ["ant", "cat", "dog"])], 3)
    assert "Received: 'owl' in the field 'pet'" in str(error.value)
    assert "\n" not in str(error.value)


def test_batches_have_the_tasks_classes():
    own = [task("Classification")]
    ((_, labels, _),) = p5.data.evaluation(source(), own, 3)
    assert labels["pet"].numpy().tolist() == [2, 3, 1]
