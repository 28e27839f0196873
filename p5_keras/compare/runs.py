"""Runs of train.py in processes of their own, some at a time."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from p5_keras.supervise import start
from p5_keras.training.lock import lock
from p5_keras.workdir import Workdir

#: Seconds that a run has to save and end in when the comparison is interrupted.
GRACE_SECONDS = 30.0


@dataclass(frozen=True)
class Run:
    """One run of train.py.

    Attributes:
        name: What to call it.
        workdir: Its folder.
        flags: Its flags beside those that the comparison itself was given.
        mode: "train" or "trial".
    """

    name: str
    workdir: Path
    flags: tuple[str, ...]
    mode: str = "train"

    @property
    def finished(self) -> bool:
        """Whether it has results.

        Raises:
            ValueError: They are damaged.
        """
        return Workdir(self.workdir).read("results.json") is not None

    def command(self) -> list[str]:
        """Returns its command: that of the comparison, with what is its own."""
        from p5_keras.cli.flags import again

        main = sys.modules["__main__"]
        spec = getattr(main, "__spec__", None)
        program = ["-m", spec.parent] if spec else [str(main.__file__)]
        own = [f"--mode={self.mode}", f"--workdir={self.workdir}", "--export="]
        own += self.flags
        return [sys.executable, *program, *again(sys.argv[1:], self.mode, own)]


def default_jobs() -> int:
    """Returns 1 on a GPU or TPU, else one run a core, up to 4."""
    if tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("TPU"):
        return 1
    return min(os.cpu_count() or 1, 4)


def run_all(runs: Sequence[Run], jobs: int) -> Iterator[tuple[Run, float, str]]:
    """Runs what has not finished.

    Args:
        runs: The runs, the first one to be started first.
        jobs: How many at a time; they share the cores.

    Yields:
        Each run when it ends, its seconds on the clock, and "" or why it failed.
    """
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = {
        **os.environ,
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": threads,
    }
    waiting = [run for run in runs if not run.finished][::-1]
    running: list[tuple[Run, float, subprocess.Popen[bytes]]] = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop()
                run.workdir.mkdir(parents=True, exist_ok=True)
                _wait_for(run.workdir)
                with (run.workdir / "log.txt").open("wb") as log:
                    process = start(run.command(), environment, stdout=log, stderr=log)
                running.append((run, time.monotonic(), process))
            for item in [item for item in running if item[2].poll() is not None]:
                running.remove(item)
                run, began, process = item
                yield run, time.monotonic() - began, _reason(run, process.returncode)
            time.sleep(0.1)
    finally:
        _end([process for _, _, process in running])


def _wait_for(folder: Path) -> None:
    """Gives the run of a comparison that was killed the time to save and end."""
    until = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < until:
        try:
            lock(folder)  # which is given back at once
            return
        except (ValueError, OSError):
            time.sleep(0.2)


def _reason(run: Run, code: int) -> str:
    """Returns "" for a run that succeeded, else why it did not, in a line."""
    if code == 0:
        return ""
    log = run.workdir / "log.txt"
    lines = log.read_text(errors="replace").strip().splitlines() or ["no output"]
    told = [line for line in lines if line.startswith("error: ")]
    return f"{(told or lines)[-1].removeprefix('error: ')} (exit code {code}; {log})"


def _end(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """Lets runs save and end."""
    processes = list(processes)
    for process in processes:
        process.terminate()
    until = time.monotonic() + GRACE_SECONDS
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, until - time.monotonic()))
        process.kill()
        process.wait()
