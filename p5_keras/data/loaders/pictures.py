"""All pictures of a folder, without any labels."""

import numpy as np

from p5_keras.data.loaders import listing
from p5_keras.data.records import Problems, Records


def load(
    path: str,
    problems: Problems,
    *,
    split: tuple[float, float, float] = (0.9, 0.05, 0.05),
) -> Records:
    """Reads `pictures:PATH`: every picture in a folder, at any depth.

    Args:
        path: The folder.
        problems: Takes what is wrong with the set.
        split: Shares of training, validation and test pictures, chosen at random.

    Returns:
        The pictures, with no field.

    Raises:
        ValueError: The path or a share is wrong, or there are fewer than three
            pictures.
    """
    if len(split) != 3 or min(split) < 0 or abs(sum(split) - 1) > 1e-6:
        raise ValueError(
            f"`split` must be three shares that add up to 1. Received: split={split}"
        )
    root, images = listing.folder(path), []
    for file in listing.tree(root):
        if file.suffix.lower() not in listing.SUFFIXES:
            continue
        if reason := listing.fault(file):
            problems.bad(listing.printable(file), reason)
        else:
            images.append(str(file))
    if len(images) < 3:
        raise ValueError(
            "`path` must hold three pictures at least, one for each split. "
            f"Received: path={path!r} with {len(images)}"
        )
    count = [max(round(share * len(images)), 1) for share in split[1:]]
    splits = np.full(len(images), "train", object)
    order = np.random.default_rng(0).permutation(len(images))
    splits[order[: count[0]]] = "validation"
    splits[order[count[0] : sum(count)]] = "test"
    splits, paths = splits.astype(str), np.array(images)
    return Records(root.name, splits, {}, {}, paths, problems=problems)
