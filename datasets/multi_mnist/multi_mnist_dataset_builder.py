"""Two overlapping digits, or pieces of clothing, in one picture; or one digit."""

import dataclasses
import hashlib

import numpy as np
import tensorflow_datasets as tfds

from . import compose
from .idx import read_idx

_SETS = {
    "mnist": "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "fashion_mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
}
_CLASSES = {
    "mnist": [str(digit) for digit in range(10)],
    "fashion_mnist": [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
}
# split: (prefix of its files, seed of the pairs, share of the last items, a validation
# split to be, that are paired among themselves)
_SPLITS = {"train": ("train", 1, 1 / 6), "test": ("t10k", 2, 0)}
_SUFFIXES = ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz")
_FILES = [f"{prefix}-{end}" for prefix, *_ in _SPLITS.values() for end in _SUFFIXES]
# The files of both sets have the same names: MD5 of the labels tells them apart.
_KNOWN = {
    "e86ee40d66677c011a9abda399ec8c4d": "mnist",  # train
    "073c3904dfbd3e141ff8aa01cfde6b15": "mnist",  # t10k
    "3236f6424fc25388b2834cb19942cf7e": "fashion_mnist",
    "8dea97a4e78c1bd1b5a6e8efbb870b6e": "fashion_mnist",
}


@dataclasses.dataclass
class Config(tfds.core.BuilderConfig):
    """Where the two items of a picture come from.

    Attributes:
        left: the set of the item at the top left.
        right: the set of the item at the bottom right, or `None` for pictures of one
            item as they are in the set.
    """

    left: str = "mnist"
    right: str | None = "mnist"


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builds `multi_mnist` from local copies, or else from downloads."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [
        Config(name="mnist", description="Two digits."),
        Config(
            name="fashion",
            description="Two pieces of clothing.",
            left="fashion_mnist",
            right="fashion_mnist",
        ),
        Config(
            name="fashion_and_mnist",
            description="Clothing at the top left, a digit at the bottom right.",
            left="fashion_mnist",
            right="mnist",
        ),
        Config(name="single", description="One digit: MNIST itself.", right=None),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Optional: pass a folder that holds `mnist/` and `fashion_mnist/`, each with "
        f"{', '.join(_FILES)}. For a configuration of one set it may also be the "
        "folder of the files themselves. Without it they are downloaded."
    )

    def _info(self):
        config = self.builder_config
        side, sets = compose.ITEM, {"label": config.left}
        if config.right is not None:
            side, sets = compose.CANVAS, {"left": config.left, "right": config.right}
        labels = {
            label: tfds.features.ClassLabel(names=_CLASSES[name])
            for label, name in sets.items()
        }
        image = tfds.features.Image(shape=(side, side, 1), dtype=np.uint8)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"image": image, **labels}),
            supervised_keys=("image", next(iter(labels))),
            homepage="https://arxiv.org/abs/1810.04650",
            # A validation split is cut off at the end, where pairs keep to themselves.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        config = self.builder_config
        names = dict.fromkeys(n for n in (config.left, config.right) if n is not None)
        files = {}
        for name in names:
            files[name] = _local(dl_manager, name, alone=len(names) == 1)
            if files[name] is None:
                urls = {file: _SETS[name] + file for file in _FILES}
                files[name] = dl_manager.download(urls)
        return {
            split: self._generate_examples(
                split, files[config.left], files.get(config.right)
            )
            for split in _SPLITS
        }

    def _generate_examples(self, split, left_files, right_files):
        config = self.builder_config
        prefix, seed, held_out = _SPLITS[split]
        left, left_labels = _read(left_files, prefix, config.left)
        if right_files is None:
            for i, label in enumerate(left_labels):
                yield i, {"image": left[i, ..., None], "label": int(label)}
            return
        right, right_labels = _read(right_files, prefix, config.right)
        if len(left) != len(right):
            raise ValueError(
                "Both sets must have as many items. "
                f"Received: {len(left)} and {len(right)} in {split!r}"
            )
        partner = compose.partners(len(left), round(len(left) * held_out), seed)
        images = compose.overlay(left, right[partner])
        for i, j in enumerate(partner):
            yield (
                i,
                {
                    "image": images[i],
                    "left": int(left_labels[i]),
                    "right": int(right_labels[j]),
                },
            )


def _local(dl_manager, name, alone):
    """Returns the paths of a local copy of a set, or `None` where there is none."""
    try:
        root = dl_manager.manual_dir
    except AssertionError:  # How TFDS says that the folder is missing or empty.
        return None
    for folder in (root / name, *((root,) if alone else ())):
        files = {file: folder / file for file in _FILES}
        missing = [file for file, path in files.items() if not path.exists()]
        if not missing:
            return files
        if len(missing) < len(files):
            raise ValueError(
                f"The folder of {name!r} must hold {', '.join(_FILES)}. "
                f"Received: no {', '.join(missing)} in {str(folder)!r}"
            )
    return None


def _read(files, prefix, name):
    """Returns images `(items, 28, 28)` and labels `(items,)` of one set."""
    image_path, path = (files[f"{prefix}-{suffix}"] for suffix in _SUFFIXES)
    images = read_idx(image_path, (compose.ITEM, compose.ITEM))
    labels = read_idx(path)
    if len(images) != len(labels):
        raise ValueError(
            "A set must have a label for each image. "
            f"Received: {len(images)} images, {len(labels)} labels, "
            f"path={str(path)!r}"
        )
    if labels.size and labels.max() >= len(_CLASSES[name]):
        raise ValueError(
            f"Labels must be below {len(_CLASSES[name])}. "
            f"Received: {labels.max()}, path={str(path)!r}"
        )
    digest = hashlib.md5(labels.tobytes(), usedforsecurity=False).hexdigest()
    found = _KNOWN.get(digest, name)
    if found != name:
        raise ValueError(
            f"The labels must be those of {name!r}. "
            f"Received: those of {found!r}, path={str(path)!r}"
        )
    return images, labels
