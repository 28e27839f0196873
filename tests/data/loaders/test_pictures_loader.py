"""Pictures without labels."""

import numpy as np
import pytest
from PIL import Image

import p5_keras as p5
from p5_keras.data.loaders import pictures


@pytest.fixture
def folder(tmp_path):
    for i in range(40):
        path = tmp_path / f"part{i % 3}" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((10, 12, 3), i, "uint8")).save(path)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_all_pictures_at_any_depth(folder):
    found = pictures.load(str(folder), p5.data.Problems())
    names, counts = np.unique(found.splits, return_counts=True)
    assert dict(zip(names, counts, strict=True)) == {
        "test": 2,
        "train": 36,
        "validation": 2,
    }
    assert found.fields == {} and len(set(found.images)) == 40
    again = pictures.load(str(folder), p5.data.Problems())
    assert (again.splits == found.splits).all()


def test_what_is_wrong(folder, tmp_path_factory):
    with pytest.raises(ValueError, match="three shares above 0 that add up to 1"):
        pictures.load(str(folder), p5.data.Problems(), split=(0.5, 0.1, 0.1))
    with pytest.raises(ValueError, match=r"three pictures at least.*with 0"):
        pictures.load(str(tmp_path_factory.mktemp("none")), p5.data.Problems())


def test_the_recipe_reads_them(folder, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    recipe = p5.recipe.load("pretrain")
    settings = [f"dataset=pictures:{folder}", "methods=SimSiam,Rotation"]
    config = p5.recipe.configure(recipe.Config(), settings)
    tasks = recipe.tasks(config)
    assert [task.name for task in tasks] == ["simsiam", "rotation"]
    assert recipe.callbacks(config, tasks) == []
    source = recipe.data(config, tasks, "train")
    (x, y, w), *_ = p5.data.evaluation(source, tasks, 8)
    assert x.shape == (8, 32, 32, 3) and set(y) == set(w) == {"simsiam", "rotation"}
    with pytest.raises(ValueError, match="`methods` must be some of"):
        recipe.tasks(p5.recipe.configure(config, ["methods=SimCRL"]))


def test_a_bad_one_is_left_out_and_named(folder, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    (folder / "part0" / "0.png").write_bytes(b"")
    options = (f"pictures:{folder}", ["split=0.8,0.1,0.1"])
    with pytest.raises(ValueError, match=r"0\.png: it is empty"):
        p5.data.user_data(*options, labelled=False)
    found = p5.data.user_data(*options, "skip", labelled=False).records
    assert np.bincount(found.splits == "test").tolist() == [35, 4]
    ((file, reason),) = found.problems.dropped
    assert file.endswith("0.png") and "empty" in reason
    with pytest.raises(ValueError, match=r"folder:PATH, voc:PATH.*'pictures:"):
        p5.data.user_data(*options)
