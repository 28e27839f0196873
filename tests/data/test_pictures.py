import os
import re

import numpy as np
import pytest
from PIL import Image, ImageOps

import p5_keras as p5
from p5_keras.data.from_records import value_table
from p5_keras.data.image_file import open_image, read_image
from p5_keras.data.picture_check import byte_values
from p5_keras.data.records import Field, Problems, Records

FIELD = Field("mask", ("low", "high"), (0, 3))
SKIP = "Put it right, or leave such examples out with --on_bad_example=skip"


def pixels(height=24, width=36):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 4, y * 6, x + y], -1).astype("uint8")


def save(path, array=None, kind="JPEG", **options):
    Image.fromarray(pixels() if array is None else array).save(path, kind, **options)
    return str(path)


def make(folder, images, on_bad="raise", field=None, masks=None, sides=None):
    """Records of some pictures, the first in training, behind a whole one."""
    images = [save(folder / "whole.jpg"), *map(str, images)]
    return Records(
        "set",
        np.array(["train"] * len(images)),
        {} if field is None else {"area": field},
        {} if field is None else {"area": ["", *map(str, masks)]},
        images=np.array(images),
        sides=None if sides is None else np.array([(0, 0), *sides]),
        problems=Problems(on_bad),
    )


def truncated(folder):
    path = folder / "bad.jpg"
    save(path, pixels(240, 360))
    path.write_bytes(path.read_bytes()[:-2000])
    return path


def empty(folder):
    (folder / "bad.jpg").write_bytes(b"")
    return folder / "bad.jpg"


def words(folder):
    (folder / "bad.jpg").write_bytes(b"<html>404</html>")
    return folder / "bad.jpg"


def small(folder):
    return save(folder / "bad.png", pixels(7, 60), "PNG")


def missing(folder):
    return folder / "bad.jpg"


def a_folder(folder):
    (folder / "bad.jpg").mkdir()
    return folder / "bad.jpg"


def cut_png(folder):
    path = folder / "bäd 犬.png"
    save(path, pixels(240, 360), "PNG")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


FAULTS = [
    (truncated, r"it is broken, image file is truncated \(\d+ bytes not processed\)"),
    (empty, "it is empty"),
    (words, "it is no readable JPEG, PNG, GIF, BMP, WEBP, TIFF"),
    (small, "it has 60x7 pixels; each side must have 8 or more"),
    (missing, "No such file or directory"),
    (a_folder, "Is a directory"),
    (cut_png, r"it is broken, image file is truncated"),
]


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
def test_a_picture_at_fault_is_named_or_left_out(tmp_path, fault, reason):
    path = fault(tmp_path)
    line = f"^{re.escape(str(path))}: {reason}. {re.escape(SKIP)}$"
    with pytest.raises(ValueError, match=line):
        p5.data.inspect(make(tmp_path, [path]), tmp_path / "cache")
    records = make(tmp_path, [path], "skip")
    left, summary = p5.data.inspect(records, tmp_path / "cache")
    assert left.images.tolist() == [str(tmp_path / "whole.jpg")]
    ((file, why),) = left.problems.dropped
    assert file == str(path) and re.fullmatch(reason, why)
    assert str(summary) == (
        "1 RGB pictures (1 JPEG), height 24 / 24 / 24, width 36 / 36 / 36 pixels "
        "(smallest / median / largest)"
    )


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no permissions")
def test_a_picture_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "bad.jpg"
    save(path)
    read = type(path).read_bytes

    def refuse(self):  # root may read everything
        if self == path:
            raise PermissionError(13, "Permission denied")
        return read(self)

    monkeypatch.setattr(type(path), "read_bytes", refuse)
    line = f"^{re.escape(str(path))}: Permission denied. {re.escape(SKIP)}$"
    with pytest.raises(ValueError, match=line):
        p5.data.inspect(make(tmp_path, [path]), tmp_path / "cache")


def test_a_decompression_bomb(tmp_path, monkeypatch):
    path = save(tmp_path / "bad.png", pixels(40, 60), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    line = r"bad\.png: it is broken, Image size \(2400 pixels\) exceeds limit of 2000"
    with pytest.raises(ValueError, match=line):
        p5.data.inspect(make(tmp_path, [path]), tmp_path / "cache")


def test_the_first_fault_is_the_one_that_is_named(tmp_path):
    paths = [tmp_path / f"{i}.jpg" for i in range(20)]
    records = make(tmp_path, paths)
    for workers in (1, 8):
        with pytest.raises(ValueError, match=r"0\.jpg: No such file"):
            p5.data.inspect(records, tmp_path / "cache", workers)


def test_a_split_must_keep_a_picture(tmp_path):
    records = make(tmp_path, [empty(tmp_path)], "skip")
    records.splits[1] = "test"
    message = (
        "Every split must keep an example whose pictures can be read. Received: none "
        "in 'test', 2 examples, left out: 1"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        p5.data.inspect(records, tmp_path / "cache")


def test_a_wrong_extension_is_noted(tmp_path):
    path = save(tmp_path / "png.jpg", kind="PNG")
    left, summary = p5.data.inspect(make(tmp_path, [path]), tmp_path / "cache")
    assert left.problems.notes == {
        "pictures whose extension is not that of their format": 1
    }
    assert summary.formats == {"JPEG": 1, "PNG": 1} and summary.converted == 0


def test_copies_are_kept_until_the_original_changes(tmp_path):
    path = save(tmp_path / "a.webp", kind="WEBP", lossless=True)

    def look():
        left, summary = p5.data.inspect(make(tmp_path, [path]), tmp_path / "cache")
        assert summary.converted == 1
        return left.images[1]

    copy = look()
    np.testing.assert_array_equal(read_image(copy)[0], pixels())
    written = os.stat(copy).st_mtime_ns
    assert look() == copy and os.stat(copy).st_mtime_ns == written
    save(path, 255 - pixels(), "WEBP", lossless=True)
    os.utime(path, ns=(1, 1))
    other = look()
    assert other != copy
    np.testing.assert_array_equal(read_image(other)[0], 255 - pixels())
    kept = set((tmp_path / "cache" / "pictures").glob("*.png"))
    assert kept == {type(tmp_path)(p) for p in (copy, other)}
    os.unlink(other)
    assert look() == other and os.path.exists(other)


def test_what_was_whole_is_not_read_again(tmp_path, monkeypatch):
    opened = []
    read = open_image

    def counted(path, max_pixels=None):
        opened.append(os.path.basename(path))
        return read(path, max_pixels)

    monkeypatch.setattr("p5_keras.data.picture_check.open_image", counted)
    for name in ("a", "b"):
        save(tmp_path / f"{name}.jpg", pixels(30, 40))
        save(tmp_path / f"{name}.png", np.zeros((30, 40), "uint8"), "PNG")
    (tmp_path / "c.jpg").write_bytes(b"")

    def look(field=FIELD):
        opened.clear()
        paths = [tmp_path / f"{name}.jpg" for name in "abc"]
        masks = [tmp_path / "a.png", tmp_path / "b.png", ""]
        records = make(tmp_path, paths, "skip", field, masks)
        return p5.data.inspect(records, tmp_path / "cache")

    first = look()
    assert len(opened) == 6
    again = look()
    assert set(opened) <= {"c.jpg", "whole.jpg"}  # a fault, and one just written
    assert again[1] == first[1]
    np.testing.assert_array_equal(again[0].shapes, first[0].shapes)
    assert again[0].problems.dropped == first[0].problems.dropped
    save(tmp_path / "a.jpg", pixels(60, 90))
    save(tmp_path / "b.png", np.full((30, 40), 9, "uint8"), "PNG")
    os.utime(tmp_path / "b.png", ns=(1, 1))
    left, _ = look()
    assert {"a.jpg", "b.png"} <= set(opened) and "b.jpg" not in opened
    assert [file for file, _ in left.problems.dropped] == [
        str(tmp_path / name) for name in ("a.png", "c.jpg")
    ]
    look(Field("mask", ("low",), (9,)))  # other values: masks are read anew
    assert {"a.png", "b.png"} <= set(opened) and "b.jpg" not in opened
    (file,) = (tmp_path / "cache" / "pictures").glob("*.json")
    file.write_text(file.read_text()[:50])
    look()
    assert {"a.jpg", "b.jpg"} <= set(opened)


@pytest.mark.skipif(os.name == "nt", reason="names are bytes elsewhere")
def test_names_that_are_no_text(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.webp")
    save(path, kind="WEBP", lossless=True)
    left, _ = p5.data.inspect(make(tmp_path, [path]), tmp_path / "cache")
    source = p5.data.from_records(left, "train", cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(source.read([1], [0])["image"][0], pixels())
    open(path, "wb").close()
    line = re.escape(f"{tmp_path}/\\udcff.webp: it is empty. {SKIP}")
    with pytest.raises(ValueError, match=f"^{line}$"):
        p5.data.inspect(make(tmp_path, [path]), tmp_path / "cache")


def test_the_cache_lies_in_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    path = save(tmp_path / "a.bmp", kind="BMP")
    left, _ = p5.data.inspect(make(tmp_path, [path]))
    assert left.images[1].startswith(str(tmp_path / "home" / "p5_keras" / "pictures"))


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    line = r"^`cache_dir` must be a folder that can be written\. Received: cache_dir="
    with pytest.raises(ValueError, match=line):
        p5.data.inspect(make(tmp_path, []), tmp_path / "file")


def exif(turn):
    made = Image.Exif()
    made[0x0112] = turn
    return made


@pytest.mark.parametrize(
    ("turn", "drawn", "shape"),
    [
        (6, (0, 0), [36, 24, 3, 6]),  # unknown: turned
        (6, (36, 24), [36, 24, 3, 6]),
        (6, (72, 48), [36, 24, 3, 6]),  # drawn at twice the size
        (6, (24, 36), [24, 36, 3, 1]),  # drawn on it as it is stored
        (3, (24, 36), [24, 36, 3, 3]),
        (1, (24, 36), [24, 36, 3, 1]),
    ],
)
def test_exif_turns_unless_labels_were_drawn_before(tmp_path, turn, drawn, shape):
    path = save(tmp_path / "a.jpg", exif=exif(turn))
    records = make(tmp_path, [path], sides=[drawn])
    left, summary = p5.data.inspect(records, tmp_path / "cache")
    assert left.shapes[1].tolist() == shape
    assert summary.turned == int(shape[3] > 1)


def test_labels_of_another_picture(tmp_path):
    path = save(tmp_path / "a.jpg")
    line = r"a\.jpg: its labels were drawn on 50x50 pixels, and it has 36x24\. Put"
    with pytest.raises(ValueError, match=line):
        p5.data.inspect(make(tmp_path, [path], sides=[(50, 50)]), tmp_path / "cache")


def mask(value=3):
    out = np.full((24, 36), 9, "uint8")
    out[:8] = 0
    out[8:16] = value
    return out


def palette():
    image = Image.fromarray(mask())
    image.putpalette([(i * 37 + k * 91) % 256 for i in range(256) for k in range(3)])
    return image


def deep():
    return Image.fromarray(mask().astype("uint16"))


def colour():
    return Image.fromarray(np.repeat(mask()[..., None], 3, axis=-1))


def see_through():
    image = Image.fromarray(mask())
    image.putalpha(77)
    return image


@pytest.mark.parametrize(
    ("made", "kind", "copied"),
    [
        (lambda: Image.fromarray(mask()), "PNG", 0),
        (palette, "PNG", 1),
        (palette, "GIF", 1),
        (deep, "PNG", 1),
        (colour, "PNG", 1),
        (see_through, "PNG", 1),
        (lambda: Image.fromarray(mask()), "TIFF", 1),
        (lambda: Image.fromarray(mask()), "BMP", 1),
    ],
)
@pytest.mark.parametrize("cache", ["none", "memory"])
def test_masks_of_every_form(tmp_path, made, kind, copied, cache):
    path = save(tmp_path / "a.jpg")
    file = tmp_path / f"mask.{kind.lower()}"
    # An optimized GIF gives its colours other numbers.
    made().save(file, kind, **({"optimize": False} if kind == "GIF" else {}))
    records = make(tmp_path, [path], field=FIELD, masks=[file])
    left, summary = p5.data.inspect(records, tmp_path / "cache")
    assert summary.converted == copied
    assert left.problems.notes == {
        "masks of 'area' with pixels of value 9, which is no class": 1
    }
    source = p5.data.from_records(left, "train", cache=cache)
    found = read_area(source)
    assert (found[0] == 255).all()
    assert (found[1, :8] == 0).all() and (found[1, 8:16] == 1).all()
    assert (found[1, 16:] == 255).all()


def read_area(source):
    tasks = [p5.tasks.Segmentation("area", class_names=["low", "high"])]
    ((_, y, _),) = p5.data.evaluation(source, tasks, source.size)
    found = y["area"].numpy()
    return np.where(found == -1, 255, found)


def test_masks_of_one_bit(tmp_path):
    path = save(tmp_path / "a.jpg")
    Image.fromarray(mask() == 3).save(tmp_path / "mask.png")
    for values, name in (((), "default"), ((0, 255), "bytes")):
        field = Field("mask", ("low", "high"), values)
        records = make(tmp_path, [path], field=field, masks=[tmp_path / "mask.png"])
        left, _ = p5.data.inspect(records, tmp_path / name)
        found = read_area(p5.data.from_records(left, "train"))[1]
        np.testing.assert_array_equal(found, mask() == 3)
        assert not left.problems.notes


def test_masks_of_values_beyond_a_byte(tmp_path):
    path = save(tmp_path / "a.jpg")
    deep = mask().astype("uint16") * 1000
    Image.fromarray(deep).save(tmp_path / "mask.png")
    field = Field("mask", ("low", "high"), (0, 3000))
    records = make(tmp_path, [path], field=field, masks=[tmp_path / "mask.png"])
    left, _ = p5.data.inspect(records, tmp_path / "cache")
    assert left.fields["area"] == Field("mask", ("low", "high"), (0, 1))
    found = read_area(p5.data.from_records(left, "train"))[1]
    assert (found[:8] == 0).all() and (found[8:16] == 1).all()
    assert (found[16:] == 255).all()
    assert byte_values(FIELD) is FIELD


def test_masks_at_fault(tmp_path):
    path = save(tmp_path / "a.jpg")
    for name, write, line in (
        ("gone.png", lambda p: None, "No such file or directory"),
        ("empty.png", lambda p: p.write_bytes(b""), "it is empty"),
        (
            "blurred.jpg",
            lambda p: save(p, mask()),
            "it is a JPEG, in which classes blur into one another; a mask must be a "
            "PNG or of another exact format",
        ),
        (
            "colours.png",
            lambda p: save(p, kind="PNG"),
            "it has colours; a mask must have one number a pixel",
        ),
        (
            "other.png",
            lambda p: save(p, mask()[:, :30], "PNG"),
            f"it has 30x24 pixels, and its picture {path} has 36x24",
        ),
    ):
        file = tmp_path / name
        write(file)
        records = make(tmp_path, [path], field=FIELD, masks=[file])
        with pytest.raises(
            ValueError, match=f"^{re.escape(f'{file}: {line}. {SKIP}')}$"
        ):
            p5.data.inspect(records, tmp_path / "cache")
        records = make(tmp_path, [path], "skip", field=FIELD, masks=[file])
        left, _ = p5.data.inspect(records, tmp_path / "cache")
        assert left.problems.dropped == [(str(file), line)] and len(left) == 1


@pytest.mark.parametrize("upright", [True, False])
def test_a_mask_says_whether_its_picture_is_turned(tmp_path, upright):
    path = save(tmp_path / "a.jpg", exif=exif(6))
    area = mask().T if upright else mask()
    save(tmp_path / "mask.png", np.ascontiguousarray(area), "PNG")
    records = make(tmp_path, [path], field=FIELD, masks=[tmp_path / "mask.png"])
    left, _ = p5.data.inspect(records, tmp_path / "cache")
    assert left.shapes[1].tolist() == ([36, 24, 3, 6] if upright else [24, 36, 3, 1])
    image = p5.data.from_records(left.take([1]), "train").read([0], [0])["image"][0]
    with Image.open(path) as stored:
        wanted = ImageOps.exif_transpose(stored) if upright else stored.copy()
    off = np.abs(image.numpy().astype(int) - np.asarray(wanted))
    assert off.max() <= 3


def test_value_table_tells_classes_from_other_values():
    table = value_table(FIELD)
    assert table.dtype == np.uint8 and table[[0, 3]].tolist() == [0, 1]
    assert (np.delete(table, [0, 3]) == 255).all()
    assert value_table(Field("mask", ("a", "b")))[:3].tolist() == [0, 1, 255]
    with pytest.raises(ValueError, match=r"^A mask must have at most 255 classes"):
        value_table(Field("mask", ("a",), (256,)))


def test_real_photographs(tmp_path, real_data):
    folder = real_data / "oxford_pets_3breeds"
    names = ["Abyssinian_34", "Abyssinian_5", "Bengal_105"]  # GIF, alpha PNG, JPEG
    images = [str(folder / "images" / f"{name}.jpg") for name in names]
    field = Field("mask", ("pet", "background", "border"), (1, 2, 3))
    masks = [str(folder / "annotations" / "trimaps" / f"{n}.png") for n in names]
    records = make(tmp_path, images, field=field, masks=masks)
    left, summary = p5.data.inspect(records, tmp_path / "cache")
    assert summary.formats == {"JPEG": 2, "GIF": 1, "PNG": 1}
    assert left.problems.notes == {
        "pictures whose extension is not that of their format": 2
    }
    source = p5.data.from_records(left, "train", 64, cache_dir=tmp_path / "cache")
    tasks = [p5.tasks.Segmentation("area", class_names=list(field.class_names))]
    ((x, y, _),) = p5.data.evaluation(source, tasks, 4)
    assert x.shape == (4, 64, 64, 3)
    assert set(np.unique(y["area"][3])) == {0, 1, 2}
    assert set(np.unique(y["area"][1])) == {1}
