"""Bright squares on a dark ground: a recipe that trains in seconds, for the tests."""

import dataclasses

import numpy as np
import tensorflow as tf

import p5_keras as p5

SIDE, SPLITS = 16, ["train", "validation", "test"]


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides."""

    trunk: p5.Trunk = p5.trunks.Conv(4, depth=1, levels=3, dropout=0.1)  # noqa: RUF009
    examples: int = 18
    epochs: int = 3
    batch_size: int = 4
    learning_rate: float = 1e-2
    clip_norm: float | None = 1.0
    ema: float | None = 0.9


def tasks(config: Config) -> list[p5.Task]:
    """Which half the square is in, how large it is, and where."""
    return [
        p5.tasks.Classification("half", class_names=["left", "right"], dropout=0.1),
        p5.tasks.Regression("side", unit="pixels"),
        p5.tasks.Segmentation("mask", class_names=["ground", "square"], width=4),
    ]


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """Drawn in memory; some halves and sides are unknown."""
    rng = np.random.default_rng(SPLITS.index(split))
    images = rng.integers(0, 60, (config.examples, SIDE, SIDE, 3), "uint8")
    masks = np.zeros((config.examples, SIDE, SIDE), "uint8")
    halves = rng.integers(0, 2, config.examples)
    sides = rng.integers(3, 8, config.examples)
    for i, (half, side) in enumerate(zip(halves, sides, strict=True)):
        y, x = rng.integers(0, SIDE - side), half * SIDE // 2
        images[i, y : y + side, x : x + side] = 200
        masks[i, y : y + side, x : x + side] = 1
    known = np.arange(config.examples) % 4
    fields = {
        "image": tf.constant(images),
        "half": tf.constant(np.where(known == 1, -1, halves)),
        "side": tf.constant(np.where(known == 2, np.nan, sides), tf.float32),
        "mask": tf.constant(masks[..., None]),
    }

    def read(indices, epochs):
        return {name: tf.gather(field, indices) for name, field in fields.items()}

    augment = p5.data.Augment(tasks, flip_vertical=True, brightness=0.1)
    return p5.data.Source(config.examples, read, augment=augment)


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """One convolutional trunk under all heads."""
    return p5.recipe.build(config, tasks, (SIDE, SIDE, 3))
