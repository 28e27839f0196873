"""Folders of users: what lies in them, in a fixed order, without clutter."""

import os
import pathlib
import unicodedata
from collections.abc import Callable, Iterator

from p5_keras.data.image_file import EXTENSIONS
from p5_keras.naming import did_you_mean

#: Names of folders that are splits, in any case.
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}

#: Extensions of pictures, in lower case.
SUFFIXES = frozenset(suffix for group in EXTENSIONS.values() for suffix in group)
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")
# What systems leave behind in folders and archives.
_CLUTTER = frozenset(("__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini"))


def folder(path: str) -> pathlib.Path:
    """Returns the folder of a user's path, absolute, links left as they are.

    Raises:
        ValueError: There is no such folder.
    """
    found = pathlib.Path(os.path.abspath(os.path.expanduser(path)))
    if path and found.is_dir():
        return found
    hint = ""
    if found.suffix.lower() in _ARCHIVES and found.is_file():
        hint = " It is an archive: unpack it first."
    elif path and found.exists():
        hint = " It is a file."
    elif path and found.parent.is_dir():
        hint = did_you_mean(found.name, [p.name for p in entries(found.parent)[0]])
    raise ValueError(f"`path` must be a folder.{hint} Received: path={path!r}")


def tree(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files at any depth, in a fixed order, hidden ones left out.

    Links are followed, once each.

    Raises:
        ValueError: A folder cannot be listed, or its name is not UTF-8.
    """
    # A link to what the folder lies in would bring in all that lies beside it.
    around = {os.path.realpath(outer) for outer in folder.parents}
    return list(_walk(folder, around))


def _walk(folder: pathlib.Path, seen: set[str]) -> Iterator[pathlib.Path]:
    real = os.path.realpath(folder)
    if real in seen:  # a link to a folder that is being read, or has been
        return
    seen.add(real)
    folders, files = entries(folder)
    yield from files
    for inner in folders:
        yield from _walk(inner, seen)


def entries(folder: pathlib.Path) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """Returns the folders and the files of a folder, sorted, without hidden ones.

    Raises:
        ValueError: The folder cannot be listed, or holds a folder with a name that
            is not UTF-8.
    """
    try:
        with os.scandir(folder) as scan:
            found = sorted((e.name, os.path.isdir(e)) for e in scan)
    except OSError as error:
        raise ValueError(
            f"Every folder must be readable ({error.strerror}). "
            f"Received: {printable(folder)!r}"
        ) from error
    folders: list[pathlib.Path] = []
    files: list[pathlib.Path] = []
    for name, is_folder in found:
        if name[0] == "." or name in _CLUTTER:
            continue
        entry = folder / name
        (folders if is_folder else files).append(entry)
        if is_folder and printable(entry) != str(entry):
            raise ValueError(
                f"A folder's name must be UTF-8. Received: {printable(entry)!r}"
            )
    return folders, files


def stem(name: str) -> str:
    """Returns a file's name without the extension of a picture or an annotation.

    Names such as "0001.jpg.rf.3f2a" keep their dots, and é is one character, however
    the file system writes it.
    """
    base, dot, end = unicodedata.normalize("NFC", name).rpartition(".")
    known = f".{end.lower()}" in SUFFIXES or end.lower() == "xml"
    return base if dot and known else base + dot + end


def around(
    root: pathlib.Path, is_set: Callable[[pathlib.Path], bool]
) -> list[pathlib.Path]:
    """Returns the sets in a folder: itself, or else folders one or two levels below.

    Args:
        root: The folder.
        is_set: Whether a folder has the layout of a set.
    """
    level = [root]
    for _ in range(3):
        found = [folder for folder in level if is_set(folder)]
        if found:
            return found
        level = [inner for folder in level for inner in entries(folder)[0]]
    return []


def fault(picture: pathlib.Path) -> str:
    """Returns why a picture cannot be listed, or nothing."""
    if printable(picture) != str(picture):
        return "its name is not UTF-8"
    if not picture.exists():  # a link to nothing
        return "there is no such picture"
    return "" if picture.is_file() else "it is no ordinary file"


def printable(path: pathlib.Path) -> str:
    """Returns a path as text, whatever the bytes in its name."""
    return str(path).encode("utf-8", "backslashreplace").decode()
