"""The pictures, or sounds, that a table names."""

import os
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from p5_keras.data import sound_file
from p5_keras.data.image_file import EXTENSIONS
from p5_keras.data.loaders import listing
from p5_keras.data.loaders.table_file import Table

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
    pattern = r"\.(" + "|".join(suffix[1:] for suffix in SUFFIXES[what]) + ")$"
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


def below(root: str) -> dict[str, list[str]]:
    """Returns the paths of all sounds in a folder, at any depth, by their names."""
    found: dict[str, list[str]] = {}
    for path in listing.tree(pathlib.Path(root)):
        if path.suffix.lower() in SUFFIXES["sound"]:
            found.setdefault(path.name, []).append(str(path))
    return found


def resolve(
    table: Table, column: str, root: str, what: str = "picture"
) -> tuple[np.ndarray, dict[int, tuple[str, str]]]:
    """Returns the path of each row's picture, and what is wrong with the others.

    Args:
        table: The table.
        column: The column with the names; one without extension may lack it.
        root: The folder that they start from; sounds may lie at any depth below.
        what: "picture" or "sound".

    Returns:
        `(n,)` absolute paths, and `(file, reason)` by place in the table.
    """
    paths = np.full(len(table), "", object)
    bad = {}
    first: dict[str, int] = {}  # the row that named a picture first
    names = below(root) if what == "sound" else {}
    for row, cell in enumerate(table.columns[column].cast(pa.string()).to_pylist()):
        if cell is None:
            bad[row] = (table.where(row), f"column {column!r} names no {what}")
            continue
        path = os.path.normpath(os.path.join(root, cell.replace("\\", "/")))
        if not path.startswith(root.rstrip(os.sep) + os.sep):
            reason = f"{what} {cell!r} lies outside {root}"
            bad[row] = (table.where(row), reason)
            continue
        path = _with_suffix(path, what)
        if not os.path.isfile(path):
            known = names.get(os.path.basename(path), [])
            if len(known) > 1:
                reason = f"{what} {cell!r} is there {len(known)} times, as {known[0]}"
                bad[row] = (table.where(row), reason)
                continue
            path = known[0] if known else path
        if path in first:
            reason = f"{what} {cell!r} stands in row {table.rows[first[path]]} already"
            bad[row] = (table.where(row), reason)
        elif not os.path.isfile(path):
            hint = "" if what == "picture" else "; give its folder as `sound_dir`"
            bad[row] = (path, f"there is no such {what}{hint}")
        else:
            paths[row] = path
        first.setdefault(path, row)
    return paths, bad


def _with_suffix(path: str, what: str) -> str:
    """Completes a name that lacks its extension."""
    suffixes = SUFFIXES[what]
    if path.lower().endswith(suffixes) or os.path.isfile(path):
        return path
    return next((path + s for s in suffixes if os.path.isfile(path + s)), path)
