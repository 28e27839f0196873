"""How a run ends when something goes wrong: what it does before, and its exit codes."""

import contextlib
import os
import signal
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

#: Exit code after SIGTERM: the state is saved, and the same command goes on.
PREEMPTED = 75
#: Exit code of a worker that has lost another one: all must be started again.
WORKER_LOST = 76

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


@contextlib.contextmanager
def sigterm_noted() -> Iterator[Callable[[], bool]]:
    """Notes SIGTERM for a while, for a training that saves before it ends.

    Yields:
        A function that says whether it came. Outside of the main thread signals
        cannot be caught, and it never does.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGTERM, before)


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
        SystemExit: Always, with 0, 1, `PREEMPTED` or `WORKER_LOST`. One of several
            workers ends the process at once, without TensorFlow's farewell, in which
            one that has lost the others waits for them.
    """

    def leave(number: int, frame: Any) -> None:
        sys.exit(PREEMPTED)

    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, leave)
    try:
        if not strategy.in_cluster():
            _one_line(main)
            return
        try:
            _one_line(main)
        except SystemExit as end:
            _end(end.code)
        except LOST as error:
            lines = str(error).strip().splitlines()
            told = [line for line in lines if "ollective" in line] or lines
            print(f"error: another worker was lost: {told[0]}", file=sys.stderr)
            _end(WORKER_LOST)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            _end(1)
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _one_line(main: Callable[[list[str]], Any]) -> None:
    def checked(argv: list[str]) -> Any:
        if argv[1:]:
            raise ValueError(f"Arguments must be --flags. Received: {argv[1:]}")
        with named_faults():
            return main(argv)

    try:
        app.run(checked)
    except (ValueError, OSError, tf.errors.OpError) as error:
        full = "No space left on device" in str(error)
        if "--debug" in sys.argv or not (full or isinstance(error, ValueError)):
            raise
        # An error inside a tf.data function comes wrapped in the story of its graph.
        line = str(error).split("ValueError: ")[-1].strip()
        sys.exit(f"error: {printable(line)}")


def _end(code: Any) -> None:
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)
