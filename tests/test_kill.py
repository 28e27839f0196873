"""A run that is killed again and again ends as one that is left alone."""

import csv
import json
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5

ROOT = pathlib.Path(__file__).parents[1]
EPOCHS, STEPS = 4, 5

# `python train.py`, but with steps that take their time and saves in mid-epoch.
DRIVER = """
import runpy, sys, time
import p5_keras as p5

class Slow(p5.Checkpoints):
    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.1)
        super().on_train_batch_end(batch, logs)

p5.Checkpoints = Slow
sys.argv[0] = "train.py"
runpy.run_path("train.py", run_name="__main__")
"""


def start(workdir, *more):
    """Starts the command; returns its process."""
    recipe = ROOT / "tests" / "tiny_recipe.py"
    flags = [f"--recipe={recipe}", f"--workdir={workdir}", f"--epochs={EPOCHS}"]
    flags += ["--set=save_seconds=0.15", *more]
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, *flags],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def history(workdir):
    path = workdir / "logs" / "history.csv"
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file))


def points(workdir):
    """All points for TensorBoard, as (part, tag, step), sorted."""
    found = []
    for path in (workdir / "logs").rglob("events.out.tfevents.*"):
        for raw in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(raw.numpy())
            tags = [value.tag for value in event.summary.value]
            found += [(path.parent.name, tag, event.step) for tag in tags]
    return sorted(found)


def saves(workdir):
    """The states that were saved after a step."""
    folder = workdir / "checkpoints" / "state"
    return {path.name for path in folder.glob("*.index")} - {"step_0000000000.index"}


def kill_when(process, condition, delay=0.0):
    """Kills a process some seconds after something holds."""
    until = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.01)
    time.sleep(delay)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--weighting=GradNorm",)])
def test_a_killed_run_ends_as_an_unbroken_one(flags, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finish(start(whole, *flags))

    for _ in range(2):  # at any time after a save, so that something is won
        before = saves(broken)
        process = start(broken, *flags)
        kill_when(process, lambda b=before: saves(broken) - b, random.uniform(0, 0.5))
        assert len(history(broken)) < EPOCHS
    # At the end of the last epoch, before or while the results are made.
    process = start(broken, *flags)
    kill_when(process, lambda: len(history(broken)) == EPOCHS)
    assert not (broken / "results.json").exists()
    finish(start(broken, *flags))

    rows = [
        [
            {k: v for k, v in row.items() if "seconds" not in k}
            for row in history(workdir)
        ]
        for workdir in (whole, broken)
    ]
    for ours, theirs in zip(*rows, strict=True):
        assert {k: float(v) for k, v in ours.items()} == pytest.approx(
            {k: float(v) for k, v in theirs.items()}, rel=1e-6
        )
    results = [json.loads((w / "results.json").read_text()) for w in (whole, broken)]
    assert results[0]["tasks"] == results[1]["tasks"]
    for key in ("epochs", "steps", "best_epoch", "val_skill"):
        assert results[0]["train"][key] == results[1]["train"][key]
    assert results[0]["train"]["steps"] == EPOCHS * STEPS
    best = [p5.Workdir(w).best_model().weights for w in (whole, broken)]
    for ours, theirs in zip(*best, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-7)
    for name in ("report.html", "export/saved_model.pb"):
        assert (broken / name).exists()
    assert not list(broken.rglob("partial*"))
    assert points(broken) == points(whole)
    assert len(points(whole)) == len(set(points(whole)))


# `python train.py`, told to end shortly after something has begun.
TOLD = """
import os, runpy, signal, sys, threading
import p5_keras as p5

where, name = sys.argv.pop(1).split(":")
owner = {"model": p5.plan.Plan, "write": p5.export, "finish": p5.results}.get(where)
if owner:
    made = getattr(owner, where)

    def then(*args, **kwargs):
        tell = lambda: os.kill(os.getpid(), getattr(signal, name))
        threading.Timer(0.05, tell).start()
        return made(*args, **kwargs)

    setattr(owner, where, then)
sys.argv[0] = "train.py"
runpy.run_path("train.py", run_name="__main__")
"""


@pytest.mark.slow
def test_a_signal_outside_of_training_loses_nothing(tmp_path):
    def run(where, name):
        flags = [f"--recipe={ROOT / 'tests' / 'tiny_recipe.py'}", "--epochs=2"]
        return subprocess.run(
            [sys.executable, "-c", TOLD, f"{where}:{name}", *flags, f"--workdir={w}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    w = tmp_path / "run"
    for where, name, code in (
        ("model", "SIGHUP", 129),  # while the model is built
        ("write", "SIGTERM", 75),  # while it is exported
        ("finish", "SIGINT", 130),  # while it is measured, and the report made
    ):
        done = run(where, name)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert not (w / "results.json").exists()
    before = saves(w)
    done = run("", "")
    assert done.returncode == 0, done.stderr
    assert saves(w) == before  # nothing was trained again
    assert json.loads((w / "results.json").read_text())["train"]["steps"] == 2 * STEPS
    assert not list(w.rglob("partial*"))
