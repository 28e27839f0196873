"""Faces of 20 people: who, which way they look, their expression, sunglasses."""

import collections
import dataclasses

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from . import photos
from .pgm import read_pgm

_URL = (
    "https://archive.ics.uci.edu/ml/machine-learning-databases/faces-mld/faces.tar.gz"
)
_FULL_SIZE = (120, 128)


@dataclasses.dataclass
class Config(tfds.core.BuilderConfig):
    """What is held out, and the size of the pictures.

    Attributes:
        by: "person" or "photo".
        scale: 2 or 4; full size divided by that.
    """

    by: str = "person"
    scale: int = 2


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builds `cmu_faces` from a local copy, or else from a download."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [
        Config(
            name=f"by_{by}_{scale}",
            description=f"{text}; {120 // scale} x {128 // scale} pixels.",
            by=by,
            scale=scale,
        )
        for by, text in (
            ("person", "Other people in each split, no label `person`"),
            ("photo", "Other photographs of the same people in each split"),
        )
        for scale in (2, 4)
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Optional: pass the folder that holds `faces/`, or `faces/` itself, as the "
        "manual directory. Without it the archive is downloaded."
    )

    def _info(self):
        height, width = self._size
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(height, width, 1), dtype=np.uint8
                    ),
                    "filename": tfds.features.Text(),
                    "person": tfds.features.ClassLabel(names=photos.PEOPLE),
                    "pose": tfds.features.ClassLabel(names=photos.POSES),
                    "expression": tfds.features.ClassLabel(names=photos.EXPRESSIONS),
                    "eyes": tfds.features.ClassLabel(names=photos.EYES),
                }
            ),
            supervised_keys=("image", "pose"),
            homepage="https://archive.ics.uci.edu/dataset/124/cmu+face+images",
        )

    @property
    def _size(self):
        return tuple(side // self.builder_config.scale for side in _FULL_SIZE)

    def _split_generators(self, dl_manager):
        config = self.builder_config
        root = _manual(dl_manager)
        if root is None:
            root = dl_manager.download_and_extract(_URL) / "faces"
        paths, found, ignored = _list(root, config.scale)
        split = {"person": photos.split_by_person, "photo": photos.split_by_photo}
        splits = split[config.by](found)
        sizes = collections.Counter(splits)
        for name in photos.SPLITS:
            if not sizes[name]:
                raise ValueError(
                    "Each split must have a photograph. "
                    f"Received: none for {name!r} in {str(root)!r}"
                )
        logging.info(
            "cmu_faces, %s: %s; ignored: %s.",
            config.name,
            ", ".join(f"{sizes[name]} {name}" for name in photos.SPLITS),
            ", ".join(f"{n} {what}" for what, n in ignored.items()),
        )
        rows = list(zip(splits, paths, found, strict=True))
        return {
            name: self._generate_examples([row[1:] for row in rows if row[0] == name])
            for name in photos.SPLITS
        }

    def _generate_examples(self, rows):
        for path, photo in rows:
            image = read_pgm(path.read_bytes(), path.name)
            if image.shape[:2] != self._size:
                raise ValueError(
                    f"A photograph of scale {photo.scale} must have {self._size} "
                    "rows and columns. "
                    f"Received: {image.shape[:2]}, filename={path.name!r}"
                )
            by_person = self.builder_config.by == "person"
            yield (
                path.name,
                {
                    "image": image,
                    "filename": path.name,
                    # Nobody in the test split was there to be learned.
                    "person": -1 if by_person else photo.person,
                    "pose": photo.pose,
                    "expression": photo.expression,
                    "eyes": photo.eyes,
                },
            )


def _manual(dl_manager):
    """Returns the local `faces` folder, or `None` where there is none."""
    try:
        root = dl_manager.manual_dir
    except AssertionError:  # How TFDS says that the folder is missing or empty.
        return None
    for folder in (root / "faces", root):
        if any((folder / person).exists() for person in photos.PEOPLE):
            return folder
    return None


def _list(root, scale):
    """Lists the photographs of one scale, and counts the files that are none."""
    paths, found = [], []
    ignored = {"of another size": 0, "marked .bad": 0, "of another kind": 0}
    files = [path for path in root.iterdir() if not path.is_dir()]
    for folder in root.iterdir():
        files += folder.iterdir() if folder.is_dir() else []
    for path in sorted(files):
        if path.suffix == ".bad":
            ignored["marked .bad"] += 1
            continue
        if path.suffix != ".pgm" or path.name.startswith("."):
            ignored["of another kind"] += 1
            continue
        photo = photos.parse_name(path.name, path.parent.name)
        if photo.scale != scale:
            ignored["of another size"] += 1
            continue
        paths.append(path)
        found.append(photo)
    return paths, found, ignored
