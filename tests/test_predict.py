import io
import json
import logging

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from p5_keras import MultiTaskModel, Task, predict_folder

HEIGHT, WIDTH = 16, 32  # of the model


class Mean(Task):
    """The mean of every channel of what the model sees."""

    def decode(self, output):
        return {"value": output}

    def draw(self, axes, fields):
        return f"{fields['value'][0]:.0f}"


class Bright(Task):
    """A map of classes, and one of values."""

    def decode(self, output):
        value = output[..., 0]
        return {"classes": ops.cast(value > 128, "int32"), "value": value}


class Kind(Task):
    """Class 1 for every image."""

    class_names = ["cat", "dog"]

    def decode(self, output):
        label = ops.ones_like(output[:, 0], dtype="int32")
        return {"label": label, "probabilities": output[:, :2] * 0 + [0.25, 0.75]}

    def draw(self, axes, fields):
        return self.class_names[int(fields["label"])]


class Boxes(Task):
    """The upper left quarter of every image, and a row of padding."""

    class_names = ["cat", "dog"]

    def decode(self, output):
        some = ops.zeros_like(output[:, :1, None])
        boxes = [[0.0, 0.0, WIDTH / 2, HEIGHT / 2], [0.0, 0.0, 0.0, 0.0]]
        return {
            "boxes": some + ops.array(boxes),
            "scores": some[:, 0] + ops.array([0.875, 0.0]),
            "classes": ops.cast(some[:, 0], "int32") + ops.array([1, -1], "int32"),
            "count": ops.cast(some[:, 0, 0], "int32") + 1,
        }

    def draw(self, axes, fields):
        x1, y1, x2, y2 = fields["boxes"][0]
        axes.plot([x1, x2], [y1, y2])
        return ""


class Flags(Task):
    """Two labels, the second of which is on."""

    class_names = ["long", "short"]

    def decode(self, output):
        return {"label": ops.cast(output[:, :2] * 0, "int32") + ops.array([0, 1])}


def build(channels=3):
    inputs = keras.Input((HEIGHT, WIDTH, channels), name="image")
    mean = keras.layers.GlobalAveragePooling2D()(inputs)
    wide = keras.layers.Concatenate()([mean, mean])
    tasks = [Mean("mean"), Bright("bright"), Kind("kind"), Boxes("pets"), Flags("tail")]
    outputs = {"mean": mean, "bright": inputs}
    outputs |= {name: wide for name in ("kind", "pets", "tail")}
    return MultiTaskModel(inputs, outputs, tasks=tasks)


@pytest.fixture(scope="module")
def model():
    return build()


def gradient(height=40, width=60):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 4, y * 6, x + y], -1).astype("uint8")


def encoded(image, kind, **kwargs):
    file = io.BytesIO()
    image.save(file, kind, **kwargs)
    return file.getvalue()


def opened(path):
    """Reads a file whole, so that none is left open."""
    return Image.open(io.BytesIO(path.read_bytes()))


def lines_of(out):
    text = (out / "predictions.jsonl").read_text()
    return {line["file"]: line for line in map(json.loads, text.splitlines())}


@pytest.fixture
def folder(tmp_path):
    """Files of every sort that people have."""
    path = tmp_path / "in"
    path.mkdir()
    image = Image.fromarray(gradient())
    grey16 = Image.fromarray(gradient()[..., 0].astype("uint16") * 257)
    files = {
        "good.jpg": encoded(image, "JPEG", quality=95),
        "truncated.jpg": encoded(image, "JPEG", quality=95)[:-200],
        "headless.png": encoded(image, "PNG")[:20],
        "empty.jpg": b"",
        "gif.jpg": encoded(image, "GIF"),
        "dot.png": encoded(image.crop((0, 0, 1, 1)), "PNG"),
        "cmyk.jpeg": encoded(image.convert("CMYK"), "JPEG", quality=95),
        "sixteen.png": encoded(grey16, "PNG"),
        "good.png": encoded(image.convert("RGBA"), "PNG"),
        "notes.txt": b"not an image",
        "words.PNG": b"not an image",
        ".hidden.jpg": b"",
    }
    for name, content in files.items():
        (path / name).write_bytes(content)
    (path / "folder.jpg").mkdir()
    return path


def test_a_folder_of_everything(model, folder, tmp_path, caplog, capfd):
    out = tmp_path / "out" / "deep"
    with caplog.at_level(logging.WARNING, logger="absl"):
        assert predict_folder(model, folder, out, batch_size=2) == (5, 5)

    said = [record.getMessage() for record in caplog.records if record.name == "absl"]
    for name, reason in {
        "truncated.jpg is left out": "truncated",
        "headless.png is left out": "it is broken, ",
        "empty.jpg is left out": "empty",
        "dot.png is left out": "it has 1x1 pixels; each side must have 8 or more",
        "words.PNG is left out": "it is no readable JPEG, PNG",
        "gif.jpg is used": "a GIF file",
        f"Files in {folder} that are no images": "ignored: 1",
    }.items():
        (line,) = [s for s in said if s.startswith(name)]
        assert reason in line
    assert len(said) == 7
    # TensorFlow has nothing to add.
    errors = capfd.readouterr().err
    assert "jpeg_mem" not in errors and "rendezvous" not in errors

    lines = lines_of(out)
    assert list(lines) == sorted(lines)
    assert set(lines) == {"good.jpg", "good.png", "cmyk.jpeg", "gif.jpg", "sixteen.png"}
    mean = gradient().mean(axis=(0, 1))
    grey = np.repeat(mean[0], 3)
    for name, line in lines.items():
        found = line["predictions"]["mean"]["value"]
        wanted = grey if name == "sixteen.png" else mean
        np.testing.assert_allclose(found, wanted, atol=2.5, err_msg=name)
        assert (line["height"], line["width"]) == (40, 60)
        assert opened(out / line["picture"]).size[0] > 480


def test_files_of_the_same_stem_do_not_overwrite_each_other(model, tmp_path):
    image = Image.fromarray(gradient())
    for name in ("a.jpg", "a.png", "A.bmp", "a_bright_value.png"):
        (tmp_path / name).write_bytes(encoded(image, {"j": "JPEG"}.get(name[2], "PNG")))
    out = tmp_path / "out"
    assert predict_folder(model, tmp_path, out) == (4, 0)
    pictures = [line["picture"].lower() for line in lines_of(out).values()]
    maps = [
        line["predictions"]["bright"][key]["file"].lower()
        for line in lines_of(out).values()
        for key in ("classes", "value")
    ]
    assert len({*pictures, *maps}) == 12 == len(list(out.glob("*.png")))


def test_fields_are_plain(model, tmp_path):
    Image.fromarray(gradient()).save(tmp_path / "a.png")
    predict_folder(model, tmp_path, tmp_path / "out")
    found = lines_of(tmp_path / "out")["a.png"]["predictions"]
    assert found["kind"] == {"label": 1, "probabilities": [0.25, 0.75], "name": "dog"}
    assert found["tail"] == {"label": [0, 1], "names": ["short"]}
    assert found["pets"] == {
        "boxes": [[0.0, 0.0, 30.0, 20.0]],
        "scores": [0.875],
        "classes": [1],
        "count": 1,
        "names": ["dog"],
    }
    assert found["bright"]["classes"] == {"file": "a_bright_classes.png"}


def test_maps_have_the_size_of_the_image(model, tmp_path):
    image = np.zeros((40, 60, 3), "uint8")
    image[:, 30:] = 200
    Image.fromarray(image).save(tmp_path / "a.png")
    predict_folder(model, tmp_path, tmp_path / "out")
    classes = opened(tmp_path / "out" / "a_bright_classes.png")
    assert classes.mode == "P"
    np.testing.assert_array_equal(np.asarray(classes), image[..., 0] > 128)
    line = lines_of(tmp_path / "out")["a.png"]["predictions"]["bright"]["value"]
    value = np.asarray(opened(tmp_path / "out" / line["file"])).astype(float)
    value = line["low"] + value / 65535 * (line["high"] - line["low"])
    np.testing.assert_allclose(value[:, [0, 59]], image[:, [0, 59], 0], atol=0.01)


def test_a_grey_model_sees_grey(tmp_path):
    Image.fromarray(np.full((40, 60), 77, "uint8")).save(tmp_path / "a.png")
    Image.fromarray(np.full((40, 60, 3), (255, 0, 0), "uint8")).save(tmp_path / "b.png")
    predict_folder(build(channels=1), tmp_path, tmp_path / "out", batch_size=8)
    lines = lines_of(tmp_path / "out")
    assert lines["a.png"]["predictions"]["mean"]["value"] == [77.0]
    assert lines["b.png"]["predictions"]["mean"]["value"] == [76.0]


def test_a_large_image_is_drawn_small(model, tmp_path):
    Image.fromarray(np.zeros((100, 3000, 3), "uint8")).save(tmp_path / "a.png")
    predict_folder(model, tmp_path, tmp_path / "out")
    assert opened(tmp_path / "out" / "a.png").size[0] < 2200
    assert opened(tmp_path / "out" / "a_bright_classes.png").size == (3000, 100)


def test_what_must_hold(model, tmp_path):
    with pytest.raises(ValueError, match=r"must be a folder with images.*'/no/way'"):
        predict_folder(model, "/no/way", tmp_path)
    with pytest.raises(ValueError, match=r"must be a folder with images.*=None"):
        predict_folder(model, None, tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"`folder` must hold an image.*files: 1"):
        predict_folder(model, tmp_path, tmp_path / "out")
    Image.fromarray(gradient()).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="`out` must not be the folder"):
        predict_folder(model, tmp_path, tmp_path)
    with pytest.raises(ValueError, match="`out` must be a folder"):
        predict_folder(model, tmp_path, tmp_path / "a.png")
    with pytest.raises(ValueError, match="`batch_size` must be at least 1"):
        predict_folder(model, tmp_path, tmp_path / "out", batch_size=0)
    table = keras.Input((4,))
    other = MultiTaskModel(table, {"mean": table}, tasks=[Mean("mean")])
    with pytest.raises(ValueError, match="`model` must read images"):
        predict_folder(other, tmp_path, tmp_path / "out")
