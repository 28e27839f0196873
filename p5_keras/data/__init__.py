"""From data sets to batches: read, augment, transform, mask, batch."""

from p5_keras.data.augment import Augment
from p5_keras.data.changes import COLOR, GEOMETRY
from p5_keras.data.labels import adapt, check, collect
from p5_keras.data.mixture import Mixture, mix
from p5_keras.data.mixup import CutMix, MixUp
from p5_keras.data.pipeline import evaluation, steps_per_epoch, training
from p5_keras.data.source import Source, builder, from_tfds
from p5_keras.data.splits import load, prepare

__all__ = [
    "COLOR",
    "GEOMETRY",
    "Augment",
    "CutMix",
    "MixUp",
    "Mixture",
    "Source",
    "adapt",
    "builder",
    "check",
    "collect",
    "evaluation",
    "from_tfds",
    "load",
    "mix",
    "prepare",
    "steps_per_epoch",
    "training",
]
