import functools
import gzip
import pathlib
import shutil
import struct
from importlib import import_module

import numpy as np
import pytest
import tensorflow_datasets as tfds

import p5_keras as p5

ROOT = pathlib.Path(__file__).parents[2]
with tfds.core.utils.add_sys_path(ROOT / "datasets"):
    module = import_module("multi_mnist.multi_mnist_dataset_builder")
    idx = import_module("multi_mnist.idx")
compose = module.compose

DUMMY = ROOT / "datasets" / "multi_mnist" / "dummy_data"


def prepare(data_dir, manual_dir, config="mnist"):
    builder = module.Builder(data_dir=data_dir, config=config)
    download = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=download)
    return builder


def examples(builder, split):
    return list(tfds.as_numpy(builder.as_dataset(split=split)))


def items(name, prefix):
    """The images and labels of one set of dummy data, read without the builder."""
    folder, out = DUMMY / name, []
    for suffix, header in (("images-idx3", 16), ("labels-idx1", 8)):
        packed = (folder / f"{prefix}-{suffix}-ubyte.gz").read_bytes()
        out.append(np.frombuffer(gzip.decompress(packed)[header:], np.uint8))
    return out[0].reshape(-1, 28, 28), out[1]


def write(path, *shape, content=None, magic=None):
    """Writes an IDX file; 0, 1, 2, ... if no content is given."""
    size = int(np.prod(shape))
    content = bytes(i % 10 for i in range(size)) if content is None else content
    magic = 0x800 + len(shape) if magic is None else magic
    header = struct.pack(f">{1 + len(shape)}I", magic, *shape)
    path.write_bytes(gzip.compress(header + content))
    return path


def test_an_item_lies_over_its_partner_and_the_brighter_pixel_wins():
    left, right = np.full((1, 28, 28), 100, "uint8"), np.full((1, 28, 28), 50, "uint8")
    left[0, 20, 20], right[0, 0, 0] = 10, 200  # the right one's corner is at (8, 8)
    (image,) = compose.overlay(left, right)
    want = np.zeros((36, 36, 1), np.uint8)
    want[:28, :28] = 100
    want[28:, 8:] = want[8:, 28:] = 50
    want[20, 20] = 50
    want[8, 8] = 200
    np.testing.assert_array_equal(image, want)
    assert image.dtype == np.uint8


def test_every_item_is_a_partner_once_and_never_its_own():
    partner = compose.partners(60, held_out=10, seed=3)
    assert sorted(partner) == list(range(60))
    assert (partner != np.arange(60)).all()
    # Those held out keep to themselves.
    assert sorted(partner[50:]) == list(range(50, 60))
    # It is one ring: no small circle of items that only meet each other.
    seen, at = set(), 0
    while at not in seen:
        seen.add(at)
        at = partner[at]
    assert seen == set(range(50))


def test_pairs_never_change():
    assert compose.partners(6, seed=1).tolist() == [3, 4, 1, 5, 0, 2]
    assert compose.partners(6, seed=2).tolist() != [3, 4, 1, 5, 0, 2]
    assert compose.partners(1).tolist() == [0]


def test_idx_files_are_read(tmp_path):
    labels = idx.read_idx(write(tmp_path / "a.gz", 12))
    assert labels.tolist() == [*range(10), 0, 1]
    images = idx.read_idx(write(tmp_path / "b.gz", 2, 3, 4), (3, 4))
    assert images.shape == (2, 3, 4)
    assert images[1, 0].tolist() == [2, 3, 4, 5]


def test_idx_faults_are_named(tmp_path):
    path = tmp_path / "a.gz"

    def message(item_shape=()):
        with pytest.raises(ValueError) as error:
            idx.read_idx(path, item_shape)
        return str(error.value)

    end = f"path={str(path)!r}"
    write(path, 5)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert message() == (
        "An IDX file must be a complete gzip file (Compressed file ended before the "
        f"end-of-stream marker was reached). Received: {end}"
    )
    path.write_bytes(b"<html>")
    assert message() == (
        "An IDX file must be a complete gzip file (Not a gzipped file (b'<h')). "
        f"Received: {end}"
    )
    path.write_bytes(whole[:-12] + bytes(4) + whole[-8:])
    assert message().startswith("An IDX file must be a complete gzip file (")
    write(path, 5, magic=0x803)
    assert message() == (
        "An IDX file of bytes with 1 axes must begin with the number 0x00000801. "
        f"Received: 0x00000803 in 13 bytes, {end}"
    )
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0])))
    assert message().endswith(f"Received: 0x00000801 in 5 bytes, {end}")
    path.write_bytes(gzip.compress(b""))
    assert message().endswith(f"Received: 0x in 0 bytes, {end}")
    write(path, 2, 28, 32)
    assert message((28, 28)) == (
        "The items of this IDX file must have the shape (28, 28). "
        f"Received: (28, 32), {end}"
    )
    for size in (4, 6):
        write(path, 5, content=bytes(size))
        assert message() == (
            "An IDX file of the shape (5,) must hold 5 bytes after its header. "
            f"Received: {size}, {end}"
        )


class MultiMnistTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = module.Builder
    SPLITS = {"train": 12, "test": 4}


@pytest.mark.parametrize(
    ("config", "left", "right"),
    [
        ("mnist", "mnist", "mnist"),
        ("fashion", "fashion_mnist", "fashion_mnist"),
        ("fashion_and_mnist", "fashion_mnist", "mnist"),
    ],
)
def test_examples_come_in_order_with_their_partners(tmp_path, config, left, right):
    builder = prepare(tmp_path, DUMMY, config)
    names = [str(digit) for digit in range(10)]
    for side, name in (("left", left), ("right", right)):
        found = builder.info.features[side].names
        assert (found == names) == (name == "mnist")
        assert found[9] == {"mnist": "9", "fashion_mnist": "Ankle boot"}[name]
    for split, prefix, seed, held_out in (
        ("train", "train", 1, 2),
        ("test", "t10k", 2, 0),
    ):
        images, labels = items(left, prefix)
        others, other_labels = items(right, prefix)
        partner = compose.partners(len(images), held_out, seed)
        found = examples(builder, split)
        assert len(found) == len(images)
        for i, example in enumerate(found):
            image = example["image"][..., 0]
            np.testing.assert_array_equal(
                image[:8], np.pad(images[i][:8], [(0, 0), (0, 8)])
            )
            both = np.maximum(images[i][8:, 8:], others[partner[i]][:20, :20])
            np.testing.assert_array_equal(image[8:28, 8:28], both)
            np.testing.assert_array_equal(image[28:, 8:], others[partner[i]][20:])
            assert example["left"] == labels[i]
            assert example["right"] == other_labels[partner[i]]
    # A slice is a slice of the original order too.
    (last,) = examples(builder, "train[11:]")
    assert last["left"] == items(left, "train")[1][11]


def test_a_single_digit_is_that_of_the_set(tmp_path):
    builder = prepare(tmp_path, DUMMY / "mnist", "single")
    assert builder.info.features["label"].names == [str(digit) for digit in range(10)]
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = items("mnist", prefix)
        found = examples(builder, split)
        assert [example["label"] for example in found] == labels.tolist()
        np.testing.assert_array_equal([e["image"] for e in found], images[..., None])


def test_the_folder_may_be_that_of_the_files(tmp_path):
    builder = prepare(tmp_path, DUMMY / "fashion_mnist", "fashion")
    labels = [example["left"] for example in examples(builder, "test")]
    assert labels == items("fashion_mnist", "t10k")[1].tolist()


@pytest.mark.parametrize("config", ["mnist", "fashion_and_mnist"])
def test_what_is_not_there_is_downloaded(tmp_path, monkeypatch, config):
    asked = {}

    def fake(self, urls):
        asked.update(urls)
        folder = "fashion_mnist" if "fashion" in str(urls) else "mnist"
        return {name: type(DUMMY)(DUMMY / folder / name) for name in urls}

    monkeypatch.setattr(tfds.download.DownloadManager, "download", fake)
    (tmp_path / "manual").mkdir()
    if config == "fashion_and_mnist":
        shutil.copytree(DUMMY / "fashion_mnist", tmp_path / "manual" / "fashion_mnist")
    builder = prepare(tmp_path / "data", tmp_path / "manual", config)
    assert builder.info.splits["train"].num_examples == 12
    start = "https://storage.googleapis.com/cvdf-datasets/mnist/"
    assert asked == {name: start + name for name in module._FILES}


def test_addresses_have_checksums():
    known = (DUMMY.parent / "checksums.tsv").read_text().split()
    for start in module._SETS.values():
        for name in module._FILES:
            assert start + name in known


def test_a_missing_file_is_named(tmp_path):
    shutil.copytree(DUMMY / "mnist", tmp_path / "manual" / "mnist")
    (tmp_path / "manual" / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ValueError) as error:
        prepare(tmp_path / "data", tmp_path / "manual")
    assert str(error.value) == (
        "The folder of 'mnist' must hold train-images-idx3-ubyte.gz, "
        "train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, "
        "t10k-labels-idx1-ubyte.gz. Received: no t10k-labels-idx1-ubyte.gz in "
        f"{str(tmp_path / 'manual' / 'mnist')!r}"
    )


def test_sets_that_do_not_fit_are_refused(tmp_path, monkeypatch):
    shutil.copytree(DUMMY, tmp_path / "manual")
    images = tmp_path / "manual" / "mnist" / "train-images-idx3-ubyte.gz"
    labels = tmp_path / "manual" / "mnist" / "train-labels-idx1-ubyte.gz"

    def message(config="mnist"):
        with pytest.raises(ValueError) as error:
            prepare(tmp_path / "data", tmp_path / "manual", config)
        return str(error.value)

    write(labels, 11)
    assert message() == (
        "A set must have a label for each image. "
        f"Received: 12 images, 11 labels, path={str(labels)!r}"
    )
    write(images, 11, 28, 28)
    assert message("fashion_and_mnist") == (
        "Both sets must have as many items. Received: 12 and 11 in 'train'"
    )
    write(labels, 11, content=bytes([10] * 11))
    assert message() == (f"Labels must be below 10. Received: 10, path={str(labels)!r}")


def test_the_files_of_the_other_set_are_refused(tmp_path, real_data):
    with pytest.raises(ValueError) as error:
        prepare(tmp_path, real_data / "mnist", "fashion")
    path = real_data / "mnist" / "train-labels-idx1-ubyte.gz"
    assert str(error.value) == (
        "The labels must be those of 'fashion_mnist'. "
        f"Received: those of 'mnist', path={str(path)!r}"
    )


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_real_files(real_data, name):
    files = {file: real_data / name / file for file in module._FILES}
    other = {"mnist": "fashion_mnist", "fashion_mnist": "mnist"}[name]
    images, labels = module._read(files, "t10k", name)
    assert images.shape == (10_000, 28, 28)
    assert (
        labels[:4].tolist()
        == {"mnist": [7, 2, 1, 0], "fashion_mnist": [9, 2, 1, 1]}[name]
    )
    for prefix in ("t10k", "train"):
        with pytest.raises(ValueError, match=f"those of '{other}'. Received: those of"):
            module._read(files, prefix, other)


@pytest.mark.slow
def test_the_real_set(tmp_path, real_data):
    builder = prepare(tmp_path, real_data)
    images, labels = module._read(
        {file: real_data / "mnist" / file for file in module._FILES}, "train", "mnist"
    )
    held_out = examples(builder, "train[50000:]")
    assert len(held_out) == 10_000
    assert [example["left"] for example in held_out] == labels[50_000:].tolist()
    # Rows below the left item show the right one alone: it is one of those held out.
    below = {image[20:].tobytes() for image in images[50_000:]}
    assert {e["image"][28:, 8:].tobytes() for e in held_out} == below
    assert len(examples(builder, "train[:50000]")) == 50_000
    assert len(examples(builder, "test")) == 10_000


def test_the_recipe_reads_the_set(tmp_path, monkeypatch):
    recipe = p5.recipe.load("multi_mnist")
    here = functools.partial(p5.data.builder, data_dir=str(tmp_path))
    monkeypatch.setattr(p5.data, "builder", here)
    settings = ["variant=fashion_and_mnist", f"data_dir={DUMMY}"]
    config = p5.recipe.configure(recipe.Config(), settings)
    tasks = recipe.tasks(config)
    names = [task.class_names[0] for task in tasks]
    assert names == ["T-shirt/top", "0"]
    source = recipe.data(config, tasks, "test")
    ((x, y, weight),) = p5.data.evaluation(source, tasks, 4)
    assert x.shape == (4, 36, 36, 1)
    assert y["left"].numpy().tolist() == items("fashion_mnist", "t10k")[1].tolist()
    assert weight["right"].numpy().tolist() == [1, 1, 1, 1]
    # Of 12 training items the last 2 validate.
    labels = items("fashion_mnist", "train")[1]
    for split, want in (("train", labels[:10]), ("validation", labels[10:])):
        source = recipe.data(config, tasks, split)
        assert source.read(np.arange(source.size), 0)["left"].numpy().tolist() == [
            *want
        ]
    with tfds.core.utils.add_sys_path(ROOT / "datasets"):
        for variant, (left, right) in recipe.VARIANTS.items():
            features = module.Builder(data_dir=tmp_path, config=variant).info.features
            assert (features["left"].names, features["right"].names) == (left, right)


def test_the_recipe_names_its_variants():
    recipe = p5.recipe.load("multi_mnist")
    with pytest.raises(ValueError) as error:
        recipe.tasks(recipe.Config(variant="fashon"))
    assert str(error.value) == (
        "`variant` must be one of ['mnist', 'fashion', 'fashion_and_mnist']. "
        "Received: variant='fashon'"
    )
