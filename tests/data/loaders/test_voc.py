import dataclasses
import os
import re

import numpy as np
import pytest
from PIL import Image

from p5_keras.data.loaders import voc
from p5_keras.data.records import Field, Problems

OUT = ". Put it right, or leave such examples out with --on_bad_example=skip"
LAYOUT = (
    "JPEGImages and Annotations, as XML files beside the pictures, or as folders "
    "images and annotations"
)
VOID = 255


def picture(file, size=(20, 10), turn=1):
    """Writes a picture of `(width, height)` in the format of its name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.new("RGB", size).save(file, exif=exif)


def mask(file, values, mode="P"):
    """Writes a mask of 10 rows and 20 columns that holds the values, and zeros."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((10, 20), "uint8")
    pixels[0, : len(values)] = values
    image = Image.fromarray(pixels).convert(mode)
    if mode == "P":
        image = Image.fromarray(pixels)
        image.putpalette(list(range(256)) * 3)
    image.save(file)


def annotation(*objects, size=(20, 10), filename="", extra=""):
    """Writes a VOC annotation, an object a line from line 3 on.

    Objects are `(name, (xmin, ymin, xmax, ymax))`, with more elements if any.
    """
    width, height = size
    lines = [
        f"<annotation><filename>{filename}</filename>",
        f"<size><width>{width}</width><height>{height}</height></size>{extra}",
    ]
    for name, (x0, y0, x1, y1), *more in objects:
        lines.append(
            f"<object>{''.join(more)}<name>{name}</name><bndbox><xmin>{x0}</xmin>"
            f"<ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        )
    return "\n".join([*lines, "</annotation>"])


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())


CAT = ("cat", (3, 2, 12, 6))  # x edges 2..12 of 20, y edges 1..6 of 10
CAT_BOX = [0.1, 0.1, 0.6, 0.6]
DOG = ("dog", (1, 1, 20, 10))
DOG_BOX = [0, 0, 1, 1]
PARTS = {"a": "train", "b": "train", "c": "val", "d": "test"}


def official(root, xmls=None, lists=PARTS, **options):
    """Fills VOC's own layout with pictures a to d; `xmls` replaces annotations."""
    for name in "abcd":
        picture(root / "JPEGImages" / f"{name}.jpg")
        text = (xmls or {}).get(name, annotation(CAT, **options))
        if text is not None:
            write(root / "Annotations" / f"{name}.xml", text)
    for part in set(lists.values()):
        names = [name for name, where in lists.items() if where == part]
        write(root / "ImageSets" / "Main" / f"{part}.txt", "\n".join(names) + "\n")
    return str(root)


def flat(root, **xmls):
    """Fills folders train, valid and test with a picture and its annotation each."""
    for name, part in {"a": "train", "b": "train", "c": "valid", "d": "test"}.items():
        picture(root / part / f"{name}.jpg")
        text = xmls.get(name, annotation(CAT))
        if text is not None:
            write(root / part / f"{name}.xml", text)
    return str(root)


def load(path, skip=False, **options):
    """Returns the records by the names of their pictures, and the problems."""
    problems = Problems("skip" if skip else "raise")
    records = voc.load(path, problems, **options)
    return records, problems


def rows(records, field="objects"):
    """What was read, as `{name: (split, [(class, box), …])}`."""
    found = {}
    for i, image in enumerate(records.images):
        labels = records.columns[field][i]
        if labels is not None:
            boxes, ids = labels
            assert boxes.dtype == np.float32
            assert boxes.shape == (len(ids), 4)
            assert ids.dtype == np.int64
            names = [records.fields[field].class_names[k] for k in ids]
            boxes = [[round(float(v), 4) for v in box] for box in boxes]
            labels = list(zip(names, boxes, strict=True))
        found[os.path.basename(image)] = (str(records.splits[i]), labels)
    return found


def failure(path, problems=None, **options):
    with pytest.raises(ValueError) as error:
        voc.load(path, problems or Problems(), **options)
    return str(error.value)


ALL_CATS = {
    "a.jpg": ("train", [("cat", CAT_BOX)]),
    "b.jpg": ("train", [("cat", CAT_BOX)]),
    "c.jpg": ("validation", [("cat", CAT_BOX)]),
    "d.jpg": ("test", [("cat", CAT_BOX)]),
}


# Layouts.


@pytest.mark.parametrize("around", ["", "VOC2012", "VOCdevkit/VOC2012"])
def test_the_official_layout(tmp_path, around):
    path = tmp_path / "set"
    official(path / around, {"b": annotation(DOG, CAT)})
    records, problems = load(str(path))
    assert records.name == "set"
    assert records.fields == {"objects": Field("boxes", ("cat", "dog"))}
    assert rows(records) == ALL_CATS | {
        "b.jpg": ("train", [("dog", DOG_BOX), ("cat", CAT_BOX)])
    }
    assert records.sides.tolist() == [[10, 20]] * 4
    assert records.problems is problems
    assert not problems.notes


def test_several_sets(tmp_path):
    for name in ("VOC2007", "VOC2012"):
        official(tmp_path / "VOCdevkit" / name)
    assert failure(str(tmp_path)) == (
        f"`path` must hold one set. Received: path={str(tmp_path)!r}, with "
        "['VOC2007', 'VOC2012']; give one of them"
    )


def test_lists_of_training_and_validation_together(tmp_path):
    lists = dict.fromkeys("abc", "trainval") | {"d": "test"}
    records, _ = load(official(tmp_path, lists=lists))
    assert rows(records)["d.jpg"][0] == "test"
    assert sorted(records.splits) == ["test", "train", "train", "validation"]


def test_trainval_beside_train_and_val(tmp_path):
    path = official(tmp_path)
    write(tmp_path / "ImageSets" / "Main" / "trainval.txt", "a\nb\nc\n")
    records, problems = load(path)
    assert rows(records) == ALL_CATS
    assert not problems.notes


def test_without_lists_all_pictures_are_cut(tmp_path):
    records, _ = load(official(tmp_path, lists={}), split=(0.5, 0.25, 0.25))
    assert sorted(records.splits) == ["test", "train", "train", "validation"]
    again, _ = load(str(tmp_path), split=(0.5, 0.25, 0.25))
    np.testing.assert_array_equal(records.splits, again.splits)


def test_pictures_in_no_list(tmp_path):
    path = official(tmp_path)
    picture(tmp_path / "JPEGImages" / "e.jpg")
    records, problems = load(path)
    assert rows(records) == ALL_CATS
    assert dict(problems.notes) == {"pictures in no list, left out": 1}


def test_lists_as_people_write_them(tmp_path):
    path = official(tmp_path, lists={"c": "val", "d": "test"})
    lists = tmp_path / "ImageSets" / "Main"
    # A byte order mark, line ends of Windows, an extension, a label, a name twice.
    write(lists / "train.txt", b"\xef\xbb\xbfa.jpg\r\n\r\nb  1\r\na\r\n")
    write(lists / "cat_train.txt", "zzz 1\n")
    records, problems = load(path)
    assert rows(records) == ALL_CATS
    assert dict(problems.notes) == {"names that stand twice in a list": 1}


def test_a_listed_picture_that_is_missing(tmp_path):
    path = official(tmp_path, lists=PARTS | {"x": "train"})
    where = f"{tmp_path}/ImageSets/Main/train.txt, line 3"
    reason = "there is no picture 'x' in JPEGImages"
    assert failure(path) == f"{where}: {reason}{OUT}"
    records, problems = load(path, skip=True)
    assert rows(records) == ALL_CATS
    assert problems.dropped == [(where, reason)]


def test_a_picture_in_two_splits(tmp_path):
    path = official(tmp_path)
    picture(tmp_path / "JPEGImages" / "e.jpg")
    lists = tmp_path / "ImageSets"
    write(lists / "Main" / "train.txt", "e\na\nb\n")
    write(lists / "Main" / "test.txt", "d\ne\n")
    write(lists / "Segmentation" / "train.txt", "e\n")
    where = f"{lists}/Main/train.txt, line 1"
    reason = f"'e' stands in another split, {lists}/Main/test.txt, line 2"
    assert failure(path) == f"{where}: {reason}{OUT}"
    records, problems = load(path, skip=True)
    assert rows(records) == ALL_CATS
    assert problems.dropped == [(where, reason)]


def test_a_list_that_is_no_text(tmp_path):
    path = official(tmp_path)
    file = tmp_path / "ImageSets" / "Main" / "train.txt"
    write(file, b"caf\xe9\n")
    assert failure(path) == (
        f"A list must be readable (it is not UTF-8). Received: {file}"
    )


def test_upper_case_extensions_and_other_letters(tmp_path):
    path = official(tmp_path, lists={"c": "val", "d": "test", "a": "train"})
    (tmp_path / "JPEGImages" / "a.jpg").rename(tmp_path / "JPEGImages" / "a.JPG")
    (tmp_path / "Annotations" / "a.xml").rename(tmp_path / "Annotations" / "a.XML")
    # The list writes é as one character, the file system as two.
    (tmp_path / "JPEGImages" / "b.jpg").rename(
        tmp_path / "JPEGImages" / "cafe\u0301.jpg"
    )
    write(tmp_path / "Annotations" / "caf\u00e9.xml", annotation(("Kätzchen", DOG[1])))
    write(tmp_path / "ImageSets" / "Main" / "train.txt", "a\ncaf\u00e9\n")
    records, _ = load(path)
    found = rows(records)
    assert found["a.JPG"] == ("train", [("cat", CAT_BOX)])
    assert found["cafe\u0301.jpg"] == ("train", [("Kätzchen", DOG_BOX)])


def test_folders_of_splits_with_both_kinds_of_files(tmp_path):
    path = flat(tmp_path, b=annotation(DOG))
    write(tmp_path / "README.roboflow.txt", "exported")
    records, problems = load(path)
    assert rows(records) == ALL_CATS | {"b.jpg": ("train", [("dog", DOG_BOX)])}
    assert dict(problems.notes) == {
        "files that are no pictures and no annotations": 1,
    }


@pytest.mark.parametrize(
    ("image", "xml"),
    [
        ("{name}.jpg", "{name}.xml"),
        ("images/{name}.jpg", "annotations/{name}.xml"),
        ("Images/{name}.PNG", "labels/{name}.xml"),
        ("imgs/{name}.jpg", "annotations/xmls/{name}.xml"),
        ("cam1/{name}.jpg", "cam1/{name}.xml"),
        ("JPEGImages/{name}.jpg", "xml/{name}.xml"),
        ("photos/{name}.jpg", "{name}.xml"),  # the name alone is enough
    ],
)
def test_flat_layouts_are_cut(tmp_path, image, xml):
    for name in "abcdef":
        picture(tmp_path / image.format(name=name))
        write(tmp_path / xml.format(name=name), annotation(CAT))
    records, _ = load(str(tmp_path))
    found = rows(records)
    assert len(found) == 6
    assert all(labels == [("cat", CAT_BOX)] for _, labels in found.values())
    assert set(records.splits) == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("image", "xml"),
    [
        ("{part}/images/{name}.jpg", "{part}/labels/{name}.xml"),
        ("images/{part}/{name}.jpg", "annotations/{part}/{name}.xml"),
        ("images/{part}/{name}.jpg", "annotations/{name}.xml"),
        ("set/{part}/{name}.jpg", "set/{part}/{name}.xml"),
    ],
)
def test_flat_layouts_with_splits(tmp_path, image, xml):
    for name, part in PARTS.items():
        picture(tmp_path / image.format(name=name, part=part))
        write(tmp_path / xml.format(name=name, part=part), annotation(CAT))
    records, problems = load(str(tmp_path))
    assert rows(records) == ALL_CATS
    assert not problems.notes


def test_the_same_name_in_two_splits_is_two_pictures(tmp_path):
    boxes = {"train": CAT, "valid": DOG, "test": CAT}
    for part, box in boxes.items():
        picture(tmp_path / part / "1.jpg")
        write(tmp_path / part / "1.xml", annotation(box))
    records, _ = load(str(tmp_path))
    ids = [labels[1].tolist() for labels in records.columns["objects"]]
    assert dict(zip(records.splits.tolist(), ids, strict=True)) == {
        "train": [0],
        "validation": [1],
        "test": [0],
    }


def test_pictures_beside_the_splits(tmp_path):
    path = flat(tmp_path)
    picture(tmp_path / "preview.jpg")
    records, problems = load(path)
    assert rows(records) == ALL_CATS
    assert dict(problems.notes) == {"pictures beside the splits, left out": 1}


def test_two_pictures_of_one_annotation(tmp_path):
    path = flat(tmp_path)
    picture(tmp_path / "train" / "a.png")
    where, reason = f"{tmp_path}/train/a.png", "it has the name of a.jpg"
    assert failure(path) == f"{where}: {reason}, as one annotation{OUT}"
    records, _ = load(path, skip=True)
    assert rows(records) == ALL_CATS
    official(tmp_path / "voc")
    picture(tmp_path / "voc" / "JPEGImages" / "a.png")
    assert failure(str(tmp_path / "voc")) == (
        f"{tmp_path}/voc/JPEGImages/a.png: it has the annotation of a.jpg too{OUT}"
    )


def test_an_annotation_without_its_picture(tmp_path):
    path = flat(tmp_path)
    write(tmp_path / "train" / "x.xml", annotation(CAT, filename="y.jpg"))
    where, reason = f"{tmp_path}/train/x.xml", "there is no picture of this name"
    assert failure(path) == f"{where}: {reason}{OUT}"
    records, problems = load(path, skip=True)
    assert rows(records) == ALL_CATS
    assert problems.dropped == [(where, reason)]


def test_what_an_annotation_says_finds_its_picture(tmp_path):
    path = flat(tmp_path)
    picture(tmp_path / "train" / "IMG_7.jpg")
    write(tmp_path / "train" / "x.xml", annotation(DOG, filename="C:\\set\\IMG_7.jpg"))
    records, problems = load(path)
    assert rows(records) == ALL_CATS | {"IMG_7.jpg": ("train", [("dog", DOG_BOX)])}
    assert not problems.notes


@pytest.mark.parametrize(
    ("filename", "count"),
    [
        ("", 0),
        ("{name}.jpg", 0),
        ("{name}", 0),  # without extension
        ("/home/me/{name}.png", 0),
        ("C:\\me\\{name}.JPG", 0),
        ("b.jpg", 3),
    ],
)
def test_the_name_of_the_annotation_counts(tmp_path, filename, count):
    texts = {n: annotation(CAT, filename=filename.format(name=n)) for n in "abcd"}
    records, problems = load(official(tmp_path, texts))
    assert rows(records) == ALL_CATS
    note = "annotations that name another picture: their own name counts"
    assert dict(problems.notes) == ({note: count} if count else {})


# Labels.


def test_labelled_as_empty_and_not_labelled(tmp_path):
    records, problems = load(official(tmp_path, {"a": annotation(), "b": None}))
    assert rows(records) == ALL_CATS | {
        "a.jpg": ("train", []),
        "b.jpg": ("train", None),
    }
    assert records.sides.tolist() == [[10, 20], [0, 0], [10, 20], [10, 20]]
    assert dict(problems.notes) == {
        "pictures without an xml file, unlabelled": 1,
    }


def test_a_split_without_labels(tmp_path):
    _, problems = load(official(tmp_path, {"d": None}))
    assert dict(problems.notes) == {
        "pictures without an xml file, unlabelled": 1,
    }


def test_pixels_count_from_1_and_the_last_is_within(tmp_path):
    text = annotation(("cat", (1, 1, 1.5, 2)), ("cat", (20, 10, 21, 11)), DOG)
    records, problems = load(official(tmp_path, {"a": text}))
    assert rows(records)["a.jpg"][1] == [
        ("cat", [0, 0, 0.2, 0.075]),
        ("cat", [0.9, 0.95, 1, 1]),
        ("dog", [0, 0, 1, 1]),
    ]
    assert dict(problems.notes) == {"boxes cut at the edge of their picture": 1}


def test_a_box_from_0_makes_all_corners_edges(tmp_path):
    text = annotation(("cat", (0, 2, 12, 6)))
    records, problems = load(official(tmp_path, {"a": text}))
    found = rows(records)
    assert found["a.jpg"][1] == [("cat", [0.2, 0, 0.6, 0.6])]
    assert found["b.jpg"][1] == [("cat", [0.2, 0.15, 0.6, 0.6])]
    note = "sets with boxes that begin at pixel 0: pixels count from 0"
    assert dict(problems.notes) == {note: 1}


def test_boxes_beyond_the_picture_are_cut(tmp_path):
    text = annotation(("cat", (-4, -3, 10, 5)), ("cat", (11, 6, 24, 99)))
    records, problems = load(official(tmp_path, {"a": text}))
    assert rows(records)["a.jpg"][1] == [
        ("cat", [0, 0, 0.5, 0.5]),
        ("cat", [0.5, 0.5, 1, 1]),
    ]
    assert dict(problems.notes) == {"boxes cut at the edge of their picture": 2}


@pytest.mark.parametrize(
    "box",
    [
        (5, 5, 5, 5),
        (5, 5, 5, 8),
        (5, 5, 8, 5),
        (30, 2, 40, 6),  # right of the picture
        (-9, 2, -3, 6),  # left of it
    ],
)
def test_boxes_without_area_are_left_out(tmp_path, box):
    records, problems = load(official(tmp_path, {"a": annotation(("cat", box), CAT)}))
    assert rows(records) == ALL_CATS
    assert dict(problems.notes) == {"boxes without area, left out": 1}


@pytest.mark.parametrize("box", [(8, 5, 5, 8), (5, 8, 8, 5), (8, 8, 5, 5)])
def test_boxes_that_are_turned_round(tmp_path, box):
    records, problems = load(official(tmp_path, {"a": annotation(("cat", box), CAT)}))
    first = rows(records)["a.jpg"][1][0]
    assert first == ("cat", [0.4, 0.2, 0.8, 0.4])
    assert dict(problems.notes) == {"boxes with min and max swapped, put in order": 1}


def test_a_part_has_a_box_of_its_own(tmp_path):
    part = (
        "<part><name>head</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>6</xmax>"
        "<ymax>6</ymax></bndbox></part>"
    )
    records, _ = load(official(tmp_path, {"a": annotation((*CAT, part))}))
    assert rows(records) == ALL_CATS


def test_difficult_objects(tmp_path):
    hard = (*DOG, "<difficult>1</difficult><truncated>1</truncated>")
    easy = (*CAT, "<difficult>0</difficult><truncated>1</truncated>")
    path = official(tmp_path, {"a": annotation(hard, easy), "b": annotation(hard)})
    records, problems = load(path)
    assert rows(records)["a.jpg"][1] == [("dog", DOG_BOX), ("cat", CAT_BOX)]
    assert not problems.notes
    records, problems = load(path, difficult="drop")
    assert rows(records) == ALL_CATS | {"b.jpg": ("train", [])}
    assert dict(problems.notes) == {
        "difficult objects, left out": 2,
    }
    assert failure(path, difficult="maybe") == (
        "`difficult` must be 'keep' or 'drop'. Received: difficult='maybe'"
    )


def test_classes_fix_the_order(tmp_path):
    path = official(tmp_path, {"b": annotation(DOG)})
    records, problems = load(path, classes=("dog", "cow", "cat"))
    assert records.fields["objects"].class_names == ("dog", "cow", "cat")
    assert rows(records) == ALL_CATS | {"b.jpg": ("train", [("dog", DOG_BOX)])}
    assert not problems.notes


@pytest.mark.parametrize("classes", [("cat", "cat"), ("cat", "")])
def test_classes_named_wrongly(tmp_path, classes):
    assert failure(official(tmp_path), classes=classes) == (
        f"`classes` must name each class once. Received: classes={classes}"
    )


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("classes.txt", "dog\r\ncat\r\n"),
        ("labels.txt", "# all\n\ndog\n cat \n"),
        (
            "label_map.pbtxt",
            "item {\n  name: \"cat\"\n  id: 2\n}\nitem { id: 1 name: 'dog' }",
        ),
    ],
)
def test_classes_from_a_file(tmp_path, file, text):
    path = official(tmp_path, {"b": annotation(DOG)})
    write(tmp_path / file, text)
    records, _ = load(path)
    assert records.fields["objects"].class_names == ("dog", "cat")
    records, _ = load(path, classes=("cat", "dog"))
    assert records.fields["objects"].class_names == ("cat", "dog")


def test_a_file_that_names_a_class_twice(tmp_path):
    path = official(tmp_path)
    write(tmp_path / "classes.txt", "cat\ncat\n")
    assert failure(path) == (
        "A list of classes must name each class once. "
        f"Received: {tmp_path}/classes.txt, with ['cat', 'cat']"
    )


# What is wrong with an annotation: the line a person reads, and what is left.

FAULTS = {
    "cut off": (annotation(CAT)[:-20], 3, "it is no XML: unclosed token"),
    "empty": ("", 1, "it is no XML: no element found"),
    "latin": (
        annotation(("K\xe4tzchen", CAT[1])).encode("latin-1"),
        3,
        "it is no XML: not well-formed (invalid token)",
    ),
    "encoding": (
        '<?xml version="1.0" encoding="big5"?>' + annotation(CAT),
        1,
        "its encoding cannot be read: multi-byte encodings are not supported",
    ),
    "html": ("\n<html/>", 2, "it holds <html>, and an annotation holds <annotation>"),
    "no box": (
        annotation().replace("</a", "<object><name>cat</name></object></a"),
        3,
        "an object has no <bndbox>",
    ),
    "no name": (annotation(CAT, ("", CAT[1])), 4, "an object has no <name>"),
    "no number": (
        annotation(("cat", (1, "3,5", 5, 5))),
        3,
        "<ymin> must hold a number, and holds '3,5'",
    ),
    "no corner": (
        annotation(CAT).replace("<xmax>12</xmax>", ""),
        3,
        "<xmax> must hold a number, and holds ''",
    ),
    "infinite": (
        annotation(("cat", (1, 1, 5, "inf"))),
        3,
        "<ymax> must hold a number, and holds 'inf'",
    ),
    "size": (
        annotation(CAT, size=("x", 10)),
        2,
        "<width> must hold a number, and holds 'x'",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("fill", [official, flat])
def test_faults(tmp_path, fault, fill):
    text, line, reason = FAULTS[fault]
    folder = "Annotations" if fill is official else "train"
    path = fill(tmp_path)
    write(tmp_path / folder / "a.xml", text)
    where = f"{tmp_path}/{folder}/a.xml, line {line}"
    assert failure(path) == f"{where}: {reason}{OUT}"
    records, problems = load(path, skip=True, split=(0.5, 0.3, 0.2))
    assert rows(records) == {n: r for n, r in ALL_CATS.items() if n != "a.jpg"}
    assert problems.dropped == [(where, reason)]


def test_a_class_that_is_not_listed(tmp_path):
    path = official(tmp_path, {"a": annotation(CAT, ("kat", DOG[1]))})
    where, reason = f"{tmp_path}/Annotations/a.xml, line 4", "class 'kat' is none of "
    assert failure(path, classes=("cat", "dog")) == f"{where}: {reason}cat, dog{OUT}"
    records, _ = load(path, skip=True, classes=("cat", "dog"))
    assert rows(records) == {n: r for n, r in ALL_CATS.items() if n != "a.jpg"}


def test_line_ends_of_windows_a_mark_and_floats(tmp_path):
    text = '<?xml version="1.0" encoding="UTF-8"?>\n' + annotation(
        ("cat", ("3.0", " 2.0 ", "12.000", "6"))
    )
    content = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    records, problems = load(official(tmp_path, {"a": content}))
    assert rows(records) == ALL_CATS
    assert not problems.notes


@pytest.mark.parametrize(
    ("size", "said"), [((0, 0), "<size>"), ((0, 10), "<size>"), ((0, 0), "<other>")]
)
def test_an_annotation_without_a_size(tmp_path, size, said):
    text = annotation(CAT, size=size).replace("<size>", said)
    text = text.replace("</size>", said.replace("<", "</"))
    records, problems = load(official(tmp_path, {"a": text}))
    assert rows(records) == ALL_CATS
    assert records.sides[0].tolist() == [10, 20]
    note = "annotations without a size: their picture's counts"
    assert dict(problems.notes) == {note: 1}


def test_an_annotation_of_a_larger_copy(tmp_path):
    text = annotation(("cat", (5, 3, 24, 12)), size=(40, 20))
    records, problems = load(official(tmp_path, {"a": text}))
    assert rows(records) == ALL_CATS
    assert records.sides[0].tolist() == [10, 20]
    note = "annotations drawn on their picture in another size"
    assert dict(problems.notes) == {note: 1}


@pytest.mark.parametrize("size", [(10, 20), (20, 20), (640, 480)])
def test_an_annotation_of_another_picture(tmp_path, size):
    path = official(tmp_path, {"a": annotation(CAT, size=size)})
    assert failure(path) == (
        f"{tmp_path}/Annotations/a.xml: it is for {size[0]}x{size[1]} pixels, its "
        f"picture has 20x10{OUT}"
    )


def test_a_picture_that_exif_data_turn(tmp_path):
    path = official(tmp_path, {"b": annotation(("cat", (2, 3, 6, 12)), size=(10, 20))})
    for name in "ab":
        picture(tmp_path / "JPEGImages" / f"{name}.jpg", turn=6)
    records, problems = load(path)
    assert records.sides.tolist() == [[10, 20], [20, 10], [10, 20], [10, 20]]
    assert rows(records)["b.jpg"][1] == [("cat", [0.1, 0.1, 0.6, 0.6])]
    assert not problems.notes


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"no picture", "it is no readable JPEG, PNG, GIF, BMP, WEBP, TIFF"),
    ],
)
def test_pictures_that_cannot_be_read(tmp_path, content, reason):
    path = official(tmp_path)
    write(tmp_path / "JPEGImages" / "a.jpg", content)
    assert failure(path) == f"{tmp_path}/JPEGImages/a.jpg: {reason}{OUT}"


def test_pictures_of_another_format_than_their_name(tmp_path):
    path = official(tmp_path)
    picture(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "JPEGImages" / "a.jpg")
    records, problems = load(path)
    assert rows(records) == ALL_CATS
    assert dict(problems.notes) == {"pictures called .jpg that are PNG": 1}


# Masks.


def test_masks_of_the_challenge(tmp_path):
    path = official(tmp_path, {"b": None})
    mask(tmp_path / "SegmentationClass" / "a.png", [8, 20, VOID])
    mask(tmp_path / "SegmentationClass" / "b.png", [VOID])
    records, _ = load(path)
    assert records.fields["mask"] == Field("mask", ("background", *voc.CLASSES))
    folder = tmp_path / "SegmentationClass"
    assert records.columns["mask"] == [f"{folder}/a.png", f"{folder}/b.png", "", ""]
    assert records.sides.tolist() == [[10, 20]] * 4


def test_masks_alone_by_their_own_lists(tmp_path):
    for name in "abcd":
        picture(tmp_path / "JPEGImages" / f"{name}.jpg")
        mask(tmp_path / "SegmentationClass" / f"{name}.png", [15], "L")
    for part in ("train", "val", "test"):
        names = [name for name, where in PARTS.items() if where == part]
        write(tmp_path / "ImageSets/Segmentation" / f"{part}.txt", "\n".join(names))
    records, problems = load(str(tmp_path))
    assert list(records.fields) == ["mask"]
    assert records.splits.tolist() == ["train", "train", "validation", "test"]
    assert not problems.notes


def test_masks_of_own_classes(tmp_path):
    path = official(tmp_path, dict.fromkeys("abcd", annotation(("cell", CAT[1]))))
    mask(tmp_path / "SegmentationClass" / "a.png", [2, VOID])
    assert failure(path) == (
        "`classes` must name the class of every pixel value in the masks, from 1 "
        "upwards, or `values` each value. Received: classes=(), pixel values up to 2, "
        "0.5% of pixels without a class"
    )
    records, _ = load(path, classes=("cell", "wall"))
    assert records.fields["mask"].class_names == ("background", "cell", "wall")
    assert records.fields["objects"].class_names == ("cell", "wall")


def test_a_list_of_classes_may_begin_with_the_background(tmp_path):
    path = official(tmp_path, dict.fromkeys("abcd", annotation(("cell", CAT[1]))))
    mask(tmp_path / "SegmentationClass" / "a.png", [1])
    write(tmp_path / "labels.txt", "background\ncell\n")
    records, _ = load(path)
    assert records.fields["mask"].class_names == ("background", "cell")


def test_the_order_of_boxes_is_not_that_of_masks(tmp_path):
    path = official(tmp_path)
    mask(tmp_path / "SegmentationClass" / "a.png", [8, 12])
    records, _ = load(path, classes=("dog", "cat"))
    assert records.fields["objects"].class_names == ("dog", "cat")
    assert records.fields["mask"].class_names == ("background", *voc.CLASSES)


def test_a_picture_too_large_for_its_decoder(tmp_path, monkeypatch):
    path = official(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    message = failure(path)
    assert message.startswith(f"{tmp_path}/JPEGImages/a.jpg: it is broken, Image size")


def test_masks_that_do_not_fit(tmp_path):
    path = official(tmp_path)
    file = tmp_path / "SegmentationClass" / "a.png"
    mask(file, [1], "L")
    Image.open(file).resize((10, 20)).save(file)
    assert failure(path) == f"{file}: it has 10x20 pixels, its picture 20x10{OUT}"


def test_a_mask_that_is_cut_off(tmp_path):
    path = official(tmp_path)
    file = tmp_path / "SegmentationClass" / "a.png"
    noise = np.random.default_rng(0).integers(0, 20, (10, 20), "uint8")
    file.parent.mkdir()
    Image.fromarray(noise).save(file)
    write(file, file.read_bytes()[:-50])
    assert failure(path).startswith(f"{file}: it is broken, ")


def test_a_mask_turned_against_the_boxes(tmp_path):
    path = official(tmp_path, {"a": annotation(CAT, size=(10, 20))})
    picture(tmp_path / "JPEGImages" / "a.jpg", turn=8)
    mask(tmp_path / "SegmentationClass" / "a.png", [1])
    assert failure(path) == (
        f"{tmp_path}/Annotations/a.xml: it is turned against the mask of its picture"
        f"{OUT}"
    )


# Paths.


def test_no_annotations(tmp_path):
    picture(tmp_path / "a.jpg")
    path = str(tmp_path)
    assert failure(path) == (
        f"`path` must hold pictures and annotations in XML, as {LAYOUT}. Received: "
        f"path={path!r}, with 1 pictures and no annotation that belongs to one"
    )


def test_no_boxes_at_all(tmp_path):
    path = official(tmp_path, dict.fromkeys("abcd", annotation()))
    assert failure(path) == (
        f"A set must have a box or a mask. Received: path={path!r}, with 4 pictures "
        "that have none"
    )


def test_a_wrong_path_or_ratio(tmp_path):
    path = official(tmp_path / "cells", lists={})
    wrong = str(tmp_path / "cell")
    assert failure(wrong) == (
        f"`path` must be a folder. Did you mean 'cells'? Received: path={wrong!r}"
    )
    assert "`split` must be three shares" in failure(path, split=(0.5, 0.2, 0.2))


# Real sets.


def test_bccd(real_data):
    folder = real_data / "bccd"
    if not folder.is_dir():
        pytest.skip(f"no {folder}; set P5_TEST_DATA")
    records, problems = load(str(folder))
    assert dataclasses.asdict(records.fields["objects"]) == {
        "kind": "boxes",
        "class_names": ("Platelets", "RBC", "WBC"),
        "values": (),
        "encoding": "exact",
    }
    counts = {s: int(np.sum(records.splits == s)) for s in set(records.splits)}
    assert counts == {"train": 205, "validation": 87, "test": 72}
    ids = np.concatenate([ids for _, ids in records.columns["objects"]])
    assert np.bincount(ids).tolist() == [361, 4155 - 2, 372]
    assert dict(problems.notes) == {"boxes without area, left out": 2}
    # All corners again, as the files have them.
    sizes = np.array([480, 640, 480, 640])
    for image, (boxes, _) in zip(
        records.images, records.columns["objects"], strict=True
    ):
        file = folder / "BCCD" / "Annotations" / f"{os.path.basename(image)[:-4]}.xml"
        numbers = re.findall(r"<([xy]m..)>(\d+)</", file.read_text())
        corners = [int(n) for _, n in sorted(numbers, key=lambda n: n[0])]
        x1, x0, y1, y0 = np.reshape(corners, (4, -1))
        wanted = np.stack([y0, x0, y1, x1], axis=1)[(x1 > x0) & (y1 > y0)]
        np.testing.assert_allclose(boxes * sizes + [1, 1, 0, 0], wanted, atol=1e-3)
