"""The Oxford-IIIT Pets in their own layout: breed, species, heads and trimaps."""

import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from p5_keras.data.importers.splits import cut
from p5_keras.data.loaders import annotated, listing, voc_lists
from p5_keras.data.loaders.annotated import Example, Item
from p5_keras.data.records import Field, Problems, Records

_SPLITS = {"trainval": "train", "test": "test"}
_SPECIES = ("cat", "dog")
_TRIMAP = ("foreground", "background", "border")  # pixel values 1, 2, 3


@dataclass(frozen=True)
class _Row:
    """A line of a list: what it says, and where it stands."""

    breed: str
    class_id: int
    species: int
    split: str
    where: str


def find(root: pathlib.Path) -> pathlib.Path | None:
    """Returns the folder with the pets, itself or up to two levels below, if any."""
    return next(iter(listing.around(root, _is_pets)), None)


def _is_pets(folder: pathlib.Path) -> bool:
    notes = folder / "annotations"
    lists = any((notes / f"{name}.txt").is_file() for name in (*_SPLITS, "list"))
    labels = any((notes / name).is_dir() for name in ("trimaps", "xmls"))
    return lists and labels and (folder / "images").is_dir()


def load(
    root: pathlib.Path,
    name: str,
    problems: Problems,
    difficult: str,
    split: tuple[float, float, float],
    reading: Mapping[str, Any] | None = None,
) -> Records:
    """Reads the Oxford-IIIT Pets.

    The pictures are those in annotations/trainval.txt and test.txt, or without these
    in list.txt; any other is left out. Validation is cut from trainval, breed by breed.
    The breed is what stands before the number in a picture's name, and breeds are in
    the order of their ids, which may have gaps. A picture without an XML file has no
    label of the head; no test picture has one. A picture is read by its content, and a
    trimap without foreground is used as it is.

    Args:
        root: The folder with images and annotations.
        name: Name of the set.
        problems: Takes what is wrong with the set.
        difficult: "keep" or "drop".
        split: Shares of training, validation and test pictures.
        reading: How a model's training data were read; see `Records`.

    Returns:
        The pictures, with fields "breed" and "species" of kind "class", "head" of kind
        "boxes" and "mask" of kind "mask"; the last two if the set has them.

    Raises:
        ValueError: There is no picture for a split.
    """
    listed = _read_lists(root / "annotations", problems)
    items, left = _items(root, listed, problems)
    problems.note("pictures in no list, left out", left)
    examples = annotated.read(items, problems, _SPECIES)
    rows = [listed[listing.stem(e.item.image.name)] for e in examples]
    breeds = {row.class_id: row.breed for row in rows}
    ids = {class_id: i for i, class_id in enumerate(sorted(breeds))}
    column = [ids[row.class_id] for row in rows]
    given = [row.split for row in rows]
    splits, rule = cut(
        [e.item.name for e in examples],
        given if any(given) else None,
        [row.breed for row in rows],
        split,
        problems,
        reading,
    )
    known = {**(reading or {}), "splits": rule}
    fields = {
        "breed": Field("class", tuple(breeds[i] for i in ids)),
        "species": Field("class", _SPECIES),
    }
    columns: dict[str, Any] = {
        "breed": np.array(column, "int64"),
        "species": np.array([row.species for row in rows], "int64"),
    }
    for field in [f for f in fields if len(set(columns[f].tolist())) < 2]:
        problems.note(f"field {field!r} has one class, left out")
        del fields[field], columns[field]
    _add_drawn(examples, difficult, fields, columns, known, problems)
    return Records(
        name=name,
        splits=splits,
        fields=fields,
        columns=columns,
        images=np.array([str(e.item.image) for e in examples]),
        sides=np.array([e.side for e in examples], "int64"),
        reading=known,
        problems=problems,
    )


def _read_lists(folder: pathlib.Path, problems: Problems) -> dict[str, _Row]:
    """Returns what the lists say, by picture, each picture in one split."""
    files = [f for f in (folder / f"{name}.txt" for name in _SPLITS) if f.is_file()]
    found: dict[str, _Row] = {}
    breeds: dict[int, str] = {}
    for file in files or [folder / "list.txt"]:
        here: set[str] = set()
        for number, line in voc_lists.lines(file):
            where = f"{listing.printable(file)}, line {number}"
            name, *numbers = line.rsplit(maxsplit=3)
            breed = name.rpartition("_")[0]
            try:
                class_id, species, _ = (int(n) for n in numbers)
            except ValueError:
                class_id, species = 0, 0
            if species not in (1, 2) or not breed:
                problems.bad(where, f"{line!r} is not: name, id, 1 or 2, number")
            elif name in here:
                problems.note("names that stand twice in a list")
            elif name in found:
                problems.bad(where, f"{name!r} stands in {found[name].where} already")
                del found[name]
            elif breeds.setdefault(class_id, breed) != breed:
                reason = f"{name!r} has the id of {breeds[class_id]!r}, {class_id}"
                problems.bad(where, reason)
            else:
                split = _SPLITS.get(file.stem, "")
                found[name] = _Row(breed, class_id, species - 1, split, where)
            here.add(name)
    return found


def _items(
    root: pathlib.Path, listed: dict[str, _Row], problems: Problems
) -> tuple[list[Item], int]:
    """Returns the files of each listed picture, and how many are in no list."""
    images = {
        listing.stem(file.name): file
        for file in listing.entries(root / "images")[1]
        if file.suffix.lower() in listing.SUFFIXES
    }
    notes = root / "annotations"
    items = []
    for name, row in sorted(listed.items()):
        if name not in images:
            problems.bad(row.where, f"there is no picture {name!r} in images")
            continue
        xml = notes / "xmls" / f"{name}.xml"
        trimap = notes / "trimaps" / f"{name}.png"
        items.append(
            Item(
                images[name].relative_to(root).as_posix(),
                images[name],
                xml if xml.is_file() else None,
                trimap if trimap.is_file() else None,
                row.split,
            )
        )
    return items, len(set(images) - set(listed))


def _add_drawn(
    examples: Sequence[Example],
    difficult: str,
    fields: dict[str, Field],
    columns: dict[str, Any],
    reading: dict[str, Any],
    problems: Problems,
) -> None:
    """Adds boxes of heads and trimaps, where the set has them."""
    if any(e.item.xml for e in examples):
        first = annotated.first_pixel(examples, reading, problems)
        heads = annotated.box_column(examples, _SPECIES, difficult, first, problems)
        fields["head"] = Field("boxes", _SPECIES)
        columns["head"] = heads
    if any(e.item.mask for e in examples):
        fields["mask"] = Field("mask", _TRIMAP, (1, 2, 3))
        columns["mask"] = [str(e.item.mask or "") for e in examples]
        bare = [e for e in examples if e.mask and 1 not in e.mask.counts]
        problems.note("trimaps without foreground", len(bare))
