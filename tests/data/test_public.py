import contextlib
import re
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from p5_keras.data import infer, public, public_features
from p5_keras.data.public_fixes import FIXES, Fix
from p5_keras.data.records import Field, Problems
from p5_keras.data.user_data import user_data


class Pets(tfds.core.GeneratorBasedBuilder):
    """Example i is a picture of value 20 i, and every label tells i."""

    VERSION = tfds.core.Version("1.0.0")
    SIZES = {"train": 10, "test": 4}

    def _info(self):
        label = tfds.features.ClassLabel(names=["even", "odd"])
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": label,
            "mask": tfds.features.Image(shape=(None, None, 1)),
            "objects": tfds.features.Sequence(
                {
                    "bbox": tfds.features.BBoxFeature(),
                    "label": tfds.features.ClassLabel(names=["a", "b", "c"]),
                    "is_crowd": np.bool_,
                }
            ),
            "head": tfds.features.BBoxFeature(),
            "weight": np.float32,
            "tags": tfds.features.Sequence(label),
            "old": np.bool_,
            "file_name": tfds.features.Text(),
            "id": np.int64,
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        return {s: self._generate_examples(s) for s in self.SIZES}

    def _generate_examples(self, split):
        for i in range(self.SIZES[split]):
            yield f"{split}{i}", example(i)


def example(i):
    box = tfds.features.BBox(0.1, 0.2, 0.5, 0.6 + i / 100)
    objects = [{"bbox": box, "label": i % 3, "is_crowd": False}] * (i % 3)
    crowd = [{"bbox": box, "label": 0, "is_crowd": True}]
    none = tfds.features.BBox(0.0, 0.0, 0.0, 0.0)
    return {
        "image": np.full((16 + i, 20, 3), 20 * i, "uint8"),
        "label": i % 2,
        "mask": np.full((16 + i, 20, 1), 1 + i % 3, "uint8"),
        "objects": objects + crowd,
        "head": none if i == 3 else box,
        "weight": float(i),
        "tags": [0, 1] if i % 2 else [0],
        "old": bool(i % 2),
        "file_name": f"{i}.jpg",
        "id": i,
    }


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    builder = Pets(data_dir=tmp_path_factory.mktemp("tfds"))
    builder.download_and_prepare()
    return builder


@pytest.fixture
def by_name(pets, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(public, "builder", lambda name, manual_dir: pets)


def test_features_become_labels(pets):
    problems = Problems()
    labels = public_features.labels_of(pets, problems)
    assert {name: label.field for name, label in labels.items()} == {
        "label": Field("class", ("even", "odd")),
        "mask": Field("mask"),
        "objects": Field("boxes", ("a", "b", "c")),
        "head": Field("boxes", ("head",)),
        "weight": Field("number"),
        "tags": Field("labels", ("even", "odd")),
        "old": Field("class", ("no", "yes")),
    }
    assert list(problems.notes) == [
        "'file_name' left out: Text is no label",
        "'id' left out: Tensor is no label",
    ]


def test_labels_and_pictures_belong_together(by_name):
    data = user_data("pets")
    records = data.records
    assert records.fields["mask"] == Field("mask", ("1", "2", "3"), (1, 2, 3))
    splits = ("train", "validation", "test")
    sizes = {s: int((records.splits == s).sum()) for s in splits}
    assert sizes == {"train": 9, "validation": 1, "test": 4}
    assert "no validation split: the last examples of 'train' serve" in (
        records.problems.notes
    )
    for split, size in sizes.items():
        source = data.source(split, (16, 16))
        assert source.size == size
        batch = source.read(tf.range(size, dtype="int64"), tf.zeros(size, "int64"))
        numbers = batch["image"][:, 8, 8, 0].numpy() // 20
        np.testing.assert_array_equal(batch["weight"][:, 0], numbers)
        np.testing.assert_array_equal(batch["label"], numbers % 2)
        np.testing.assert_array_equal(batch["old"], numbers % 2)
        np.testing.assert_array_equal(batch["mask"][:, 3, 3, 0], numbers % 3)
        np.testing.assert_array_equal(
            (batch["objects"]["label"].numpy() >= 0).sum(axis=1), numbers % 3
        )
        np.testing.assert_array_equal(batch["tags"][:, 0], np.ones(size))
        np.testing.assert_array_equal(batch["tags"][:, 1], numbers % 2)
        missing = np.isnan(batch["head"]["bbox"].numpy()).any(axis=(1, 2))
        np.testing.assert_array_equal(missing, numbers == 3)


def test_the_tasks_read_what_the_source_gives(by_name):
    data = user_data("pets", ["kind.objects=regression", "ignore=old,tags"])
    tasks = infer.make_tasks(data.records, (32, 32))
    names = ["label", "mask", "objects", "head", "weight"]
    assert [task.name for task in tasks] == names
    source = data.source("test", (32, 32))
    x, labels, weights = source.batch(
        tasks, source.read(tf.range(4, dtype="int64"), tf.zeros(4, "int64"))
    )
    assert x.shape == (4, 32, 32, 3)
    for task in tasks:
        task.check(labels[task.name].numpy(), weights[task.name].numpy())
    assert sorted(labels["objects"].numpy()[:, 0]) == [0, 0, 1, 2]  # boxes counted
    assert weights["head"].numpy().sum() == 3


def test_options_are_checked(by_name):
    message = "Unknown option of this data set. Received: 'split'; ['ignore', 'kind"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        user_data("pets", ["split=0.5,0.4,0.1"])


def test_a_split_without_labels_is_not_tested_on(by_name, pets, monkeypatch):
    read = public._read_labels

    def unlabelled(found, split, labels, limit=-1):
        columns = read(found, split, {"label": labels["label"]}, limit)
        if split == "test":
            columns["label"] = np.full_like(columns["label"], -1)
        return columns

    only = {"label": public_features.labels_of(pets, Problems())["label"]}
    monkeypatch.setattr(public, "_read_labels", unlabelled)
    problems = Problems()
    slices = public._slices(pets, only, problems)
    assert slices == {
        "train": "train[:8]",
        "validation": "train[9:10]",
        "test": "train[8:9]",
    }
    assert next(iter(problems.notes)) == "split 'test' has no label, left out"


def test_without_a_test_split_the_validation_split_is_tested_on(pets):
    problems = Problems()
    labels = {"label": public_features.labels_of(pets, problems)["label"]}
    named = {"train": pets.info.splits["train"], "validation": None}
    info = mock.Mock(splits=named, full_name="pets")
    found = mock.Mock(info=info)
    column = {"label": np.zeros(3, "int64")}
    with mock.patch.object(public, "_read_labels", lambda *_: column):
        slices = public._slices(found, labels, problems)
    assert slices == {
        "train": "train[:9]",
        "validation": "train[9:10]",
        "test": "validation",
    }


def made_up(feature, i):
    """A value of a feature."""
    if isinstance(feature, tfds.features.FeaturesDict):
        return {name: made_up(part, i) for name, part in feature.items()}
    if isinstance(feature, tfds.features.Sequence):
        return [made_up(feature.feature, i), made_up(feature.feature, i + 1)]
    if isinstance(feature, tfds.features.Image):
        return np.full((24, 32, feature.shape[-1]), 1 + i % 3, "uint8")
    if isinstance(feature, tfds.features.ClassLabel):
        return i % feature.num_classes
    if isinstance(feature, tfds.features.BBoxFeature):
        return tfds.features.BBox(0.1, 0.2, 0.5, 0.5 + i / 20)
    return "text" if isinstance(feature, tfds.features.Text) else i % 2


def small(feature):
    """Fixed sizes are kept, as those of MNIST."""
    return None not in feature.shape


@contextlib.contextmanager
def mocked(*splits):
    """Public sets with five examples in each split, without a connection."""

    def as_dataset(self, split, decoders=None, **kwargs):
        features = self.info.features

        def examples():
            for i in range(5):
                example = made_up(features, i)
                if small(features["image"]):
                    example["image"] = np.full(features["image"].shape, i, "uint8")
                yield features.encode_example(example)

        specs = tf.nest.map_structure(
            lambda info: tf.TensorSpec(info.shape, info.dtype),
            features.get_serialized_info(),
        )
        dataset = tf.data.Dataset.from_generator(examples, output_signature=specs)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(5))
        return dataset.map(lambda e: features.decode_example(e, decoders=decoders))

    infos = [
        tfds.core.SplitInfo(name=name, shard_lengths=[5], num_bytes=0)
        for name in splits
    ]
    with (
        tfds.testing.mock_data(as_dataset_fn=as_dataset),
        mock.patch.object(
            tfds.core.DatasetInfo, "splits", tfds.core.splits.SplitDict(infos)
        ),
    ):
        yield


PUBLIC = {
    "mnist": {"label": ("class", 10)},
    "fashion_mnist": {"label": ("class", 10)},
    "cifar10": {"label": ("class", 10)},
    "oxford_iiit_pet": {
        "label": ("class", 37),
        "species": ("class", 2),
        "segmentation_mask": ("mask", 3),
        "head_bbox": ("boxes", 1),
    },
    "voc": {"objects": ("boxes", 20), "labels": ("labels", 20)},
    "coco/2017": {"objects": ("boxes", 80)},
}


@pytest.mark.parametrize("name", PUBLIC)
def test_well_known_sets_work_by_name(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with mocked("train", "validation", "test"):
        data = user_data(name)
        found = {
            key: (field.kind, len(field.class_names))
            for key, field in data.records.fields.items()
        }
        assert found == PUBLIC[name]
        tasks = infer.make_tasks(data.records, (32, 32))
        assert {task.name for task in tasks} == set(found)
        source = data.source("train", (32, 32))
        numbers = tf.range(5, dtype="int64")
        _, labels, weights = source.batch(tasks, source.read(numbers, numbers))
    for task in tasks:
        task.check(labels[task.name].numpy(), weights[task.name].numpy())
        assert weights[task.name].numpy().all()


def test_every_fix_is_of_features_that_the_set_has():
    for name, fix in FIXES.items():
        assert isinstance(fix, Fix)
        with tfds.testing.mock_data(num_examples=1):
            features = tfds.builder(name).info.features
        assert {*fix.masks, *fix.drop} <= set(features)


def test_a_set_without_pictures_is_refused():
    with (
        mocked("train", "test"),
        pytest.raises(
            ValueError, match=r"^A public data set must have a field 'image'"
        ),
    ):
        user_data("iris")
