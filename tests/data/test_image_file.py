import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from p5_keras.data.image_file import list_images, read_image


def gradient(height=40, width=60):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 4, y * 6, x + y], -1).astype("uint8")


def encoded(image, kind, **kwargs):
    file = io.BytesIO()
    image.save(file, kind, **kwargs)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode", "error"),
    [
        ("JPEG", "RGB", 2.0),
        ("JPEG", "CMYK", 2.0),
        ("PNG", "RGB", 0.0),
        ("PNG", "RGBA", 0.0),
        ("PNG", "P", 20.0),
        ("GIF", "RGB", 6.0),
        ("BMP", "RGB", 0.0),
        ("BMP", "P", 20.0),
        ("WEBP", "RGB", 3.0),
        ("TIFF", "RGB", 0.0),
    ],
)
def test_formats(tmp_path, kind, mode, error):
    image = Image.fromarray(gradient()).convert(mode)
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    (tmp_path / "a").write_bytes(encoded(image, kind, **options))
    pixels, found = read_image(tmp_path / "a")
    assert (found, pixels.dtype) == (kind, np.uint8)
    off = np.abs(pixels.astype(float) - gradient())
    assert off.mean() <= error


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_range(tmp_path, kind):
    grey = gradient()[..., 0]
    image = Image.fromarray(grey.astype("uint16") * 257)
    (tmp_path / "a").write_bytes(encoded(image, kind))
    pixels, _ = read_image(tmp_path / "a")
    np.testing.assert_array_equal(pixels, np.repeat(grey[..., None], 3, axis=-1))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_images_are_turned_upright(tmp_path, turn, kind):
    exif = Image.Exif()
    exif[0x0112] = turn
    content = encoded(Image.fromarray(gradient()), kind, exif=exif)
    (tmp_path / "a").write_bytes(content)
    wanted = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(read_image(tmp_path / "a")[0], np.asarray(wanted))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"words", "it is no readable JPEG, PNG, GIF, BMP, WEBP, TIFF"),
        (
            encoded(Image.fromarray(gradient()), "JPEG")[:-200],
            "it is broken.*truncated",
        ),
        (encoded(Image.fromarray(gradient(7, 60)), "PNG"), "has 60x7 pixels; .* 8 or"),
    ],
)
def test_what_cannot_be_read(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_image(tmp_path / "a.jpg")


def test_what_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="No such file"):
        read_image(tmp_path / "a.jpg")


def test_list_images_goes_by_the_extension(tmp_path):
    for name in ("b.JPG", "a.webp", ".c.png", "d.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "e.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.webp", "b.JPG"]
