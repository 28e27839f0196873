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

DUMMY = ROOT / "datasets" / "blood_cells" / "dummy_data"


def prepare(data_dir, manual_dir):
    builder = module.Builder(data_dir=data_dir)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=config)
    return builder


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


def test_an_annotation_without_a_size_is_named(tmp_path):
    shutil.copytree(DUMMY, tmp_path / "manual")
    path = tmp_path / "manual" / "BCCD" / "Annotations" / "cell_000.xml"
    path.write_text(path.read_text().replace("width", "wide"))
    with pytest.raises(ValueError, match=r"image's size.*cell_000.xml"):
        prepare(tmp_path / "data", tmp_path / "manual")


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
