import json
import os

import numpy as np
import pytest
from PIL import Image

from p5_keras.data.loaders import coco
from p5_keras.data.records import Field, Problems

OUT = ". Put it right, or leave such examples out with --on_bad_example=skip"
LAYOUT = (
    "annotations/instances_train.json beside folders of pictures, as "
    "train/_annotations.coco.json beside the pictures, or as one file with one folder"
)
CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]  # no order, gaps
CAT, DOG, VOID = 1, 2, 255


def picture(file, size=(20, 10), turn=1):
    """Writes a picture of `(width, height)`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.new("RGB", size).save(file, exif=exif)


def image(number, name=None, **more):
    entry = {"id": number, "file_name": name or f"{number}.jpg"}
    return entry | {"width": 20, "height": 10} | more


def thing(number, image_id, box=(2, 1, 10, 5), category=3, **more):
    entry = {"id": number, "image_id": image_id, "category_id": category}
    return entry | {"bbox": list(box), "iscrowd": 0} | more


def rectangle(x0, y0, x1, y1):
    return [[x0, y0, x1, y0, x1, y1, x0, y1]]


def write(file, images, things, categories=CATEGORIES, **more):
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"images": images, "annotations": things, "categories": categories}
    file.write_text(json.dumps(content | more))


def one(root, images=None, things=(), folder="images", **more):
    """Fills a set of one file; pictures 1 to 4 unless told, without objects."""
    images = images or [image(n) for n in (1, 2, 3, 4)]
    for number in (1, 2, 3, 4):
        picture(root / folder / f"{number}.jpg")
    write(root / "all.json", images, list(things), **more)
    return str(root)


def official(root):
    """Fills COCO's own layout with two training pictures, one of val, one of test."""
    parts = {"train": (1, 2), "val": (3,), "test": (4,)}
    for part, numbers in parts.items():
        for n in numbers:
            picture(root / f"{part}2017" / f"{n:012d}.jpg")
        images = [image(n, f"{n:012d}.jpg") for n in numbers]
        things = [thing(n, n) for n in numbers]
        write(root / "annotations" / f"instances_{part}2017.json", images, things)
    return str(root)


def load(path, skip=False, **options):
    problems = Problems("skip" if skip else "raise")
    options = {"split": (0.5, 0.25, 0.25)} | options
    return coco.load(path, problems, **options), problems


def rows(records):
    """What was read, as `{name: [(class, box), …]}`."""
    found = {}
    labels = records.columns["objects"]
    for file, (boxes, ids) in zip(records.images, labels, strict=True):
        assert boxes.dtype == np.float32
        assert boxes.shape == (len(ids), 4)
        assert ids.dtype == np.int64
        names = [records.fields["objects"].class_names[i] for i in ids]
        boxes = [[round(float(v), 4) for v in box] for box in boxes]
        found[os.path.basename(file)] = list(zip(names, boxes, strict=True))
    return found


def notes(problems):
    """What was noted."""
    return dict(problems.notes)


def failure(path, **options):
    with pytest.raises(ValueError) as error:
        load(path, **options)
    return str(error.value)


BOX = ("cat", [0.1, 0.1, 0.6, 0.6])


# Layouts.


@pytest.mark.parametrize("around", ["", "coco"])
def test_the_official_layout(tmp_path, around):
    root = tmp_path / "set" / around
    official(root)
    write(root / "annotations" / "captions_train2017.json", [], [])
    write(root / "annotations" / "person_keypoints_val2017.json", [], [])
    (root / "annotations" / "info.json").write_text("[1]")
    records, problems = load(str(tmp_path / "set"))
    assert records.name == "set"
    assert records.fields == {"objects": Field("boxes", ("cat", "dog"))}
    assert rows(records) == {f"{n:012d}.jpg": [BOX] for n in (1, 2, 3, 4)}
    parts = [os.path.basename(os.path.dirname(file)) for file in records.images]
    assert dict(zip(parts, records.splits.tolist(), strict=True)) == {
        "train2017": "train",
        "val2017": "validation",
        "test2017": "test",
    }
    assert records.sides.tolist() == [[10, 20]] * 4
    assert records.problems is problems
    assert dict(problems.notes) == {
        "file 'captions_train2017.json' ignored": 1,
        "file 'person_keypoints_val2017.json' ignored": 1,
        "file 'info.json' holds no COCO annotations, ignored": 1,
    }


def test_the_layout_of_roboflow(tmp_path):
    above = [{"id": 0, "name": "pets", "supercategory": "none"}]
    below = [c | {"supercategory": "pets"} for c in CATEGORIES]
    for number, part in enumerate(("train", "valid", "test"), 1):
        # One name in every split: the picture beside the file counts.
        picture(tmp_path / part / "a_jpg.rf.1.jpg")
        images = [image(0, "a_jpg.rf.1.jpg")]
        things = [thing(number, 0, category=(3, 7)[number == 2])]
        file = tmp_path / part / "_annotations.coco.json"
        write(file, images, things, above + below)
    records, problems = load(str(tmp_path))
    assert records.fields["objects"].class_names == ("cat", "dog")
    found = {
        (os.path.basename(os.path.dirname(file)), str(split), int(labels[1][0]))
        for file, split, labels in zip(
            records.images, records.splits, records.columns["objects"], strict=True
        )
    }
    assert found == {
        ("train", "train", 0),
        ("valid", "validation", 1),
        ("test", "test", 0),
    }
    note = "category 'pets' is that of all others, left out"
    assert notes(problems) == {note: 1}


@pytest.mark.parametrize("folder", ["", "images", "photos", "images/train2017"])
def test_one_file_is_cut(tmp_path, folder):
    path = one(tmp_path, things=[thing(9, 2)], folder=folder)
    records, problems = load(path)
    assert rows(records) == {"1.jpg": [], "2.jpg": [BOX], "3.jpg": [], "4.jpg": []}
    assert sorted(records.splits) == ["test", "train", "train", "validation"]
    assert not notes(problems)


def test_the_only_file_may_be_called_val(tmp_path):
    one(tmp_path, things=[thing(9, 2)], folder="val2017")
    (tmp_path / "annotations").mkdir()
    file = tmp_path / "annotations" / "instances_val2017.json"
    (tmp_path / "all.json").rename(file)
    records, _ = load(str(tmp_path))
    assert sorted(records.splits) == ["test", "train", "train", "validation"]


@pytest.mark.parametrize(
    "names", [("a.json", "b.json"), ("train.json", "x_train.json")]
)
def test_several_files_must_be_of_different_splits(tmp_path, names):
    for name in names:
        write(tmp_path / name, [], [])
    assert failure(str(tmp_path)) == (
        "`path` must hold one JSON file, or one for each split with train, val or test "
        f"in its name. Received: path={str(tmp_path)!r}, with {list(names)}"
    )


def test_several_sets(tmp_path):
    one(tmp_path / "a")
    one(tmp_path / "b")
    assert failure(str(tmp_path)) == (
        f"`path` must hold one set. Received: path={str(tmp_path)!r}, with "
        "['a', 'b']; give one of them"
    )


@pytest.mark.parametrize(
    "name",
    [
        "1.jpg",
        "./1.jpg",
        "images/1.jpg",
        "/home/me/project/images/1.jpg",
        "C:\\me\\images\\1.jpg",
        "../other/1.jpg",
        "http://images.cocodataset.org/train2017/1.jpg",
        "https://host/a%20b/1.jpg?size=full",
    ],
)
def test_names_of_pictures(tmp_path, name):
    path = one(tmp_path, [image(1, name), *map(image, (2, 3, 4))], [thing(1, 1)])
    records, _ = load(path)
    assert records.images[0] == str(tmp_path / "images" / "1.jpg")
    assert rows(records)["1.jpg"] == [BOX]


def test_folders_in_names_tell_pictures_apart(tmp_path):
    for folder in "ab":
        for number in (1, 2):
            picture(tmp_path / "images" / folder / f"{number}.jpg")
    names = ["a/1.jpg", "b/1.jpg", "a/2.jpg", "b/2.jpg"]
    write(tmp_path / "x.json", [image(i, n) for i, n in enumerate(names)], [])
    records, _ = load(str(tmp_path))
    assert [os.path.relpath(f, tmp_path / "images") for f in records.images] == names


def test_an_accent_as_one_character_or_two(tmp_path):
    path = one(tmp_path, [image(1, "caf\u00e9.JPG"), *map(image, (2, 3, 4))])
    picture(tmp_path / "images" / "cafe\u0301.JPG")
    records, _ = load(path)
    assert records.images[0].endswith("cafe\u0301.JPG")


# Boxes.


def test_boxes_are_cut_and_left_out(tmp_path):
    things = [
        thing(1, 1, (-5, -5, 15, 10)),
        thing(2, 1, (10, 5, 99, 99), 7),
        thing(3, 2, (5, 5, 0, 3)),
        thing(4, 2, (5, 5, 3, -1)),
        thing(5, 2, (25, 2, 5, 5)),
    ]
    records, problems = load(one(tmp_path, things=things))
    found = rows(records)
    assert found["1.jpg"] == [("cat", [0, 0, 0.5, 0.5]), ("dog", [0.5, 0.5, 1, 1])]
    assert found["2.jpg"] == []
    assert notes(problems) == {
        "boxes cut at the edge of their picture": 2,
        "boxes without area, left out": 3,
    }


def test_crowds_and_keypoints(tmp_path):
    things = [thing(1, 1, iscrowd=1), thing(2, 1, category=7, keypoints=[1, 2, 2])]
    records, problems = load(one(tmp_path, things=things))
    assert rows(records)["1.jpg"] == [("dog", BOX[1])]
    assert notes(problems) == {
        "crowd regions, without a box": 1,
        "annotations with keypoints, not read": 1,
    }


def test_sizes(tmp_path):
    images = [
        image(1, width=40, height=20),  # a larger copy
        image(2, width=0),
        image(3),
        image(4, width=10, height=20),  # as the EXIF data turn it
    ]
    things = [thing(n, n) for n in (1, 2, 4)]
    path = one(tmp_path, images, things)
    del images[1]["height"]
    write(tmp_path / "all.json", images, things)
    picture(tmp_path / "images" / "4.jpg", turn=6)
    records, problems = load(path)
    found = rows(records)
    assert found["1.jpg"] == [("cat", [0.05, 0.05, 0.3, 0.3])]
    assert found["2.jpg"] == [BOX]
    assert found["4.jpg"] == [("cat", [0.05, 0.2, 0.3, 1])]
    assert records.sides.tolist() == [[10, 20], [10, 20], [10, 20], [20, 10]]
    assert notes(problems) == {
        "images drawn on their picture in another size": 1,
        "images without a size: their picture's counts": 1,
        "boxes cut at the edge of their picture": 1,
    }


# What is wrong with an entry: the line a person reads, and what is left.

FAULTS = {
    "missing": ([image(5)], [], "image 5", "there is no picture '5.jpg'"),
    "no name": ([{"id": 5}], [], "image 5", "it has no file_name"),
    "no id": (
        [{"file_name": "1.jpg"}],
        [],
        "image None",
        "its id must be a number or a text",
    ),
    "same picture": (
        [image(5, "images/3.jpg")],
        [],
        "image 5",
        "its picture is that of {file}, image 3",
    ),
    "image": ([], [thing(8, 5)], "annotation 8", "there is no image 5"),
    "category": (
        [],
        [thing(8, 1, category=4)],
        "annotation 8",
        "there is no category 4",
    ),
    "box": (
        [],
        [thing(8, 1, (1, 2, 3))],
        "annotation 8",
        "bbox must be x, y, width, height, and is [1, 2, 3]",
    ),
    "text": (
        [],
        [thing(8, 1, (1, 2, 3, "4"))],
        "annotation 8",
        "bbox must be x, y, width, height, and is [1, 2, 3, '4']",
    ),
    "segmentation": (
        [],
        [thing(8, 1, segmentation="yes")],
        "annotation 8",
        "its segmentation is neither polygons nor run lengths",
    ),
    "odd": (
        [],
        [thing(8, 1, segmentation=[[1, 1, 5, 1, 5]])],
        "annotation 8",
        "a polygon must be a list of x and y by turns",
    ),
    "far": (
        [],
        [thing(8, 1, segmentation=[[1, 1, 5, 1, 5, 1e9]])],
        "annotation 8",
        "a polygon must hold numbers, and holds 1000000000.0",
    ),
    "no counts": (
        [],
        [thing(8, 1, segmentation={"size": [10, 20]})],
        "annotation 8",
        "its segmentation lacks size or counts",
    ),
    "another size": (
        [],
        [thing(8, 1, segmentation={"size": [20, 10], "counts": [200]})],
        "annotation 8",
        "its segmentation cannot be drawn: it is for [20, 10], the picture is [10, 20]",
    ),
    "short": (
        [],
        [thing(8, 1, segmentation={"size": [10, 20], "counts": [3, 3]})],
        "annotation 8",
        "its segmentation cannot be drawn: 6 pixels for 200",
    ),
    "negative": (
        [],
        [thing(8, 1, segmentation={"size": [10, 20], "counts": [-3, 203]})],
        "annotation 8",
        "its segmentation cannot be drawn: run lengths must be whole numbers from 0",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(tmp_path, fault):
    more, things, where, reason = FAULTS[fault]
    path = one(tmp_path, [*map(image, (1, 2, 3, 4)), *more], things)
    reason = reason.format(file=tmp_path / "all.json")
    cache = str(tmp_path / "cache")
    where = f"{tmp_path}/all.json, {where}"
    assert failure(path, cache_dir=cache) == f"{where}: {reason}{OUT}"
    records, problems = load(path, skip=True, cache_dir=cache)
    # The picture of a wrong object is left out; it would miss a label.
    kept = (2, 3, 4) if things and things[0]["image_id"] == 1 else (1, 2, 3, 4)
    assert list(rows(records)) == [f"{n}.jpg" for n in kept]
    assert problems.dropped == [(where, reason)]


def test_compressed_run_lengths_that_are_none(tmp_path):
    things = [thing(8, 1, segmentation={"size": [10, 20], "counts": "zzzzz"})]
    path = one(tmp_path, things=things)
    message = failure(path, cache_dir=str(tmp_path / "cache"))
    # The reason is the library's own.
    where = f"{tmp_path}/all.json, annotation 8"
    assert message.startswith(f"{where}: its segmentation cannot be drawn: ")
    assert message.endswith(OUT)
    assert ".." not in message.removeprefix(where)


def test_an_id_that_stands_twice(tmp_path):
    path = one(tmp_path, [*map(image, (1, 2, 3, 4)), image(1, "x.jpg")], [thing(1, 1)])
    where, reason = f"{tmp_path}/all.json, image 1", "its id stands 2 times"
    assert failure(path) == f"{where}: {reason}{OUT}"
    records, problems = load(path, skip=True)
    assert list(rows(records)) == ["2.jpg", "3.jpg", "4.jpg"]
    assert problems.dropped == [(where, reason)] * 2


def test_a_picture_of_another_size(tmp_path):
    path = one(tmp_path, [image(1, width=640, height=480), *map(image, (2, 3, 4))])
    assert failure(path) == (
        f"{tmp_path}/all.json, image 1: it is for 640x480 pixels, its picture has 20x10"
        f"{OUT}"
    )


def test_a_picture_that_cannot_be_read(tmp_path):
    path = one(tmp_path)
    (tmp_path / "images" / "1.jpg").write_bytes(b"")
    assert failure(path) == f"{tmp_path}/images/1.jpg: it is empty{OUT}"


def test_a_picture_in_two_splits(tmp_path):
    path = official(tmp_path)
    folder = tmp_path / "annotations"
    write(
        folder / "instances_val2017.json",
        [image(3, "../train2017/000000000001.jpg")],
        [],
    )
    assert failure(path) == (
        f"{folder}/instances_val2017.json, image 3: its picture is that of "
        f"{folder}/instances_train2017.json, image 1{OUT}"
    )


# Files.


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"images": [],\n "annotations": [}', "Expecting value, line 2, column 18"),
        ("", "Expecting value, line 1, column 1"),
        ('{"images": [', "Expecting value, line 1, column 13"),
    ],
)
def test_a_broken_file(tmp_path, text, reason):
    file = tmp_path / "all.json"
    file.write_text(text)
    assert failure(str(tmp_path)) == (
        f"A COCO file must be JSON ({reason}). Received: {file}"
    )


def test_a_file_in_another_encoding(tmp_path):
    file = tmp_path / "all.json"
    file.write_bytes(b'{"images": "\xe9"}')
    assert failure(str(tmp_path)) == (
        f"A COCO file must be UTF-8 (byte 12 is not). Received: {file}"
    )


def test_a_byte_order_mark_and_line_ends_of_windows(tmp_path):
    path = one(tmp_path, things=[thing(1, 1)])
    file = tmp_path / "all.json"
    text = json.dumps(json.loads(file.read_text()), indent=1)
    file.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    records, _ = load(path)
    assert rows(records)["1.jpg"] == [BOX]


def test_lists_that_are_none(tmp_path):
    path = one(tmp_path, categories={"cat": 1})
    assert failure(path) == (
        "A COCO file must hold lists of objects as images, annotations and "
        f"categories. Received: {tmp_path}/all.json"
    )


@pytest.mark.parametrize("text", [None, "[1, 2]", '{"images": []}'])
def test_no_annotations(tmp_path, text):
    if text:
        (tmp_path / "results.json").write_text(text)
    assert failure(str(tmp_path)) == (
        f"`path` must hold annotations in JSON, as {LAYOUT}. "
        f"Received: path={str(tmp_path)!r}"
    )


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        (
            [{"id": "1", "name": "cat"}],
            "A category must have a whole number as id and a name. Received: {file}, "
            "category '1', with name 'cat'",
        ),
        (
            [{"id": 1}],
            "A category must have a whole number as id and a name. Received: {file}, "
            "category 1, with name None",
        ),
        (
            [{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}],
            "A category must have an id of its own. Received: {file}, category 1, for "
            "'cat' and 'dog'",
        ),
        (
            [{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}],
            "A COCO file must have categories with different names. Received: {file}, "
            "with ['cat', 'cat']",
        ),
        (
            [],
            "A COCO file must have categories with different names. Received: {file}, "
            "with []",
        ),
    ],
)
def test_categories(tmp_path, categories, message):
    path = one(tmp_path, categories=categories)
    assert failure(path) == message.format(file=tmp_path / "all.json")


def test_a_wrong_path(tmp_path):
    one(tmp_path / "pets")
    wrong = str(tmp_path / "pet")
    assert failure(wrong) == (
        f"`path` must be a folder. Did you mean 'pets'? Received: path={wrong!r}"
    )
    assert "`split` must be three shares" in failure(
        str(tmp_path / "pets"), split=(0.5, 0.2, 0.2)
    )


# Masks.


def drawn(records, name):
    """The pixels of the mask of a picture."""
    names = [os.path.basename(file) for file in records.images]
    with Image.open(records.columns["mask"][names.index(name)]) as mask:
        assert mask.mode == "L"
        return np.asarray(mask)


def test_masks(tmp_path):
    runs = [22, 5, 5, 5, 163]  # column by column: rows 2 to 6 of columns 2 and 3
    cut = {"size": [10, 20], "counts": runs}
    things = [
        # Small below large in the file: the smaller one is on top.
        thing(1, 1, segmentation=rectangle(4, 2, 6, 4), category=7),
        thing(2, 1, segmentation=rectangle(2, 1, 12, 6)),
        thing(3, 2, segmentation=cut),
        thing(4, 3, segmentation=cut, iscrowd=1),
        thing(5, 3, segmentation=rectangle(3, 4, 8, 5)[0]),  # one polygon, not a list
    ]
    path, cache = one(tmp_path, things=things), tmp_path / "cache"
    records, problems = load(path, cache_dir=str(cache))
    assert records.fields["mask"] == Field("mask", ("background", "cat", "dog"))
    wanted = np.zeros((10, 20), "uint8")
    wanted[1:6, 2:12] = CAT
    wanted[2:4, 4:6] = DOG
    np.testing.assert_array_equal(drawn(records, "1.jpg"), wanted)
    wanted = np.zeros((10, 20), "uint8")
    wanted[2:7, 2:4] = CAT
    np.testing.assert_array_equal(drawn(records, "2.jpg"), wanted)
    wanted[wanted == CAT] = VOID
    wanted[4:5, 3:8] = CAT
    np.testing.assert_array_equal(drawn(records, "3.jpg"), wanted)
    assert not drawn(records, "4.jpg").any()
    assert notes(problems) == {"crowd regions, without a box": 1}
    assert all(file.startswith(f"{cache}/") for file in records.columns["mask"])


def test_compressed_run_lengths(tmp_path):
    from faster_coco_eval import mask

    pixels = np.random.default_rng(0).random((10, 20)) < 0.4
    runs = mask.encode(np.asfortranarray(pixels.astype("uint8")))
    runs = {"size": [10, 20], "counts": runs["counts"].decode()}
    path = one(tmp_path, things=[thing(1, 1, segmentation=runs, category=7)])
    records, _ = load(path, cache_dir=str(tmp_path / "cache"))
    np.testing.assert_array_equal(drawn(records, "1.jpg"), DOG * pixels)


def test_objects_of_one_area_lie_in_their_order(tmp_path):
    things = [
        thing(1, 1, segmentation=rectangle(2, 1, 6, 5)),
        thing(2, 1, segmentation=rectangle(4, 1, 8, 5), category=7),
    ]
    records, _ = load(one(tmp_path, things=things), cache_dir=str(tmp_path / "cache"))
    assert drawn(records, "1.jpg")[1, 2:8].tolist() == [1, 1, 2, 2, 2, 2]


def test_boxes_among_segmentations_are_void(tmp_path):
    things = [
        thing(1, 1, (2, 1, 10, 5), segmentation=[]),
        thing(2, 1, segmentation=rectangle(4, 2, 6, 4), category=7),
        thing(3, 2, (1, 1, 99, 99), segmentation=[[1, 1, 2, 2]]),
    ]
    path = one(tmp_path, things=things)
    records, problems = load(path, cache_dir=str(tmp_path / "cache"))
    wanted = np.zeros((10, 20), "uint8")
    wanted[1:6, 2:12] = VOID
    wanted[2:4, 4:6] = DOG
    np.testing.assert_array_equal(drawn(records, "1.jpg"), wanted)
    wanted[:] = 0
    wanted[1:, 1:] = VOID
    np.testing.assert_array_equal(drawn(records, "2.jpg"), wanted)
    assert notes(problems) == {
        "objects without a segmentation, their box void in the mask": 2,
        "polygons of less than three points, left out": 1,
        "boxes cut at the edge of their picture": 1,
    }


def test_masks_have_the_size_of_the_picture(tmp_path):
    images = [
        image(1, width=40, height=20),
        *map(image, (2, 3)),
        image(4, width=10, height=20),
    ]
    things = [
        thing(1, 1, segmentation=rectangle(4, 2, 24, 12)),
        thing(2, 4, segmentation=rectangle(0, 0, 10, 5)),
    ]
    path = one(tmp_path, images, things)
    picture(tmp_path / "images" / "4.jpg", turn=8)
    records, _ = load(path, cache_dir=str(tmp_path / "cache"))
    wanted = np.zeros((10, 20), "uint8")
    wanted[1:6, 2:12] = CAT
    np.testing.assert_array_equal(drawn(records, "1.jpg"), wanted)
    assert drawn(records, "4.jpg").shape == (20, 10)
    assert records.sides.tolist() == [[10, 20], [10, 20], [10, 20], [20, 10]]


def test_masks_are_drawn_once(tmp_path):
    things = [thing(1, 1, segmentation=rectangle(2, 1, 12, 6))]
    path, cache = one(tmp_path, things=things), str(tmp_path / "cache")
    first, _ = load(path, cache_dir=cache)
    files = first.columns["mask"]
    times = [os.stat(file).st_mtime_ns for file in files]
    again, _ = load(path, cache_dir=cache)
    assert again.columns["mask"] == files
    assert [os.stat(file).st_mtime_ns for file in files] == times
    assert len(os.listdir(os.path.dirname(files[0]))) == 4  # and nothing half done
    # Other objects make other masks, and leave these alone.
    one(tmp_path, things=[thing(1, 1, segmentation=rectangle(2, 1, 9, 6))])
    other, _ = load(path, cache_dir=cache)
    assert not set(other.columns["mask"]) & set(files)
    assert (drawn(other, "1.jpg") > 0).sum() == 35
    assert (drawn(first, "1.jpg") > 0).sum() == 50


def test_masks_can_be_left_out(tmp_path):
    things = [thing(1, 1, segmentation=rectangle(2, 1, 12, 6))]
    cache = tmp_path / "cache"
    records, _ = load(one(tmp_path, things=things), masks=False, cache_dir=str(cache))
    assert list(records.fields) == list(records.columns) == ["objects"]
    assert not cache.exists()


def test_no_segmentation_makes_no_masks(tmp_path):
    cache = tmp_path / "cache"
    things = [thing(1, 1, segmentation=[]), thing(2, 1)]
    records, _ = load(one(tmp_path, things=things), cache_dir=str(cache))
    assert list(records.fields) == ["objects"]
    assert not cache.exists()


def test_the_cache_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    things = [thing(1, 1, segmentation=rectangle(2, 1, 12, 6))]
    records, _ = load(one(tmp_path / "pets", things=things))
    folder = tmp_path / "cache" / "p5_keras" / "masks"
    assert records.columns["mask"][0].startswith(f"{folder}/pets-")


def test_a_cache_that_cannot_be_made(tmp_path):
    things = [thing(1, 1, segmentation=rectangle(2, 1, 12, 6))]
    path, cache = one(tmp_path, things=things), str(tmp_path / "all.json")
    assert failure(path, cache_dir=cache) == (
        "`cache_dir` must be a folder that can be written. "
        f"Received: cache_dir={cache!r} (File exists)"
    )


def test_too_many_classes_for_masks(tmp_path):
    categories = [{"id": i, "name": f"c{i}"} for i in range(255)]
    things = [thing(1, 1, segmentation=rectangle(2, 1, 12, 6))]
    path = one(tmp_path, things=things, categories=categories)
    assert failure(path) == (
        "`masks` must be False for 255 classes and more. "
        "Received: masks=True, with 255 classes"
    )
    records, _ = load(path, masks=False)
    assert len(records.fields["objects"].class_names) == 255
