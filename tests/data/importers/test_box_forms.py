import json
import re

import numpy as np
import pytest
from PIL import Image

from p5_keras.data.importers import box_forms
from p5_keras.data.importers.box_forms import FORMATS, Form
from p5_keras.data.loaders import coco, voc
from p5_keras.data.records import Problems


def corners(count=60, sizes=((240, 320), (300, 260)), seed=0):
    """Boxes anywhere on images: y1, x1, y2, x2, and the sizes of the images."""
    rng = np.random.default_rng(seed)
    size = np.array(sizes)[rng.integers(0, len(sizes), count)].astype(float)
    sides = size * rng.uniform(0.05, 0.6, (count, 2))
    low = (size - sides) * rng.random((count, 2))
    return np.round(np.concatenate([low, low + sides], 1)), size


def written(found, size, form):
    """The inverse of `Form.corners`."""
    if form.units != "pixels":
        scale = np.concatenate([size, size], 1)
        found = found / scale * (100 if form.units == "percent" else 1)
    y1, x1, y2, x2 = found.T
    return np.stack(
        {
            "xywh": (x1, y1, x2 - x1, y2 - y1),
            "xyxy": (x1, y1, x2, y2),
            "cxcywh": ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1),
            "yxhw": (y1, x1, y2 - y1, x2 - x1),
            "yxyx": (y1, x1, y2, x2),
        }[form.format],
        1,
    )


@pytest.mark.parametrize("units", box_forms.UNITS)
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("usual", ["xywh", "xyxy"])
def test_boxes_of_another_form_are_refused_by_name(name, units, usual):
    form = Form(name, units)
    found, size = corners()
    boxes = written(found, size, form)
    np.testing.assert_allclose(form.corners(boxes, size), found, atol=1e-6)
    if form == Form(usual):
        box_forms.check(boxes, size, form)
        return
    with pytest.raises(ValueError, match=r"^Boxes must be") as caught:
        box_forms.check(boxes, size, Form(usual))
    told = dict(re.findall(r"(box_\w+)=(\w+)", str(caught.value)))
    assert told.get("box_units", "pixels") == units
    # Whether x or y comes first, shares do not say.
    alike = {"yxhw": "xywh", "yxyx": "xyxy"} if units != "pixels" else {}
    assert told.get("box_format", usual) == alike.get(name, name)
    box_forms.check(boxes, size, box_forms.form(usual, name, units))  # it was said


@pytest.mark.parametrize("usual", ["xywh", "xyxy"])
def test_right_boxes_are_left_alone(usual):
    form = Form(usual)
    for seed in range(20):
        found, size = corners(seed=seed)
        odd = np.arange(len(found)) % 15 == 0
        found[odd] += [0, 0, 200, 200]  # some reach far past their image
        box_forms.check(written(found, size, form), size, form)
        box_forms.check(written(found[:5], size[:5], form), size[:5], form)
    small, size = corners(sizes=[(64, 64), (90, 70)])
    box_forms.check(written(small, size, form), size, form)  # no number above 100
    one = np.array([[0, 0, 1, 1.0]])
    box_forms.check(one, np.array([[20, 20]]), form)
    box_forms.check(np.zeros((0, 4)), np.zeros((0, 2)), form)


def test_areas_tell_corners_of_small_boxes():
    found, size = corners(sizes=[(2000, 2000)])
    boxes = np.round(written(found, size, Form("xyxy")) / 8)  # all in one quarter
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    with pytest.raises(ValueError, match="box_format=xyxy"):
        box_forms.check(boxes, size, Form("xywh"), areas)
    box_forms.check(boxes, size, Form("xywh"), boxes[:, 2] * boxes[:, 3])
    box_forms.check(boxes, size, Form("xywh"), np.full(len(boxes), np.nan))


def test_boxes_of_other_images_are_refused():
    found, size = corners()
    with pytest.raises(ValueError, match="boxes reach past their image or have no"):
        box_forms.check(written(found, size, Form("xywh")), size / 3, Form("xywh"))
    flat = written(found, size, Form("xywh")) * [1, 1, 0, -1]
    with pytest.raises(ValueError, match="60 of 60 boxes reach past"):
        box_forms.check(flat, size, Form("xywh"))


def test_swapped_corners_are_put_in_order():
    found, size = corners()
    boxes = written(found, size, Form("xyxy"))[:, [2, 1, 0, 3]]
    box_forms.check(boxes, size, Form("xyxy"))
    turned = Form("xyxy").corners(boxes, size)
    np.testing.assert_array_equal(box_forms.swapped(turned), found)


def test_options():
    assert box_forms.form("xywh", "", "") == Form("xywh")
    assert box_forms.form("xywh", "", "shares") == Form("xywh", "shares", True)
    for pair, line in ((("xy", ""), "`box_format`"), (("", "cm"), "`box_units`")):
        with pytest.raises(ValueError, match=line):
            box_forms.form("xywh", *pair)


def coco_set(folder, boxes, **extra):
    """Four images of 64 x 48 pixels, each with these boxes."""
    images, annotations = [], []
    for i in range(4):
        Image.new("RGB", (64, 48)).save(folder / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "width": 64, "height": 48})
        for box in boxes:
            own = {"id": len(annotations), "image_id": i, "category_id": 7}
            annotations.append({**own, "bbox": box, **extra})
    names = [{"id": 7, "name": "cat"}, {"id": 90, "name": "dog"}]
    parts = {"images": images, "annotations": annotations, "categories": names}
    (folder / "a.json").write_text(json.dumps(parts))
    return str(folder)


def test_coco_in_another_form(tmp_path):
    path = coco_set(tmp_path, [[32, 24, 64, 48], [40, 24, 60, 36]])
    with pytest.raises(ValueError, match=r"fit as corners x1, y1, x2, y2.* 64x48 pix"):
        coco.load(path, Problems())
    records = coco.load(path, Problems(), box_format="xyxy")
    boxes, ids = records.columns["objects"][0]
    np.testing.assert_allclose(boxes, [[0.5, 0.5, 1, 1], [0.5, 0.625, 0.75, 0.9375]])
    assert ids.tolist() == [0, 0]
    path = coco_set(tmp_path, [[0.5, 0.5, 0.5, 0.5]])
    with pytest.raises(ValueError, match="--dataset_options=box_units=shares"):
        coco.load(path, Problems())
    records = coco.load(path, Problems(), box_units="shares")
    np.testing.assert_allclose(records.columns["objects"][0][0], [[0.5, 0.5, 1, 1]])


def test_a_set_of_crowds_must_say_what_they_are(tmp_path):
    path = coco_set(tmp_path, [[8, 6, 16, 12]], iscrowd=1)
    with pytest.raises(ValueError, match=r"`crowd` must say .* 4 of 4 with iscrowd"):
        coco.load(path, Problems())
    with pytest.raises(ValueError, match="`crowd` must be"):
        coco.load(path, Problems(), crowd="maybe")
    records = coco.load(path, Problems(), crowd="object")
    np.testing.assert_allclose(
        records.columns["objects"][0][0], [[0.125, 0.125, 0.375, 0.375]]
    )
    records = coco.load(path, Problems(), crowd="void")
    assert not len(records.columns["objects"][0][0])
    path = coco_set(tmp_path, [[8, 6, 16, 12]], iscrowd="0")
    assert len(coco.load(path, Problems()).columns["objects"][0][0]) == 1


def test_voc_in_shares(tmp_path):
    for i in range(4):
        Image.new("RGB", (64, 48)).save(tmp_path / f"{i}.png")
        (tmp_path / f"{i}.xml").write_text(
            "<annotation><object><name>cat</name><bndbox><xmin>0.25</xmin><ymin>0.5"
            "</ymin><xmax>0.75</xmax><ymax>1</ymax></bndbox></object></annotation>"
        )
    with pytest.raises(ValueError, match="--dataset_options=box_units=shares"):
        voc.load(str(tmp_path), Problems())
    records = voc.load(str(tmp_path), Problems(), box_units="shares")
    np.testing.assert_allclose(records.columns["objects"][0][0], [[0.5, 0.25, 1, 0.75]])


def test_percents_of_small_images():
    """Centred boxes of 40 % to 60 % of images of 32 pixels."""
    boxes = np.array([[30.0, 20, 40 + i, 60] for i in range(20)])
    with pytest.raises(ValueError, match="give --dataset_options=box_units=percent"):
        box_forms.check(boxes, np.full((20, 2), 32), Form("xywh"))


@pytest.mark.parametrize("loader", [coco, voc])
@pytest.mark.parametrize("far", [False, True])
def test_a_size_that_is_not_that_of_the_image(tmp_path, loader, far):
    """The file says 64x48, the images have 32x24, and so do the boxes, but for some."""
    boxes = [[8, 6, 8 + i, 10] for i in range(12)] + [[40, 30, 10, 10]] * far
    for i, (x, y, width, height) in enumerate(boxes):
        Image.new("RGB", (32, 24)).save(tmp_path / f"{i}.png")
        if loader is voc:
            (tmp_path / f"{i}.xml").write_text(
                "<annotation><size><width>64</width><height>48</height></size><object>"
                f"<name>cat</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin><xmax>"
                f"{x + width + 1}</xmax><ymax>{y + height}</ymax></bndbox></object>"
                "</annotation>"
            )
    if loader is coco:
        things = [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [x, y, w + 1, h]}
            for i, (x, y, w, h) in enumerate(boxes)
        ]
        images = [
            {"id": i, "file_name": f"{i}.png", "width": 64, "height": 48}
            for i in range(len(boxes))
        ]
        names = [{"id": 1, "name": "cat"}]
        parts = {"images": images, "annotations": things, "categories": names}
        (tmp_path / "a.json").write_text(json.dumps(parts))
    problems = Problems()
    loader.load(str(tmp_path), problems)
    worst = [what for severity, what, _ in problems.findings() if severity == "high"]
    assert len(worst) == (not far)
    assert far or worst[0].startswith("12 boxes are scaled down from the size")
