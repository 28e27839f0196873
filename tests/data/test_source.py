import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import p5_keras as p5
from p5_keras.data import cache as store

# Height and width of each picture, and how many boxes it has.
PICTURES = [((8, 12), 2), ((16, 8), 0), ((10, 10), 3)]


class TinyPictures(tfds.core.GeneratorBasedBuilder):
    """Pictures of several sizes; box k of picture i has the label k + 1."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        shape = (None, None, 1)
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "mask": tfds.features.Image(shape=shape),
                    "number": np.int64,
                    "name": tfds.features.Text(),
                    "objects": tfds.features.Sequence(
                        {"bbox": tfds.features.BBoxFeature(), "label": np.int64}
                    ),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        return {s: self._generate_examples() for s in ("train", "validation", "test")}

    def _generate_examples(self):
        for i, ((height, width), boxes) in enumerate(PICTURES):
            mask = np.zeros((height, width, 1), "uint8")
            mask[height // 2 :] = 6
            mask[:, ::2] += 1
            yield (
                i,
                {
                    "image": np.full((height, width, 3), 20 * i + 10, "uint8"),
                    "mask": mask,
                    "number": i,
                    "name": f"picture {i}",
                    "objects": [
                        {
                            "bbox": tfds.features.BBox(0.0, 0.1 * k, 0.5, 1.0),
                            "label": k + 1,
                        }
                        for k in range(boxes)
                    ],
                },
            )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


@pytest.fixture(scope="module")
def pictures(folder):
    return p5.data.builder("tiny_pictures", data_dir=folder)


def read_all(source):
    """All examples, sorted by number, as TFDS shuffles what it writes."""
    indices = tf.range(source.size, dtype=tf.int64)
    batch = source.read(indices, tf.zeros_like(indices))
    batch = tf.nest.map_structure(lambda t: t.numpy(), batch)
    order = np.argsort(batch["number"])
    return tf.nest.map_structure(lambda t: t[order], batch)


def test_from_tfds_resizes_images_and_pads_boxes(pictures):
    source = p5.data.from_tfds(pictures, "train", (6, 8), maps=["mask"])
    assert source.size == 3
    batch = read_all(source)
    assert batch["image"].shape == (3, 6, 8, 3)
    assert batch["image"].dtype == np.uint8
    np.testing.assert_array_equal(batch["image"][:, 3, 3, 0], [10, 30, 50])
    np.testing.assert_array_equal(
        batch["objects"]["label"], [[1, 2, -1], [-1, -1, -1], [1, 2, 3]]
    )
    np.testing.assert_allclose(
        batch["objects"]["bbox"][0], [[0, 0, 0.5, 1], [0, 0.1, 0.5, 1], [0, 0, 0, 0]]
    )
    assert batch["name"].tolist() == [b"picture 0", b"picture 1", b"picture 2"]


def test_maps_are_resized_without_mixing_labels(pictures):
    batch = read_all(p5.data.from_tfds(pictures, "train", 6, maps=["mask"]))
    assert batch["mask"].shape == (3, 6, 6, 1)
    assert batch["mask"].dtype == np.uint8
    assert set(np.unique(batch["mask"][:, :3])) == {0, 1}
    assert set(np.unique(batch["mask"][:, 3:])) == {6, 7}


def test_a_split_on_disk_is_that_in_memory_and_is_decoded_once(
    pictures, tmp_path, monkeypatch
):
    keep = store.keep

    def read(cache):
        source = p5.data.from_tfds(
            pictures, "train", (6, 8), ["mask"], cache, tmp_path / "cache"
        )
        assert source.size == 3
        return read_all(source)

    wanted, found = read("memory"), read("disk")
    for example in (found, read("auto")):
        tf.nest.map_structure(np.testing.assert_array_equal, example, wanted)
    (folder,) = (tmp_path / "cache" / "decoded").iterdir()
    assert sorted(p.stat().st_size for p in folder.iterdir()) == [144, 432]
    written = folder.stat().st_mtime_ns
    # Where memory is short, the disk takes over; what is there is not made again.
    monkeypatch.setattr(store, "MEMORY_SHARE", 0)
    kept = []
    monkeypatch.setattr(
        store, "keep", lambda *args: kept.append(args[3]) or keep(*args)
    )
    found = read("auto")
    tf.nest.map_structure(np.testing.assert_array_equal, found, wanted)
    assert kept == [folder] and folder.stat().st_mtime_ns == written


def test_a_split_that_fits_nowhere(pictures, tmp_path):
    message = (
        "A TFDS split must be kept in memory or on disk, decoded and resized. "
        "Received: cache='none' for tiny_pictures, 'train', which takes 0 MiB"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        p5.data.from_tfds(pictures, "train", 6, ["mask"], "none")


def test_images_of_several_sizes_need_a_size(pictures):
    with pytest.raises(ValueError, match=r"`image_size` must be given.*tiny_pictures"):
        p5.data.from_tfds(pictures, "train")


def test_split_slices_and_a_fixed_order(pictures):
    whole = p5.data.from_tfds(pictures, "train", 6, maps=["mask"])
    part = p5.data.from_tfds(pictures, "train[1:]", 6, maps=["mask"])
    indices = tf.constant([1, 2], tf.int64)
    expected = whole.read(indices, indices)["number"]
    np.testing.assert_array_equal(part.read(indices - 1, indices)["number"], expected)


def test_transform_and_augment_are_kept(pictures):
    def transform(example):
        return example

    augment = p5.data.Augment([], flip_horizontal=True)
    source = p5.data.from_tfds(
        pictures, "test", 6, ["mask"], transform=transform, augment=augment
    )
    assert (source.transform, source.augment) == (transform, augment)


def test_an_empty_split_or_source_is_named(pictures):
    with pytest.raises(ValueError, match=r"must hold an example.*'train\[:0\]'"):
        p5.data.from_tfds(pictures, "train[:0]", 6, maps=["mask"])
    with pytest.raises(ValueError, match="at least one example"):
        p5.data.Source(0, lambda indices, epochs: {})


def test_first_keeps_as_many_examples_as_there_are():
    source = p5.data.Source(5, lambda indices, epochs: {"input": indices})
    assert (source.first(3).size, source.first(9).size) == (3, 5)
    assert source.first(3).read is source.read


def test_an_unknown_data_set_names_the_nearest(folder):
    with pytest.raises(ValueError, match=r"mean 'digit_scenes'\?.*'digt_scene'"):
        p5.data.builder("digt_scene", data_dir=folder)
    with pytest.raises(ValueError, match=r"Did you mean 'tiny_pictures'\?"):
        p5.data.builder("tiny_picture", data_dir=folder)


def test_load_gives_three_datasets_and_adapts_the_tasks(folder, pictures):
    tasks = [
        p5.tasks.Regression("number"),
        p5.tasks.Segmentation("mask", num_classes=8),
    ]
    train, validation, test = p5.data.load(
        "tiny_pictures", tasks, 6, 2, data_dir=folder, maps=["mask"]
    )
    assert tasks[0].mean == [1.0]
    for dataset in (train, validation, test):
        assert int(dataset.cardinality()) == 2
        x, y, weight = next(iter(dataset))
        assert x.shape == (2, 6, 6, 3)
        assert set(y) == set(weight) == {"number", "mask"}
    weights = np.concatenate([w["number"] for _, _, w in test])
    np.testing.assert_array_equal(weights, [1, 1, 1, 0])


def test_load_augments_the_training_batches_alone(folder, pictures):
    tasks = [p5.tasks.Regression("number")]

    def darken(example, seed):
        return {**example, "image": tf.zeros_like(example["image"])}

    def relabel(batch, seed):
        x, labels, weights = batch
        return x, {"number": labels["number"] + 100}, weights

    changes = {"augment": darken, "augment_batch": relabel}
    train, *others = p5.data.load(
        "tiny_pictures", tasks, 6, 2, data_dir=folder, **changes
    )
    for x, y, _ in train:
        assert not x.numpy().any() and (y["number"].numpy() >= 100).all()
    for dataset in others:
        for x, y, _ in dataset:
            assert x.numpy().any() and (y["number"].numpy() < 100).all()


def test_load_checks_labels_of_every_split(folder, pictures):
    tasks = [p5.tasks.Segmentation("mask", num_classes=7)]
    with pytest.raises(ValueError, match=r"from 0 to 6.*Received: 7 in example 1"):
        p5.data.load("tiny_pictures", tasks, 6, 2, data_dir=folder, maps=["mask"])
