"""Starts the processes of a run, and all of them again when one is lost.

    python -m p5_keras.supervise --workers=2 -- python train.py --workdir=runs/a

With `--workers=N` there are N on this machine, which find each other by a `TF_CONFIG`
that is made for them. Without it there is one, in the environment as it is: a run on
one device or, where a cluster manager has set `TF_CONFIG`, this machine's worker.

A process that cannot succeed in another try, with exit code 1 or 2, ends all, and so
does Ctrl-C. Anything else, a signal or the codes of `p5_keras.faults`, starts all of
them again: they go on from the last save.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any

#: Exit codes after which there is no other try: of a mistake, which it would only
#: repeat, and of Ctrl-C.
FATAL = (1, 2, 130)
#: As in `p5_keras.training.shutdown`; this file does without TensorFlow.
PREEMPTED, CODES = 75, {"SIGTERM": 75, "SIGINT": 130, "SIGHUP": 129}
#: Seconds that the others have to end by themselves, when one has ended with an error.
LOST_SECONDS = 20.0


class Terminated(Exception):
    """SIGTERM, SIGINT or SIGHUP came; its argument is the exit code."""


_PIPE: list[int] = []


def start(
    command: list[str], environment: dict[str, str], **kwargs: Any
) -> "subprocess.Popen[bytes]":
    """Starts a process that is told when this one ends, even by SIGKILL.

    Args:
        command: The command; `train.py` ends by itself when it is told.
        environment: Its environment; it gets P5_PARENT_PIPE, which is the number of
            the end of a pipe that is closed then.
        **kwargs: Arguments of `subprocess.Popen`.
    """
    if os.name != "posix":
        return subprocess.Popen(command, env=environment, **kwargs)
    if not _PIPE:
        _PIPE.extend(os.pipe())
    environment = {**environment, "P5_PARENT_PIPE": str(_PIPE[0])}
    return subprocess.Popen(command, env=environment, pass_fds=_PIPE[:1], **kwargs)


def supervise(
    command: list[str], workers: int = 1, restarts: int = 10, grace: float = 60.0
) -> int:
    """Runs a command in one process or several until it has succeeded.

    Args:
        command: The command and its arguments.
        workers: Number of processes.
        restarts: How often all of them are started again at most.
        grace: Seconds that all have to save and end in after SIGTERM.

    Returns:
        0; the exit code of the process that failed; or the signal's of `CODES`.

    Raises:
        ValueError: A number is out of range.
    """
    if workers < 1 or restarts < 0 or grace < 0 or not command:
        raise ValueError(
            "There must be a command, 1 worker or more, and no negative number. "
            f"Received: command={command}, workers={workers}, restarts={restarts}, "
            f"grace={grace}"
        )
    for left in reversed(range(restarts + 1)):
        processes: list[subprocess.Popen[bytes]] = []
        try:
            environments = _environments(workers)
            processes += [start(command, e) for e in environments]
            _wait(processes)
        except Terminated as told:
            _end(processes, grace)
            return int(told.args[0])
        finally:
            _end(processes, 0)
        codes = [process.returncode for process in processes]
        if not any(codes):
            return 0
        worst = min((c for c in codes if c), key=lambda code: code not in FATAL)
        if worst in FATAL or not left:
            return worst if worst > 0 else 128 - worst
        print(
            f"supervise: exit codes {codes}; starting all again, {left} times at most.",
            file=sys.stderr,
            flush=True,
        )
    return 0


def _environments(workers: int) -> list[dict[str, str]]:
    """Returns the environment of each process."""
    if workers == 1:
        return [dict(os.environ)]
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(workers)]
        for each in sockets:  # all at once, so that no two get the same port
            each.bind(("127.0.0.1", 0))
        cluster = {"worker": [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]}
    tasks = [{"type": "worker", "index": i} for i in range(workers)]
    return [
        {**os.environ, "TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}
        for task in tasks
    ]


def _wait(processes: list[subprocess.Popen[bytes]]) -> None:
    """Waits until all have ended, or one with an error and the others have had time."""
    until = None
    while any(process.poll() is None for process in processes):
        if until is None and any(process.poll() for process in processes):
            until = time.monotonic() + LOST_SECONDS
        if until is not None and time.monotonic() > until:
            return
        time.sleep(0.05)


def _end(processes: list[subprocess.Popen[bytes]], grace: float) -> None:
    """Tells all to end, and makes those that have not done so in time."""
    running = [process for process in processes if process.poll() is None]
    if grace:
        for process in running:
            process.terminate()
        with contextlib.suppress(Terminated):
            deadline = time.monotonic() + grace
            while time.monotonic() < deadline and any(
                p.poll() is None for p in running
            ):
                time.sleep(0.05)
    for process in running:
        process.kill()
        process.wait()


def main() -> None:
    """Reads the arguments and supervises."""
    parser = argparse.ArgumentParser(
        prog="python -m p5_keras.supervise",
        description="Runs a command, and runs it again when it is killed.",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--restarts", type=int, default=10, help="at most")
    parser.add_argument(
        "--grace", type=float, default=60.0, help="seconds after SIGTERM"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- and the command")
    given = parser.parse_args()
    command = given.command[1:] if given.command[:1] == ["--"] else given.command

    def terminate(number: int, frame: object) -> None:
        raise Terminated(CODES[signal.Signals(number).name])

    for name in CODES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, terminate)
    try:
        sys.exit(supervise(command, given.workers, given.restarts, given.grace))
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
