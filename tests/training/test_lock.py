"""One process at a time in a workdir, and a workdir that goes away."""

import errno
import pathlib
import shutil
import subprocess
import sys

import pytest

import p5_keras as p5
from p5_keras.training import lock

# The module alone, without TensorFlow: takes the lock, says so, and waits.
HOLDER = """
import pathlib, runpy, sys
held = runpy.run_path(sys.argv[1])["lock"](pathlib.Path(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


def holder(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, lock.__file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path):
    process = holder(tmp_path)
    try:
        with pytest.raises(ValueError, match=f"use by process {process.pid} on") as e:
            p5.Workdir(tmp_path).begin({"recipe": "r"})
        assert "\n" not in str(e.value)
        assert not (tmp_path / "config.json").exists()
    finally:
        process.kill()
        process.communicate()
    assert p5.Workdir(tmp_path).begin({"recipe": "r"}) is None


def test_within_a_process_it_is_one_lock_and_ends_with_who_holds_it(tmp_path):
    first = lock.lock(tmp_path)
    assert lock.lock(pathlib.Path(f"{tmp_path}/.")) is first
    del first
    process = holder(tmp_path)
    process.kill()
    process.communicate()


def test_without_locks_it_says_so_and_goes_on(tmp_path, monkeypatch, capsys):
    def none(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", none)
    assert p5.Workdir(tmp_path).begin({"recipe": "r"}) is None
    assert "without locks" in capsys.readouterr().out


@pytest.mark.parametrize("replaced", [False, True])
def test_a_folder_that_was_removed_is_not_made_anew(replaced, tmp_path):
    workdir = p5.Workdir(tmp_path / "run")
    workdir.begin({"recipe": "r"})
    shutil.rmtree(workdir.path)
    if replaced:
        workdir.path.mkdir()
    with pytest.raises(ValueError, match="was removed, or another"):
        workdir.write("results.json", {"tasks": {}})
    assert workdir.path.exists() == replaced


def test_what_a_killed_process_left_half_written_goes(tmp_path):
    for name in ("partial_config.json", "checkpoints/partial_best.keras"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("half")
    (tmp_path / "partial_export").mkdir()
    (tmp_path / "checkpoints").rename(tmp_path / "kept")
    p5.Workdir(tmp_path).begin({"recipe": "r"})
    (tmp_path / "kept").rename(tmp_path / "checkpoints")
    p5.Workdir(tmp_path).begin({"recipe": "r"})
    assert not list(tmp_path.rglob("partial_*"))
