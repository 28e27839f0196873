import re

import numpy as np
import pytest
from PIL import Image

import p5_keras as p5
from p5_keras.data.importers import masks
from p5_keras.data.importers.mask_content import (
    Content,
    bit_depth,
    content,
    pixel_values,
)
from p5_keras.data.loaders import voc
from p5_keras.data.records import Field, Problems

#: Where the object is, and where it is not.
INSIDE = np.zeros((24, 32), bool)
INSIDE[6:16, 8:24] = True


def square(low, high, dtype="uint8"):
    return np.where(INSIDE, high, low).astype(dtype)


def coloured(colour):
    out = np.zeros((24, 32, 3), "uint8")
    out[INSIDE] = colour
    return out


def read(folder, images, suffix="png", notes=None, **options):
    """Writes a set with these masks; returns its field, and the classes of mask 0."""
    for name in ("JPEGImages", "SegmentationClass"):
        (folder / name).mkdir()
    for i, image in enumerate(images if len(images) > 2 else images * 3):
        image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        image.save(folder / "SegmentationClass" / f"{i}.{suffix}")
        grey = np.random.default_rng(i).integers(0, 255, (24, 32), "uint8")
        Image.fromarray(grey).save(folder / "JPEGImages" / f"{i}.png")
    problems = Problems()
    records = voc.load(str(folder), problems, **options)
    left, _ = p5.data.inspect(records, folder / "cache")
    if notes is not None:
        notes.extend([*problems.notes, *problems.guesses])
    field = left.fields["mask"]
    rows = np.argsort([str(path) for path in records.images])
    source = p5.data.from_records(
        left.take(rows[:1]), left.splits[rows[0]], cache="none"
    )
    example = source.read([0], [0])
    found = source.load({k: v[0] for k, v in example.items()})["mask"]
    return field, found.numpy()[..., 0]


def palette(image, colours):
    image = Image.fromarray(image)
    image.putpalette(colours)
    return image


def soft(image):
    """Blurs the edges, as resizing does."""
    small = Image.fromarray(image).resize((16, 12), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((32, 24), Image.Resampling.BICUBIC))


BINARY = {
    "0 and 255": [square(0, 255)],
    "0 and 1": [square(0, 1)],
    "one value": [square(0, 38)],
    "16 bits": [square(0, 65535, "uint16")],
    "one bit": [Image.fromarray(INSIDE)],
    "one bit and bytes": [Image.fromarray(INSIDE), square(0, 255), square(0, 255)],
    "floats": [Image.fromarray(square(0, 1, "float32"))],
    "grey as colours": [np.repeat(square(0, 255)[..., None], 3, axis=-1)],
    "black and red": [coloured((200, 10, 20))],
    "black and white palette": [palette(square(0, 1), [0, 0, 0, 255, 255, 255])],
    "palettes in another order": [
        palette(square(0, 1), [0, 0, 0, 9, 200, 9]),
        palette(square(1, 0), [9, 200, 9, 0, 0, 0]),
        palette(square(0, 1), [0, 0, 0, 9, 200, 9]),
    ],
    "in alpha": [np.stack([square(7, 7), square(0, 255)], -1)],
    "all of one mask": [square(0, 255), square(255, 255), square(0, 0)],
}


@pytest.mark.parametrize("form", BINARY)
def test_two_values_are_background_and_object(tmp_path, form):
    suffix = "tif" if form == "floats" else "png"
    field, found = read(tmp_path, BINARY[form], suffix, classes=("lesion",))
    assert field.class_names == ("background", "lesion")
    np.testing.assert_array_equal(found, INSIDE)


def test_without_a_name_it_is_an_object(tmp_path):
    notes = []
    field, _ = read(tmp_path, [square(0, 255)], notes=notes)
    assert field.class_names == ("background", "object")
    assert "masks of 0 and 255: 255 is 'object'" in notes


def test_masks_of_jpeg_are_cut_in_the_middle(tmp_path):
    notes = []
    field, found = read(tmp_path, [square(0, 255)], "jpg", notes)
    assert field.encoding == "nearest" and any("blurred" in n for n in notes)
    np.testing.assert_array_equal(found, INSIDE)


def test_soft_edges_are_cut_in_the_middle(tmp_path):
    big = np.kron(square(0, 255), np.ones((8, 8), "uint8"))
    blurred = [Image.fromarray(big).rotate(a, Image.Resampling.BICUBIC) for a in (3, 9)]
    counts = [content(image, "PNG") for image in blurred]
    assert len(counts[0].counts) > 10
    rule = masks.decide(counts, (), Problems())
    assert (rule.values, rule.encoding) == ((0, 255), "nearest")


def counted(**counts):
    return Content((10, 10), {int(value[1:]): count for value, count in counts.items()})


VOC_MASK = counted(v0=700, v8=250, v255=50)


def test_the_border_of_voc_stays_void(tmp_path):
    rule = masks.decide([VOC_MASK], ("cat",), Problems(), voc=voc.CLASSES)
    assert rule == Field("mask", ("background", *voc.CLASSES))
    rule = masks.decide([VOC_MASK], (), Problems())
    assert rule == Field("mask", ("background", "8"), (0, 8))
    one = counted(v0=700, v1=250, v255=50)
    rule = masks.decide([one, counted(v0=900, v1=90, v255=10)], ("cat",), Problems())
    assert rule == Field("mask", ("background", "cat"))
    image = square(0, 1)
    image[6, 8:24] = 255
    _, found = read(tmp_path, [image], classes=("cat",))
    assert (found[6, 8:24] == 255).all() and (found[7:16, 8:24] == 1).all()


def test_colours_of_voc_are_its_classes(tmp_path):
    image = coloured((64, 0, 0))  # cat, by the development kit
    image[5, 8:24] = (224, 224, 192)  # the border
    image[0, 0] = (128, 0, 0)  # aeroplane
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    field, found = read(tmp_path, [image])
    assert field.class_names == ("background", *voc.CLASSES)
    assert set(np.unique(found[INSIDE])) == {8} and found[0, 0] == 1
    assert (found[5, 8:24] == 255).all()


def test_values_that_start_at_1(tmp_path):
    field, found = read(tmp_path, [square(1, 2)], classes=("healthy", "ill"))
    assert field.class_names == ("healthy", "ill")
    np.testing.assert_array_equal(found, INSIDE)


@pytest.mark.parametrize(
    ("images", "values", "names", "wanted"),
    [
        ([square(0, 255)], "lesion:255", ("background", "lesion"), INSIDE),
        ([square(0, 255)], "a:0,b:255", ("a", "b"), INSIDE),
        ([square(128, 255)], "a:128,b:255", ("a", "b"), INSIDE),
        (
            [np.where(np.eye(24, 32, dtype=bool), 9, square(0, 255)).astype("uint8")],
            "lesion:255",
            ("background", "lesion"),
            np.where(np.eye(24, 32, dtype=bool), 255, INSIDE),
        ),
        ([coloured((255, 0, 0))], "red:#ff0000", ("background", "red"), INSIDE),
        ([coloured((255, 0, 0))], "red:#FF0000,sky:#000000", ("red", "sky"), ~INSIDE),
    ],
)
def test_values_that_are_told(tmp_path, images, values, names, wanted):
    field, found = read(tmp_path, images, values=tuple(values.split(",")))
    assert field.class_names == names
    np.testing.assert_array_equal(found, wanted)


SAY = "Pixel values of masks must say their class; say which"


@pytest.mark.parametrize(
    ("contents", "names", "line"),
    [
        ([counted(v0=50, v128=20, v255=30)], (), "255 as a class or without a label"),
        ([counted(v0=500, v1=2, v255=300)], (), "255 as a class or without a label"),
        (
            [counted(v0=50, v255=50), counted(v0=50, v1=50)],
            (),
            "255 as a class or without a label",
        ),
        (
            [counted(v0=50, v255=50), counted(v0=50, v1=5), counted(v0=50, v3=5)],
            (),
            "255 as a class or without a label",
        ),
        ([counted(v0=90, v255=10)], ("a", "b"), "two values for classes=('a', 'b')"),
        ([counted(v1=90, v2=10)], ("a",), "classes=('a',): 1 (90.00%), 2 (10.00%)"),
        ([counted(v1=90, v255=10)], (), "one value beside 255"),
        (
            [Content((9, 9), {0: 50, 0xFF: 30, 0xFF00: 20}, colours=True)],
            (),
            "not known: #000000 (50.00%), #0000ff (30.00%), #00ff00 (20.00%)",
        ),
        (
            [Content((9, 9), {0: 50, 90: 30, 180: 20}, blurred=True)],
            (),
            "blurred values",
        ),
    ],
)
def test_values_that_do_not_say_their_class(contents, names, line):
    with pytest.raises(ValueError, match=f"^{SAY}.*{re.escape(line)}"):
        masks.decide(contents, names, Problems())


@pytest.mark.parametrize("value", [0, 7, 255])
def test_masks_of_one_value_teach_nothing(value):
    with pytest.raises(ValueError, match=f"^Masks must tell .* the value {value}"):
        masks.decide([Content((9, 9), {value: 81})], ("a",), Problems())


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ("lesion", "NAME:VALUE,"),
        ("lesion:-1", "NAME:VALUE,"),
        ("a:1,a:2", "each class and each value once"),
        ("a:1,b:1", "each class and each value once"),
        ("a:1,b:#00ff00", "numbers or colours, not both"),
        ("a:9", "no pixel of 'a'"),
    ],
)
def test_values_that_are_told_wrongly(told, line):
    with pytest.raises(ValueError, match=line):
        masks.decide([counted(v0=50, v1=50)], (), Problems(), tuple(told.split(",")))


def test_most_pixels_must_have_a_class():
    with pytest.raises(ValueError, match="60% of all pixels without a class: 2"):
        masks.decide([counted(v0=30, v1=10, v2=60)], (), Problems(), ("a:1",))
    problems = Problems()
    masks.decide([counted(v0=30, v1=60, v2=10)], (), problems, ("a:1",))
    (note,) = problems.notes
    assert note.endswith("have no label: 2 (10.00%)")


def test_masks_are_read_by_the_reading_of_the_training(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sets = {"first": [square(0, 255)] * 3, "empty": [square(0, 0)] * 3}
    sets["other"] = [square(0, 1)] * 3
    for name, images in sets.items():
        (tmp_path / name).mkdir()
        if name != "empty":
            read(tmp_path / name, images)
            continue
        for part in ("JPEGImages", "SegmentationClass"):
            (tmp_path / name / part).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / "JPEGImages" / f"{i}.png")
            mask = tmp_path / name / "SegmentationClass" / f"{i}.png"
            Image.fromarray(image).save(mask)
    reading = p5.data.user_data(f"voc:{tmp_path / 'first'}").records.reading
    data = p5.data.user_data(f"voc:{tmp_path / 'empty'}", reading=reading)
    assert data.records.fields["mask"].class_names == ("background", "object")
    with pytest.raises(ValueError, match="pixels without a class: 1"):
        p5.data.user_data(f"voc:{tmp_path / 'other'}", reading=reading)


def test_masks_of_other_data_have_the_values_of_the_training():
    rule = Field("mask", ("background", "lesion"), (0, 255))
    problems = Problems()
    masks.check([counted(v0=90, v255=10), counted(v0=100)], rule, problems)
    assert not problems.notes
    masks.check([counted(v0=900, v255=95, v9=5)], rule, problems)
    assert list(problems.notes) == [
        "masks with values that are no class and have no label: 9 (0.50%)"
    ]
    with pytest.raises(ValueError, match="10% of all pixels without a class: 1"):
        masks.check([counted(v0=90, v1=10)], rule, problems)
    rule = Field("mask", ("background", "cat"))
    masks.check([counted(v0=70, v1=20, v255=10)], rule, problems)  # void


def test_a_photograph_is_no_mask():
    wide = np.arange(2000, dtype="uint16").reshape(40, 50)
    with pytest.raises(ValueError, match="it has 2000 different values"):
        content(Image.fromarray(wide), "PNG")


def test_bits_of_a_grey_png_are_whole_numbers(tmp_path):
    image = Image.fromarray(square(0, 3))
    image.putpalette([0, 0, 0, 85, 85, 85, 170, 170, 170, 255, 255, 255])
    image.save(tmp_path / "p.png", bits=2)
    data = bytearray((tmp_path / "p.png").read_bytes())
    assert data[24:26] == bytes([2, 3])
    assert bit_depth(bytes(data[:24]) + bytes([2, 0])) == 2
    assert bit_depth(bytes(data[:26])) == 8  # of a palette
    grey = Image.fromarray(square(0, 255))
    assert content(grey, "PNG", 2).counts.keys() == {0, 3}
    assert set(np.unique(pixel_values(grey, "exact", 4))) == {0, 15}


def test_smaller_masks_of_the_same_proportions(tmp_path):
    notes = []
    half = Image.fromarray(square(0, 255)).resize((16, 12), Image.Resampling.NEAREST)
    _, found = read(tmp_path, [half], notes=notes)
    np.testing.assert_array_equal(found, INSIDE)
    assert any(note.startswith("masks of another size") for note in notes)


def test_values_that_may_be_shares_are_noted(tmp_path):
    notes: list[str] = []
    ramp = np.tile(np.arange(32, dtype="uint8") * 8, (24, 1))
    read(tmp_path, [ramp], notes=notes)
    said = "masks of 32 values up to 248: each is read as a class; shares, depths or"
    assert sum(note.startswith(said) for note in notes) == 1
    (tmp_path / "b").mkdir()
    notes.clear()
    read(tmp_path / "b", [ramp // 8], notes=notes)
    assert not [note for note in notes if "shares" in note]
