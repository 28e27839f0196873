"""What the name of a photograph says, and which split it goes to."""

import collections
import hashlib
import math
from typing import NamedTuple

PEOPLE = [
    "an2i",
    "at33",
    "boland",
    "bpm",
    "ch4f",
    "cheyer",
    "choon",
    "danieln",
    "glickman",
    "karyadi",
    "kawamura",
    "kk49",
    "megak",
    "mitchell",
    "night",
    "phoebe",
    "saavik",
    "steffi",
    "sz24",
    "tammo",
]
POSES = ["straight", "left", "right", "up"]
EXPRESSIONS = ["neutral", "happy", "sad", "angry"]
EYES = ["open", "sunglasses"]
SPLITS = ("train", "validation", "test")

# The first four people by the SHA-256 of their names, and the next four.
_HELD_OUT = {
    "validation": ("bpm", "kawamura", "night", "steffi"),
    "test": ("ch4f", "danieln", "karyadi", "sz24"),
}
# Shares of each person's photographs.
_VALIDATION, _TEST = 1 / 8, 1 / 4


class Photo(NamedTuple):
    """What the name of a photograph says; `scale` is 1, 2 or 4."""

    person: str
    pose: str
    expression: str
    eyes: str
    scale: int


def parse_name(filename, folder):
    """Parses `<person>_<pose>_<expression>_<eyes>_<scale>.pgm`; full size has no scale.

    Args:
        filename: str, the name of the file.
        folder: str, the name of the folder it lies in, which is its person.

    Returns:
        A `Photo`.

    Raises:
        ValueError: if a part is missing or unknown, or the folder is another person's.
    """
    parts = filename.removesuffix(".pgm").split("_")
    known = (PEOPLE, POSES, EXPRESSIONS, EYES, ["1", "2", "4"])
    full = [*parts, "1"] if len(parts) == 4 else parts
    if len(full) != 5 or any(p not in k for p, k in zip(full, known, strict=True)):
        raise ValueError(
            "The name of a photograph must be <person>_<pose>_<expression>_<eyes>, "
            "then _2 or _4 and .pgm, with values that the set has. "
            f"Received: {folder}/{filename}"
        )
    if full[0] != folder:
        raise ValueError(
            "A photograph must lie in the folder of its person. "
            f"Received: {folder}/{filename}"
        )
    return Photo(*full[:4], int(full[4]))


def split_by_person(photos):
    """Returns the split of each photograph, all of a person's in the same."""
    of = {name: split for split, names in _HELD_OUT.items() for name in names}
    return [of.get(photo.person, "train") for photo in photos]


def split_by_photo(photos):
    """Returns the split of each photograph, some of each person's in every split.

    The expressions of one person in one pose, with or without sunglasses, stay
    together. Apart, a model that knows the other three by heart would do worse than
    chance: the one that is left out is never one that it has seen.

    Of the eight such groups of a person one validates and two test, in the order of a
    hash of the photographs' names without the scale and the expression, so it is the
    same at each size and on each machine.
    """
    groups = collections.defaultdict(set)
    for photo in photos:
        groups[photo.person].add(_group(photo))
    split_of = {}
    for found in groups.values():
        found = sorted(found, key=_digest)
        middle = math.ceil(len(found) * _VALIDATION)
        end = middle + math.ceil(len(found) * _TEST)
        split_of |= dict.fromkeys(found[:middle], "validation")
        split_of |= dict.fromkeys(found[middle:end], "test")
    return [split_of.get(_group(photo), "train") for photo in photos]


def _group(photo):
    return f"{photo.person}_{photo.pose}_{photo.eyes}"


def _digest(name):
    return hashlib.sha256(name.encode()).hexdigest()
