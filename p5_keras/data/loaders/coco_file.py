"""The JSON files of a set in COCO's form, and the pictures that they name."""

import json
import os
import pathlib
import re
import unicodedata
import urllib.parse
from dataclasses import dataclass
from typing import Any

from p5_keras.data.loaders import listing
from p5_keras.data.loaders.listing import SPLITS
from p5_keras.data.records import Problems

# Files of the challenge that hold no boxes of objects, or only those of persons.
_OTHERS = ("captions", "person_keypoints", "panoptic", "stuff", "image_info")
_LAYOUT = (
    "annotations/instances_train.json beside folders of pictures, as "
    "train/_annotations.coco.json beside the pictures, or as one file with one folder"
)


@dataclass(frozen=True)
class Document:
    """A file of annotations.

    Attributes:
        file: The file.
        split: "train", "validation", "test", or "" where it is the only one.
        content: What stands in it.
        images: Its entries for pictures.
        annotations: Its entries for objects.
        categories: Its entries for classes.
    """

    file: pathlib.Path
    split: str
    content: bytes
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    categories: list[dict[str, Any]]

    def where(self, kind: str, entry: dict[str, Any]) -> str:
        """Names an entry, for a person."""
        return f"{listing.printable(self.file)}, {kind} {entry.get('id')!r}"


def read(
    root: pathlib.Path, path: str, problems: Problems
) -> tuple[pathlib.Path, list[Document]]:
    """Reads the files of annotations of a set.

    Args:
        root: The folder, or one around that of the set.
        path: The same, as the user gave it.
        problems: Takes files that are left alone.

    Returns:
        The folder of the set itself, and a document for each split, or a single one.

    Raises:
        ValueError: There is none, one is broken, or two are for one split.
    """
    sets = listing.around(root, lambda folder: bool(_candidates(folder)))
    if len(sets) > 1:
        raise ValueError(
            "`path` must hold one set. "
            f"Received: path={path!r}, with {[s.name for s in sets]}; give one of them"
        )
    documents = []
    for file in _candidates(sets[0]) if sets else []:
        document = _document(file)
        if document is None:
            problems.note(f"file {file.name!r} holds no COCO annotations, ignored")
        else:
            documents.append(document)
    if not documents:
        raise ValueError(
            f"`path` must hold annotations in JSON, as {_LAYOUT}. "
            f"Received: path={path!r}"
        )
    chosen = [d for d in documents if not d.file.name.startswith(_OTHERS)]
    chosen = chosen or [d for d in documents if d.file.name.startswith(_OTHERS[1])]
    for document in documents:
        if document not in chosen:
            problems.note(f"file {document.file.name!r} ignored")
    splits = [d.split for d in chosen]
    if len(chosen) > 1 and ("" in splits or len(set(splits)) < len(splits)):
        names = [d.file.relative_to(sets[0]).as_posix() for d in chosen]
        raise ValueError(
            "`path` must hold one JSON file, or one for each split with train, val or "
            f"test in its name. Received: path={path!r}, with {names}"
        )
    return sets[0], chosen


def _candidates(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the JSON files in a folder, and in those of annotations and splits."""
    folders, files = listing.entries(folder)
    for inner in folders:
        if inner.name.casefold() in ("annotations", *SPLITS):
            files += listing.entries(inner)[1]
    return [file for file in files if file.suffix.lower() == ".json"]


def _document(file: pathlib.Path) -> Document | None:
    """Returns what a file holds, or nothing if it is of another kind."""
    where = listing.printable(file)
    content = file.read_bytes()
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"A COCO file must be JSON ({error.msg}, line {error.lineno}, column "
            f"{error.colno}). Received: {where}"
        ) from error
    except RecursionError as error:
        raise ValueError(
            f"A COCO file must be lists of objects, not nested without end. Received: "
            f"{where}"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"A COCO file must be UTF-8 (byte {error.start} is not). Received: {where}"
        ) from error
    except ValueError as error:  # a number of thousands of digits
        reason = str(error).split(";")[0]
        raise ValueError(
            f"A COCO file must be JSON ({reason}). Received: {where}"
        ) from error
    if not isinstance(found, dict) or not {"images", "annotations"} <= set(found):
        return None
    lists = [found.get(key, []) for key in ("images", "annotations", "categories")]
    for entries in lists:
        if not isinstance(entries, list) or not all(
            isinstance(entry, dict) for entry in entries
        ):
            raise ValueError(
                "A COCO file must hold lists of objects as images, annotations and "
                f"categories. Received: {where}"
            )
    split = _split(file.stem) or SPLITS.get(file.parent.name.casefold(), "")
    return Document(file, split, content, *lists)


def _split(name: str) -> str:
    """Returns the split in a name such as instances_train2017, or nothing."""
    words = re.findall("[a-z]+", name.casefold())
    return next((SPLITS[word] for word in words if word in SPLITS), "")


def class_names(documents: list[Document], problems: Problems) -> dict[int, str]:
    """Returns the names of all categories, in the order of their ids.

    Roboflow's first category stands for the set and is above all others; without an
    object it is left out.

    Raises:
        ValueError: There is none, two have one id or one name, or one lacks either.
    """
    names: dict[int, str] = {}
    above: dict[int, str] = {}
    for document in documents:
        for entry in document.categories:
            number, name = entry.get("id"), entry.get("name")
            where = document.where("category", entry)
            if not isinstance(number, int) or not isinstance(name, str) or not name:
                raise ValueError(
                    "A category must have a whole number as id and a name. "
                    f"Received: {where}, with name {name!r}"
                )
            if names.setdefault(number, name) != name:
                raise ValueError(
                    "A category must have an id of its own. "
                    f"Received: {where}, for {names[number]!r} and {name!r}"
                )
            above[number] = str(entry.get("supercategory"))
    used = {a.get("category_id") for d in documents for a in d.annotations}
    for number, name in list(names.items()):
        others = [above[n] for n in names if n != number]
        if number not in used and others and set(others) == {name}:
            problems.note(f"category {name!r} is that of all others, left out")
            del names[number]
    if not names or len(set(names.values())) < len(names):
        raise ValueError(
            "A COCO file must have categories with different names. "
            f"Received: {documents[0].file}, with {list(names.values())}"
        )
    return dict(sorted(names.items()))


def folders(document: Document, top: pathlib.Path) -> list[pathlib.Path]:
    """Returns the folders that the pictures of a document may lie in, best first.

    Args:
        document: The document.
        top: The folder of the set.
    """
    own = document.file.stem.removeprefix("instances_")
    outer = [top, *(f for f in listing.entries(top)[0] if f.name == "images")]
    inner = [f for folder in outer for f in listing.entries(folder)[0]]
    split = document.split
    if split:  # never the pictures of another split
        inner = [f for f in inner if _split(f.name) in (split, "")]
        inner.sort(key=lambda f: _split(f.name) == "")
    inner.sort(key=lambda f: f.name != own)
    return list(dict.fromkeys([document.file.parent, *inner, *outer]))


def picture(name: str, folders: list[pathlib.Path]) -> pathlib.Path | None:
    """Finds a picture by its name, or by an end of it where folders stand before.

    Args:
        name: What a document calls it; an address on the web, or a path on the
            computer of another, will do.
        folders: Where it may lie, best first.
    """
    if "://" in name:
        name = urllib.parse.unquote(urllib.parse.urlsplit(name).path)
    parts = [p for p in name.replace("\\", "/").split("/") if p not in ("", ".", "..")]
    for start in range(len(parts)):
        end = os.path.join(*parts[start:])
        for folder in folders:
            # File systems write é as one character or as two.
            for form in dict.fromkeys(
                (end, *(unicodedata.normalize(f, end) for f in ("NFC", "NFD")))
            ):
                if (folder / form).is_file():
                    return folder / form
    return None
