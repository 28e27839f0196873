"""COCO: pictures with boxes and masks in JSON files."""

import collections
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from p5_keras.data.importers import box_forms
from p5_keras.data.importers import reading as readings
from p5_keras.data.importers.box_forms import Form
from p5_keras.data.importers.splits import cut
from p5_keras.data.loaders import (
    annotated,
    coco_file,
    coco_masks,
    coco_objects,
    header,
    listing,
)
from p5_keras.data.loaders.coco_file import Document
from p5_keras.data.loaders.coco_masks import Mask
from p5_keras.data.loaders.coco_objects import Objects
from p5_keras.data.loaders.fault import Fault
from p5_keras.data.loaders.header import Size
from p5_keras.data.records import Field, Problems, Records


@dataclass(frozen=True)
class _Example:
    """A picture with its objects.

    Attributes:
        image: The picture.
        split: "train", "validation", "test" or "".
        objects: What is on it.
        mask: Its mask, drawn or not.
        side: `(height, width)` of the picture, turned as the labels are.
    """

    image: pathlib.Path
    split: str
    objects: Objects
    mask: Mask
    side: Size


def load(
    path: str,
    problems: Problems,
    *,
    masks: bool = True,
    crowd: str = "",
    box_format: str = "",
    box_units: str = "",
    cache_dir: str | None = None,
    split: tuple[float, float, float] = (0.8, 0.1, 0.1),
    reading: Mapping[str, Any] | None = None,
) -> Records:
    """Reads pictures with annotations in the JSON of COCO.

    Three layouts are known, in the folder itself or up to two levels below it:

    - COCO's own: annotations/instances_train2017.json with pictures in train2017, and
      the same for val and test. Captions and other files are ignored.
    - Roboflow's: train/_annotations.coco.json beside its pictures.
    - One JSON file, with pictures beside it or in any folder beside it; these are cut
      by `split`.

    A picture without an object is labelled, as empty. A crowd region has no box, and
    no label in the mask. In masks, 0 is the background, and a smaller object lies on
    top of a larger one. An object without segmentation leaves its box without label in
    the mask, where there are masks at all. Keypoints are ignored.

    Args:
        path: The folder.
        problems: Takes what is wrong with the set.
        masks: Whether to make masks, where objects have segmentations.
        crowd: "void", or "object" to read crowd regions as objects. Where most are
            crowds it must be said.
        box_format: What the numbers of a box are, one of `box_forms.FORMATS`, where it
            is not x, y, width, height.
        box_units: "pixels", "shares" or "percent".
        cache_dir: Where masks are drawn to, once for each JSON file; by default
            p5_keras/masks in the user's cache.
        split: Shares of training, validation and test pictures, where the set does
            not say.
        reading: How a model's training data were read, where these are others; see
            `Records`.

    Returns:
        The pictures, with a field "objects" of kind "boxes" and, where there are
        segmentations, "mask" of kind "mask". Classes are in the order of their ids.

    Raises:
        ValueError: The path, its layout, a JSON file or an option is wrong.
    """
    root = listing.folder(path)
    top, documents = coco_file.read(root, path, problems)
    names = coco_file.class_names(documents, problems)
    if known := readings.field(reading, "objects"):
        names = _as_before(names, known.class_names)
    form = box_forms.form("xywh", box_format, box_units)
    coco_objects.check_crowds(documents, crowd)
    crowds = crowd != "object"
    masks = masks and coco_objects.any_segmentation(documents)
    if masks and len(names) >= coco_masks.VOID:
        raise ValueError(
            f"`masks` must be False for {coco_masks.VOID} classes and more. "
            f"Received: masks=True, with {len(names)} classes"
        )
    examples: list[_Example] = []
    seen: dict[pathlib.Path, str] = {}
    for document in documents:
        examples += _examples(
            document, top, names, masks, cache_dir, seen, problems, form, crowds
        )
    written = np.concatenate([np.zeros((0, 5)), *(e.objects.written for e in examples)])
    counts = [len(e.objects.written) for e in examples]
    sizes = np.repeat([e.mask.drawn for e in examples] or [(1, 1)], counts or 0, axis=0)
    box_forms.check(written[:, :4], sizes, form, written[:, 4])
    sides = np.repeat([e.side for e in examples] or [(1, 1)], counts or 0, axis=0)
    box_forms.note_scale(written[:, :4], sizes, sides, form, problems)
    if masks:
        faults = coco_masks.draw([e.mask for e in examples])
        for fault in filter(None, faults):
            problems.bad(fault.where, fault.reason)
        examples = [e for e, f in zip(examples, faults, strict=True) if f is None]

    given = [e.split for e in examples] if len(documents) > 1 else None
    within = [e.image.relative_to(top).as_posix() for e in examples]
    splits, rule = cut(within, given, None, split, problems, reading)
    class_names = tuple(names.values())
    column: annotated.BoxColumn = [(e.objects.boxes, e.objects.ids) for e in examples]
    fields = {"objects": Field("boxes", class_names)}
    columns: dict[str, Any] = {"objects": column}
    if masks:
        fields["mask"] = Field("mask", ("background", *class_names))
        columns["mask"] = [str(e.mask.file) for e in examples]
    return Records(
        name=root.name,
        splits=splits,
        fields=fields,
        columns=columns,
        images=np.array([str(e.image) for e in examples]),
        sides=np.array([e.side for e in examples], "int64"),
        reading={**(reading or {}), "splits": rule},
        problems=problems,
    )


def _as_before(names: Mapping[int, str], before: tuple[str, ...]) -> dict[int, str]:
    """Returns the names in the order of the training data, by id, others behind.

    A class that is not in these data has an id that no object has.
    """
    ids = {name: number for number, name in names.items()}
    ordered = {ids.get(name, -1 - i): name for i, name in enumerate(before)}
    return ordered | {number: names[number] for number in names}


def _examples(
    document: Document,
    top: pathlib.Path,
    names: Mapping[int, str],
    masks: bool,
    cache_dir: str | None,
    seen: dict[pathlib.Path, str],
    problems: Problems,
    form: Form,
    crowds: bool,
) -> list[_Example]:
    """Reads the pictures of a document, with what is on them."""
    classes = {number: i for i, number in enumerate(names)}
    objects = coco_objects.by_image(document, problems)
    counts = collections.Counter(str(entry.get("id")) for entry in document.images)
    folders = coco_file.folders(document, top)
    cache = pathlib.Path()
    if masks:
        values = f"{classes}"
        cache = coco_masks.folder(cache_dir, top.name, document.content, values)
    examples = []
    for i, entry in enumerate(document.images):
        number = entry.get("id")
        if not isinstance(number, int | str):  # reported
            continue
        where = document.where("image", entry)
        try:
            if counts[str(number)] > 1:
                raise Fault(where, f"its id stands {counts[str(number)]} times")
            image = _picture(entry, folders, where)
            if seen.setdefault(image, where) != where:
                raise Fault(where, f"its picture is that of {seen[image]}")
            drawn, side = _sizes(entry, image, where, problems)
            found = coco_objects.read(
                document,
                objects[number],
                drawn,
                classes,
                masks,
                problems,
                form,
                crowds,
            )
        except Fault as fault:
            problems.bad(fault.where, fault.reason)
        else:
            file = cache / f"{i:06d}-{header.text(side)}.png"
            mask = Mask(file, drawn, side, found.shapes)
            examples.append(_Example(image, document.split, found, mask, side))
    return examples


def _picture(
    entry: dict[str, Any], folders: list[pathlib.Path], where: str
) -> pathlib.Path:
    name = entry.get("file_name")
    if not isinstance(name, str) or not name:
        raise Fault(where, "it has no file_name")
    image = coco_file.picture(name, folders)
    if image is None:
        raise Fault(where, f"there is no picture {name!r}")
    return image


def _sizes(
    entry: dict[str, Any], image: pathlib.Path, where: str, problems: Problems
) -> tuple[Size, Size]:
    """Returns the size that labels are seen on, and that of the picture, turned so."""
    try:
        head = header.read(image)
    except ValueError as error:
        raise Fault(listing.printable(image), str(error)) from None
    if wrong := header.misnamed(image, head):
        problems.note(wrong)
    said = (entry.get("height"), entry.get("width"))
    if not all(isinstance(n, int) and n > 0 for n in said):
        problems.note("images without a size: their picture's counts")
        return head.upright, head.upright
    drawn = (int(said[0] or 0), int(said[1] or 0))
    side = head.drawn_on(drawn)
    if side is None:
        raise Fault(
            where,
            f"it is for {header.text(drawn)} pixels, its picture has "
            f"{header.text(head.stored)}",
        )
    try:
        header.check_pixels(drawn, head)
    except ValueError as error:
        raise Fault(where, str(error)) from None
    problems.note("images drawn on their picture in another size", drawn != side)
    return drawn, side
