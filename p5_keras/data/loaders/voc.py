"""Pascal VOC: pictures with boxes in XML files and masks, as users have them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from p5_keras.data.importers import box_forms, masks
from p5_keras.data.importers import reading as readings
from p5_keras.data.importers.splits import cut
from p5_keras.data.loaders import annotated, listing, oxford_pets, voc_files, voc_lists
from p5_keras.data.loaders.annotated import Example
from p5_keras.data.records import Field, Problems, Records

#: The classes of the VOC challenge; in masks, class i has the pixel value i + 1.
CLASSES = [
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
]


def load(
    path: str,
    problems: Problems,
    *,
    classes: tuple[str, ...] = (),
    values: tuple[str, ...] = (),
    difficult: str = "keep",
    box_format: str = "",
    box_units: str = "",
    split: tuple[float, float, float] = (0.8, 0.1, 0.1),
    reading: Mapping[str, Any] | None = None,
) -> Records:
    """Reads pictures with annotations in the XML of Pascal VOC.

    Three layouts are known, in the folder itself or up to two levels below it:

    - VOC's own: JPEGImages with Annotations, SegmentationClass or both. Splits are the
      lists in ImageSets/Main, then those in ImageSets/Segmentation; a picture in no
      list is left out, unless there is no list at all.
    - That of the Oxford-IIIT Pets, see `oxford_pets`.
    - Any other: an XML file belongs to the picture of the same name, beside it or with
      folders such as images and annotations between them. Splits are folders, as in
      `folder.load`.

    A picture whose XML file has no object is labelled, as empty; one without an XML
    file is not labelled. A box is an object's own, not that of its parts. Pixels count
    from 1 and the last one belongs to the box, as VOC says: the whole of a picture is
    1, 1, width, height. If a box of the set begins at 0, corners are edges instead.

    In masks, the value 0 is the background and 255 has no label, unless they hold these
    two only; see `masks.decide`.

    Args:
        path: The folder.
        problems: Takes what is wrong with the set.
        classes: Names of the classes, in order. By default those in classes.txt,
            labels.txt or label_map.pbtxt beside the folders, else all that are found,
            sorted. Masks have VOC's own classes if the boxes have, else these.
        values: "NAME:VALUE" for each class of the masks, where the value is a number or
            a colour #rrggbb; what is not named has no label, but 0 or black is the
            background. By default what the masks say.
        difficult: "keep", or "drop" for leaving out objects marked as difficult.
        box_format: What the numbers of a box are, one of `box_forms.FORMATS`, where
            they are not corners.
        box_units: "pixels", "shares" or "percent".
        split: Shares of training, validation and test pictures, where the set does
            not say.
        reading: How a model's training data were read, where these are others; see
            `Records`.

    Returns:
        The pictures, with a field "objects" of kind "boxes", "mask" of kind "mask", or
        both.

    Raises:
        ValueError: The path, its layout or an option is wrong.
    """
    if difficult not in ("keep", "drop"):
        raise ValueError(
            f"`difficult` must be 'keep' or 'drop'. Received: difficult={difficult!r}"
        )
    if "" in classes or len(set(classes)) < len(classes):
        raise ValueError(
            f"`classes` must name each class once. Received: classes={classes}"
        )
    form = box_forms.form("xyxy", box_format, box_units)
    root = listing.folder(path)
    if pets := oxford_pets.find(root):
        if classes:
            raise ValueError(
                "`classes` does not fit the Oxford-IIIT Pets, whose lists name them. "
                f"Received: classes={classes}"
            )
        return oxford_pets.load(pets, root.name, problems, difficult, split, reading)
    top, items = voc_files.find(root, path, problems)
    classes = tuple(classes) or voc_lists.class_names(top)
    examples = annotated.read(items, problems, classes)
    found = {n for e in examples if e.annotation for n in e.annotation.names}
    names = classes or tuple(sorted(found))
    if not names and not any(e.item.mask for e in examples):
        raise ValueError(
            "A set must have a box or a mask. "
            f"Received: path={path!r}, with {len(examples)} pictures that have none"
        )

    given = [e.item.split for e in examples]
    splits, rule = cut(
        [e.item.name for e in examples],
        given if any(given) else None,
        None,
        split,
        problems,
        reading,
    )
    known = {**(reading or {}), "splits": rule}
    fields: dict[str, Field] = {}
    columns: dict[str, list[object]] = {}
    if names and any(e.annotation for e in examples):
        first = annotated.first_pixel(examples, known, problems, form)
        column = annotated.box_column(examples, names, difficult, first, problems, form)
        fields["objects"] = Field("boxes", names)
        columns["objects"] = list(column)
    if any(e.item.mask for e in examples):
        own = (top / "ImageSets" / "Segmentation").is_dir()
        if stored := readings.field(reading, "mask"):
            masks.check([e.mask for e in examples if e.mask], stored, problems)
        fields["mask"] = stored or _mask_field(
            examples, names, bool(classes), values, own, problems
        )
        columns["mask"] = [str(e.item.mask or "") for e in examples]
    return Records(
        name=root.name,
        splits=splits,
        fields=fields,
        columns=columns,
        images=np.array([str(e.item.image) for e in examples]),
        sides=np.array([e.side for e in examples], "int64"),
        reading=known,
        problems=problems,
    )


def _mask_field(
    examples: Sequence[Example],
    names: Sequence[str],
    listed: bool,
    values: Sequence[str],
    own: bool,
    problems: Problems,
) -> Field:
    """Returns what the masks hold; `own` says whether the set is that of VOC."""
    contents = [e.mask for e in examples if e.mask]
    usual = set(names) <= set(CLASSES) and (
        bool(names) or own or masks.has_voc_palette(contents)
    )
    return masks.decide(
        contents, names, problems, values, listed, CLASSES if usual else ()
    )
