"""The pictures, or sounds, that a table names."""

import os
import pathlib
import re
import urllib.parse
from collections.abc import Container

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from p5_keras.data import sound_file
from p5_keras.data.image_file import EXTENSIONS
from p5_keras.data.loaders import listing
from p5_keras.data.loaders.table_file import Table
from p5_keras.data.records import Problems

#: Endings of files by what they are.
SUFFIXES = {
    "picture": tuple(suffix for group in EXTENSIONS.values() for suffix in group),
    "sound": sound_file.EXTENSIONS,
}
#: How folders of sounds are called that lie beside that of their table.
_BESIDE = ("audio", "wav", "sound", "clip")


def find_column(table: Table, names: list[str], what: str = "picture") -> str | None:
    """Returns the column in which most values end like names of pictures, or sounds.

    Args:
        table: The table.
        names: The columns to look at.
        what: "picture" or "sound".

    Raises:
        ValueError: There are several.
    """
    found = []
    pattern = (
        r"\.(" + "|".join(suffix[1:] for suffix in SUFFIXES[what]) + r")(\?[^/]*)?$"
    )
    option = "image" if what == "picture" else what
    for name in names:
        values = table.columns[name].drop_null()
        if pa.types.is_string(values.type):
            ends = pc.match_substring_regex(values, pattern, ignore_case=True)
            if 2 * np.sum(ends.to_numpy(False)) > len(values):
                found.append(name)
    if len(found) > 1:
        raise ValueError(
            f"`{option}` must say which column names the {what}s. "
            f"Received: {option}=None, columns with names of {what}s={found}"
        )
    return found[0] if found else None


def folder(file: pathlib.Path, image_dir: str | None, option: str = "image_dir") -> str:
    """Returns the folder that the names of pictures start from, absolute.

    Args:
        file: The table.
        image_dir: The folder, seen from the table's or from where the command runs;
            `None` for the table's own.
        option: What the user calls it.

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
        f"`{option}` must be a folder, beside the table or where the command runs. "
        f"Received: {option}={image_dir!r}; there is no {beside}"
    )


def sounds_folder(file: pathlib.Path, sound_dir: str | None) -> str:
    """Returns the folder that sounds are looked for in, absolute.

    Args:
        file: The table.
        sound_dir: As `image_dir` of `folder`. By default the table's folder or, where
            it is called meta or the like and holds no sound, the one around it, if a
            folder called audio or the like is there.
    """
    own = folder(file, sound_dir, "sound_dir")
    if sound_dir is None and not below(own):
        beside = listing.entries(file.parent.parent)[0]
        if any(inner.name.casefold().startswith(_BESIDE) for inner in beside):
            return str(file.parent.parent)
    return own


def below(root: str, what: str = "sound") -> dict[str, list[str]]:
    """Returns the paths of all sounds in a folder, at any depth, by their names.

    Args:
        root: The folder.
        what: "picture" or "sound".
    """
    found: dict[str, list[str]] = {}
    for path in listing.tree(pathlib.Path(root)):
        if path.suffix.lower() in SUFFIXES[what]:
            found.setdefault(path.name, []).append(str(path))
    return found


def resolve(
    table: Table, column: str, root: str, what: str, problems: Problems
) -> tuple[np.ndarray, dict[int, tuple[str, str]]]:
    """Returns the path of each row's picture, and what is wrong with the others.

    A file that is not where its name says, as that on the server of a labelling tool,
    is looked for by its name alone, at any depth below the folder.

    Args:
        table: The table.
        column: The column with the names; one without extension may lack it.
        root: The folder that they start from.
        what: "picture" or "sound".
        problems: Takes a note of those that were found by their names.

    Returns:
        `(n,)` absolute paths, and `(file, reason)` by place in the table.
    """
    inside = root.rstrip(os.sep) + os.sep
    cells = table.columns[column].cast(pa.string()).to_pylist()
    paths = np.full(len(table), "", object)
    direct, known, there = {}, np.zeros(len(table), bool), 0
    for row, cell in enumerate(cells):
        if cell is not None:
            path = os.path.normpath(os.path.join(root, cell.replace("\\", "/")))
            direct[row] = _with_suffix(path, what)
            if path.startswith(inside) and os.path.isfile(direct[row]):
                known[row] = True
    # A relative path that does not hold is a mistake, unless none of them holds.
    lost = [row for row in direct if not known[row]]
    names = below(root, what) if lost else {}
    there, by_name = known.sum(), 0
    bad = {}
    first: dict[str, int] = {}  # the row that named a picture first
    for row, cell in enumerate(cells):
        if cell is None:
            bad[row] = (table.where(row), f"column {column!r} names no {what}")
            continue
        path = direct[row]
        if not known[row]:
            elsewhere = _is_elsewhere(path, cell, inside)
            found: list[str] = []
            if elsewhere or not there or "/" not in cell.replace("\\", "/"):
                found = _same_name(cell, names, what)
            if len(found) > 1:
                reason = f"{what} {cell!r} is there {len(found)} times, as {found[0]}"
                bad[row] = (table.where(row), reason)
                continue
            if found:
                path, by_name = found[0], by_name + 1
            elif elsewhere:
                reason = (
                    f"{what} {cell!r} lies outside {root}, which has none so called"
                )
                bad[row] = (table.where(row), reason)
                continue
            else:
                option = "image_dir" if what == "picture" else "sound_dir"
                hint = f"; give its folder as `{option}`" if not there else ""
                bad[row] = (path, f"there is no such {what}{hint}")
                continue
        if path in first:
            reason = f"{what} {cell!r} stands in row {table.rows[first[path]]} already"
            bad[row] = (table.where(row), reason)
        else:
            paths[row] = path
            first[path] = row
    if what == "picture":
        problems.note(
            f"{what}s of column {column!r} that are not at the path it names, and were "
            f"found by their names below {root}",
            by_name,
            "low",
        )
    return paths, bad


def _is_elsewhere(path: str, cell: str, inside: str) -> bool:
    """Whether a name is a path on another machine, or an address."""
    return not path.startswith(inside) or "://" in cell or "?d=" in cell


def _same_name(cell: str, names: dict[str, list[str]], what: str) -> list[str]:
    """Returns the files that are called as the end of a path or an address says.

    Of several, those in the folder that it names; and without the mark that Label
    Studio puts before a name, "1f2e3d4c-", if there is none with it.
    """
    path = cell.replace("\\", "/")
    path = path.partition("?d=")[2] or path
    if "://" in cell:
        path = path.partition("?")[0]
    if "://" in cell or "?d=" in cell:
        path = urllib.parse.unquote(path)
    name = _with_suffix(path.rpartition("/")[2], what, names)
    found = names.get(name) or names.get(re.sub("^[0-9a-f]{8}-", "", name), [])
    parent = "/".join(path.split("/")[-2:-1])
    near = [f for f in found if os.path.basename(os.path.dirname(f)) == parent]
    return near if len(near) == 1 else found


def _with_suffix(path: str, what: str, names: Container[str] | None = None) -> str:
    """Completes a name that lacks its extension, if there is such a file."""
    there = os.path.isfile if names is None else names.__contains__
    suffixes = SUFFIXES[what]
    if path.lower().endswith(suffixes) or there(path):
        return path
    return next((path + s for s in suffixes if there(path + s)), path)
