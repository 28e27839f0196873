"""Which picture, annotation and mask of a set in VOC's form belong together."""

import pathlib

from p5_keras.data.loaders import listing, voc_lists, voc_xml
from p5_keras.data.loaders.annotated import Item
from p5_keras.data.loaders.fault import Fault
from p5_keras.data.loaders.listing import SPLITS, SUFFIXES
from p5_keras.data.records import Problems

# Folders that say what lies in them, and nothing of the split.
_PARTS = frozenset(
    [
        "images",
        "image",
        "jpegimages",
        "imgs",
        "annotations",
        "annotation",
        "labels",
        "xmls",
        "xml",
    ]
)
_LAYOUT = (
    "JPEGImages and Annotations, as XML files beside the pictures, or as folders "
    "images and annotations"
)


def find(
    root: pathlib.Path, path: str, problems: Problems
) -> tuple[pathlib.Path, list[Item]]:
    """Finds the files of a set, in VOC's own layout or any other.

    Args:
        root: The folder.
        path: The same, as the user gave it.
        problems: Takes files that are left alone.

    Returns:
        The folder of the set itself, and what belongs together.

    Raises:
        ValueError: There is no annotation, or there are several sets.
    """
    sets = listing.around(root, _is_voc)
    if len(sets) > 1:
        raise ValueError(
            "`path` must hold one set. "
            f"Received: path={path!r}, with {[s.name for s in sets]}; give one of them"
        )
    top, items = sets[0] if sets else root, []
    items = _official(top, problems) if sets else _paired(root, problems)
    if not any(item.xml or item.mask for item in items):
        raise ValueError(
            f"`path` must hold pictures and annotations in XML, as {_LAYOUT}. "
            f"Received: path={path!r}, with {len(items)} pictures and no annotation "
            "that belongs to one"
        )
    return top, items


def _is_voc(folder: pathlib.Path) -> bool:
    names = {inner.name for inner in listing.entries(folder)[0]}
    return "JPEGImages" in names and bool(names & {"Annotations", "SegmentationClass"})


def _official(top: pathlib.Path, problems: Problems) -> list[Item]:
    """Goes by the lists in ImageSets; without any, takes all pictures."""
    images = _by_stem(top / "JPEGImages", SUFFIXES, problems)
    xmls = _by_stem(top / "Annotations", {".xml"})
    masks = _by_stem(top / "SegmentationClass", SUFFIXES)
    lists = top / "ImageSets"
    listed = voc_lists.splits(lists / "Main", problems)
    for name, entry in voc_lists.splits(lists / "Segmentation", problems).items():
        listed.setdefault(name, entry)
    given = bool(listed)
    if not given:
        listed = {name: ("", "") for name in images}
    items = []
    for name in sorted(listed):
        split, where = listed[name]
        if given and not split:  # it stands in two, and has been reported
            continue
        image = images.get(name)
        if image is None:
            problems.bad(where, f"there is no picture {name!r} in JPEGImages")
            continue
        within = image.relative_to(top).as_posix()
        items.append(Item(within, image, xmls.get(name), masks.get(name), split))
    problems.note("pictures in no list, left out", len(set(images) - set(listed)))
    return items


def _by_stem(
    folder: pathlib.Path,
    suffixes: set[str] | frozenset[str],
    problems: Problems | None = None,
) -> dict[str, pathlib.Path]:
    """Returns the files of a folder by their names without extension."""
    found: dict[str, pathlib.Path] = {}
    files = listing.entries(folder)[1] if folder.is_dir() else []
    for file in files:
        if file.suffix.lower() not in suffixes:
            continue
        first = found.setdefault(listing.stem(file.name), file)
        if problems and first != file:
            problems.bad(file, f"it has the annotation of {first.name} too")
    return found


def _paired(root: pathlib.Path, problems: Problems) -> list[Item]:
    """Pairs pictures and annotations by name, wherever they lie."""
    files = listing.tree(root)
    pictures = [f for f in files if f.suffix.lower() in SUFFIXES]
    xmls = [f for f in files if f.suffix.lower() == ".xml"]
    others = len(files) - len(pictures) - len(xmls)
    problems.note("files that are no pictures and no annotations", others)
    of = _pairs(root, pictures, xmls, problems)
    inside = any(_split(root, picture) for picture in pictures)
    items = []
    for picture in pictures:
        split = _split(root, picture)
        if inside and not split:
            problems.note("pictures beside the splits, left out")
            continue
        within = picture.relative_to(root).as_posix()
        items.append(Item(within, picture, of.get(picture), split=split))
    return items


def _pairs(
    root: pathlib.Path,
    pictures: list[pathlib.Path],
    xmls: list[pathlib.Path],
    problems: Problems,
) -> dict[pathlib.Path, pathlib.Path]:
    """Returns the annotation of each picture that has one, and reports the others.

    The name and the folder decide, else the name alone, else what the annotation says.
    """
    of: dict[pathlib.Path, pathlib.Path] = {}
    by_key: dict[tuple[str, ...], pathlib.Path] = {}
    by_name: dict[str, list[pathlib.Path]] = {}
    for picture in list(pictures):
        first = by_key.setdefault(_key(root, picture), picture)
        if first != picture:
            where = listing.printable(picture)
            problems.bad(where, f"it has the name of {first.name}, as one annotation")
            pictures.remove(picture)
        else:
            by_name.setdefault(listing.stem(picture.name), []).append(picture)
    left = []
    for xml in xmls:
        key = _key(root, xml)
        if key in by_key:
            of[by_key[key]] = xml
        else:
            left.append(xml)
    for xml in left:
        names = [xml.name]
        try:
            content = xml.read_bytes()
            names.append(voc_xml.parse(content, listing.printable(xml)).filename)
        except Fault as error:
            problems.bad(error.where, error.reason)
            continue
        for name in names:
            near = [
                picture
                for picture in by_name.get(listing.stem(name), [])
                if picture not in of
                and _split(root, xml) in ("", _split(root, picture))
            ]
            if len(near) == 1:
                of[near[0]] = xml
                break
        else:
            problems.bad(listing.printable(xml), "there is no picture of this name")
    return of


def _key(root: pathlib.Path, file: pathlib.Path) -> tuple[str, ...]:
    """Returns what a picture and its annotation have in common."""
    folders = (part.casefold() for part in file.relative_to(root).parts[:-1])
    return (*(f for f in folders if f not in _PARTS), listing.stem(file.name))


def _split(root: pathlib.Path, file: pathlib.Path) -> str:
    """Returns the split that a folder around a file names, or nothing."""
    words = [part.casefold() for part in file.relative_to(root).parts[:-1]]
    return next((SPLITS[word] for word in words if word in SPLITS), "")
