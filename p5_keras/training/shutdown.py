"""SIGTERM, SIGINT and SIGHUP: how a command ends that is told to."""

import contextlib
import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

#: Exit codes: after SIGTERM, SIGHUP and Ctrl-C the same command goes on.
PREEMPTED, HUNG_UP, INTERRUPTED = 75, 129, 130
CODES = {
    getattr(signal, name): code
    for name, code in (
        ("SIGTERM", PREEMPTED),
        ("SIGHUP", HUNG_UP),
        ("SIGINT", INTERRUPTED),
    )
    if hasattr(signal, name)
}

#: Seconds that a call into native code may go on, as a compilation, of which nothing is
#: lost; and that all may take that is done at the end: a step, a save, an export that
#: does not let itself be interrupted.
NATIVE_SECONDS, END_SECONDS = 5.0, 45.0

#: The other end of a pipe of the process that started this one; see `tied`.
PARENT_PIPE = "P5_PARENT_PIPE"

_came: list[int] = []
_told: list[int] = []
_noting = 0


def ending(number: int) -> BaseException:
    """Returns what a signal raises: as in all of Python, or an exit with its code."""
    if number == signal.SIGINT:
        return KeyboardInterrupt()
    return SystemExit(CODES[number])


def tell(number: int, what: str, file: Any = None) -> None:
    """Prints, once, what a signal has led to."""
    if not _told:
        _told.append(number)
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        with contextlib.suppress(OSError):  # as of a terminal that is gone
            print(f"{name}: {what}", file=file, flush=True)


@contextlib.contextmanager
def noted() -> Iterator[list[int]]:
    """Notes signals for a while, for a training that saves before it ends.

    Yields:
        The signals that came. Outside of the main thread they cannot be caught, and it
        stays empty.

    Raises:
        SystemExit: One came that nothing was made of; for SIGINT `KeyboardInterrupt`.
    """
    global _noting
    with _caught():
        _noting += 1
        try:
            yield _came
        finally:
            _noting -= 1
        if _came:
            raise ending(_came[0])


@contextlib.contextmanager
def taken() -> Iterator[list[int]]:
    """Ends a command at a signal, even where an exception would be lost.

    What a handler raises is swallowed by native code that called back into Python, and
    in native code none is called. A thread sees to it that the process ends.

    Yields:
        The signals that came; the first one has the command's exit code.
    """
    if threading.current_thread() is not threading.main_thread():
        yield []
        return
    _came.clear()
    _told.clear()
    ours, theirs = socket.socketpair()
    with _caught(), ours, theirs:
        theirs.setblocking(False)
        before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        thread = threading.Thread(target=_watch, args=(ours,), daemon=True)
        thread.start()
        try:
            yield _came
        finally:
            signal.set_wakeup_fd(before)
            theirs.close()  # which ends the thread
            thread.join(1.0)


@contextlib.contextmanager
def tied() -> Iterator[None]:
    """Ends this process as by SIGTERM when the one that started it is gone.

    It has said so by a pipe (`supervise.start`) that no one writes to, and that is
    closed when it ends, however it ends.
    """
    pipe = int(os.environ.pop(PARENT_PIPE, "-1"))
    try:
        there = stat.S_ISFIFO(os.fstat(pipe).st_mode)
    except (OSError, ValueError, OverflowError):
        there = False

    def watch() -> None:
        with contextlib.suppress(OSError):
            os.read(pipe, 1)
            os.kill(os.getpid(), signal.SIGTERM)

    if there:
        os.set_inheritable(pipe, False)
        threading.Thread(target=watch, daemon=True).start()
    yield


@contextlib.contextmanager
def _caught() -> Iterator[None]:
    """Installs the handler, but for signals that whoever started this had ignored."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        if signal.getsignal(signal.SIGTERM) is not _handle:
            _came.clear()
            _told.clear()
        for number in CODES:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, _handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle(number: int, frame: Any) -> None:
    _came.append(number)
    if not _noting and len(_came) == 1:  # what it does at the end is not interrupted
        raise ending(number)


def _watch(pipe: socket.socket) -> None:
    """Ends the process some time after a signal, if it does not do so itself."""
    first, started = 0, 0.0
    while True:
        try:
            numbers = [n for n in pipe.recv(16) or b"\0" if n in CODES or n == 0]
        except TimeoutError:
            numbers = []
        except OSError:
            return
        if 0 in numbers:
            return
        if numbers and not first:
            first, started = numbers.pop(0), time.monotonic()
            pipe.settimeout(0.2)
        if not first:
            continue
        waited = time.monotonic() - started
        native = not _came and not _noting and waited > NATIVE_SECONDS
        twice = first == signal.SIGINT and first in numbers
        if native or twice or waited > END_SECONDS:
            tell(first, "ended at once; the last save is whole.", sys.stderr)
            sys.stdout.flush()
            os._exit(CODES[first])
