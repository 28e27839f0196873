import numpy as np
import pytest
from PIL import Image

from p5_keras.data.loaders import folder, pictures
from p5_keras.data.records import Problems

N = range(4)
TWO, THREE = ("train", "val"), ("train", "val", "test")


def write(root, files):
    """Writes pictures, masks where "!" stands before, and texts."""
    rng = np.random.default_rng(0)
    for name in files:
        file = root / name.lstrip("!")
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix not in (".png", ".jpg"):
            file.write_text("0 0.5 0.5 0.1 0.1")
            continue
        pixels = rng.integers(0, 255, (16, 16, 3)).astype("uint8")
        if name[0] == "!":
            pixels = (pixels[..., 0] > 99).astype("uint8") * 255
        Image.fromarray(pixels).save(file)


def load(root, files, **options):
    write(root, files)
    problems = Problems()
    records = folder.load(str(root), problems, **options)
    return records.fields["class"].class_names, problems


PAIR = [f"images/{i}.jpg" for i in N] + [f"!masks/{i}.png" for i in N]

NO_CLASSES = {
    "images and masks": (PAIR, "'images', 'masks' are images and their labels; images"),
    "and something else": (
        [*PAIR, *(f"overlays/{i}.png" for i in N)],
        "'images', 'masks' are images and their labels",
    ),
    "in each split": (
        [f"{s}/{f}" for f in PAIR for s in TWO if f[0] != "!"]
        + [f"!{s}/{f[1:]}" for f in PAIR for s in TWO if f[0] == "!"],
        "'images', 'masks' are images and their labels",
    ),
    "splits inside": (
        [f"images/{s}/{i}.jpg" for s in TWO for i in N]
        + [f"!masks/{s}/{i}.png" for s in TWO for i in N],
        "'images', 'masks' are images and their labels",
    ),
    "folders beside splits": (
        [f"{s}/{i}.jpg" for s in THREE for i in N]
        + [f"!{s}_labels/{i}_L.png" for s in THREE for i in N],
        "'test', 'test_labels' are images and their labels",
    ),
    "folders beside splits, in one word": (
        [f"{s}/{i}.jpg" for s in THREE for i in N]
        + [f"!{s}annot/{i}.png" for s in THREE for i in N],
        "'test', 'testannot' are images and their labels",
    ),
    "short names": (
        [f"img/{i}.jpg" for i in N] + [f"!lab/{i}.png" for i in N],
        "'img', 'lab' are images and their labels",
    ),
    "longer names": (
        [f"raw_images/{i}.jpg" for i in N] + [f"!masks_png/{i}_mask.png" for i in N],
        "'raw_images', 'masks_png' are images and their labels",
    ),
    "boxes in text": (
        [f"{s}/images/{i}.jpg" for s in TWO for i in N]
        + [f"{s}/labels/{i}.txt" for s in TWO for i in N],
        "'images', 'labels' are images and their labels; text files of boxes, as YOLO",
    ),
    "boxes in xml": (
        [f"images/{i}.jpg" for i in N] + [f"annotations/{i}.xml" for i in N],
        "images with XML files of boxes are read by voc:PATH",
    ),
    "coco": (
        [f"{s}2017/{i}.jpg" for s in TWO for i in N] + ["annotations/a.json"],
        "images with COCO's JSON files are read by coco:PATH",
    ),
    "voc": (
        [f"JPEGImages/{i}.jpg" for i in N]
        + [f"!SegmentationClass/{i}.png" for i in N]
        + ["ImageSets/Main/train.txt"],
        "'JPEGImages', 'SegmentationClass' are images and their labels; give voc:PATH",
    ),
    "a folder for each picture": (
        [f"id{k}/images/a.png" for k in range(9)]
        + [f"!id{k}/masks/{j}.png" for k in range(9) for j in N],
        "each of 9 folders, such as 'id0', holds folders 'images', 'masks': an image",
    ),
    "one picture in each": (
        [f"c{k}/a.png" for k in range(9)],
        "9 of 9 folders hold a single image, such as 'c0'",
    ),
    "splits by other names": (
        [
            f"{s}/{c}/{i}.png"
            for s in ("training_set", "test_set")
            for c in "ab"
            for i in N
        ],
        "'test_set', 'training_set' are splits; call them train, val and test",
    ),
    "classes in the names of files": (
        [
            f"{s}/{c}.{i}.jpg"
            for s in ("train", "test1")
            for c in ("cat", "dog")
            for i in N
        ],
        "The names of files begin with 'cat', 'dog'",
    ),
    "what programs leave": (
        [f"{c}/{i}.png" for c in ("data", "output") for i in N],
        "'data', 'output' are called as programs' folders",
    ),
    "classes below": (
        [f"Images/{c}/{i}.png" for c in ("pug", "boxer") for i in N]
        + [f"Annotation/{c}/{i}" for c in ("pug", "boxer") for i in N],
        "if the folders in 'Images' are the classes, give PATH/Images",
    ),
}


@pytest.mark.parametrize("form", NO_CLASSES)
def test_folders_that_are_no_classes(tmp_path, form):
    files, line = NO_CLASSES[form]
    with pytest.raises(ValueError, match="`path` must hold a folder") as caught:
        load(tmp_path, files)
    assert line in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "files",
    [
        [
            f"{s}/{c}.{i}.jpg"
            for s in ("train", "test")
            for c in ("cat", "dog")
            for i in N
        ],
        [f"{c}_{i}.jpg" for c in ("cat", "dog") for i in N],
    ],
)
def test_classes_in_the_names_of_files(tmp_path, files):
    with pytest.raises(ValueError, match="names of files begin with 'cat', 'dog'"):
        load(tmp_path, files)


@pytest.mark.parametrize(
    "names",
    [
        ("square", "bar"),
        ("train", "bus", "car"),
        ("with_mask", "without_mask"),
        ("real", "fake"),
        ("face_mask", "photo_frame"),
        ("raw", "cooked"),
        ("x", "y"),
        ("test_tube", "flask"),
        ("labrador", "pug"),
    ],
)
def test_real_classes_are_left_alone(tmp_path, names):
    files = [f"{c}/{k + i}.png" for k, c in enumerate(names) for i in N]
    found, problems = load(tmp_path, files)
    assert found == tuple(sorted(names))
    assert not [n for n in problems.notes if "class" in n and "raw" not in n]


def test_doubts_are_noted(tmp_path):
    found, problems = load(
        tmp_path / "a", [f"{c}/{i}.png" for c in ("cat", "dog", "output") for i in N]
    )
    assert found == ("cat", "dog", "output")
    (note,) = [n for n in problems.notes if "output" in n]
    assert "classes=NAME,NAME" in note and problems.severities[note] == "medium"
    files = [f"a/{i}.png" for i in N] + [f"!b/{i}.png" for i in N]
    _, problems = load(tmp_path / "b", files)
    assert any("they may be their masks" in note for note in problems.notes)


def test_the_user_says_which_folders_are_classes(tmp_path):
    found, _ = load(tmp_path, PAIR, classes=("masks", "images"))
    assert found == ("images", "masks")
    write(tmp_path, [f"overlays/{i}.png" for i in N])
    problems = Problems()
    folder.load(str(tmp_path), problems, classes=("masks", "images"))
    assert problems.notes["folder 'overlays' is none of the classes, left out"] == 1
    with pytest.raises(ValueError, match="Did you mean 'masks'"):
        folder.load(str(tmp_path), Problems(), classes=("mask", "images"))


def test_masks_among_the_pictures_of_a_class(tmp_path):
    files = [f"{c}/{c} ({i}).png" for c in ("benign", "ill") for i in N]
    masks = [f"!{f[:-4]}_mask.png" for f in files]
    masks.append("!ill/ill (1)_mask_1.png")
    write(tmp_path / "a", [*files, *masks])
    problems = Problems()
    records = folder.load(str(tmp_path / "a"), problems)
    assert sorted(records.images) == sorted(str(tmp_path / "a" / f) for f in files)
    (count,) = [n for what, n in problems.notes.items() if "mask" in what]
    assert count == 9
    # Faces with and without a mask are photographs.
    files = [f"{c}/{i}{end}.png" for c in "ab" for i in N for end in ("", "_mask")]
    write(tmp_path / "b", files)
    assert len(folder.load(str(tmp_path / "b"), Problems())) == 16


def test_masks_among_pictures_without_labels_are_noted(tmp_path):
    write(tmp_path / "set", [*PAIR, "unmasked/a.png"])
    problems = Problems()
    assert len(pictures.load(str(tmp_path / "set"), problems)) == 9
    (count,) = [n for what, n in problems.notes.items() if "masks" in what]
    assert count == 4
