import json
import math

import keras
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras import json_file

DECIDED = {"recipe": "r", "seed": 0, "size": (3, 4), "rate": 0.1, "note": None}


@pytest.fixture
def workdir(tmp_path):
    return p5.Workdir(tmp_path / "deep" / "run")


def trained(workdir):
    (workdir / "checkpoints").mkdir()
    return workdir


def test_a_new_folder_keeps_what_was_decided_with_versions(workdir):
    assert workdir.begin(DECIDED) is None
    config = json.loads((workdir / "config.json").read_text())
    versions = config.pop("versions")
    run, checksum = config.pop("run"), config.pop("checksum")
    assert config == {**DECIDED, "size": [3, 4]}
    assert workdir.run() == run
    assert checksum == json_file.checksum({**config, "run": run, "versions": versions})
    assert versions["tensorflow"] == tf.__version__
    assert versions["keras"] == keras.__version__
    assert versions["p5_keras"] == p5.__version__
    assert not list(workdir.path.glob("partial*"))


def test_the_same_decisions_resume(workdir):
    workdir.begin(DECIDED)
    before = (trained(workdir) / "config.json").read_text()
    assert p5.Workdir(workdir.path).begin(dict(DECIDED)) is None
    assert (workdir / "config.json").read_text() == before


def test_versions_may_change(workdir, monkeypatch):
    workdir.begin(DECIDED)
    monkeypatch.setattr(p5, "__version__", "99")
    assert trained(workdir).begin(DECIDED) is None


def test_other_decisions_are_named_field_by_field(workdir):
    workdir.begin(DECIDED)
    other = {**DECIDED, "seed": 1, "size": [3, 5], "new": True}
    other.pop("rate")
    with pytest.raises(ValueError, match="started differently") as error:
        trained(workdir).begin(other)
    message = str(error.value)
    assert str(workdir.path) in message
    assert "seed: 0 there, 1 now" in message
    assert "size: [3, 4] there, [3, 5] now" in message
    assert "new: None there, True now" in message
    assert "rate: 0.1 there, None now" in message
    assert "recipe" not in message and "note" not in message
    assert "\n" not in message


def test_before_anything_was_trained_decisions_may_change(workdir):
    workdir.begin(DECIDED)
    assert workdir.begin({**DECIDED, "seed": 1}) is None
    assert workdir.read("config.json")["seed"] == 1


def test_a_finished_run_gives_its_results(workdir):
    workdir.begin(DECIDED)
    workdir.write("results.json", {"tasks": {}})
    assert workdir.begin(DECIDED) == {"tasks": {}}
    with pytest.raises(ValueError, match="seed: 0 there, 1 now"):
        workdir.begin({**DECIDED, "seed": 1})


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ValueError, match=r"`workdir` must be .* written.*file"):
            p5.Workdir(path).begin(DECIDED)


def test_a_folder_that_cannot_be_written_is_named(workdir):
    # A folder in the way stands for a disk that is full or read-only.
    (workdir / ".lock").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"`workdir` must be .* written"):
        workdir.begin(DECIDED)


def test_json_is_written_whole_and_without_nan(workdir):
    workdir.begin(DECIDED)
    value = {"a": math.nan, "b": [1.5, math.inf, {"c": (-math.inf, "x", True)}]}
    workdir.write("data.json", value)
    expected = {"a": None, "b": [1.5, None, {"c": [None, "x", True]}]}
    assert workdir.read("data.json") == expected
    text = (workdir / "data.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    with pytest.raises(TypeError):
        workdir.write("data.json", {"a": object()})
    assert workdir.read("data.json")["a"] is None


def test_a_missing_file_is_none(workdir):
    assert workdir.read("results.json") is None


def test_a_workdir_without_a_model_says_so(workdir):
    with pytest.raises(ValueError, match=r"must hold a trained model.*--mode=train"):
        workdir.best_model()
