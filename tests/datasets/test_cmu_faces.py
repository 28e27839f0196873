import collections
import functools
import itertools
import pathlib
import shutil
from importlib import import_module

import numpy as np
import pytest
import tensorflow_datasets as tfds

import p5_keras as p5

ROOT = pathlib.Path(__file__).parents[2]
with tfds.core.utils.add_sys_path(ROOT / "datasets"):
    module = import_module("cmu_faces.cmu_faces_dataset_builder")
    pgm = import_module("cmu_faces.pgm")
photos = module.photos

DUMMY = ROOT / "datasets" / "cmu_faces" / "dummy_data"
ALL = [
    photos.Photo(*parts, 2)
    for parts in itertools.product(
        photos.PEOPLE, photos.POSES, photos.EXPRESSIONS, photos.EYES
    )
]


def prepare(data_dir, manual_dir, config="by_person_2"):
    builder = module.Builder(data_dir=data_dir, config=config)
    download = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=download)
    return builder


def examples(builder, split):
    found = tfds.as_numpy(builder.as_dataset(split=split))
    return {example["filename"].decode(): example for example in found}


@pytest.fixture
def manual(tmp_path):
    """A copy of the dummy data that can be broken."""
    shutil.copytree(DUMMY, tmp_path / "manual")
    return tmp_path / "manual" / "faces"


@pytest.fixture
def message(tmp_path, manual):
    """What preparing that copy says."""

    def prepared(config="by_person_2"):
        with pytest.raises(ValueError) as error:
            prepare(tmp_path / "data", manual.parent, config)
        return str(error.value)

    return prepared


def test_a_pgm_is_stretched_to_its_white():
    picture = pgm.read_pgm(b"P5\n3 2\n51\n" + bytes([0, 1, 2, 10, 50, 51]), "a.pgm")
    assert picture.dtype == np.uint8
    assert picture[..., 0].tolist() == [[0, 5, 10], [50, 250, 255]]
    # White is 200: 1 is 1.275, 2 is 2.55.
    picture = pgm.read_pgm(b"P5 # by hand\n# twice\n 2 1 200 " + bytes([1, 2]), "a.pgm")
    assert picture[..., 0].tolist() == [[1, 3]]
    # A first pixel that looks like a blank is a pixel.
    picture = pgm.read_pgm(b"P5\n1 2\n255\n\n ", "a.pgm")
    assert picture[..., 0].tolist() == [[10], [32]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b"P2\n1 1\n9\n5",
            "A picture must begin with the header of a binary PGM: P5, width, height, "
            "white. Received: b'P2\\n1 1\\n9\\n5'",
        ),
        (
            b"",
            "A picture must begin with the header of a binary PGM: P5, width, height, "
            "white. Received: b''",
        ),
        (
            b"P5\n1 1\n65535\n12",
            "The white of a PGM of 8 bits must be 1 to 255. Received: 65535",
        ),
        (
            b"P5\n1 1\n0\n1",
            "The white of a PGM of 8 bits must be 1 to 255. Received: 0",
        ),
        (b"P5\n4 3\n9\n12345678901", "A PGM of 4x3 must hold 12 pixels. Received: 11"),
        (b"P5\n1 1\n9\n12", "A PGM of 1x1 must hold 1 pixels. Received: 2"),
        (
            b"P5\n1 1\n48\n1",
            "No pixel may be brighter than white, which is 48. Received: 49",
        ),
    ],
)
def test_a_broken_pgm_is_named(content, reason):
    with pytest.raises(ValueError) as error:
        pgm.read_pgm(content, "face.pgm")
    assert str(error.value) == f"{reason}, filename='face.pgm'"


def test_names_are_parsed():
    found = photos.parse_name("kk49_left_sad_sunglasses_4.pgm", "kk49")
    assert found == ("kk49", "left", "sad", "sunglasses", 4)
    for name in ("kk49_up_happy_open.pgm", "kk49_up_happy_open_1.pgm"):
        assert photos.parse_name(name, "kk49").scale == 1


@pytest.mark.parametrize(
    "name",
    [
        "kk49_left_sad_4.pgm",
        "kk49_left_sad_open_3.pgm",
        "kk49_left_sad_open_4_4.pgm",
        "kk49_left_glad_open_4.pgm",
        "kk49_sad_left_open_4.pgm",
        "nobody_left_sad_open_4.pgm",
    ],
)
def test_an_unknown_name_is_refused(name):
    with pytest.raises(ValueError) as error:
        photos.parse_name(name, "kk49")
    assert str(error.value) == (
        "The name of a photograph must be <person>_<pose>_<expression>_<eyes>, then "
        f"_2 or _4 and .pgm, with values that the set has. Received: kk49/{name}"
    )


def test_a_photograph_in_the_folder_of_another_is_refused():
    with pytest.raises(ValueError) as error:
        photos.parse_name("kk49_left_sad_open_4.pgm", "bpm")
    assert str(error.value) == (
        "A photograph must lie in the folder of its person. "
        "Received: bpm/kk49_left_sad_open_4.pgm"
    )


def test_split_by_person_shares_nobody():
    people = collections.defaultdict(set)
    for photo, split in zip(ALL, photos.split_by_person(ALL), strict=True):
        people[split].add(photo.person)
    assert {split: len(names) for split, names in people.items()} == {
        "train": 12,
        "validation": 4,
        "test": 4,
    }
    assert set().union(*people.values()) == set(photos.PEOPLE)


def test_split_by_photo_gives_everybody_to_each_split():
    splits = photos.split_by_photo(ALL)
    count = collections.Counter(
        (photo.person, split) for photo, split in zip(ALL, splits, strict=True)
    )
    for person in photos.PEOPLE:
        assert [count[person, split] for split in photos.SPLITS] == [20, 4, 8]


def test_split_by_photo_keeps_expressions_together():
    where = collections.defaultdict(set)
    for photo, split in zip(ALL, photos.split_by_photo(ALL), strict=True):
        where[photo.person, photo.pose, photo.eyes].add(split)
    assert len(where) == 160
    assert all(len(splits) == 1 for splits in where.values())


def test_split_by_photo_depends_on_nothing_but_the_names():
    splits = dict(zip(ALL, photos.split_by_photo(ALL), strict=True))
    turned = [photo._replace(scale=4) for photo in ALL[::-1]]
    again = photos.split_by_photo(turned)
    assert again == [splits[photo] for photo in ALL[::-1]]
    # Neither on other people, nor on a photograph that is missing.
    some = [photo for photo in ALL if photo.person == "tammo"][1:]
    assert photos.split_by_photo(some) == [splits[photo] for photo in some]
    assert collections.Counter(splits.values()) == {
        "train": 400,
        "validation": 80,
        "test": 160,
    }
    held_out = [p[1:4] for p in ALL if p.person == "an2i" and splits[p] == "validation"]
    assert {(pose, eyes) for pose, _, eyes in held_out} == {("left", "sunglasses")}


class ByPersonTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = module.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["by_person_2"]
    SPLITS = {"train": 5, "validation": 5, "test": 5}


class ByPhotoTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = module.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["by_photo_4"]
    SPLITS = {"train": 7, "validation": 4, "test": 4}


@pytest.mark.parametrize(("scale", "size"), [(2, (60, 64, 1)), (4, (30, 32, 1))])
def test_labels_come_from_the_name(tmp_path, scale, size):
    builder = prepare(tmp_path, DUMMY, f"by_person_{scale}")
    found = examples(builder, "train")
    name = f"an2i_left_happy_sunglasses_{scale}.pgm"
    example = found[name]
    labels = [example[key] for key in ("person", "pose", "expression", "eyes")]
    assert labels == [-1, 1, 1, 1]
    content = (DUMMY / "faces" / "an2i" / name).read_bytes()
    np.testing.assert_array_equal(example["image"], pgm.read_pgm(content, name))
    assert example["image"].shape == size
    for split, person in (("train", "an2i"), ("validation", "bpm"), ("test", "ch4f")):
        assert {file.split("_")[0] for file in examples(builder, split)} == {person}


def test_people_are_labelled_where_they_can_be_learned(tmp_path):
    builder = prepare(tmp_path, DUMMY, "by_photo_2")
    for split in photos.SPLITS:
        found = examples(builder, split)
        assert {file.split("_")[0]: e["person"] for file, e in found.items()} == {
            "an2i": 0,
            "bpm": 3,
            "ch4f": 4,
        }


def test_what_is_left_out_is_counted(tmp_path, manual, monkeypatch):
    lines = []
    monkeypatch.setattr(
        module.logging, "info", lambda text, *args: lines.append(text % args)
    )
    (manual / "README").write_text("hello")
    (manual / "bpm" / "._bpm_up_sad_open_2.pgm").write_bytes(b"")
    big = manual / "bpm" / "bpm_up_sad_open.pgm"
    big.write_bytes(b"P5\n128 120\n255\n" + bytes(128 * 120))
    prepare(tmp_path / "data", manual.parent)
    assert [line for line in lines if line.startswith("cmu_faces,")] == [
        "cmu_faces, by_person_2: 5 train, 5 validation, 5 test; ignored: "
        "16 of another size, 1 marked .bad, 2 of another kind."
    ]


def test_the_folder_may_be_faces_itself(tmp_path):
    builder = prepare(tmp_path, DUMMY / "faces")
    assert builder.info.splits.total_num_examples == 15


def test_the_archive_is_used_without_a_local_copy(tmp_path, monkeypatch):
    asked = []

    def fake(self, url):
        asked.append(url)
        return type(DUMMY)(DUMMY)

    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", fake)
    (tmp_path / "empty").mkdir()
    builder = prepare(tmp_path / "data", tmp_path / "empty")
    assert asked == [module._URL]
    assert builder.info.splits.total_num_examples == 15


def test_a_split_without_photographs_is_named(manual, message):
    shutil.rmtree(manual / "ch4f")
    assert message() == (
        "Each split must have a photograph. "
        f"Received: none for 'test' in {str(manual)!r}"
    )


def test_a_photograph_of_the_wrong_size_is_named(manual, message):
    name = "an2i_left_happy_sunglasses_2.pgm"
    (manual / "an2i" / name).write_bytes(b"P5\n60 64\n255\n" + bytes(60 * 64))
    assert message() == (
        "A photograph of scale 2 must have (60, 64) rows and columns. "
        f"Received: (64, 60), filename={name!r}"
    )


def test_a_broken_photograph_is_named(manual, message):
    name = "an2i_left_happy_sunglasses_4.pgm"
    path = manual / "an2i" / name
    path.write_bytes(path.read_bytes()[:-1])
    assert message("by_photo_4") == (
        f"A PGM of 32x30 must hold 960 pixels. Received: 959, filename={name!r}"
    )


@pytest.mark.parametrize(
    ("config", "sizes"),
    [
        ("by_person_2", {"train": 372, "validation": 127, "test": 125}),
        ("by_photo_4", {"train": 390, "validation": 75, "test": 159}),
    ],
)
def test_the_real_set(tmp_path, real_data, config, sizes):
    builder = prepare(tmp_path, real_data / "cmu_faces", config)
    found = {split: examples(builder, split) for split in photos.SPLITS}
    assert {split: len(rows) for split, rows in found.items()} == sizes
    people = {
        split: {file.split("_")[0] for file in rows} for split, rows in found.items()
    }
    rows = [example for split in found.values() for example in split.values()]
    counts = {
        name: np.bincount([row[name] for row in rows]).tolist()
        for name in ("pose", "expression", "eyes")
    }
    assert counts == {
        "pose": [156, 157, 155, 156],
        "expression": [158, 155, 156, 155],
        "eyes": [313, 311],
    }
    if config == "by_person_2":
        assert not people["train"] & (people["validation"] | people["test"])
        assert {row["person"] for row in rows} == {-1}
    else:
        assert {len(names) for names in people.values()} == {20}
        assert min(np.bincount([row["person"] for row in rows])) == 28
    # The files' white is 119 to 159; as it stands the brightest pixel is 153.
    assert np.median([row["image"].max() for row in rows]) > 230


@pytest.mark.parametrize(("by", "tasks"), [("person", 3), ("photo", 4)])
def test_the_recipe_reads_the_set(tmp_path, monkeypatch, by, tasks):
    recipe = p5.recipe.load("cmu_faces")
    here = functools.partial(p5.data.builder, data_dir=str(tmp_path))
    monkeypatch.setattr(p5.data, "builder", here)
    settings = [f"split_by={by}", "scale=4", f"data_dir={DUMMY}"]
    config = p5.recipe.configure(recipe.Config(), settings)
    found = recipe.tasks(config)
    assert len(found) == tasks
    assert recipe.POSES == photos.POSES
    assert recipe.EXPRESSIONS == photos.EXPRESSIONS
    assert recipe.EYES == photos.EYES
    source = recipe.data(config, found, "train")
    batch = p5.data.training(source, found, 4).take(1).get_single_element()
    assert batch[0].shape == (4, 30, 32, 1)
    assert all(weight.numpy().tolist() == [1] * 4 for weight in batch[2].values())


def test_the_recipe_names_its_choices():
    recipe = p5.recipe.load("cmu_faces")
    with pytest.raises(ValueError) as error:
        recipe.tasks(recipe.Config(split_by="people"))
    assert str(error.value) == (
        "`split_by` must be 'person' or 'photo'. Received: split_by='people'"
    )
    with pytest.raises(ValueError) as error:
        recipe.tasks(recipe.Config(scale=1))
    assert str(error.value) == "`scale` must be 2 or 4. Received: scale=1"
