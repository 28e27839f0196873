"""Runs that an earlier version began go on, and its models answer as they did."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest

import p5_keras as p5
from p5_keras.workdir import Workdir

ROOT = pathlib.Path(__file__).parents[1]
FIXTURES = ROOT / "tests" / "fixtures"

# What version 0.1.0, without a run's number and without a stored reading, got on the
# test rows after all six epochs of the run that the fixture is two and a half of.
ENDED = {"price": ("mae", 2.804628849), "kind": ("accuracy", 0.55)}
# And what its best model after two of them makes of a row.
ANSWER = {"price": -1.59538, "kind": 0.47292}  # the value, and P(second class)


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(FIXTURES / "earlier_run", tmp_path / "run")
    shutil.copy(FIXTURES / "rows.csv", tmp_path)
    return tmp_path


def test_its_best_model_answers(folder):
    (folder / "new.csv").write_text("a,b,colour\n0.5,-0.25,red\n")
    model = Workdir(folder / "run").best_model()
    p5.predict_input(model, str(folder / "new.csv"), folder / "out", ())
    line = json.loads((folder / "out" / "predictions.jsonl").read_text())
    line = line["predictions"]
    assert line["price"]["value"][0] == pytest.approx(ANSWER["price"], abs=1e-4)
    assert line["kind"]["probabilities"][1] == pytest.approx(ANSWER["kind"], abs=1e-4)


@pytest.mark.slow
def test_its_run_goes_on_to_the_same_end(folder):
    command = [
        sys.executable,
        str(ROOT / "train.py"),
        "--dataset=table:rows.csv",
        "--dataset_options=targets=price,kind",
        "--epochs=6",
        "--steps_per_epoch=4",
        "--set=table_trunk.units=[8]",
        "--weighting=FAMO",
        "--export=",
        "--workdir=run",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert " 1/6" not in done.stdout, "it began anew"
    results = json.loads((folder / "run" / "results.json").read_text())
    for task, (metric, value) in ENDED.items():
        found = results["tasks"][task]["metrics"][metric]["test"]
        assert found == pytest.approx(value, rel=1e-5)
