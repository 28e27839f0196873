"""What is printed, and to whom: a reader may have gone, as `head` does."""

import contextlib
import os
import sys
from collections.abc import Iterator

#: Exit code of a command whose output no one reads any more: as by SIGPIPE.
CLOSED = 141


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Ends the command without a word when what it prints is no longer read.

    Raises:
        SystemExit: With `CLOSED`: the other end of the pipe was closed.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer would be written, in vain, when Python ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        raise SystemExit(CLOSED) from None
