import os
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

ROOT = Path(__file__).parents[2]
with tfds.core.utils.add_sys_path(ROOT / "datasets"):
    module = import_module("blood_cells.blood_cells_dataset_builder")
    voc = import_module("blood_cells.voc")

NAMES = ["RBC", "WBC", "Platelets"]
DUMMY = ROOT / "datasets" / "blood_cells" / "dummy_data"


def annotation(*objects, size=(200, 100)):
    """Writes a VOC annotation; boxes are (xmin, ymin, xmax, ymax)."""
    body = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, (x0, y0, x1, y1) in objects
    )
    width, height = size
    return (
        f"<annotation><size><width>{width}</width><height>{height}</height></size>"
        f"{body}</annotation>"
    )


def parse(*objects, **kwargs):
    return voc.parse_voc(annotation(*objects, **kwargs), NAMES, "cell.xml")


def prepare(data_dir, manual_dir):
    builder = module.Builder(data_dir=data_dir)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=config)
    return builder


def test_parse_gives_shares_of_the_image_y_first():
    found = parse(("RBC", (20, 10, 60, 50)), ("WBC", (0, 0, 200, 100)))
    assert found.objects == [
        ("RBC", (0.1, 0.1, 0.5, 0.3)),
        ("WBC", (0.0, 0.0, 1.0, 1.0)),
    ]
    assert (found.dropped, found.clipped) == (0, 0)


def test_parse_takes_bytes_and_an_image_without_objects():
    found = voc.parse_voc(annotation().encode(), NAMES, "cell.xml")
    assert found == ([], 0, 0)


@pytest.mark.parametrize(
    "box",
    [
        (30, 40, 30, 40),
        (30, 40, 30, 60),
        (30, 40, 50, 40),
        (50, 40, 30, 60),  # turned round
        (210, 10, 230, 20),  # right of the image
        (-20, 10, 0, 20),  # left of it
    ],
)
def test_parse_drops_a_box_without_area(box):
    found = parse(("RBC", box), ("WBC", (0, 0, 20, 10)))
    assert found.objects == [("WBC", (0.0, 0.0, 0.1, 0.1))]
    assert (found.dropped, found.clipped) == (1, 0)


def test_parse_clips_a_box_to_the_image():
    found = parse(("RBC", (-10, -5, 100, 50)), ("RBC", (100, 50, 201, 130)))
    assert found.objects == [
        ("RBC", (0.0, 0.0, 0.5, 0.5)),
        ("RBC", (0.5, 0.5, 1.0, 1.0)),
    ]
    assert (found.dropped, found.clipped) == (0, 2)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (annotation(("Blast", (1, 1, 5, 5))), r"one of \['RBC'.*name='Blast'"),
        (annotation(("", (1, 1, 5, 5))), r"name=''"),
        (annotation(("RBC", (1, "x", 5, 5))), r"number at <bndbox/ymin>.*'x'"),
        (annotation(size=(0, 100)), r"image's size.*width=0"),
        ("<annotation></annotation>", r"number at <size/width>.*None"),
        ("<annotation>", r"well-formed XML"),
    ],
)
def test_parse_names_the_file_in_errors(xml, message):
    with pytest.raises(ValueError, match=message + r".*filename='cell.xml'"):
        voc.parse_voc(xml, NAMES, "cell.xml")


class BloodCellsTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = module.Builder
    SPLITS = {"train": 2, "validation": 2, "test": 2}


def test_dummy_boxes_are_dropped_clipped_and_logged(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(
        module.logging, "log", lambda level, text, *args: lines.append(text % args)
    )
    builder = prepare(tmp_path, DUMMY)
    assert sorted(line for line in lines if line.startswith("blood_cells,")) == [
        "blood_cells, test: 0 boxes without area dropped, 0 clipped to the image.",
        "blood_cells, train: 1 boxes without area dropped, 0 clipped to the image.",
        "blood_cells, validation: 0 boxes without area dropped, "
        "1 clipped to the image.",
    ]
    found = {
        example["image/filename"].decode(): example
        for split in ("train", "validation")
        for example in tfds.as_numpy(builder.as_dataset(split=split))
    }
    assert set(found) == {f"cell_00{k}.jpg" for k in range(4)}
    assert found["cell_001.jpg"]["objects"]["label"].tolist() == [0, 2]
    assert found["cell_001.jpg"]["image"].shape == (36, 48, 3)
    np.testing.assert_allclose(
        found["cell_003.jpg"]["objects"]["bbox"][0],
        [20 / 36, 36 / 48, 34 / 36, 1.0],
        rtol=1e-6,
    )


def test_the_archive_is_used_without_a_local_copy(tmp_path, monkeypatch):
    asked = []
    inside = f"BCCD_Dataset-{module._COMMIT}"
    shutil.copytree(DUMMY, tmp_path / "archive" / inside)

    def fake(self, url):
        asked.append(url)
        return type(DUMMY)(tmp_path / "archive")

    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", fake)
    (tmp_path / "empty").mkdir()
    builder = prepare(tmp_path / "data", tmp_path / "empty")
    assert asked == [module._URL]
    assert builder.info.splits["train"].num_examples == 2


@pytest.mark.parametrize(
    "lost",
    [
        "JPEGImages/cell_001.jpg",
        "Annotations/cell_001.xml",
        "ImageSets/Main/train.txt",
    ],
)
def test_a_missing_file_is_named(tmp_path, lost):
    shutil.copytree(DUMMY, tmp_path / "manual")
    (tmp_path / "manual" / "BCCD" / lost).unlink()
    with pytest.raises(ValueError, match=lost.split("/")[-1]):
        prepare(tmp_path / "data", tmp_path / "manual")


def test_an_unknown_class_is_named(tmp_path):
    shutil.copytree(DUMMY, tmp_path / "manual")
    path = tmp_path / "manual" / "BCCD" / "Annotations" / "cell_000.xml"
    path.write_text(path.read_text().replace("WBC", "Blast"))
    with pytest.raises(ValueError, match=r"name='Blast'.*cell_000.xml"):
        prepare(tmp_path / "data", tmp_path / "manual")


def test_the_real_set(tmp_path):
    data = Path(os.environ.get("P5_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (data / "bccd" / "BCCD").is_dir():
        pytest.skip(f"no BCCD at {data / 'bccd'}; set P5_TEST_DATA")
    builder = prepare(tmp_path, data / "bccd")
    sizes = {name: info.num_examples for name, info in builder.info.splits.items()}
    assert sizes == {"train": 205, "validation": 87, "test": 72}
    counts = np.zeros(3, int)
    for split in sizes:
        decoders = {"image": tfds.decode.SkipDecoding()}
        for example in builder.as_dataset(split=split, decoders=decoders):
            label = example["objects"]["label"].numpy()
            box = example["objects"]["bbox"].numpy()
            counts += np.bincount(label, minlength=3)
            assert (box[:, 2:] > box[:, :2]).all()
            assert (box >= 0).all()
            assert (box <= 1).all()
    assert counts.tolist() == [4155 - 2, 372, 361]
