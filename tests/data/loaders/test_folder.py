import os
import tarfile

import numpy as np
import pytest

from p5_keras.data.loaders import folder
from p5_keras.data.records import Field, Problems

LAYOUT = (
    "PATH/<class>/… or PATH/train/<class>/… with folders for validation and test "
    "beside train"
)


def fill(root, *files):
    """Makes empty files; loaders look at names alone."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"")
    return str(root)


def numbered(prefix, count, suffix=".jpg"):
    return [f"{prefix}/{i:03d}{suffix}" for i in range(count)]


def rows(records, root):
    """What was read, as `{path within root: (split, class)}`."""
    names = records.fields["class"].class_names
    return {
        os.path.relpath(image, root).replace(os.sep, "/"): (str(split), names[c])
        for image, split, c in zip(
            records.images, records.splits, records.columns["class"], strict=True
        )
    }


def failure(path, problems=None, **options):
    with pytest.raises(ValueError) as error:
        folder.load(path, problems or Problems(), **options)
    return str(error.value)


SPLIT = ["train/cat/a.jpg", "train/dog/b.png", "val/cat/c.jpg", "test/dog/d.jpg"]
READ = {
    "train/cat/a.jpg": ("train", "cat"),
    "train/dog/b.png": ("train", "dog"),
    "val/cat/c.jpg": ("validation", "cat"),
    "test/dog/d.jpg": ("test", "dog"),
}


def test_given_splits(tmp_path):
    problems = Problems()
    records = folder.load(fill(tmp_path / "pets", *SPLIT), problems)
    assert rows(records, tmp_path / "pets") == READ
    assert records.name == "pets"
    assert records.fields == {"class": Field("class", ("cat", "dog"))}
    assert records.columns["class"].dtype == np.int64
    assert all(os.path.isabs(image) for image in records.images)
    assert records.problems is problems
    assert not problems.notes


@pytest.mark.parametrize(
    "names",
    [
        ("TRAIN", "Valid", "Test"),
        ("training", "validation", "testing"),
        ("Training", "DEV", "eval"),
    ],
)
def test_names_of_splits(tmp_path, names):
    path = fill(tmp_path, *(f"{n}/{c}/a.jpg" for n in names for c in "xy"))
    found = rows(folder.load(path, Problems()), tmp_path)
    words = zip(names, ("train", "validation", "test"), strict=True)
    assert found == {f"{n}/{c}/a.jpg": (word, c) for n, word in words for c in "xy"}


def test_a_folder_around_the_splits_is_entered(tmp_path):
    fill(tmp_path / "data" / "pets-v2", *SPLIT)
    fill(tmp_path / "data", "__MACOSX/._a.jpg", "README.txt")
    problems = Problems()
    records = folder.load(str(tmp_path / "data"), problems)
    assert rows(records, tmp_path / "data" / "pets-v2") == READ
    assert records.name == "data"


def test_no_splits_are_cut_by_class(tmp_path):
    path = fill(tmp_path, *numbered("cat", 50), *numbered("dog", 30))
    first = folder.load(path, Problems())
    for name, sizes in (("cat", (40, 5, 5)), ("dog", (24, 3, 3))):
        chosen = [s for s, c in rows(first, tmp_path).values() if c == name]
        found = [chosen.count(s) for s in ("train", "validation", "test")]
        np.testing.assert_allclose(found, sizes, atol=1)
    again = folder.load(path, Problems())
    np.testing.assert_array_equal(first.splits, again.splits)
    half = folder.load(path, Problems(), split=(0.5, 0.3, 0.2))
    assert np.mean(half.splits == "train") == pytest.approx(0.5, abs=0.03)
    assert np.mean(half.splits == "test") == pytest.approx(0.2, abs=0.03)


def test_the_same_pictures_elsewhere_are_split_the_same(tmp_path):
    files = [*numbered("cat", 40), *numbered("dog", 40)]
    one = folder.load(fill(tmp_path / "a", *files), Problems())
    two = folder.load(fill(tmp_path / "b" / "c", *files), Problems())
    np.testing.assert_array_equal(one.splits, two.splits)


@pytest.mark.parametrize(
    ("parts", "sizes"),
    [
        (["train"], (0.8, 0.1, 0.1)),
        (["train", "test"], (8 / 18, 1 / 18, 0.5)),
        (["train", "val"], (8 / 18, 1 / 18, 0.5)),  # validation pictures become test
    ],
)
def test_missing_splits_are_cut_from_training(tmp_path, parts, sizes):
    files = [f for p in parts for c in "xy" for f in numbered(f"{p}/{c}", 45)]
    records = folder.load(fill(tmp_path, *files), Problems())
    shares = [np.mean(records.splits == s) for s in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, sizes, atol=0.02)
    for image, split in zip(records.images, records.splits, strict=True):
        if parts[-1] != "train":
            assert (f"/{parts[-1]}/" in image) == (split == "test")


def test_any_depth_and_extension(tmp_path):
    files = [
        "train/cat/2019/may/a.JPG",
        "train/cat/b.jpeg",
        "train/dog/c.webp",
        "train/dog/d.TIFF",
        "val/cat/e.bmp",
        "test/cat/f.gif",
    ]
    found = rows(folder.load(fill(tmp_path, *files), Problems()), tmp_path)
    assert sorted(found) == sorted(files)


def test_classes_are_those_of_all_splits_sorted(tmp_path):
    files = ["train/b/1.jpg", "train/a/1.jpg", "val/a/2.jpg", "test/Z/3.jpg"]
    problems = Problems()
    records = folder.load(fill(tmp_path, *files), problems)
    assert records.fields["class"].class_names == ("Z", "a", "b")
    assert not problems.notes


def test_one_class_in_two_spellings_of_an_accent(tmp_path):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    files = [f"train/{composed}/1.jpg", "train/b/1.jpg"]
    files += [f"val/{decomposed}/2.jpg", "test/b/3.jpg"]
    records = folder.load(fill(tmp_path, *files), Problems())
    assert records.fields["class"].class_names == ("b", composed)


def test_what_is_left_out_is_noted(tmp_path):
    extra = [
        "train/cat/notes.txt",
        "train/cat/list.csv",
        "train/.hidden/x.jpg",
        "train/cat/.x.jpg",
        "train/cat/Thumbs.db",
        "train/beside.jpg",
        "README",
        "extra/cat/x.jpg",
    ]
    path = fill(tmp_path, *SPLIT, *extra)
    (tmp_path / "train" / "bird").mkdir()
    problems = Problems()
    assert rows(folder.load(path, problems), tmp_path) == READ
    assert dict(problems.notes) == {
        "files that are no pictures": 3,
        "pictures beside class folders, left out": 1,
        "class folder 'train/bird' holds no picture": 1,
        "folder 'extra' beside the splits, ignored": 1,
    }


def test_test_pictures_without_classes_are_left_out(tmp_path):
    files = [*numbered("train/x", 20), *numbered("train/y", 20), "test/1.jpg"]
    problems = Problems()
    records = folder.load(fill(tmp_path, *files), problems)
    assert len(records) == 40
    assert dict(problems.notes) == {"folder 'test' without class folders, ignored": 1}


def test_a_class_may_be_called_train(tmp_path):
    path = fill(tmp_path, *numbered("train", 20), *numbered("car", 20))
    records = folder.load(path, Problems())
    assert records.fields["class"].class_names == ("car", "train")
    assert set(records.splits) == {"train", "validation", "test"}


def test_links_are_followed_and_loops_end(tmp_path):
    path = fill(tmp_path / "set", *SPLIT)
    fill(tmp_path / "more", "x.jpg")
    cat = tmp_path / "set" / "train" / "cat"
    (cat / "more").symlink_to(tmp_path / "more")
    (cat / "up").symlink_to(cat)
    (cat / "top").symlink_to(tmp_path / "set")
    (tmp_path / "more" / "back").symlink_to(cat)
    (tmp_path / "set" / "train" / "loop").symlink_to(tmp_path / "set")
    problems = Problems()
    found = rows(folder.load(path, problems), tmp_path / "set")
    assert found == READ | {"train/cat/more/x.jpg": ("train", "cat")}
    assert dict(problems.notes) == {"class folder 'train/loop' holds no picture": 1}


@pytest.mark.parametrize("target", ["nothing.jpg", "x.jpg"])
def test_a_link_to_nothing(tmp_path, target):
    path = fill(tmp_path, *SPLIT)
    picture = tmp_path / "train" / "cat" / "x.jpg"
    picture.symlink_to(target)
    assert failure(path) == (
        f"{picture}: there is no such picture. Put it right, or leave such examples "
        "out with --on_bad_example=skip"
    )
    problems = Problems("skip")
    assert rows(folder.load(path, problems), tmp_path) == READ
    assert problems.dropped == [(str(picture), "there is no such picture")]


def test_a_pipe_is_no_picture(tmp_path):
    path = fill(tmp_path, *SPLIT)
    os.mkfifo(tmp_path / "train" / "cat" / "x.jpg")
    problems = Problems("skip")
    assert rows(folder.load(path, problems), tmp_path) == READ
    assert [reason for _, reason in problems.dropped] == ["it is no ordinary file"]


def test_names_that_are_not_utf8(tmp_path):
    path = fill(tmp_path, *SPLIT)
    fill(tmp_path, os.fsdecode(b"train/cat/caf\xe9.jpg"))
    problems = Problems("skip")
    assert rows(folder.load(path, problems), tmp_path) == READ
    where = f"{tmp_path}/train/cat/caf\\udce9.jpg"
    assert problems.dropped == [(where, "its name is not UTF-8")]
    fill(tmp_path, os.fsdecode(b"train/\xe9/a.jpg"))
    where = f"{tmp_path}/train/\\udce9"
    assert failure(path) == f"A folder's name must be UTF-8. Received: {where!r}"


def test_the_field_is_named_by_the_user(tmp_path):
    records = folder.load(fill(tmp_path, *SPLIT), Problems(), label="animal")
    assert list(records.fields) == list(records.columns) == ["animal"]
    assert failure(str(tmp_path), label="image") == (
        "`label` must be a name, and neither 'image' nor 'input', which are the "
        "pictures' own. Received: label='image'"
    )


def test_a_wrong_path(tmp_path):
    fill(tmp_path / "flowers", *SPLIT)
    wrong = str(tmp_path / "flower")
    assert failure(wrong) == (
        f"`path` must be a folder. Did you mean 'flowers'? Received: path={wrong!r}"
    )
    assert failure("") == "`path` must be a folder. Received: path=''"
    far = str(tmp_path / "a" / "b")
    assert failure(far) == f"`path` must be a folder. Received: path={far!r}"
    file = fill(tmp_path, "flowers/train/cat/a.jpg") + "/flowers/train/cat/a.jpg"
    assert failure(file) == (
        f"`path` must be a folder. It is a file. Received: path={file!r}"
    )


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.TGZ", "a.7z"])
def test_an_archive(tmp_path, name):
    path = fill(tmp_path, name) + "/" + name
    assert failure(path) == (
        "`path` must be a folder. It is an archive: unpack it first. "
        f"Received: path={path!r}"
    )


@pytest.mark.parametrize("count", [0, 3])
def test_no_folders(tmp_path, count):
    path = fill(tmp_path, "README", *numbered(".", count))
    assert failure(path) == (
        f"`path` must hold a folder for each class, as {LAYOUT}. "
        f"Received: path={path!r}, with {count} pictures and no folder"
    )


def test_splits_without_class_folders(tmp_path):
    path = fill(tmp_path, "train/cat.1.jpg", "test/1.jpg")
    assert failure(path) == (
        f"Each split must hold a folder for each class, as {LAYOUT}. "
        f"Received: path={path!r}, with no folder in ['test', 'train']"
    )


def test_no_training_split(tmp_path):
    path = fill(tmp_path, "val/cat/a.jpg", "Test/dog/a.jpg")
    assert failure(path) == (
        f"`path` must hold training pictures, as {LAYOUT}. "
        f"Received: path={path!r}, with only ['Test', 'val']"
    )


def test_two_folders_for_one_split(tmp_path):
    path = fill(tmp_path, *SPLIT, "valid/cat/a.jpg")
    assert failure(path) == (
        "`path` must hold one folder for each split. "
        f"Received: path={path!r}, with 'val' and 'valid'"
    )


def test_one_class(tmp_path):
    path = fill(tmp_path, *numbered("cat", 3))
    assert failure(path) == (
        f"`path` must hold pictures of two classes or more, as {LAYOUT}. "
        f"Received: path={path!r}, classes with pictures: ['cat']"
    )


def test_classes_one_level_deeper(tmp_path):
    path = fill(tmp_path, *numbered("photos/cat", 3), *numbered("photos/dog", 3))
    assert failure(path) == (
        f"`path` must hold pictures of two classes or more, as {LAYOUT}. "
        "If the classes are the folders in 'photos', give that one. "
        f"Received: path={path!r}, classes with pictures: ['photos']"
    )


def test_too_few_pictures_for_three_splits(tmp_path):
    path = fill(tmp_path, "cat/a.jpg", "dog/a.jpg")
    assert "Every split must have an example. Received: 2 examples" in failure(path)


def test_a_wrong_ratio(tmp_path):
    path = fill(tmp_path, *numbered("cat", 3), *numbered("dog", 3))
    assert "`split` must be three shares" in failure(path, split=(0.8, 0.2, 0.2))


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    path = fill(tmp_path, *SPLIT)
    locked = tmp_path / "train" / "dog"
    scan = os.scandir

    def deny(where):
        if str(where) == str(locked):
            raise PermissionError(13, "Permission denied")
        return scan(where)

    monkeypatch.setattr(os, "scandir", deny)
    assert failure(path) == (
        f"Every folder must be readable (Permission denied). Received: {str(locked)!r}"
    )


def test_cifar10(real_data, tmp_path):
    archive = real_data / "cifar10_jpg_subset" / "cifar10_jpg_subset.tar.gz"
    if not archive.is_file():
        pytest.skip(f"no {archive}; set P5_TEST_DATA")
    with tarfile.open(archive) as tar:
        members = [m.name for m in tar if m.isfile()]
    problems = Problems()
    records = folder.load(fill(tmp_path, *members), problems)
    assert len(records.fields["class"].class_names) == 10
    sizes = {s: int(np.sum(records.splits == s)) for s in set(records.splits)}
    assert sizes["test"] == 2000
    assert sizes["train"] + sizes["validation"] == 10_000
    ids = records.columns["class"][records.splits == "validation"]
    np.testing.assert_allclose(np.bincount(ids), len(ids) / 10, atol=2)
    assert not problems.notes
