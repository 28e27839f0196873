"""Blood cells under a microscope, with boxes of three kinds (BCCD)."""

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from p5_keras.data.loaders import boxes, voc_xml

_COMMIT = "d272fb14cdff6e473fafeeeba32aba5f560e9e43"
_HOMEPAGE = "https://github.com/Shenggan/BCCD_Dataset"
_URL = f"{_HOMEPAGE}/archive/{_COMMIT}.zip"
_NAMES = ["RBC", "WBC", "Platelets"]
_SPLITS = {"train": "train", "validation": "val", "test": "test"}


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builds `blood_cells` from a local copy, or else from a download."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Optional: clone {_HOMEPAGE} and pass the folder that holds `BCCD/` as the "
        "manual directory. Without it the archive is downloaded."
    )

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(
                        shape=(None, None, 3), dtype=np.uint8, encoding_format="jpeg"
                    ),
                    "image/filename": tfds.features.Text(),
                    "objects": tfds.features.Sequence(
                        {
                            "bbox": tfds.features.BBoxFeature(),
                            "label": tfds.features.ClassLabel(names=_NAMES),
                        }
                    ),
                }
            ),
            homepage=_HOMEPAGE,
        )

    def _split_generators(self, dl_manager):
        root = _manual(dl_manager)
        if root is None:
            archive = dl_manager.download_and_extract(_URL)
            root = archive / f"BCCD_Dataset-{_COMMIT}" / "BCCD"
        return {
            split: self._generate_examples(root, split, listing)
            for split, listing in _SPLITS.items()
        }

    def _generate_examples(self, root, split, listing):
        listing = _existing(root / "ImageSets" / "Main" / f"{listing}.txt")
        dropped = clipped = 0
        for name in listing.read_text().split():
            image = _existing(root / "JPEGImages" / f"{name}.jpg")
            path = _existing(root / "Annotations" / f"{name}.xml")
            found = voc_xml.parse(path.read_bytes(), str(path))
            _check(found)
            shares, kept, cut = boxes.shares(found.corners, found.size)
            labels = [n for n, keep in zip(found.names, kept, strict=True) if keep]
            dropped += len(kept) - len(labels)
            clipped += cut
            yield (
                name,
                {
                    "image": image,
                    "image/filename": image.name,
                    "objects": [
                        {"bbox": tfds.features.BBox(*box), "label": label}
                        for label, box in zip(labels, shares.tolist(), strict=True)
                    ],
                },
            )
        logging.log(
            logging.WARNING if dropped or clipped else logging.INFO,
            "blood_cells, %s: %d boxes without area dropped, %d clipped to the image.",
            split,
            dropped,
            clipped,
        )


def _manual(dl_manager):
    """Returns the local `BCCD` folder, or `None` where there is none."""
    try:
        root = dl_manager.manual_dir / "BCCD"
    except AssertionError:  # How TFDS says that the folder is missing or empty.
        return None
    return root if root.exists() else None


def _check(annotation):
    """Checks the size of an annotation's image and the classes in it."""
    if not all(annotation.size):
        raise ValueError(
            "An annotation must give its image's size. "
            f"Received: size={annotation.size}, filename={annotation.file!r}"
        )
    for i, name in enumerate(annotation.names):
        if name not in _NAMES:
            raise ValueError(
                f"An object's class must be one of {_NAMES}. "
                f"Received: name={name!r}, {annotation.where(i)}"
            )


def _existing(path):
    if not path.exists():
        raise ValueError(
            f"The dataset's folder must hold {path.parent.name}/{path.name}. "
            f"Received: no such file, path={str(path)!r}"
        )
    return path
