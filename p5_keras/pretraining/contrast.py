"""Tasks that tell two views of one picture from those of others: SimCLR, SimSiam."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from p5_keras.losses.base import replica_sum
from p5_keras.pretraining.views import Crops
from p5_keras.sharing.base import pooled
from p5_keras.task import Features, Tensor
from p5_keras.tasks.unlabelled import Unlabelled


class Contrast(Unlabelled):
    """Base of tasks with two views of each picture.

    Metric: `match`, the share of views whose nearest neighbour, among all views of the
    global batch, is the other view of their picture.

    Args:
        name: Name of the task.
        units: Size of the vectors that are compared.
        hidden: Units of the layer before.
        area: See `Crops`.
        color: See `Crops`.
        grey: See `Crops`.
        flip: See `Crops`.
        **kwargs: Arguments of `Task`.
    """

    pictures = 2
    better = {"match": "higher"}
    primary = "match"
    score_name = "less loss"
    smallest_difference = {"match": 0.02}

    def __init__(
        self,
        name: str,
        *,
        units: int = 64,
        hidden: int = 256,
        area: float = 0.2,
        color: float = 0.4,
        grey: float = 0.2,
        flip: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self.units, self.hidden = units, hidden
        self.area, self.color, self.grey, self.flip = area, color, grey, flip

    def views(self, inputs: Tensor) -> dict[str, Tensor]:
        """Returns two views of each picture."""
        check_picture(self.name, inputs)
        return {"input": Crops(self.area, self.color, self.grey, self.flip)(inputs)}

    def projected(self, features: Features) -> Tensor:
        """Pools the features and projects them: `(2 batch, units)`."""
        x = [pooled(x) for x in features.values()]
        x = x[0] if len(x) == 1 else layers.Concatenate()(x)
        x = layers.Dense(self.hidden, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(synchronized=True)(x))
        return layers.Dense(self.units)(x)

    def measure(self, output: Tensor) -> Tensor:
        """Returns, for each picture, the share of its views that find the other."""
        found, same, own = similarities(self.vectors(output))
        found = ops.where(own, -1e9, found)
        right = ops.argmax(found, axis=-1) == ops.argmax(same, axis=-1)
        # Where all vectors are one the first is the nearest, and that is chance.
        return ops.mean(ops.reshape(ops.cast(right, "float32"), (-1, 2)), axis=-1)

    def vectors(self, output: Tensor) -> Tensor:
        """Returns the vectors of both views, of length 1: `(batch, 2, units)`."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        names = ("units", "hidden", "area", "color", "grey", "flip")
        return {**super().get_config(), **{n: getattr(self, n) for n in names}}


@keras.saving.register_keras_serializable("p5_keras")
class SimCLR(Contrast):
    """Finds the other view of a picture among all views of the batch.

    The loss is NT-Xent; the others are those of all replicas. Raw output: `(batch, 2,
    units)`, vectors of length 1.

    Args:
        name: Name of the task.
        temperature: What similarities are divided by.
        **kwargs: Arguments of `Contrast` and `Task`.

    Reference:
        Chen et al., A Simple Framework for Contrastive Learning of Visual
        Representations, ICML 2020.
    """

    kind = "simclr"

    def __init__(self, name: str, *, temperature: float = 0.2, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        if not temperature > 0:
            raise ValueError(
                f"`temperature` must be above 0. Received: temperature={temperature}"
            )
        self.temperature = temperature

    def head(self, features: Features, input_shape: tuple[int, ...]) -> Tensor:
        """Builds the projection."""
        x = ops.cast(self.projected(features), "float32")
        return ops.reshape(ops.normalize(x, axis=-1), (-1, 2, self.units))

    def vectors(self, output: Tensor) -> Tensor:
        """Returns the output."""
        return output

    def errors(self, output: Tensor) -> Tensor:
        """Returns the cross-entropy of finding the other view."""
        found, same, own = similarities(output)
        found = ops.where(own, -1e9, found / self.temperature)
        right = ops.sum(ops.where(same, found, 0.0), axis=-1)
        lost = ops.logsumexp(found, axis=-1) - right
        return ops.mean(ops.reshape(lost, (-1, 2)), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "temperature": self.temperature}


@keras.saving.register_keras_serializable("p5_keras")
class SimSiam(Contrast):
    """Predicts one view's vector from the other's, without any others.

    The loss is 1 minus the cosine; no gradient goes through what is predicted. Raw
    output: `(batch, 2, 2, units)`: of both views the prediction, and the vector.

    Args:
        name: Name of the task.
        **kwargs: Arguments of `Contrast` and `Task`.

    Reference:
        Chen and He, Exploring Simple Siamese Representation Learning, CVPR 2021. Its
        batch normalisation sees each view by itself, here both together.
    """

    kind = "simsiam"

    def head(self, features: Features, input_shape: tuple[int, ...]) -> Tensor:
        """Builds the projection and the predictor."""
        z = layers.BatchNormalization(center=False, scale=False, synchronized=True)(
            self.projected(features)
        )
        p = layers.Dense(max(self.units // 4, 1), use_bias=False)(z)
        p = layers.ReLU()(layers.BatchNormalization(synchronized=True)(p))
        p = layers.Dense(self.units)(p)
        x = ops.cast(ops.stack([p, z], axis=1), "float32")
        return ops.reshape(x, (-1, 2, 2, self.units))

    def vectors(self, output: Tensor) -> Tensor:
        """Returns the vectors, not the predictions."""
        return ops.normalize(output[:, :, 1], axis=-1)

    def errors(self, output: Tensor) -> Tensor:
        """Returns 1 minus the cosine of each prediction and the other view's vector."""
        p = ops.normalize(output[:, :, 0], axis=-1)
        z = ops.stop_gradient(ops.flip(self.vectors(output), axis=1))
        return ops.mean(1 - ops.sum(p * z, axis=-1), axis=-1)


def similarities(vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compares this replica's vectors with those of all replicas.

    Args:
        vectors: `(batch, 2, units)` of length 1, of this replica; each has as many.

    Returns:
        Three tensors `(2 batch, 2 global batch)`: cosines, whether it is the other
        view of the same picture, and whether it is the very view.
    """
    vectors = ops.convert_to_tensor(vectors)
    units = vectors.shape[-1]
    count = 2 * ops.shape(vectors)[0]
    context = tf.distribute.get_replica_context()
    replicas = 1 if context is None else context.num_replicas_in_sync
    every, place = vectors, 0
    if replicas > 1:
        # A sum in which each replica has a place of its own: static shapes, and the
        # gradient of what others compare with these vectors comes back.
        place = tf.cast(context.replica_id_in_sync_group, tf.int32)
        slot = tf.one_hot(place, replicas)[:, None, None, None]
        every = replica_sum(slot * vectors[None])
    found = ops.matmul(
        ops.reshape(vectors, (-1, units)),
        ops.transpose(ops.reshape(every, (-1, units))),
    )
    rows = ops.arange(count)[:, None] + place * count
    columns = ops.arange(replicas * count)[None]
    own = columns == rows
    same = columns == rows + 1 - 2 * (rows % 2)
    return found, same, own


def check_picture(task: str, inputs: Tensor, square: bool = False) -> None:
    """Checks that an input is a picture of a fixed size.

    Raises:
        ValueError: It is not, or it is to be square and is not.
    """
    shape = tuple(inputs.shape[1:])
    if len(shape) != 3 or None in shape or (square and shape[0] != shape[1]):
        what = "square pictures" if square else "pictures"
        raise ValueError(
            f"Task {task!r} needs {what} of a fixed size. "
            f"Received: inputs of the shape {shape}"
        )
