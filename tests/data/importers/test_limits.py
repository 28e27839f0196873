import json
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

import p5_keras as p5
from p5_keras.data.image_file import open_image, read_image
from p5_keras.data.loaders import coco, voc
from p5_keras.data.records import Problems


def bomb(file, width=13_000, height=13_000):
    """Writes a small PNG whose header asks for much."""

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return str(file)


def peak(call):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as caught:
            call()
        return str(caught.value), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_large_image_is_not_decoded(tmp_path):
    line, memory = peak(lambda: open_image(bomb(tmp_path / "a.png")))
    assert line == "it has 13000x13000 pixels, more than max_pixels=64000000"
    assert memory < 20e6


def test_the_limit_is_an_option(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    for name in "ab":
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(3):
            noise = np.random.default_rng(i).integers(0, 255, (20, 30, 3), "uint8")
            Image.fromarray(noise).save(tmp_path / "set" / name / f"{i}.png")
    path = f"folder:{tmp_path / 'set'}"
    with pytest.raises(ValueError, match="30x20 pixels, more than max_pixels=599"):
        p5.data.user_data(path, ["max_pixels=599"])
    data = p5.data.user_data(path, ["max_pixels=900"])
    assert data.records.reading["images"]["max_pixels"] == 900
    with pytest.raises(ValueError, match="more than max_pixels=599"):
        read_image(data.records.images[0], {"max_pixels": 599})
    assert Image.MAX_IMAGE_PIXELS == 900
    with pytest.raises(ValueError, match="`max_pixels` must be"):
        p5.data.user_data(path, ["max_pixels=-1"])


def coco_set(folder, text=None, **changes):
    Image.new("RGB", (64, 48)).save(folder / "a.png")
    image = {"id": 1, "file_name": "a.png", "width": 64, "height": 48}
    thing = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 9, 9]}
    parts = {
        "images": [{**image, **changes.get("image", {})}],
        "annotations": [{**thing, **changes.get("thing", {})}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (folder / "a.json").write_text(text or json.dumps(parts))
    return str(folder)


def test_a_mask_is_not_drawn_beyond_its_limit(tmp_path):
    path = coco_set(
        tmp_path,
        image={"width": 200_000, "height": 150_000},
        thing={"segmentation": [[1, 1, 9, 1, 9, 9]]},
    )
    line, memory = peak(lambda: coco.load(path, Problems(), cache_dir=str(tmp_path)))
    assert "it is for 200000x150000 pixels, more than the 64000000" in line
    assert memory < 20e6


def test_a_polygon_is_not_followed_for_ever(tmp_path):
    zigzag = [1, 1, 99_999, 1] * 200
    path = coco_set(tmp_path, thing={"segmentation": [zigzag]})
    with pytest.raises(ValueError, match="a polygon's edges are longer than 1e\\+07"):
        coco.load(path, Problems(), cache_dir=str(tmp_path))


def test_json_that_is_nested_without_end(tmp_path):
    path = coco_set(tmp_path, "[" * 100_000)
    with pytest.raises(ValueError, match="lists of objects, not nested without end"):
        coco.load(path, Problems())


def test_a_large_mask_is_not_decoded(tmp_path):
    for name in ("JPEGImages", "SegmentationClass"):
        (tmp_path / name).mkdir()
    for i in range(3):
        Image.new("RGB", (65, 65)).save(tmp_path / "JPEGImages" / f"{i}.jpg")
        bomb(tmp_path / "SegmentationClass" / f"{i}.png")
    line, memory = peak(lambda: voc.load(str(tmp_path), Problems()))
    assert "0.png: it is for 13000x13000 pixels, more than the 64000000" in line
    assert memory < 20e6
