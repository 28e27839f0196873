"""Street scenes: a class for every pixel, and how much of the view each class fills.

Source: Badrinarayanan et al., SegNet, TPAMI 2017, for the data and its 11 classes; the
trunk is a small one, without pretrained weights, and pictures are of 180 x 240 pixels.
Data: `datasets/camvid`, for personal and research use only (CC BY-NC 4.0).
Command: `python train.py --recipe=camvid`, with `--data_dir=FOLDER` for a local copy.
On a subset of 32, 10 and 18 pictures, at even steps through the lists, test split, seed
0: scene mIoU 0.335 (class frequencies at each pixel: 0.169), pixel accuracy 0.785
(0.615), error of the shares 3.49 percent points (mean: 4.20). A run takes 190 s of CPU
time. The whole set of 701 pictures has not been tried.
"""

import dataclasses

import tensorflow as tf

import p5_keras as p5

NAMES = [
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
]


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides."""

    trunk: p5.Trunk = p5.trunks.Conv(width=16, depth=2, levels=5)
    image_size: tuple[int, int] = (180, 240)
    epochs: int = 100
    batch_size: int = 4
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    clip_norm: float | None = 5.0
    ema: float | None = 0.99


def tasks(config: Config) -> list[p5.Task]:
    """Where each class is, and what share of the labelled pixels it has."""
    return [
        p5.tasks.Segmentation("scene", label="segmentation_mask", class_names=NAMES),
        p5.tasks.Regression("shares", size=len(NAMES), unit="%", hidden=64),
    ]


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """CamVid in the version of SegNet; a local copy is read from `data_dir`."""
    return p5.data.from_tfds(
        p5.data.builder("camvid", manual_dir=config.data_dir),
        split,
        config.image_size,
        maps=["segmentation_mask"],
        transform=measure,
        augment=p5.data.Augment(
            tasks,
            flip_horizontal=True,
            zoom=1.5,
            brightness=0.1,
            contrast=0.2,
            saturation=0.2,
        ),
    )


def measure(example: dict) -> dict:
    """Derives the share of each class from the mask in view; void counts nowhere."""
    classes = tf.cast(example["segmentation_mask"][..., 0], tf.int32)
    pixels = tf.reduce_sum(tf.one_hot(classes, len(NAMES)), axis=(1, 2))
    total = tf.reduce_sum(pixels, axis=-1, keepdims=True)
    return {**example, "shares": 100 * pixels / tf.maximum(total, 1)}


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """One convolutional trunk under both heads."""
    return p5.recipe.build(config, tasks, (*config.image_size, 3))
