"""Any functional Keras model as a trunk."""

import keras

from p5_keras.naming import did_you_mean
from p5_keras.trunk import Trunk


class Cut(Trunk):
    """A functional model, cut into stages at named layers.

    The first call uses the model's own weights; each later one, and each copy,
    clones the architecture with new weights.

    Args:
        model: A functional Keras model with one input.
        cuts: Name of each feature and of the layer whose output it is, in order:
            `{"P2": "conv2_block3_out", ...}`.

    Example:
        >>> backbone = keras.applications.MobileNetV2(include_top=False, ...)
        >>> trunk = p5.trunks.Cut(backbone, {"P4": "block_13_expand_relu"})
    """

    def __init__(self, model: keras.Model, cuts: dict[str, str]) -> None:
        known = [layer.name for layer in model.layers]
        for feature, layer in cuts.items():
            if layer not in known:
                raise ValueError(
                    "Each value of `cuts` must be the name of a layer of the model."
                    f"{did_you_mean(layer, known)} Received: {feature!r}: {layer!r}"
                )
        if not cuts:
            raise ValueError("`cuts` must name at least one layer. Received: {}")
        self.model, self.cuts = model, dict(cuts)
        self._fresh = False

    def stages(self, input_shape: tuple[int, ...]) -> dict[str, keras.Model]:
        """Cuts the model.

        Raises:
            ValueError: The model has another input shape, or a connection runs
                past a cut.
        """
        expected = tuple(self.model.inputs[0].shape[1:])
        if (
            len(self.model.inputs) != 1
            or len(expected) != len(input_shape)
            or any(
                a not in (None, b) for a, b in zip(expected, input_shape, strict=True)
            )
        ):
            raise ValueError(
                "The model of a cut trunk must have one input of the shape "
                f"{input_shape}. Received: {[x.shape for x in self.model.inputs]}"
            )
        model = keras.models.clone_model(self.model) if self._fresh else self.model
        self._fresh = True
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True  # replicas equal one device
        start, stages = model.inputs[0], {}
        for feature, layer in self.cuts.items():
            end = model.get_layer(layer).output
            try:
                part = keras.Model(start, end)
            except ValueError as error:
                raise ValueError(
                    f"The model cannot be cut at {layer!r}: a connection runs past "
                    "the cut before it. Cut where all paths meet."
                ) from error
            stages[feature] = part
            start = end
        return stages

    def copy(self) -> "Cut":
        """Returns a trunk of the same architecture with new weights."""
        return Cut(keras.models.clone_model(self.model), self.cuts)
