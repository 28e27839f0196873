"""Files and folders that are written whole or not at all."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator


@contextlib.contextmanager
def whole(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Lets a file or a folder be written beside its place, then puts it there.

    What was there before is replaced, and stays if the writing fails. A process that is
    killed leaves `partial_<name>`, which the next one that writes `path` removes.

    Args:
        path: The file or folder.

    Yields:
        The path to write to, in the same folder; nothing is there yet.
    """
    path = pathlib.Path(os.path.realpath(path))
    partial, before = (
        path.with_name(f"partial_{what}{path.name}") for what in ("", "old_")
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in (partial, before):
        _remove(left)
    try:
        yield partial
        if path.is_dir():  # which no folder can be put over
            path.replace(before)
        partial.replace(path)
    finally:
        for left in (partial, before):
            _remove(left)


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
