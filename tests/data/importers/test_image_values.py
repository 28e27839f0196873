import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import p5_keras as p5
from p5_keras.data.image_file import read_image
from p5_keras.data.importers import image_values
from p5_keras.data.importers.image_values import Values
from p5_keras.data.records import Problems
from p5_keras.export.image_bytes import decode_images


def shares(i=0, size=32):
    """A scene in 0..1: a bright square on dim noise."""
    out = np.random.default_rng(i).random((size, size)) * 0.3
    out[8:24, 8:24] += 0.6
    return out


def deep_png(file, values):
    """Writes 16 bits in 1 to 4 channels, which Pillow cannot."""
    file.write_bytes(tf.io.encode_png(values.astype("uint16")).numpy())


def strokes(share, colour):
    rgba = np.zeros((*share.shape, 4), "uint8")
    rgba[..., :3] = colour
    rgba[..., 3] = share * 255
    return rgba


#: How to write a scene, and the bytes that it should become.
FORMS = {
    "12 of 16 bits": (
        lambda f, s: Image.fromarray((s * 4095).astype("uint16")).save(f),
        lambda s: s * 255,
    ),
    "few counts": (
        lambda f, s: Image.fromarray((s * 240).astype("uint16")).save(f),
        lambda s: s * 240,
    ),
    "all 16 bits": (
        lambda f, s: Image.fromarray((s * 65535).astype("uint16")).save(f),
        lambda s: s * 255,
    ),
    "12 of 16 bits in colour": (
        lambda f, s: deep_png(f, np.stack([s * 4095] * 3, -1)),
        lambda s: s * 255,
    ),
    "16 bits of grey with alpha": (
        lambda f, s: deep_png(f, np.stack([s * 0, s * 65535], -1)),
        lambda s: 255 - s * 255,
    ),
    "floats to 1": (
        lambda f, s: Image.fromarray(s.astype("float32")).save(f, "TIFF"),
        lambda s: s * 255,
    ),
    "floats to 255": (
        lambda f, s: Image.fromarray((s * 255).astype("float32")).save(f, "TIFF"),
        lambda s: s * 255,
    ),
    "floats from -1": (
        lambda f, s: Image.fromarray((s * 2 - 1).astype("float32")).save(f, "TIFF"),
        lambda s: s * 255,
    ),
    "32-bit counts": (
        lambda f, s: Image.fromarray((s * 240).astype("int32")).save(f, "TIFF"),
        lambda s: s * 240,
    ),
    "black strokes": (
        lambda f, s: Image.fromarray(strokes(s, 0)).save(f),
        lambda s: 255 - s * 255,
    ),
    "white strokes": (
        lambda f, s: Image.fromarray(strokes(s, 255)).save(f),
        lambda s: s * 255,
    ),
    "grey with alpha": (
        lambda f, s: Image.fromarray(strokes(s, 0)).convert("LA").save(f),
        lambda s: 255 - s * 255,
    ),
    "a transparent colour of a palette": (
        lambda f, s: Image.fromarray((s > 0.5).astype("uint8"), "P").save(
            f, transparency=0
        ),
        lambda s: (s <= 0.5) * 255,
    ),
    "no measurement at some pixels": (
        lambda f, s: Image.fromarray(
            np.where(s < 0.01, -9999, s * 2000 - 900).astype("int32")
        ).save(f, "TIFF"),
        lambda s: np.clip((s * 2000 - 20) / 1780, 0, 1) * 255,
    ),
    "all transparent": (
        lambda f, s: Image.fromarray(
            np.stack([s * 255] * 3 + [s * 0], -1).astype("uint8")
        ).save(f),
        lambda s: s * 255,
    ),
    "opaque": (
        lambda f, s: Image.fromarray(strokes(s * 0 + 1, 77)).save(f),
        lambda s: s * 0 + 77,
    ),
    "one bit": (
        lambda f, s: Image.fromarray(s > 0.5).save(f),
        lambda s: (s > 0.5) * 255,
    ),
    "inks": (
        lambda f, s: (
            Image.fromarray((s * 255).astype("uint8")).convert("CMYK").save(f, "TIFF")
        ),
        lambda s: s * 255,
    ),
}


def written(folder, save, count=6):
    for name in "ab":
        (folder / name).mkdir(parents=True)
        for i in range(count):
            save(folder / name / f"{i}.png", shares(i))
    return f"folder:{folder}"


def seen(data):
    """The pictures of all splits as a model sees them, by their scene."""
    found = {}
    for split in ("train", "validation", "test"):
        rows = np.flatnonzero(data.records.splits == split)
        source = data.source(split, (32, 32))
        pixels = source.read(list(range(len(rows))), [0] * len(rows))["image"].numpy()
        for row, image in zip(rows, pixels, strict=True):
            file = data.records.names[row]
            found[int(re.findall(r"(\d+)\.\w+$", file)[0])] = image
    return found


@pytest.mark.parametrize("form", FORMS)
def test_a_scene_is_the_same_in_whatever_form(tmp_path, monkeypatch, form):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    save, wanted = FORMS[form]
    data = p5.data.user_data(written(tmp_path / "set", save))
    for i, pixels in seen(data).items():
        # Low ends of floats below 0 are those of the set.
        off = np.abs(pixels.astype(float) - wanted(shares(i))[..., None])
        assert off.max() <= (6 if "-1" in form or "no mea" in form else 2), form
    again, _ = read_image(
        tmp_path / "set" / "a" / "0.png", data.records.reading["images"]
    )
    assert np.abs(again.astype(float) - wanted(shares(0))[..., None]).max() <= 6
    told = data.records.problems.guesses
    plain = form in ("opaque", "one bit", "inks", "all transparent")
    assert plain != any("image_" in option for option in told.values())


def test_served_images_are_read_by_the_rule(tmp_path):
    rules = {
        "12 of 16 bits": {"ranges": {"uint16": [0, 4095]}},
        "12 of 16 bits in colour": {"ranges": {"uint16": [0, 4095]}},
        "all 16 bits": {"ranges": {}},
        "few counts": {"ranges": {}},  # refused: nothing of this kind was there
        "black strokes": {"ranges": {}, "background": 255},
        "white strokes": {"ranges": {}, "background": 0},
        "grey with alpha": {"ranges": {}, "background": 255},
        "a transparent colour of a palette": {"ranges": {}, "background": 255},
        "opaque": {"ranges": {"uint8": [0, 154]}},
        "one bit": {"ranges": {}},
    }
    for form, rule in rules.items():
        file = tmp_path / "a.png"
        FORMS[form][0](file, shares())
        x, _, ok = decode_images([file.read_bytes()], (32, 32, 3), rule=rule)
        if form == "few counts":
            assert not ok.numpy()[0]
            continue
        wanted, _ = read_image(file, rule)
        assert ok.numpy()[0], form
        assert np.abs(x.numpy()[0] - wanted).max() <= 1, form
    content = tf.io.encode_jpeg(np.full((32, 32, 3), 77, "uint8"))
    x, _, ok = decode_images([content], (32, 32, 3), rule={"ranges": {}})
    assert ok.numpy()[0] and np.abs(x.numpy() - 77).max() <= 1


def test_the_rule_is_that_of_the_training_pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "set"
    for split, scale in (("train", 4095), ("val", 2000), ("test", 1000)):
        for name in "ab":
            (root / split / name).mkdir(parents=True)
            for i in range(3):
                image = Image.fromarray((shares(i) * scale).astype("uint16"))
                image.save(root / split / name / f"{i}.png")
    data = p5.data.user_data(f"folder:{root}")
    assert data.records.reading["images"] == {"ranges": {"uint16": [0, 4095]}}
    source = data.source("test", (32, 32))
    top = source.read([0], [0])["image"].numpy().max()
    assert abs(int(top) - 0.9 * 255 * 1000 / 4095) <= 2


def test_predicted_images_are_read_by_the_rule(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = written(tmp_path / "set", FORMS["12 of 16 bits"][0])
    data = p5.data.user_data(path)
    model = p5.build_model(
        p5.trunks.Conv(width=4, levels=2), data.tasks((32, 32), 2), (32, 32, 1)
    )
    model.reading = data.source("train", (32, 32)).reading
    taken = []

    def predicted(images):
        taken.extend(np.array(batch[0]) for batch in images)
        return predictions(tf.data.Dataset.from_tensors((taken[-1], {})))

    predictions = model.predictions
    monkeypatch.setattr(model, "predictions", predicted)
    p5.predict_folder(model, tmp_path / "set" / "a", tmp_path / "out", 8)
    want = seen(data)
    for i in range(6):
        np.testing.assert_array_equal(taken[0][i], want[i])
    again = p5.data.user_data(path, reading=model.reading)
    np.testing.assert_array_equal(seen(again)[0], want[0])


def test_a_run_of_an_earlier_version_reads_as_it_did(tmp_path):
    for form in ("12 of 16 bits", "black strokes", "white strokes", "floats to 255"):
        file = tmp_path / "a.png"
        FORMS[form][0](file, shares())
        new, _ = read_image(file, image_values.EARLIER)
        old, _ = read_image(file)
        assert np.abs(new.astype(int) - old).max() <= 1, form


def test_another_kind_of_numbers_than_in_training_is_refused(tmp_path):
    Image.fromarray(shares().astype("float32")).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="it holds float numbers, as no image of"):
        read_image(tmp_path / "a.tif", {"ranges": {"uint16": [0, 4095]}})
    Image.fromarray((shares() * 900).astype("uint16")).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match="it holds 16-bit numbers, as no image of"):
        read_image(tmp_path / "b.png", {"ranges": {}})
    Image.fromarray((shares() * 65535).astype("uint16")).save(tmp_path / "c.png")
    found, _ = read_image(tmp_path / "c.png", {"ranges": {}})
    assert abs(int(found.max()) - int(shares().max() * 255)) <= 1


def test_what_the_user_decides(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    save = FORMS["few counts"][0]
    path = written(tmp_path / "a", save)
    data = p5.data.user_data(path, ["image_range=0,480"])
    assert np.abs(seen(data)[0][..., 0] - shares(0) * 240 / 480 * 255).max() <= 2
    dim = written(
        tmp_path / "b", lambda f, s: Image.fromarray((s * 15).astype("uint8")).save(f)
    )
    (note,) = [n for n in p5.data.user_data(dim).records.problems.notes if "lie" in n]
    assert "image_range=0,13 " in note
    data = p5.data.user_data(dim, ["image_range=0,13"])
    assert seen(data)[0].max() == 255
    path = written(tmp_path / "c", FORMS["black strokes"][0])
    data = p5.data.user_data(path, ["image_background=grey"])
    assert np.abs(seen(data)[0][..., 0] - (1 - shares(0)) * 128).max() <= 2
    for option, line in (
        ("image_range=5", "two numbers"),
        ("image_range=5,5", "two numbers"),
        ("image_background=blue", "one of white, black, grey"),
    ):
        with pytest.raises(ValueError, match=line):
            p5.data.user_data(path, [option])


def test_pictures_of_one_colour_are_noted(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    flat = written(
        tmp_path / "a",
        lambda f, s: Image.new("RGB", (32, 32), (9, 9, 9)).save(f),
    )
    problems = p5.data.user_data(flat).records.problems
    assert problems.notes["images of one colour, or nearly"] == 12
    assert problems.severities["images of one colour, or nearly"] == "high"


def decided(*values):
    return image_values.decide(values, Problems(), {})["ranges"]


def test_hot_pixels_and_odd_images_do_not_decide():
    hot = (np.arange(4096) % 101).astype("uint16").reshape(64, 64, 1)
    hot[0, :2] = 65535
    found = image_values.measure(hot)
    assert (found.low, found.high, found.top) == (0, 100, 100)
    assert decided(found) == {"uint16": [0, 127]}
    usual = [Values("uint16", 0, 200, 210)] * 19
    assert decided(*usual, Values("uint16", 0, 6e4, 6e4)) == {"uint16": [0, 255]}
    assert decided(*usual[:5], *[Values("uint16", 0, 6e4, 6e4)] * 5) == {
        "uint16": [0, 65535]
    }
    rule = {"ranges": {"uint16": [0, 255]}}
    assert image_values.beyond([*usual, Values("uint16", 0, 6e4, 6e4)], rule) == 1


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        (Values("uint16", 28000, 31000, 31010), [28000, 31010]),  # kelvin x 100
        (Values("int32", -1024, 3071, 3071), [-1024, 3071]),  # a CT
        (Values("uint16", 0, 1, 1), [0, 1]),
        (Values("float32", 0, 1e-3, 1e-3), [0.0, 1e-3]),
        (Values("float32", 0, 7000.5, 7000.5), [0.0, 7000.5]),
        (Values("float32", 3.0, 3.0, 3.0), [3.0, 4.0]),
    ],
)
def test_ranges(values, ends):
    assert decided(values) == {values.kind: ends}


def test_pixels_without_a_number():
    pixels = np.full((4, 4, 1), np.nan, "float32")
    with pytest.raises(ValueError, match="it holds no number"):
        image_values.measure(pixels)
    pixels[0] = 1
    rule = {"ranges": {"float32": [0, 1]}}
    assert image_values.apply(pixels, None, rule)[..., 0].max(axis=1).tolist() == [
        255,
        0,
        0,
        0,
    ]


def test_transparency_hides_no_image():
    black, white, grey = (250.0, 0.0, 120.0), (0.0, 250.0, 120.0), (90.0, 90.0, 20.0)

    def ground(*contrasts):
        found = [Values(contrasts=c) for c in contrasts]
        return image_values.decide(found, Problems(), {})["background"]

    assert ground(black, black) == 255 and ground(white) == 0
    assert ground(black, white) == 128 and ground(grey) == 255
