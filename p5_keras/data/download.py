"""A file from the network, whole or not at all."""

import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

try:
    import fcntl
except ImportError:  # as on Windows
    fcntl = None  # type: ignore[assignment]

#: Seconds without a byte after which a server is given up.
TIMEOUT = 60.0
#: How often an address is asked, each time for what is still missing.
TRIES = 5
#: Seconds before it is asked again, twice as many each time.
WAIT = 1.0

_CHUNK = 1 << 20
#: Answers of a server that another try may better.
_PASSING = (408, 425, 429, 500, 502, 503, 504)


class _Again(Exception):
    """What went wrong may go right the next time."""


def download(url: str, file: pathlib.Path, sha256: str | None = None) -> str:
    """Downloads a file.

    Until it is whole it is called `partial_<name>`; what is there of one that was cut
    off or killed is not asked for again, if the server can leave it out and says that
    the file is still the same.

    Args:
        url: Its address.
        file: Where it goes. What is there is replaced.
        sha256: What it must hash to, or `None` if that is not known.

    Returns:
        The SHA-256 of the file.

    Raises:
        ValueError: It cannot be had whole, or has another hash; in one line.
    """
    partial = file.with_name(f"partial_{file.name}")
    known = file.with_name(f"partial_{file.name}.json")
    resumed = False
    for count in range(TRIES):
        try:
            resumed = _more(url, partial, known) or resumed
            found = digest(partial)
            if sha256 not in (None, found) and resumed:
                resumed = False  # its parts may be of two files
                raise _Again("its parts do not fit together")
        except _Again as error:
            if count == TRIES - 1:
                raise ValueError(
                    f"{error}, {TRIES} times; what came is kept, and the same command "
                    f"goes on from there (to begin anew delete {partial})"
                ) from error
            if str(error).startswith("its parts"):
                _remove(partial, known)
            time.sleep(WAIT * 2**count)
            continue
        if sha256 not in (None, found):
            _remove(partial, known)
            raise ValueError(
                f"it has the SHA-256 {found} and must have {sha256}: the address holds "
                "another file by now, or something changed it on the way"
            )
        partial.replace(file)
        _remove(known)
        return found
    raise AssertionError("the last try returns or raises")


def _more(url: str, partial: pathlib.Path, known: pathlib.Path) -> bool:
    """Downloads what is missing of a file; says whether a part was there before."""
    here = partial.stat().st_size if partial.exists() else 0
    before = _read(known) if here else {}
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    if here and before.get("url") == url and before.get("tag"):
        request.add_header("Range", f"bytes={here}-")
        request.add_header("If-Range", before["tag"])
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return _take(url, answer, partial, known, here)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # it has no more than what is here
            _remove(partial, known)
            raise _Again("the server has less than what came before") from error
        if error.code in _PASSING:
            raise _Again(f"the server says {error.code} {error.reason}") from error
        raise ValueError(f"the server says {error.code} {error.reason}") from error
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _Again(_why(error)) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, (TimeoutError, ConnectionError)):
            raise _Again(_why(error.reason)) from error
        raise ValueError(f"it cannot be reached: {error.reason}") from error


def _take(
    url: str, answer: Any, partial: pathlib.Path, known: pathlib.Path, here: int
) -> bool:
    headers = answer.headers
    resumed = getattr(answer, "status", None) == 206
    start = here if resumed else 0
    place = headers.get("Content-Range", "")
    if resumed and not place.startswith(f"bytes {start}-"):
        _remove(partial, known)
        raise _Again(f"the server sends other bytes than were asked for, {place!r}")
    length = headers.get("Content-Length", "")
    total = start + int(length) if length.isdecimal() else None
    tag = headers.get("ETag") or headers.get("Last-Modified") or ""
    if tag.startswith("W/"):  # says nothing about bytes
        tag = ""
    known.write_text(json.dumps({"url": url, "tag": tag}))
    size = start
    with partial.open("ab" if resumed else "wb") as file:
        # As bytes come, and not a large part at once: what came before a fault stays.
        read = getattr(answer, "read1", answer.read)
        while chunk := read(_CHUNK):
            file.write(chunk)
            size += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and size != total:
        raise _Again(f"it was cut off after {size:,} of {total:,} bytes")
    return resumed


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"the server sent nothing for {TIMEOUT:g} s"
    return f"the connection broke ({type(error).__name__})"


def digest(file: pathlib.Path) -> str:
    """Returns the SHA-256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _read(file: pathlib.Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _remove(*files: pathlib.Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(file: pathlib.Path, what: str) -> Iterator[None]:
    """Waits until no other process is at the same work, as long as the block lasts.

    Args:
        file: The file to lock; made if it is not there, and left.
        what: The work, to say what is waited for.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        opened = file.open("a")
    except OSError:  # what cannot be written is not prepared twice either
        yield
        return
    with opened:
        if fcntl is not None:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"Another process is at {what}; waiting for it.", flush=True)
                fcntl.flock(opened, fcntl.LOCK_EX)
            except OSError:
                pass  # a file system without locks
        yield
