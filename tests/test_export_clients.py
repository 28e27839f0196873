"""Every export, run by docs/client.py without this package, on a trained model."""

import importlib.util
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import p5_keras as p5

ROOT = pathlib.Path(__file__).parents[1]
NEEDS = {
    "saved_model": [],
    "litert": ["ai_edge_litert"],
    "onnx": ["onnxruntime", "tf2onnx"],
}

# The client, where it is an error to import what a device does not have.
GUARD = """
import runpy, sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(",")))
runpy.run_path("client.py", run_name="__main__")
"""

pytestmark = pytest.mark.slow


def needing(form):
    """A mark that skips before a model is trained for nothing."""
    missing = [name for name in NEEDS[form] if not importlib.util.find_spec(name)]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The quickstart after some minutes: good enough to have something to lose."""
    workdir = tmp_path_factory.mktemp("run")
    flags = ["--epochs=3", "--set=scenes=8000", "--export=", f"--workdir={workdir}"]
    subprocess.run([sys.executable, ROOT / "train.py", *flags], check=True)
    return p5.Workdir(workdir).best_model()


@pytest.fixture(scope="module")
def batch(model):
    """100 images of the test split with labels, and what the model says of them."""
    source = p5.data.from_tfds(p5.data.builder("digit_scenes"), "test").first(100)
    (found,) = model.predictions(p5.data.evaluation(source, model.tasks, 100))
    return found


def served(path, batch):
    """What a client without this package and, if it can, TensorFlow makes of it."""
    folder = path.parent
    np.save(folder / "images.npy", batch["x"])
    (folder / "client.py").write_bytes((ROOT / "docs/client.py").read_bytes())
    hidden = ["p5_keras", "keras"] + ["tensorflow"] * path.is_file()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            GUARD,
            ",".join(hidden),
            path,
            "images.npy",
            "found.npz",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "found.npz"))


@pytest.mark.parametrize("form", [pytest.param(f, marks=needing(f)) for f in NEEDS])
def test_floats_agree(form, model, batch, tmp_path):
    path = tmp_path / p5.export.FILES[form]
    getattr(p5.export, form)(model, path)
    found = served(path, batch)
    fields = batch["fields"]
    assert set(found) == {f"{t}_{key}" for t in fields for key in fields[t]}
    for task, own in fields.items():
        for key, value in own.items():
            name = f"{task}_{key}"
            np.testing.assert_allclose(found[name], value, 1e-4, 1e-4, err_msg=name)


@needing("litert")
@pytest.mark.parametrize("quantize", ["dynamic", "int8"])
def test_eight_bits_cost_less_than_two_points(quantize, model, batch, tmp_path, capsys):
    source = p5.data.from_tfds(p5.data.builder("digit_scenes"), "validation").first(200)
    images = p5.data.evaluation(source, model.tasks, 50).map(lambda x, y, w: x)
    p5.export.litert(model, tmp_path / "model.tflite", quantize, images)
    found = served(tmp_path / "model.tflite", batch)
    for task in model.tasks:
        own = batch["fields"][task.name]
        theirs = {key: found[f"{task.name}_{key}"] for key in own}
        before, after = (score(task, batch, fields) for fields in (own, theirs))
        with capsys.disabled():
            print(f"\n{quantize} {task.name}: {before:.4f} -> {after:.4f}", end="")
        assert after > before - 0.02, task.name
        assert task.kind != "detection" or before > 0.5


def score(task, batch, fields):
    """Mean average precision at IoU .5 of boxes, else the mean score of the images."""
    label, weight = batch["label"][task.name], batch["weight"][task.name]
    if evaluator := task.evaluator():
        evaluator.update(label, weight, fields)
        return evaluator.result()["map50"]
    return task.example_scores(label, fields).mean()
