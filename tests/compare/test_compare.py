"""The command, from the start, interrupted, and to the end."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
RECIPE = ROOT / "tests" / "compare" / "planted.py"


def command(workdir, *flags):
    return [
        sys.executable,
        str(ROOT / "train.py"),
        "--mode=compare",
        f"--recipe={RECIPE}",
        f"--workdir={workdir}",
        *flags,
    ]


def run(workdir, *flags):
    return subprocess.run(
        command(workdir, *flags),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.slow
def test_interrupted_it_goes_on_and_finds_what_was_planted(tmp_path):
    workdir = tmp_path / "compared"
    flags = [
        "--compare=",
        "--trials=0",
        "--seeds=3",
        "--set=kind=apart",
        "--set=trunk.units=[2]",
    ]
    flags += ["--epochs=20", "--budget_minutes=30", "--jobs=2"]
    with subprocess.Popen(command(workdir, *flags), start_new_session=True) as process:
        try:
            until = time.monotonic() + 300
            while not (ended := sorted(workdir.rglob("runs/**/results.json"))):
                assert process.poll() is None and time.monotonic() < until
                time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 75
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert not (workdir / "results.json").exists()
    written = {path: path.stat().st_mtime_ns for path in ended}

    done = run(workdir, *flags)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in ended} == written
    assert "Measuring" not in done.stdout  # the time was divided before
    found = json.loads((workdir / "results.json").read_text())
    assert found["seeds"] == [0, 1, 2]
    assert len(list(workdir.rglob("runs/**/results.json"))) == 9
    # With so much time each model gets what the recipe has: 20 epochs of 6 steps.
    for arm in found["arms"].values():
        assert all(m["steps"] == [120] * 3 for m in arm["models"].values())
    gains = found["arms"]["joint"]["differences"]["single"]
    assert all(gains[task]["mean"] < 0 for task in "ab")
    assert (workdir / "report.html").stat().st_size > 20_000

    again = run(workdir, *flags)
    assert again.returncode == 0
    assert all(text in again.stdout for text in found["verdicts"])
    more = ["--seeds=4" if flag == "--seeds=3" else flag for flag in flags]
    other = run(workdir, *more)
    assert other.returncode == 1 and "was started differently" in other.stderr


@pytest.mark.slow
def test_an_arm_that_fails_is_left_out_and_named(tmp_path):
    flags = ["--compare=MTAN", "--trials=0", "--seeds=2", "--epochs=1", "--smoke"]
    done = run(tmp_path, *flags)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "results.json").read_text())
    assert list(found["arms"]) == ["single", "joint"]
    assert "MTAN" in found["failed"] and "\n" not in found["failed"]["MTAN"]


def test_mistakes_are_one_line(tmp_path):
    for flags, message in (
        (["--compare=NashMLT"], "Did you mean 'NashMTL'"),
        (["--tasks=a"], "two tasks or more"),
        (["--tasks=a,c"], "Unknown task"),
        (["--seeds=1"], "seeds=1"),
    ):
        done = run(tmp_path / "never", *flags)
        assert done.returncode == 1
        assert message in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "never" / "runs").exists()
