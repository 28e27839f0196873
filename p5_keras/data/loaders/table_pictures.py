"""The pictures that a table names."""

import os
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from p5_keras.data.image_file import EXTENSIONS
from p5_keras.data.loaders.table_file import Table

_SUFFIXES = tuple(suffix for group in EXTENSIONS.values() for suffix in group)
_PATTERN = r"\.(" + "|".join(suffix[1:] for suffix in _SUFFIXES) + ")$"


def find_column(table: Table, names: list[str]) -> str | None:
    """Returns the column in which most values end like names of pictures.

    Args:
        table: The table.
        names: The columns to look at.

    Raises:
        ValueError: There are several.
    """
    found = []
    for name in names:
        values = table.columns[name].drop_null()
        if pa.types.is_string(values.type):
            ends = pc.match_substring_regex(values, _PATTERN, ignore_case=True)
            if 2 * np.sum(ends.to_numpy(False)) > len(values):
                found.append(name)
    if len(found) > 1:
        raise ValueError(
            "`image` must say which column names the pictures. "
            f"Received: image=None, columns with names of pictures={found}"
        )
    return found[0] if found else None


def folder(file: pathlib.Path, image_dir: str | None) -> str:
    """Returns the folder that the names of pictures start from, absolute.

    Args:
        file: The table.
        image_dir: The folder, seen from the table's or from where the command runs;
            `None` for the table's own.

    Raises:
        ValueError: It is not there.
    """
    if image_dir is None:
        return str(file.parent)
    given = os.path.expanduser(image_dir)
    beside = os.path.normpath(file.parent / given)
    for path in (beside, os.path.abspath(given)):
        if os.path.isdir(path):
            return path
    raise ValueError(
        "`image_dir` must be a folder, beside the table or where the command runs. "
        f"Received: image_dir={image_dir!r}; there is no {beside}"
    )


def resolve(
    table: Table, column: str, root: str
) -> tuple[np.ndarray, dict[int, tuple[str, str]]]:
    """Returns the path of each row's picture, and what is wrong with the others.

    Args:
        table: The table.
        column: The column with the names; one without extension may lack it.
        root: The folder that they start from.

    Returns:
        `(n,)` absolute paths, and `(file, reason)` by place in the table.
    """
    paths = np.full(len(table), "", object)
    bad = {}
    first: dict[str, int] = {}  # the row that named a picture first
    for row, cell in enumerate(table.columns[column].cast(pa.string()).to_pylist()):
        if cell is None:
            bad[row] = (table.where(row), f"column {column!r} names no picture")
            continue
        path = os.path.normpath(os.path.join(root, cell.replace("\\", "/")))
        if not path.startswith(root.rstrip(os.sep) + os.sep):
            reason = f"picture {cell!r} lies outside {root}"
            bad[row] = (table.where(row), reason)
            continue
        path = _with_suffix(path)
        if path in first:
            reason = f"picture {cell!r} stands in row {table.rows[first[path]]} already"
            bad[row] = (table.where(row), reason)
        elif not os.path.isfile(path):
            bad[row] = (path, "there is no such picture")
        else:
            paths[row] = path
        first.setdefault(path, row)
    return paths, bad


def _with_suffix(path: str) -> str:
    """Completes a name that lacks its extension."""
    if path.lower().endswith(_SUFFIXES) or os.path.isfile(path):
        return path
    return next((path + s for s in _SUFFIXES if os.path.isfile(path + s)), path)
