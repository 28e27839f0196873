"""How a run ends when something goes wrong: what it does before, and its exit codes."""

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from absl import app

from p5_keras import strategy
from p5_keras.data.importers.watched import named_faults
from p5_keras.naming import printable
from p5_keras.training import shutdown
from p5_keras.training.shutdown import PREEMPTED as PREEMPTED

#: Exit code of a worker that has lost another one: all must be started again.
WORKER_LOST = 76

#: What is said of a disk that cannot be written or read.
DISK = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "Read-only file system",
    "Permission denied",
    "Input/output error",
    "Stale file handle",
)

#: What TensorFlow raises in a worker that waits for one that is gone.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)

#: Seconds between two looks at the other workers, and looks in vain to lose one.
WATCH_SECONDS, WATCH_TRIES = 5.0, 3


def farewell(distribution: tf.distribute.Strategy) -> None:
    """Waits until all workers have come here, where each may end.

    One that ends takes along what another may still be fetching from it. That it was
    here is all that the other wants to know.

    Args:
        distribution: The strategy.
    """
    with contextlib.suppress(*LOST):
        strategy.total(distribution, [0.0])


@contextlib.contextmanager
def workers_watched(addresses: Sequence[str]) -> Iterator[None]:
    """Ends this process, with `WORKER_LOST`, when another worker is gone for a while.

    TensorFlow notices at once only where it happens to wait for that worker's answer.

    Args:
        addresses: The other workers', as "host:port".
    """
    done = threading.Event()

    def watch() -> None:
        misses = dict.fromkeys(addresses, 0)
        while not done.wait(WATCH_SECONDS):
            for address in addresses:
                host, _, port = address.rpartition(":")
                try:
                    socket.create_connection((host, int(port)), WATCH_SECONDS).close()
                    misses[address] = 0
                except OSError:
                    misses[address] += 1
                if misses[address] == WATCH_TRIES and not done.is_set():
                    print(f"error: the worker at {address} was lost", file=sys.stderr)
                    _end(WORKER_LOST)

    if addresses:
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def run(main: Callable[[list[str]], Any]) -> None:
    """Runs a command; a user's mistake is one line, not a traceback.

    Args:
        main: What `absl.app.run` takes.

    Raises:
        SystemExit: Always, with 0, 1, `WORKER_LOST`, or the code of a signal
            (`shutdown.CODES`). One of several workers ends the process at once, without
            TensorFlow's farewell, in which one that has lost the others waits for them.
    """
    cluster = strategy.in_cluster()
    with shutdown.taken() as came, shutdown.tied():
        try:
            _one_line(main)
        except BaseException as error:
            if came:
                shutdown.tell(came[0], "ended; the same command goes on.", sys.stderr)
                code = shutdown.CODES[came[0]]
                if cluster or code == shutdown.HUNG_UP:  # no terminal to flush to
                    _end(code)
                raise SystemExit(code) from None
            if not cluster:
                raise
            if isinstance(error, SystemExit):
                _end(error.code)
            if isinstance(error, LOST):
                lines = str(error).strip().splitlines()
                told = [line for line in lines if "ollective" in line] or lines
                print(f"error: another worker was lost: {told[0]}", file=sys.stderr)
                _end(WORKER_LOST)
            sys.excepthook(*sys.exc_info())
            _end(1)


def _one_line(main: Callable[[list[str]], Any]) -> None:
    def checked(argv: list[str]) -> Any:
        if argv[1:]:
            raise ValueError(f"Arguments must be --flags. Received: {argv[1:]}")
        with named_faults():
            return main(argv)

    try:
        app.run(checked)
    except (ValueError, OSError, tf.errors.OpError) as error:
        # A disk that is full, a file that is gone: not ours, and told with its name.
        outside = isinstance(error, OSError) and error.filename is not None
        outside = outside or any(told in str(error) for told in DISK)
        if "--debug" in sys.argv or not (outside or isinstance(error, ValueError)):
            raise
        # An error inside a tf.data function comes wrapped in the story of its graph.
        line = str(error).split("ValueError: ")[-1].strip()
        if not isinstance(error, ValueError):
            line = line.splitlines()[0]
        sys.exit(f"error: {printable(line)}")


def _end(code: Any) -> None:
    if isinstance(code, str):
        print(code, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # as of a terminal that is gone
            stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)
