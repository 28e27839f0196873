"""How a command ends that is told to, wherever it is."""

import os
import signal
import subprocess
import sys
import time

import pytest

from p5_keras import faults, supervise
from p5_keras.training import shutdown

CODES = {"SIGTERM": 75, "SIGINT": 130, "SIGHUP": 129}

# The module alone, without TensorFlow, as `faults.run` uses it.
RUN = """
import contextlib, os, runpy, signal, sys, time
shutdown = runpy.run_path(sys.argv[1])
shutdown["_watch"].__globals__.update(NATIVE_SECONDS=0.5, END_SECONDS=1.5)

def swallowed():
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(100)

def turned():
    try:
        time.sleep(100)
    except BaseException as error:
        raise ValueError("another error") from error

def noted():
    with shutdown["noted"]():
        print("up", flush=True)
        time.sleep(0.6)

with shutdown["taken"]() as came, shutdown["tied"]():
    try:
        if sys.argv[2] != "noted":
            print("up", flush=True)
        globals().get(sys.argv[2], lambda: time.sleep(100))()
    except BaseException:
        sys.exit(shutdown["CODES"][came[0]] if came else 1)
    sys.exit(0)
"""


def started(what, **kwargs):
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, shutdown.__file__, what],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )
    assert process.stdout.readline() == "up\n"
    return process


@pytest.mark.parametrize("what", ["sleep", "swallowed", "turned", "noted"])
@pytest.mark.parametrize("name", CODES)
def test_a_signal_has_its_exit_code(what, name):
    process = started(what)
    time.sleep(0.1)
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=20)
    assert process.returncode == CODES[name]
    assert "Traceback" not in errors
    assert errors.count("\n") == (what == "swallowed")


def test_a_second_interrupt_does_not_wait():
    process = started("swallowed")
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    process.communicate(timeout=1)
    assert process.returncode == 130


def test_what_was_ignored_stays_so():
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    process = started("sleep", preexec_fn=ignore)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 75


@pytest.mark.parametrize("name", CODES)
def test_a_command_ends_with_the_code_though_its_exception_is_lost(
    name, monkeypatch, capsys
):
    monkeypatch.setattr("sys.argv", ["train.py"])
    before = [signal.getsignal(getattr(signal, n)) for n in CODES]

    def main(argv):
        try:
            os.kill(os.getpid(), getattr(signal, name))
            time.sleep(1)
        except BaseException as error:
            raise RuntimeError("of native code") from error

    ended = []
    monkeypatch.setattr(faults, "_end", ended.append)
    try:
        faults.run(main)
    except SystemExit as end:
        ended.append(end.code)
    assert set(ended) == {CODES[name]}  # `_end` returns here
    assert capsys.readouterr().err.count("\n") == 1
    assert [signal.getsignal(getattr(signal, n)) for n in CODES] == before


PARENT = """
import os, subprocess, sys
sys.path.insert(0, os.path.dirname(sys.argv[1]))
import supervise
child = supervise.start(sys.argv[2:], dict(os.environ), stdout=subprocess.PIPE)
print(child.stdout.readline().decode().strip(), child.pid, flush=True)
child.wait()
"""


def test_a_child_ends_when_its_parent_is_killed():
    child = [sys.executable, "-c", RUN, shutdown.__file__, "sleep"]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, supervise.__file__, *child],
        stdout=subprocess.PIPE,
        text=True,
    )
    up, pid = parent.stdout.readline().split()
    assert up == "up"
    time.sleep(0.2)
    os.kill(int(pid), 0)  # it is there
    parent.kill()
    parent.communicate()
    for _ in range(100):
        try:
            os.kill(int(pid), 0)
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    break
        except (ProcessLookupError, FileNotFoundError):
            break
        time.sleep(0.05)
    else:
        os.kill(int(pid), signal.SIGKILL)
        pytest.fail("the child goes on")
