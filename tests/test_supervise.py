"""The supervisor, with commands that need no TensorFlow; and one that does."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from p5_keras import faults, supervise

ROOT = pathlib.Path(__file__).parents[1]
SUPERVISE = [sys.executable, str(ROOT / "p5_keras" / "supervise.py")]

# Counts its starts in a file, by worker, and then does as it is told.
COUNTED = """
import json, os, pathlib, signal, sys, time
config = json.loads(os.environ.get("TF_CONFIG", '{"task": {"index": 0}}'))
index = config["task"]["index"]
file = pathlib.Path(sys.argv[1]) / str(index)
start = int(file.read_text()) + 1 if file.exists() else 1
file.write_text(str(start))
"""


def command(folder, code):
    return [sys.executable, "-c", COUNTED + code, str(folder)]


def starts(folder):
    return {path.name: int(path.read_text()) for path in folder.iterdir()}


def test_success_is_the_end(tmp_path):
    assert supervise.supervise(command(tmp_path, ""), workers=2) == 0
    assert starts(tmp_path) == {"0": 1, "1": 1}


@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), 9)", "sys.exit(75)", "sys.exit(76)", "os.abort()"]
)
def test_all_start_again_when_one_is_lost(end, tmp_path, capfd):
    code = f"if index == 1 and start < 3: {end}"
    assert supervise.supervise(command(tmp_path, code), workers=2) == 0
    assert starts(tmp_path) == {"0": 3, "1": 3}
    assert "starting all again, 10 times at most" in capfd.readouterr().err


def test_those_that_do_not_end_by_themselves_are_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(supervise, "LOST_SECONDS", 0.3)
    code = "if start < 2: time.sleep(100 if index == 0 else 0); sys.exit(76)"
    assert supervise.supervise(command(tmp_path, code), workers=2) == 0
    assert starts(tmp_path) == {"0": 2, "1": 2}


def test_a_mistake_is_not_tried_again(tmp_path):
    code = "sys.exit(1 if index == 0 else 76)"  # the others have lost the first
    assert supervise.supervise(command(tmp_path, code), workers=2) == 1
    assert starts(tmp_path) == {"0": 1, "1": 1}


@pytest.mark.parametrize(("end", "code"), [("sys.exit(76)", 76), ("os.abort()", 134)])
def test_restarts_are_bounded(end, code, tmp_path):
    assert supervise.supervise(command(tmp_path, end), restarts=2) == code
    assert starts(tmp_path) == {"0": 3}


def test_workers_get_one_cluster_and_one_worker_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "as it is")
    assert supervise._environments(1)[0]["TF_CONFIG"] == "as it is"
    found = [json.loads(e["TF_CONFIG"]) for e in supervise._environments(3)]
    assert found[0]["cluster"] == found[1]["cluster"] == found[2]["cluster"]
    assert len(set(found[0]["cluster"]["worker"])) == 3
    assert [f["task"] for f in found] == [
        {"type": "worker", "index": i} for i in range(3)
    ]


def test_sigterm_reaches_all_and_ends_it(tmp_path):
    code = "signal.signal(15, lambda *_: sys.exit(75)); file.with_suffix('.up').touch()"
    code += "\nfor _ in range(500): time.sleep(0.05)"
    process = subprocess.Popen(
        [*SUPERVISE, "--workers=2", "--", *command(tmp_path, code)],
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 20
        while len(list(tmp_path.glob("*.up"))) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == supervise.PREEMPTED == faults.PREEMPTED
    finally:
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
    assert {path.name: path.read_text() for path in tmp_path.glob("?")} == {
        "0": "1",
        "1": "1",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers=0", "--", "true"], "1 worker or more"),
        (["--workers=2"], "There must be a command"),
        (["--", "/no/such/command"], "No such file"),
    ],
)
def test_a_mistake_is_one_line(arguments, message):
    done = subprocess.run(
        [*SUPERVISE, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


# `python train.py`, but with steps that take their time and a save at each.
DRIVER = """
import json, os, pathlib, runpy, sys, time
import p5_keras as p5

class Slow(p5.Checkpoints):
    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.1)
        super().on_train_batch_end(batch, logs)

p5.Checkpoints = Slow
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
pathlib.Path(os.environ["PIDS"], str(index)).write_text(str(os.getpid()))
sys.argv[0] = "train.py"
runpy.run_path("train.py", run_name="__main__")
"""


def step(workdir):
    states = sorted((workdir / "checkpoints" / "state").glob("*.index"))
    return int(states[-1].stem.removeprefix("step_")) if states else -1


def run(workdir, kills, tmp_path):
    """Trains with two workers, and kills some: (worker, after which step)."""
    pids = tmp_path / f"pids_{workdir.name}"
    pids.mkdir()
    train = [sys.executable, "-c", DRIVER, f"--recipe={ROOT}/tests/tiny_recipe.py"]
    train += [f"--workdir={workdir}", "--epochs=3", "--set=save_seconds=0.1"]
    train += ["--weighting=NashMTL", "--export="]
    with (tmp_path / f"{workdir.name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "p5_keras.supervise", "--workers=2", "--", *train],
            cwd=ROOT,
            env={**os.environ, "PIDS": str(pids)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 600
        for worker, after in kills:
            while step(workdir) < after:
                assert process.poll() is None and time.monotonic() < until
                time.sleep(0.02)
            os.kill(int((pids / str(worker)).read_text()), signal.SIGKILL)
        assert process.wait(max(1, until - time.monotonic())) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return (tmp_path / f"{workdir.name}.log").read_text()


@pytest.mark.slow
def test_a_killed_worker_changes_nothing_in_the_result(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    log = run(whole, [], tmp_path)
    assert "starting all again" not in log
    # One that is not the chief, and then the chief.
    log = run(broken, [(1, 3), (0, 8)], tmp_path)
    assert log.count("starting all again") == 2
    rows, results = [], []
    for workdir in (whole, broken):
        with (workdir / "logs" / "history.csv").open() as file:
            rows.append(list(csv.DictReader(file)))
        results.append(json.loads((workdir / "results.json").read_text()))
    for ours, theirs in zip(*rows, strict=True):
        for key in ("seconds", "val_seconds"):
            del ours[key], theirs[key]
        assert {k: float(v) for k, v in ours.items()} == pytest.approx(
            {k: float(v) for k, v in theirs.items()}, rel=1e-5
        )
    tasks = [json.dumps(r["tasks"], sort_keys=True) for r in results]
    assert tasks[0] == tasks[1]
    assert results[1]["train"]["steps"] == results[0]["train"]["steps"] == 15
    # The chief alone writes.
    assert not list(broken.rglob("partial*"))
    assert len(list((broken / "logs" / "train").glob("events*"))) >= 1
