"""What lies beside the annotations of a set: lists of pictures, names of classes."""

import pathlib
import re
import unicodedata

from p5_keras.data.loaders import listing
from p5_keras.data.records import Problems

#: Names of lists, without extension, and the split of what they list.
LISTS = {**listing.SPLITS, "trainval": "train"}

_CLASS_FILES = ("classes.txt", "labels.txt", "label_map.pbtxt")


def lines(file: pathlib.Path) -> list[tuple[int, str]]:
    """Returns the lines that say something, with their numbers from 1.

    Empty lines and those that begin with # are left out.

    Raises:
        ValueError: It is no text in UTF-8.
    """
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ValueError(
            f"A list must be readable ({reason}). Received: {listing.printable(file)}"
        ) from error
    numbered = enumerate(unicodedata.normalize("NFC", text).splitlines(), 1)
    stripped = [(number, line.strip()) for number, line in numbered]
    return [(number, line) for number, line in stripped if line and line[0] != "#"]


def splits(folder: pathlib.Path, problems: Problems) -> dict[str, tuple[str, str]]:
    """Reads the lists of a folder such as ImageSets/Main.

    An entry is the name of a picture, with or without extension; what follows it, as
    in the lists of each class, is not read. What "trainval" alone lists is training.

    Args:
        folder: The folder; it may be missing.
        problems: Takes pictures in two splits, and those that are listed twice.

    Returns:
        By picture, without extension: its split, "" if it stands in two, and the place
        where it is listed.
    """
    found: dict[str, tuple[str, str]] = {}
    against: set[str] = set()
    files = listing.entries(folder)[1] if folder.is_dir() else []
    for file in sorted(files, key=lambda f: f.stem.casefold() == "trainval"):
        word = file.stem.casefold()
        if file.suffix.lower() != ".txt" or word not in LISTS:
            continue
        here: set[str] = set()
        for number, line in lines(file):
            name = listing.stem(_unmarked(line))
            where = f"{listing.printable(file)}, line {number}"
            split, before = found.setdefault(name, (LISTS[word], where))
            if name in here:
                problems.note("names that stand twice in a list")
            elif name in against:
                continue
            elif split != LISTS[word] and (word != "trainval" or split == "test"):
                problems.bad(where, f"{name!r} stands in another split, {before}")
                against.add(name)
            here.add(name)
    return found | {name: ("", found[name][1]) for name in against}


def class_names(folder: pathlib.Path) -> tuple[str, ...]:
    """Returns the classes that a file in the folder of a set lists, or none.

    Args:
        folder: Where classes.txt, labels.txt or label_map.pbtxt may lie.

    Raises:
        ValueError: The file cannot be read, or lists a class twice.
    """
    for file in (folder / name for name in _CLASS_FILES):
        if not file.is_file():
            continue
        if file.suffix == ".pbtxt":
            names = _label_map(file)
        else:
            names = [line for _, line in lines(file)]
        if len(set(names)) < len(names) or not names:
            raise ValueError(
                "A list of classes must name each class once. "
                f"Received: {listing.printable(file)}, with {names}"
            )
        return tuple(names)
    return ()


def _unmarked(line: str) -> str:
    """Returns a line without the mark behind the name: 1, -1 or 0."""
    words = line.rsplit(maxsplit=1)
    return words[0] if len(words) == 2 and words[1] in ("0", "1", "-0", "-1") else line


def _label_map(file: pathlib.Path) -> list[str]:
    """Returns the names in a label map of TensorFlow's, in the order of their ids."""
    text = "\n".join(line for _, line in lines(file))
    found = []
    for item in re.findall(r"item\s*\{([^{}]*)\}", text):
        number = re.search(r"\bid\s*:\s*(\d+)", item)
        name = re.search(r"\bname\s*:\s*(['\"])(.*?)\1", item)
        if number and name:
            found.append((int(number[1]), name[2]))
    return [name for _, name in sorted(found)]
