"""From data sets to batches: read, augment, transform, mask, batch."""

from p5_keras.data.augment import Augment
from p5_keras.data.changes import COLOR, GEOMETRY
from p5_keras.data.fetch import fetch
from p5_keras.data.folds import fold
from p5_keras.data.from_records import from_records
from p5_keras.data.labels import adapt, check, collect
from p5_keras.data.mixture import Mixture, mix
from p5_keras.data.mixup import CutMix, MixUp
from p5_keras.data.pictures import inspect
from p5_keras.data.pipeline import by_source, evaluation, steps_per_epoch, training
from p5_keras.data.records import (
    Field,
    Problems,
    Records,
    split_examples,
    tag_column,
    text_column,
)
from p5_keras.data.sound_file import read_sound
from p5_keras.data.source import Source, builder, from_tfds
from p5_keras.data.splits import SPLITS, load, prepare
from p5_keras.data.user_data import UserData, of_records, user_data

__all__ = [
    "COLOR",
    "GEOMETRY",
    "SPLITS",
    "Augment",
    "CutMix",
    "Field",
    "MixUp",
    "Mixture",
    "Problems",
    "Records",
    "Source",
    "UserData",
    "adapt",
    "builder",
    "by_source",
    "check",
    "collect",
    "evaluation",
    "fetch",
    "fold",
    "from_records",
    "from_tfds",
    "inspect",
    "load",
    "mix",
    "of_records",
    "prepare",
    "read_sound",
    "split_examples",
    "steps_per_epoch",
    "tag_column",
    "text_column",
    "training",
    "user_data",
]
