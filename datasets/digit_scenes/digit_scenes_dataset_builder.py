"""Scenes of one to four handwritten digits, with labels for five tasks."""

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from . import compose

# split: (seed, number of scenes, whether to augment the digits)
_SPLITS = {
    "train": (1, 4000, True),
    "validation": (2, 1000, False),
    "test": (3, 1000, False),
}
_BATCH = 250


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builds `digit_scenes`; it needs scikit-learn and no download."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}

    def _info(self):
        shape = (compose.CANVAS, compose.CANVAS, 1)
        digit = tfds.features.ClassLabel(num_classes=compose.NUM_CLASSES)
        counts = [str(n + 1) for n in range(compose.MAX_DIGITS)]
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=shape, dtype=np.uint8),
                    "digit": digit,
                    "count": tfds.features.ClassLabel(names=counts),
                    "ink": np.float32,
                    "mask": tfds.features.LabeledImage(
                        labels=["background", "ink"], shape=shape, dtype=np.uint8
                    ),
                    "objects": tfds.features.Sequence(
                        {"bbox": tfds.features.BBoxFeature(), "label": digit}
                    ),
                }
            ),
            supervised_keys=("image", "digit"),
            homepage="https://archive.ics.uci.edu/dataset/80",
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        return {split: self._generate_examples(split) for split in _SPLITS}

    def _generate_examples(self, split):
        seed, scenes, augment = _SPLITS[split]
        glyphs, labels = compose.glyph_block(split)

        for start in range(0, scenes, _BATCH):
            indices = np.arange(start, min(start + _BATCH, scenes))
            scene = compose.compose(glyphs, labels, indices, seed, augment)
            scene = tf.nest.map_structure(lambda t: t.numpy(), scene)
            for k, index in enumerate(indices):
                yield int(index), _example(scene, k)


def _example(scene, k):
    """Cuts example `k` out of a batch, without the padding of `objects`."""
    boxes, labels = scene["objects"]["bbox"][k], scene["objects"]["label"][k]
    example = {name: scene[name][k] for name in ("image", "digit", "count", "mask")}
    return {
        **example,
        "ink": scene["ink"][k],
        "objects": [
            {"bbox": box, "label": label}
            for box, label in zip(boxes, labels, strict=True)
            if label >= 0
        ],
    }
