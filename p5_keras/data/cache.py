"""Decoded examples, kept once in memory or on disk and read by number."""

import atexit
import errno
import functools
import hashlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

#: Where decoded examples can be kept.
PLACES = ("auto", "memory", "disk", "none")

#: Share of the free memory that decoded examples may fill; while they are put in
#: place they take twice as much.
MEMORY_SHARE = 0.4

#: Share of the free disk that decoded examples may fill.
DISK_SHARE = 0.5


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """Returns the folder for what is computed once from data, and makes it.

    Args:
        cache_dir: The folder; if left out, `p5_keras` below the user's own folder for
            caches, `$XDG_CACHE_HOME` or `~/.cache`; where there is no such folder, one
            that ends with the process.

    Raises:
        ValueError: It cannot be made or written.
    """
    given = cache_dir or os.environ.get("XDG_CACHE_HOME")
    home = given or os.path.expanduser(os.path.join("~", ".cache"))
    folder = pathlib.Path(home if cache_dir else os.path.join(home, "p5_keras"))
    try:
        if not given and str(home)[0] == "~":
            raise OSError(errno.ENOENT, "HOME is not set")
        folder = folder.expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        if not given:
            return _temporary(f"{folder} ({reason})")
        name = "`cache_dir`" if cache_dir else "The variable XDG_CACHE_HOME"
        raise ValueError(
            f"{name} must be a folder that can be written. "
            f"Received: {'cache_dir' if cache_dir else 'XDG_CACHE_HOME'}="
            f"{str(cache_dir or home)!r} ({reason})"
        ) from error
    return folder


@functools.cache
def _temporary(instead_of: str) -> pathlib.Path:
    folder = tempfile.TemporaryDirectory(prefix="p5_keras_")
    atexit.register(folder.cleanup)
    print(
        f"Note: {instead_of} cannot be written: what is found out about data is kept "
        f"in {folder.name} and lost at the end; set XDG_CACHE_HOME to a folder.",
        flush=True,
    )
    return pathlib.Path(folder.name)


def content_key(*parts: Any) -> str:
    """Returns a file name for whatever is computed from some values."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[
        :32
    ]


def file_key(path: str | os.PathLike[str]) -> tuple[str, int, int]:
    """Returns what changes when a file does: its path, time and size."""
    found = os.stat(path)
    return os.path.abspath(path), found.st_mtime_ns, found.st_size


def free_memory() -> int:
    """Returns the bytes of memory that are free, within the limits of a container."""
    free = [_free_pages()]
    group = pathlib.Path("/sys/fs/cgroup")
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            numbers = [int((group / name).read_text("ascii")) for name in (limit, used)]
        except (OSError, ValueError):  # no such file, or "max"
            continue
        free.append(max(numbers[0] - numbers[1], 0))
    return min(free)


def _free_pages() -> int:
    try:
        for line in pathlib.Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    # A quarter of all memory, where the system does not say what is free.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4


def choose_place(
    cache: str, size: int, cache_dir: str | os.PathLike[str] | None = None
) -> str:
    """Decides where decoded examples are kept.

    Args:
        cache: One of `PLACES`; "auto" is the first of "memory", "disk" and "none" in
            whose share the examples fit.
        size: Bytes of all examples, decoded.
        cache_dir: See `cache_folder`.

    Raises:
        ValueError: It is none of these.
    """
    if cache not in PLACES:
        raise ValueError(
            f"`cache` must be one of {', '.join(map(repr, PLACES))}. "
            f"Received: cache={cache!r}"
        )
    if cache != "auto":
        return cache
    if size <= MEMORY_SHARE * free_memory():
        return "memory"
    free = shutil.disk_usage(cache_folder(cache_dir)).free
    return "disk" if size <= DISK_SHARE * free else "none"


def keep(
    batches: Iterable[list[np.ndarray]],
    shapes: Sequence[tuple[int, ...]],
    dtypes: Sequence[Any],
    folder: pathlib.Path | None = None,
) -> list[tf.Tensor]:
    """Keeps arrays in memory, or in files that are mapped into it.

    Args:
        batches: The arrays in parts, each a list with the next rows of every array.
        shapes: Shapes of the arrays.
        dtypes: Their types.
        folder: Folder of the files, which appears when they are complete. If it is
            there, `batches` is not used. `None` keeps the arrays in memory.

    Returns:
        A tensor for each array.

    Raises:
        ValueError: The files cannot be written.
    """
    kinds = [np.dtype(tf.as_dtype(dtype).as_numpy_dtype) for dtype in dtypes]
    if folder is None:
        arrays = [np.empty(*form) for form in zip(shapes, kinds, strict=True)]
        start = 0
        for parts in batches:
            end = start + len(parts[0])
            for array, part in zip(arrays, parts, strict=True):
                array[start:end] = part
            start = end
        with tf.device("CPU:0"):
            return [tf.constant(array) for array in arrays]
    if not folder.is_dir():
        with _new_folder(folder) as new:
            files = [(new / f"{i}.raw").open("wb") for i in range(len(shapes))]
            try:
                for parts in batches:
                    for file, part, kind in zip(files, parts, kinds, strict=True):
                        file.write(np.ascontiguousarray(part, kind).data)
            finally:
                for file in files:
                    file.close()
    with tf.device("CPU:0"):
        return [
            tf.raw_ops.ImmutableConst(
                dtype=dtype, shape=shape, memory_region_name=str(folder / f"{i}.raw")
            )
            for i, (shape, dtype) in enumerate(zip(shapes, dtypes, strict=True))
        ]


@contextmanager
def _new_folder(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a folder to fill, which gets its name at the end, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = pathlib.Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder.parent))
    try:
        yield new
        try:
            new.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first
                raise
    except OSError as error:
        raise ValueError(
            "`cache_dir` must have room for the decoded examples; cache='none' needs "
            f"none. Received: cache_dir={str(folder.parent)!r} ({error.strerror})"
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
