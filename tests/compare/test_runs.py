"""Runs in processes, with commands that need no TensorFlow."""

import subprocess
import sys
import time

import pytest

from p5_keras.compare import runs
from p5_keras.compare.runs import Run, run_all
from p5_keras.training import lock

PROGRAM = """
import os, pathlib, sys, time
workdir = pathlib.Path(sys.argv[1])
time.sleep(float(sys.argv[2]))
(workdir / "threads").write_text(os.environ["TF_NUM_INTRAOP_THREADS"])
code = int(sys.argv[3])
if code:
    print("some lines\\nerror: it cannot be")
    sys.exit(code)
(workdir / "results.json").write_text('{"tasks": {}}')
"""


@pytest.fixture(autouse=True)
def program(monkeypatch):
    monkeypatch.setattr(
        Run,
        "command",
        lambda run: [sys.executable, "-c", PROGRAM, str(run.workdir), *run.flags],
    )


def run(folder, name, seconds=0.0, code=0):
    return Run(name, folder / name, (str(seconds), str(code)))


def test_each_run_is_told_when_it_ends_and_why_it_failed(tmp_path):
    given = [run(tmp_path, "a"), run(tmp_path, "b", code=1), run(tmp_path, "c")]
    ended = {r.name: reason for r, _, reason in run_all(given, 2)}
    assert ended["a"] == ended["c"] == ""
    assert ended["b"].startswith("it cannot be (exit code 1; ")
    assert [r.finished for r in given] == [True, False, True]


def test_what_has_finished_is_not_repeated(tmp_path):
    given = [run(tmp_path, "a"), run(tmp_path, "b")]
    assert len(list(run_all(given[:1], 1))) == 1
    assert [r.name for r, *_ in run_all(given, 1)] == ["b"]


def test_some_run_at_a_time_and_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(runs.os, "cpu_count", lambda: 6)
    given = [run(tmp_path, str(i), seconds=1.0) for i in range(3)]
    start = time.monotonic()
    assert len(list(run_all(given, 3))) == 3
    assert time.monotonic() - start < 2.7
    assert (tmp_path / "0" / "threads").read_text() == "2"


def test_whoever_stops_looking_ends_the_runs(tmp_path):
    given = [run(tmp_path, "a"), run(tmp_path, "b", seconds=60)]
    start = time.monotonic()
    ends = run_all(given, 2)
    next(ends)
    ends.close()
    assert time.monotonic() - start < 20
    assert not given[1].finished


def test_a_run_of_one_that_was_killed_is_waited_for(tmp_path):
    given = run(tmp_path, "a")
    given.workdir.mkdir()
    code = "import pathlib, runpy, sys, time\n"
    code += "held = runpy.run_path(sys.argv[1])['lock'](pathlib.Path(sys.argv[2]))\n"
    code += "print(flush=True); time.sleep(1)"
    command = [sys.executable, "-c", code, lock.__file__, str(given.workdir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        ((_, _, reason),) = run_all([given], 1)
        assert process.poll() == 0
    assert not reason
