"""Folders that are not sorted into classes, though they look like it.

A folder of images beside one of masks would train a classifier that tells photographs
from masks, with a fine score. What folders and files are called says so; what only
their content hints at is noted.
"""

import collections
import pathlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from p5_keras.data.loaders import listing
from p5_keras.data.loaders.listing import SPLITS, SUFFIXES


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_IMAGES = _words(
    "image images img imgs jpegimages jpegs photo photos picture pictures pics frame "
    "frames rgb input inputs original originals raw source leftimg8bit"
)
_LABELS = _words(
    "mask masks label labels lab labs annotation annotations annot annots anno ann "
    "segmentation segmentations seg segs segmentationclass segmentationobject "
    "segmentationclassaug gt groundtruth groundtruths truth target targets trimap "
    "trimaps edge edges depth depths disparity contour contours xml xmls json txt "
    "output outputs gtfine"
)
# Those that are nothing else, whatever lies beside them.
_PLAIN = _words("images imgs jpegimages"), _words("masks labels annotations")
_MASKS = _words("masks labels annotations segmentationclass segmentationobject trimaps")
_BESIDE = _words("imagesets sets lists meta metadata docs readme")
# Names of what programs leave, and of no class.
_WORK = _words(
    "data dataset datasets output outputs input inputs result results tmp temp backup "
    "backups cache logs log runs run checkpoints checkpoint ckpt weights models src "
    "code scripts notebooks export exports prediction predictions preds submission "
    "submissions"
)
_DOUBTFUL = _WORK | _words(
    "augmented original originals raw processed preprocessed resized cropped copy new "
    "old misc unsorted unknown"
)
_SUFFIX = re.compile(
    r"[ _.-]*(masks?|labels?|lab|annot(ation)?s?|segmentation|seg|gt|ground_?truth)$"
)
_SPLIT_WORDS = re.compile(
    r"^(train(ing|val)?|val(id(ation)?)?|test(ing)?|dev|eval)"
    r"[ _.-]*(\d{0,4}|set|data|images?|imgs?|pictures?|folder|split|a|b)$"
)

#: What to give instead.
_AS_VOC = (
    "images with masks are read by voc:PATH from folders JPEGImages and "
    "SegmentationClass, a PNG of the same name for each image"
)
_ANYWAY = "; if these are classes after all, give classes=NAME,NAME"


@dataclass(frozen=True)
class Folder:
    """A folder that may be a class.

    Attributes:
        name: Its name.
        files: The images in it, at any depth.
        inner: Names of the folders in it.
        suffixes: Endings of all its files, in lower case.
    """

    name: str
    files: Sequence[pathlib.Path]
    inner: Sequence[str] = ()
    suffixes: frozenset[str] = frozenset()


def not_classes(folders: Sequence[Folder]) -> str:
    """Returns why folders are evidently no classes, and what to give, or nothing.

    Args:
        folders: Those that would be the classes; of several splits, all of them.
    """
    names = {folder.name.casefold(): folder for folder in folders}
    plain = {re.sub(r"[ _.-]", "", name): folder for name, folder in names.items()}
    for check in (_images_and_labels, _suffixed, _split_words, _working):
        if found := check(plain if check is not _suffixed else names):
            return found + _ANYWAY
    if found := _instances(folders) or _one_each(folders):
        return found
    return ""


def doubts(folders: Sequence[Folder]) -> list[str]:
    """Returns notes on folders that may be no classes.

    Args:
        folders: As in `not_classes`.
    """
    found = []
    for folder in folders:
        if re.sub(r"[ _.-]", "", folder.name.casefold()) in _DOUBTFUL | _LABELS:
            found.append(
                f"class {folder.name!r} may be a folder of something else; "
                "classes=NAME,NAME says which folders are classes"
            )
    if len(folders) == 2 and not found:
        first, second = ({listing.stem(f.name) for f in f.files} for f in folders)
        alike = len(first & second) >= 0.8 * max(len(first), len(second))
        few = [_few_values(folder.files) for folder in folders]
        if alike and few in ([True, False], [False, True]):
            found.append(
                f"the images in {folders[few.index(True)].name!r} have the names of "
                f"those in {folders[few.index(False)].name!r} and few values: they "
                f"may be their masks; {_AS_VOC}"
            )
    return found


def masks_beside(files: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    """Returns files of a class that are masks of others: "a_mask.png" beside "a.png".

    Args:
        files: The images of one class.
    """
    stems = {(f.parent, listing.stem(f.name).casefold()) for f in files}
    found = []
    for file in files:
        stem = listing.stem(file.name).casefold()
        base = re.sub(_SUFFIX, "", re.sub(r"[ _.-]*\d{0,2}$", "", stem))
        exact = re.sub(_SUFFIX, "", stem)
        for name in (exact, base):
            if name and name != stem and (file.parent, name) in stems:
                found.append(file)
                break
    # A face with a mask is a photograph.
    return found if found and _few_values(found) else []


def of_labels(file: pathlib.PurePath) -> bool:
    """Whether a file lies in a folder that is called as those of masks or labels.

    Args:
        file: Its path within the set.
    """
    return any(part.casefold() in _MASKS for part in file.parts[:-1])


def prefixed(files: Sequence[pathlib.Path]) -> str:
    """Returns what to do about images whose names begin with their class, or nothing.

    Args:
        files: Images that lie in no class folder.
    """
    prefixes = collections.Counter(
        re.split(r"[ _.\-]*\d", f.name, maxsplit=1)[0].casefold() for f in files
    )
    prefixes.pop("", None)
    usual = [p for p, n in prefixes.most_common(50) if n >= 2]
    if len(usual) < 2 or sum(prefixes[p] for p in usual) < 0.8 * len(files):
        return ""
    shown = ", ".join(repr(p) for p in usual[:3])
    return (
        f" The names of files begin with {shown}: if these are the classes, sort the "
        "files into folders of these names, or give table:FILE with a row for each."
    )


def _images_and_labels(names: dict[str, Folder]) -> str:
    images = [f for n, f in names.items() if n in _IMAGES]
    labels = [f for n, f in names.items() if n in _LABELS]
    if not images or not labels:
        return _by_words(list(names.values()))
    others = set(names) - _IMAGES - _LABELS - _BESIDE
    if others and not (_PLAIN[0] & set(names) and _PLAIN[1] & set(names)):
        return ""
    return _say(images[0], labels)


def _by_words(folders: Sequence[Folder]) -> str:
    """Folders such as "raw_images" and "masks_png", with files of the same names."""
    words = {f.name: set(re.split(r"[ _.-]+", f.name.casefold())) for f in folders}
    labels = [f for f in folders if words[f.name] & _LABELS]
    images = [f for f in folders if words[f.name] & _IMAGES and f not in labels]
    if not images or not labels or len(images) + len(labels) < len(folders):
        return ""
    first, second = ([x for f in own for x in f.files] for own in (images, labels))
    return _say(images[0], labels) if _same_stems(first, second) else ""


def _say(image: Folder, labels: Sequence[Folder]) -> str:
    shown = ", ".join(repr(f.name) for f in (image, *labels))
    suffixes = frozenset[str]().union(*(f.suffixes for f in labels))
    how = _AS_VOC
    classes = [name for name in image.inner if name.casefold() not in SPLITS]
    if len(classes) > 1:
        return (
            f"folders {shown} are images and their labels; if the folders in "
            f"{image.name!r} are the classes, give PATH/{image.name}"
        )
    if ".xml" in suffixes:
        how = "images with XML files of boxes are read by voc:PATH"
    elif ".json" in suffixes:
        how = "images with COCO's JSON files are read by coco:PATH"
    elif ".txt" in suffixes and not suffixes & SUFFIXES:
        how = "text files of boxes, as YOLO's, are to be made COCO's or VOC's first"
    elif image.name == "JPEGImages":
        how = "give voc:PATH"
    return f"folders {shown} are images and their labels; {how}"


def _suffixed(names: dict[str, Folder]) -> str:
    """Folders "train" and "train_labels", or "trainannot"."""
    pairs = {}
    for name in names:
        base = re.sub(_SUFFIX, "", name)
        if base != name and base in names:
            pairs[name] = base
    if not pairs or set(names) - set(pairs) - set(pairs.values()):
        return ""
    name = sorted(pairs)[0]
    alike = _SPLIT_WORDS.match(pairs[name]) or _same_stems(
        names[name].files, names[pairs[name]].files
    )
    return _say(names[pairs[name]], [names[name]]) if alike else ""


def _split_words(names: dict[str, Folder]) -> str:
    splits = [name for name in names if _SPLIT_WORDS.match(name)]
    if len(splits) < 2 or set(names) - set(splits) - _LABELS - _BESIDE:
        return ""
    labels = [folder for name, folder in names.items() if name in _LABELS]
    if labels:
        return _say(names[splits[0]], labels)
    shown = ", ".join(repr(folder.name) for folder in names.values())
    return (
        f"folders {shown} are splits; call them train, val and test, with a folder "
        "for each class in each." + prefixed(_all(names))
    ).rstrip(".")


def _working(names: dict[str, Folder]) -> str:
    if len(names) < 2 or not set(names) <= _WORK:
        return ""
    shown = ", ".join(repr(folder.name) for folder in names.values())
    return f"folders {shown} are called as programs' folders, and not as classes"


def _instances(folders: Sequence[Folder]) -> str:
    """A folder for each image, with folders of it and of its masks inside."""
    both = [
        folder
        for folder in folders
        if {n.casefold() for n in folder.inner} & _IMAGES
        and {n.casefold() for n in folder.inner} & _LABELS
    ]
    if not both or len(both) < 0.8 * len(folders):
        return ""
    return (
        f"each of {len(folders)} folders, such as {both[0].name!r}, holds folders "
        f"{', '.join(map(repr, both[0].inner))}: an image with masks of its objects, "
        "which are not read; COCO's JSON has them, for coco:PATH"
    )


def _one_each(folders: Sequence[Folder]) -> str:
    single = [folder for folder in folders if len(folder.files) == 1]
    if len(folders) < 3 or len(single) < 0.9 * len(folders):
        return ""
    return (
        f"{len(single)} of {len(folders)} folders hold a single image, such as "
        f"{single[0].name!r}, and a class is learned from several; if a table says the "
        "classes, give table:FILE"
    )


def _all(names: dict[str, Folder]) -> list[pathlib.Path]:
    return [file for folder in names.values() for file in folder.files]


def _same_stems(first: Sequence[pathlib.Path], second: Sequence[pathlib.Path]) -> bool:
    def stems(files: Sequence[pathlib.Path]) -> set[str]:
        return {re.sub(_SUFFIX, "", listing.stem(f.name).casefold()) for f in files}

    one, other = stems(first), stems(second)
    return bool(one) and len(one & other) >= 0.8 * max(len(one), len(other))


def _few_values(files: Sequence[pathlib.Path], most: int = 16) -> bool:
    """Whether a few of the images, spread over all, have few grey values each."""
    from p5_keras.data.loaders import header

    chosen = files[:: max(1, len(files) // 4)][:4]
    try:
        looks = [header.mask(file) for file in chosen]
    except ValueError:
        return False
    return bool(looks) and all(len(look.counts) <= most for look in looks)
