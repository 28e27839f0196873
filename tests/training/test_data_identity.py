"""What is said of data that are not those of a run."""

import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.training import data_identity
from p5_keras.training.data_identity import changes


def split(examples, content="a", **classes):
    return {"examples": examples, "classes": {"pet": classes}, "content": content}


BEFORE = {"train": split(50, cat=30, dog=20), "test": split(5, cat=5)}


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (split(50, cat=30, dog=20), []),
        (split(62, "b", cat=42, dog=20), ["12 examples more in train"]),
        (split(49, "b", cat=29, dog=20), ["1 example fewer in train"]),
        (
            split(62, "b", ant=12, cat=30, dog=20),
            ["12 examples more in train", "class 'ant' is new"],
        ),
        (
            split(50, "b", cat=30, ant=20),
            ["class 'ant' is new", "class 'dog' is gone"],
        ),
        (
            split(50, "b", cat=30, dog=20),
            ["other content in train, 50 examples as before"],
        ),
    ],
)
def test_what_changed(train, said):
    assert changes(BEFORE, BEFORE | {"train": train}) == said


def test_many_new_classes_are_not_all_named():
    new = split(99, "b", cat=30, dog=20, **{f"c{i}": 1 for i in range(9)})
    found = changes(BEFORE, BEFORE | {"train": new})
    assert len(found) == 7 and found[-1] == "4 more classes"


def source(name, size):
    def digests():
        return {name: {"examples": size, "content": str(size)}}

    return p5.data.Source(1, lambda i, e: {"image": tf.zeros([1])}, digests=digests)


def splits(train):
    return [source("train", train), source("validation", 2), source("test", 2)]


def test_a_run_goes_on_with_its_own_data_only(tmp_path):
    workdir = p5.Workdir(tmp_path)
    data_identity.keep(workdir, splits(8))
    data_identity.keep(workdir, splits(8))
    with pytest.raises(ValueError, match="1 example more in train"):
        data_identity.keep(workdir, splits(9))
    assert data_identity.changed(workdir, source("test", 2)) == []
    assert data_identity.changed(workdir, source("test", 4)) == [
        "2 examples more in test"
    ]


def test_what_is_not_known_is_not_compared(tmp_path):
    workdir = p5.Workdir(tmp_path)
    data_identity.keep(workdir, splits(8))
    unknown = p5.data.Source(1, lambda i, e: {})
    assert data_identity.changed(workdir, unknown) == []


def test_each_source_of_a_mixture_counts(tmp_path):
    workdir, tasks = p5.Workdir(tmp_path), [p5.tasks.Regression("age")]

    def mixed(size):
        def read(indices, epochs):
            ages = tf.cast(indices, tf.float32)
            return {"image": tf.zeros([1, 2, 2, 1]), "age": ages}

        def part(n):
            digests = {"train": {"examples": n, "content": str(n)}}
            return p5.data.Source(2, read, digests=lambda: digests)

        return p5.data.mix({"a": part(3), "b": part(size)}, tasks)

    data_identity.keep(workdir, [mixed(5)])
    with pytest.raises(ValueError, match="1 example more in train of b"):
        data_identity.keep(workdir, [mixed(6)])


def test_a_run_of_an_earlier_version_has_none(tmp_path):
    assert data_identity.changed(p5.Workdir(tmp_path), source("test", 2)) == []
