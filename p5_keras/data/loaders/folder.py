"""Pictures, sounds or texts in folders: `<class>/…` or `<split>/<class>/…`."""

import pathlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from p5_keras.data.importers import layouts
from p5_keras.data.importers.splits import cut
from p5_keras.data.loaders import folder_sounds, folder_texts, listing
from p5_keras.data.loaders.listing import SPLITS, SUFFIXES
from p5_keras.data.records import Field, Problems, Records
from p5_keras.data.sound_file import EXTENSIONS, MAX_BYTES
from p5_keras.values import unknown

_LAYOUT = (
    "PATH/<class>/… or PATH/train/<class>/… with folders for validation and test "
    "beside train"
)

#: What is not read, and what to do about it.
_SOUNDS = frozenset(
    (".flac", ".ogg", ".mp3", ".m4a", ".aac", ".opus", ".aif", ".aiff", ".wma")
)
_MAKE_WAV = "make WAV files of other sounds first, as by `ffmpeg -i a.mp3 a.wav`"
_TABLES = frozenset((".csv", ".tsv", ".arff", ".parquet", ".json", ".jsonl"))
_GIVE_TABLE = "for a table give table:FILE, CSV or Parquet with an example in each row"


def load(
    path: str,
    problems: Problems,
    *,
    split: tuple[float, float, float] = (0.8, 0.1, 0.1),
    label: str = "class",
    classes: tuple[str, ...] = (),
    rate: int | None = None,
    seconds: float | None = None,
    max_sound_bytes: int = MAX_BYTES,
    encoding: str = "utf-8",
    reading: Mapping[str, Any] | None = None,
) -> Records:
    """Reads a folder of pictures, sounds or texts, sorted into folders by class.

    Pictures lie at any depth below the folder of their class. Splits are folders named
    train or training, val, valid, validation or dev, test, testing or eval, in any
    case; what is missing of them is cut from the training pictures. One folder around
    the splits is entered. Links are followed. Where there is no picture, all this holds
    for WAV files, and without these for files of text.

    Args:
        path: The folder.
        problems: Takes what is wrong with the set.
        split: Shares of training, validation and test pictures, for each class, where
            the folders do not say.
        label: Name of the field that holds the class.
        classes: The folders that are classes, by name; all if left out, unless they are
            evidently something else, see `layouts`.
        rate: Samples a second that sounds are brought to; see `folder_sounds.read`.
        seconds: Length of a sound; see there.
        max_sound_bytes: A WAV file with more bytes of samples is a bad example.
        encoding: Of texts, such as cp1252 or latin-1.
        reading: How a model's training data were read, where these are others; see
            `Records`.

    Returns:
        The pictures, with one field of kind "class"; the names of the classes are
        those of the folders, sorted.

    Raises:
        ValueError: The path or its layout is wrong, or there is only one class.
    """
    if not label or label in ("image", "input"):
        raise ValueError(
            "`label` must be a name, and neither 'image' nor 'input', which are the "
            f"pictures' own. Received: label={label!r}"
        )
    root = listing.folder(path)
    known = dict(reading or {})
    suffixes, what = _kind(root, known.get("what", ""))
    top, roots = _splits(root, path)
    if not roots:
        _check_classes(top, path, suffixes, what)
    found = []
    for part, folder in roots.items() or [("", top)]:
        folders, files = listing.entries(folder)
        _note_others(files, problems, suffixes, what, beside=True)
        found += [_ClassFolder(part, f, *_pictures(f, suffixes)) for f in folders]
    images, names, labels, given = [], [], [], []
    if classes or "fields" not in known:  # else they are matched by name
        found = _chosen(found, classes, path, problems)
    for part, class_folder, pictures, others in found:
        _note_others(others, problems, suffixes, what)
        where = class_folder.relative_to(top).as_posix()
        if not pictures:
            problems.note(f"class folder {where!r} holds no {what}")
        masks = set(layouts.masks_beside(pictures) if what == "picture" else ())
        problems.note(
            "pictures called like another with _mask or the like, and of few values: "
            "taken for its mask and left out",
            len(masks),
            "medium",
        )
        for picture in pictures:
            if reason := listing.fault(picture):
                problems.bad(listing.printable(picture), reason)
            elif picture not in masks:
                images.append(str(picture))
                names.append(picture.relative_to(top).as_posix())
                labels.append(_name(class_folder))
                given.append(part)
    if roots:
        _note_unused(top, roots, problems, suffixes, what)
    class_names = sorted(set(labels))
    if len(class_names) < (1 if "fields" in known else 2):
        raise ValueError(
            f"`path` must hold {what}s of two classes or more, as {_LAYOUT}."
            f"{_hint(top, roots)} Received: path={path!r}, classes with "
            f"{what}s: {class_names}"
        )
    splits, rule = cut(
        names, given if roots else None, labels, split, problems, reading
    )
    ids = np.searchsorted(class_names, labels).astype("int64")
    records = Records(
        name=root.name,
        splits=splits,
        fields={label: Field("class", tuple(class_names))},
        columns={label: ids},
        images=np.array(images),
        reading={**known, "what": what, "splits": rule},
        problems=problems,
    )
    if what == "picture":
        return records
    if what == "text":
        return folder_texts.written(records, images, encoding)
    return folder_sounds.heard(records, images, rate, seconds, max_sound_bytes)


class _ClassFolder(NamedTuple):
    """A folder that may be a class, of one split."""

    part: str
    folder: pathlib.Path
    files: list[pathlib.Path]
    others: list[pathlib.Path]


def _name(folder: pathlib.Path) -> str:
    # Macintosh archives write é as two characters, others as one.
    return unicodedata.normalize("NFC", folder.name)


def _chosen(
    found: Sequence[_ClassFolder],
    classes: Sequence[str],
    path: str,
    problems: Problems,
) -> list[_ClassFolder]:
    """Returns the folders that are classes; `classes` is the user's choice.

    Raises:
        ValueError: They are evidently something else, or one that is chosen is missing.
    """
    by_name: dict[str, list[_ClassFolder]] = {}
    for one in found:
        by_name.setdefault(_name(one.folder), []).append(one)
    if classes:
        for name in classes:
            if name not in by_name:
                raise ValueError(unknown("folder of `classes`", name, by_name))
        for name in sorted(set(by_name) - set(classes)):
            problems.note(f"folder {name!r} is none of the classes, left out")
        return [one for one in found if _name(one.folder) in classes]
    folders = [
        layouts.Folder(
            name,
            [file for one in ones for file in one.files],
            [inner.name for inner in listing.entries(ones[0].folder)[0]],
            frozenset(
                f.suffix.lower() for one in ones for f in (*one.files, *one.others)
            ),
        )
        for name, ones in by_name.items()
    ]
    if reason := layouts.not_classes(folders):
        raise ValueError(
            f"`path` must hold a folder for each class. Received: path={path!r}, in "
            f"which {reason}"
        )
    for doubt in layouts.doubts(folders):
        problems.note(doubt, severity="medium")
    return list(found)


def _kind(root: pathlib.Path, known: str) -> tuple[frozenset[str], str]:
    """Returns which files count, and what one of them is, unless that is known.

    Raises:
        ValueError: All are of a kind that is not read.
    """
    kinds = {
        "picture": SUFFIXES,
        "sound": frozenset(EXTENSIONS),
        "text": frozenset(folder_texts.EXTENSIONS),
    }
    if known:
        return kinds[known], known
    found = {file.suffix.lower() for file in listing.tree(root)}
    if found & SUFFIXES:
        return SUFFIXES, "picture"
    if found & kinds["sound"]:
        return kinds["sound"], "sound"
    if found & kinds["text"] and not found & _SOUNDS:
        return kinds["text"], "text"
    for suffixes, hint in ((_SOUNDS, _MAKE_WAV), (_TABLES, _GIVE_TABLE)):
        if others := sorted(found & suffixes):
            raise ValueError(
                f"`path` must hold pictures, WAV files or texts; {hint}. Received: "
                f"path={str(root)!r}, with files ending in {' '.join(others)}"
            )
    return SUFFIXES, "picture"


def _splits(
    root: pathlib.Path, path: str
) -> tuple[pathlib.Path, dict[str, pathlib.Path]]:
    """Returns the folder around the splits and each split's; none for classes alone."""
    found = _split_folders(root, path)
    folders, _ = listing.entries(root)
    if not found and len(folders) == 1:
        inner = _split_folders(folders[0], path)
        if inner:
            root, found = folders[0], inner
    if found and "train" not in found:
        raise ValueError(
            f"`path` must hold training pictures, as {_LAYOUT}. Received: "
            f"path={path!r}, with only {sorted(f.name for f in found.values())}"
        )
    return root, found


def _split_folders(root: pathlib.Path, path: str) -> dict[str, pathlib.Path]:
    """Returns the folders that are splits: so named, and with folders of classes.

    A folder "train" of pictures alone may be the class of trains.
    """
    found: dict[str, pathlib.Path] = {}
    for folder in listing.entries(root)[0]:
        name = SPLITS.get(folder.name.casefold())
        if name is None or not listing.entries(folder)[0]:
            continue
        if name in found:
            raise ValueError(
                f"`path` must hold one folder for each split. Received: path={path!r}, "
                f"with {found[name].name!r} and {folder.name!r}"
            )
        found[name] = folder
    return found


def _check_classes(
    top: pathlib.Path, path: str, suffixes: frozenset[str], what: str
) -> None:
    """Refuses a folder without class folders."""
    folders, files = listing.entries(top)
    own = [f for f in files if f.suffix.lower() in suffixes]
    if not folders:
        raise ValueError(
            f"`path` must hold a folder for each class, as {_LAYOUT}."
            f"{layouts.prefixed(own)} Received: path={path!r}, with {len(own)} {what}s "
            "and no folder"
        )
    if all(folder.name.casefold() in SPLITS for folder in folders):
        inside = [file for folder in folders for file in listing.entries(folder)[1]]
        raise ValueError(
            f"Each split must hold a folder for each class, as {_LAYOUT}."
            f"{layouts.prefixed(inside)} Received: "
            f"path={path!r}, with no folder in {sorted(f.name for f in folders)}"
        )


def _hint(top: pathlib.Path, roots: dict[str, pathlib.Path]) -> str:
    """Says what to give where a table has the classes, or folders one level deeper."""
    folders, _ = listing.entries(top)
    tables = [file for file in listing.tree(top) if file.suffix.lower() in _TABLES]
    if tables:
        return f" If a table says the classes, give table:{tables[0]}."
    if roots or len(folders) != 1 or len(listing.entries(folders[0])[0]) < 2:
        return ""
    return f" If the classes are the folders in {folders[0].name!r}, give that one."


def _note_unused(
    top: pathlib.Path,
    roots: dict[str, pathlib.Path],
    problems: Problems,
    suffixes: frozenset[str],
    what: str,
) -> None:
    """Notes what lies beside the splits."""
    folders, files = listing.entries(top)
    for folder in folders:
        if folder not in roots.values():
            known = folder.name.casefold() in SPLITS
            why = "without class folders" if known else "beside the splits"
            problems.note(f"folder {folder.name!r} {why}, ignored")
    _note_others(files, problems, suffixes, what, beside=True)


def _note_others(
    files: list[pathlib.Path],
    problems: Problems,
    suffixes: frozenset[str],
    what: str,
    beside: bool = False,
) -> None:
    count = sum(f.suffix.lower() in suffixes for f in files) if beside else 0
    problems.note(f"{what}s beside class folders, left out", count)
    problems.note(f"files that are no {what}s", len(files) - count)


def _pictures(
    folder: pathlib.Path, suffixes: frozenset[str]
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """Returns the files that count and the others, at any depth, in a fixed order."""
    found = listing.tree(folder)
    return (
        [file for file in found if file.suffix.lower() in suffixes],
        [file for file in found if file.suffix.lower() not in suffixes],
    )
