"""All pictures of a folder, without any labels."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from p5_keras.data.importers import layouts
from p5_keras.data.importers.splits import cut
from p5_keras.data.loaders import listing
from p5_keras.data.records import Problems, Records


def load(
    path: str,
    problems: Problems,
    *,
    split: tuple[float, float, float] = (0.9, 0.05, 0.05),
    reading: Mapping[str, Any] | None = None,
) -> Records:
    """Reads `pictures:PATH`: every picture in a folder, at any depth.

    Args:
        path: The folder.
        problems: Takes what is wrong with the set.
        split: Shares of training, validation and test pictures.
        reading: How a model's training data were read, where these are others; see
            `Records`.

    Returns:
        The pictures, with no field.

    Raises:
        ValueError: The path or a share is wrong, or there are fewer than three
            pictures.
    """
    root, images = listing.folder(path), []
    for file in listing.tree(root):
        if file.suffix.lower() not in listing.SUFFIXES:
            continue
        if reason := listing.fault(file):
            problems.bad(listing.printable(file), reason)
        else:
            images.append(str(file))
    problems.note(
        "pictures in folders of masks or labels, read as the others are; give the "
        "folder of the pictures alone to leave them out",
        sum(layouts.of_labels(pathlib.Path(p).relative_to(root)) for p in images),
        "medium",
    )
    if len(images) < 3:
        raise ValueError(
            "`path` must hold three pictures at least, one for each split. "
            f"Received: path={path!r} with {len(images)}"
        )
    if (reading or {}).get("splits", {}).get("rule") == "rank":
        splits, rule = _earlier(len(images), split), dict((reading or {})["splits"])
    else:
        within = [pathlib.Path(p).relative_to(root).as_posix() for p in images]
        splits, rule = cut(within, None, None, split, problems, reading)
    return Records(
        root.name,
        splits,
        {},
        {},
        np.array(images),
        reading={**(reading or {}), "splits": rule},
        problems=problems,
    )


def _earlier(size: int, shares: tuple[float, float, float]) -> np.ndarray:
    """Splits as the runs of earlier versions did, by the place in the list."""
    count = [max(round(share * size), 1) for share in shares[1:]]
    splits = np.full(size, "train", "U16")
    order = np.random.default_rng(0).permutation(size)
    splits[order[: count[0]]] = "validation"
    splits[order[count[0] : sum(count)]] = "test"
    return splits
