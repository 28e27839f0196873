"""Attention of each task on the stages of a shared trunk."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
from keras import layers

from p5_keras.sharing.base import Sharing
from p5_keras.sharing.maps import fit_map
from p5_keras.task import Features, Task, Tensor
from p5_keras.trunk import Trunk


@dataclass(frozen=True, kw_only=True)
class MTAN(Sharing):
    """Each task multiplies every shared map by a mask of its own.

    The mask of a stage is made from its map and from what the task carries over from
    the stage before: the masked map there, convolved and pooled. In the paper mask and
    masked map come from the first and the last convolution of a stage; here both are
    its output, as any trunk's stages have one.

    Attributes:
        reduction: Channels of a map over those of its mask's hidden layer.

    Reference:
        Liu et al., End-to-End Multi-Task Learning with Attention, CVPR 2019.
    """

    reduction: int = 4

    def features(
        self, trunk: Trunk, tasks: Sequence[Task], inputs: Tensor
    ) -> dict[str, Features]:
        """Builds the trunk and the masks."""
        features = trunk(inputs)
        if self.reduction < 1 or any(len(x.shape) != 4 for x in features.values()):
            raise ValueError(
                "MTAN masks maps: it needs a trunk with maps, and a `reduction` of at "
                f"least 1. Received: trunk={trunk!r}, reduction={self.reduction}"
            )
        found: dict[str, Features] = {}
        for task in tasks:
            own: Features = {}
            carried = None
            for name, x in features.items():
                label = f"{task.name}_{name}"
                seen = [x]
                if carried is not None:
                    _, height, width, _ = x.shape
                    seen.append(fit_map(carried, height, width, layers.MaxPooling2D))
                mask = self._mask(seen, f"mask_{label}")
                own[name] = layers.Multiply(name=f"masked_{label}")([x, mask(seen)])
                if name != list(features)[-1]:
                    carried = _carry(own[name], f"carry_{label}")(own[name])
            found[task.name] = own
        return found

    def _mask(self, seen: list[Tensor], name: str) -> keras.Model:
        inputs = [keras.Input(x.shape[1:], dtype=x.dtype) for x in seen]
        channels = seen[0].shape[-1]
        x = layers.Concatenate()(inputs) if len(inputs) > 1 else inputs[0]
        x = layers.Conv2D(max(channels // self.reduction, 1), 1, use_bias=False)(x)
        x = layers.ReLU()(_norm()(x))
        x = layers.Conv2D(channels, 1, activation="sigmoid", name="mask")(x)
        return keras.Model(inputs, x, name=name)


def _carry(like: Tensor, name: str) -> keras.Model:
    inputs = keras.Input(like.shape[1:], dtype=like.dtype)
    x = layers.Conv2D(like.shape[-1], 3, padding="same", use_bias=False)(inputs)
    return keras.Model(inputs, layers.ReLU()(_norm()(x)), name=name)


def _norm() -> layers.Layer:
    return layers.BatchNormalization(momentum=0.9, synchronized=True)
