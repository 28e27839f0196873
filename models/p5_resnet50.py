"""Breed of a pet and the box of its head: a classifier and a detector on ResNet-50.

First form: a ResNet-50, a classifier of the image and a detector with nine anchors a
cell on shared features, SGD with a learning rate of 0.001 and a momentum of 0.9, and
the joint objective with λ and γ.
Data: three breeds of the Oxford-IIIT Pets (Parkhi et al., Cats and Dogs, CVPR 2012).
Command: `python train.py --recipe=p5_resnet50`, with `--data_dir=FOLDER` for a local
copy in the official layout, and `--set trunk.weights=imagenet` where the weights can be
downloaded. From random weights, on 89 test pictures, mean ± standard deviation over
seeds 0 to 2: breed accuracy 0.566 ± 0.013 (trivial 0.326), head mAP@0.5 0.117 ± 0.025
(0.051); every paired difference has its 95 % interval above 0. About 19 minutes of CPU
time; see docs/results.md.
Changed: from random weights a learning rate of 0.02, with a warm-up, a cosine decay and
clipped gradients; with published weights the stated 0.001 is the start.
"""

import dataclasses
import functools
import pathlib

import keras
import numpy as np

import p5_keras as p5
from p5_keras.data import summary
from p5_keras.data.loaders import voc
from p5_keras.data.records import Problems, split_examples

#: The official archives and their SHA-256.
URLS = {
    "https://thor.robots.ox.ac.uk/~vgg/data/pets/images.tar.gz": (
        "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d"
    ),
    "https://thor.robots.ox.ac.uk/~vgg/data/pets/annotations.tar.gz": (
        "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91"
    ),
}


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides.

    Attributes:
        breeds: Breeds whose pictures are used.
        image_size: Height and width in pixels.
        momentum: Momentum of SGD.
    """

    trunk: p5.Trunk = p5.trunks.ResNet50()
    breeds: tuple[str, ...] = ("Abyssinian", "Bengal", "american_bulldog")
    image_size: int = 96
    epochs: int = 50
    batch_size: int = 16
    learning_rate: float = 0.02
    momentum: float = 0.9
    clip_norm: float | None = 5.0
    trunk_l2: float = 1e-4
    head_l2: float = 1e-4


def tasks(config: Config) -> list[p5.Task]:
    """The breed by softmax; the head by nine anchors in each cell of P4."""
    return [
        p5.tasks.Classification("breed", class_names=list(config.breeds)),
        p5.tasks.Detection(
            "head",
            class_names=["cat", "dog"],
            max_boxes=2,
            features="P4",
            anchor_size=2.0,  # of the stride, 16 pixels
            anchor_scales=[1.0, 1.6, 2.5],
            anchor_ratios=[0.5, 1.0, 2.0],
            max_detections=10,
        ),
    ]


@functools.lru_cache(1)
def found(data_dir: str | None, breeds: tuple[str, ...]) -> p5.data.UserData:
    """The pictures of some breeds, split anew.

    The official test pictures have no boxes. So pictures with a box are dealt out to
    training, validation and test by a hash of their names, breed by breed, and those
    without a box train the breed alone.
    """
    folder = data_dir or p5.data.fetch("oxford_pets", URLS)
    records = voc.load(folder, Problems("skip")).only("breed", breeds)
    boxed = np.array([head is not None for head in records.columns["head"]])
    names = [pathlib.Path(image).name for image in records.images[boxed]]
    strata = records.columns["breed"][boxed]
    splits = np.full(len(records), "train", "U16")
    splits[boxed] = split_examples(names, None, strata, (0.5, 0.2, 0.3))
    records = dataclasses.replace(records, splits=splits)
    others = sorted(set(records.fields) - {"breed", "head"})
    return p5.data.of_records(records, "Oxford-IIIT Pets", ignore=others)


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """The Oxford-IIIT Pets; a local copy is read from `data_dir`."""
    augment = p5.data.Augment(
        tasks,
        flip_horizontal=True,
        zoom=1.3,
        translate=0.1,
        brightness=0.1,
        contrast=0.2,
        saturation=0.2,
    )
    pets, size = found(config.data_dir, config.breeds), config.image_size
    return pets.source(split, (size, size), augment)


def about(config: Config, tasks: list[p5.Task]) -> dict:
    """What is known of the data, for the table before training and the report."""
    pets, size = found(config.data_dir, config.breeds), config.image_size
    return summary.describe(pets, tasks, (size, size))


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """ResNet-50 under both heads."""
    return p5.recipe.build(config, tasks, (config.image_size, config.image_size, 3))


def optimizer(config: Config, steps: int) -> keras.Optimizer:
    """SGD with momentum, warmed up and brought to 0."""
    return p5.recipe.default_optimizer(
        config, steps, keras.optimizers.SGD, momentum=config.momentum
    )
