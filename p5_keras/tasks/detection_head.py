"""The head of a detector: a feature pyramid and two towers shared by its levels."""

import re
from typing import Any

import keras
import numpy as np
from keras import layers

from p5_keras.task import Features, Tensor
from p5_keras.tasks.map_head import match_size

#: Probability of an object that an untrained head gives every anchor and class.
PRIOR = 0.01
NORMS = ("batch", "group", "none")


class DetectionHead:
    """Layers from features to deltas and logits of anchors.

    Args:
        width: Channels.
        depth: Number of 3x3 convolutions in each tower before the last.
        top_down: Whether finer levels see the deeper ones.
        norm: "batch", "group" or "none": what follows a tower's convolutions. Batch
            statistics are each level's own.
        anchors: Number of anchors of a cell.
        classes: Number of classes.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        top_down: bool,
        norm: str,
        anchors: int,
        classes: int,
    ) -> None:
        self.width, self.norm, self.top_down = width, norm, top_down
        self.towers = [self._tower(depth, anchors * n, n) for n in (4, classes)]
        self.sizes = [4, classes]

    def __call__(self, features: Features) -> Tensor:
        """Builds `(batch, anchors, 4 + classes)`, float32, levels in order."""
        maps = [layers.Conv2D(self.width, 1)(x) for x in features.values()]
        if self.top_down:
            for i in range(len(maps) - 2, -1, -1):
                above = match_size(maps[i + 1], maps[i].shape[1], maps[i].shape[2])
                maps[i] = layers.Add()([maps[i], above])
        outputs = []
        for x in maps:
            parts = [
                layers.Reshape((-1, size), dtype="float32")(self._apply(tower, x))
                for tower, size in zip(self.towers, self.sizes, strict=True)
            ]
            outputs.append(layers.Concatenate(dtype="float32")(parts))
        x = outputs[0]
        if len(outputs) > 1:
            x = layers.Concatenate(axis=1, dtype="float32")(outputs)
        return layers.Activation("linear", dtype="float32", name="output")(x)

    def _tower(self, depth: int, filters: int, size: int) -> list[Any]:
        convolutions: list[Any] = [
            layers.Conv2D(self.width, 3, padding="same", use_bias=self.norm == "none")
            for _ in range(depth)
        ]
        # The classes' bias starts at the log-odds of the prior, for focal loss.
        bias = 0.0 if size == 4 else -np.log((1 - PRIOR) / PRIOR)
        last = layers.Conv2D(
            filters,
            3,
            padding="same",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            bias_initializer=keras.initializers.Constant(bias),
            dtype="float32",
        )
        return [*convolutions, last]

    def _apply(self, tower: list[Any], x: Tensor) -> Tensor:
        for layer in tower[:-1]:
            x = layer(x)
            if self.norm == "batch":
                x = layers.BatchNormalization(synchronized=True)(x)
            elif self.norm == "group":
                x = layers.GroupNormalization(8)(x)
            x = layers.ReLU()(x)
        return tower[-1](x)


def level(name: str, feature: Tensor, image_size: list[int]) -> list[int]:
    """Returns stride, rows and columns of a feature.

    A feature "Pk" whose size fits has the stride 2^k; for any other it is the ratio
    of the heights of image and feature, rounded.
    """
    rows, columns = feature.shape[1:3]
    if match := re.fullmatch(r"P(\d+)", name):
        stride = 2 ** int(match[1])
        if [-(-n // stride) for n in image_size] == [rows, columns]:
            return [stride, rows, columns]
    return [max(round(image_size[0] / rows), 1), rows, columns]
