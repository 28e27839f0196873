"""Clustering: groups of examples that are alike, found without labels."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from p5_keras import losses
from p5_keras.losses.base import align, replica_sum, safe_divide
from p5_keras.task import NOT_WHOLE, Tensor
from p5_keras.tasks.class_labels import class_ids
from p5_keras.tasks.vector_head import VectorTask


@keras.saving.register_keras_serializable("p5_keras")
class Clustering(VectorTask):
    """Puts each example into one of several clusters of equal size.

    The head compares what it reads with a prototype a cluster. What the softmax of the
    cosines is trained on are assignments of the same cosines, made sharper and such
    that all clusters get the same share of the global batch, by Sinkhorn-Knopp. So no
    cluster takes all, from random prototypes; and clusters that in truth are of very
    different sizes are not found as such. A batch should hold several times as many
    examples as there are clusters. What alike means is the trunk's to say: put the
    task beside another that teaches it, such as a reconstruction or
    `p5.pretraining.SimCLR`.

    Label: none is needed. `label` may name a field with classes, negative where
    unknown, by which it is only measured. Raw output: cosines `(batch, clusters)`.
    Decoded: `cluster` int32 `(batch,)` and `probabilities` `(batch, clusters)`.

    Metrics, over the whole set: "error", the loss; with labels "nmi", the mutual
    information of clusters and classes by the mean of their entropies, and "ari", the
    adjusted Rand index, which is 0 by chance. The classes choose nothing.

    Args:
        name: Name of the task.
        num_clusters: Number of clusters, two at least.
        temperature: What cosines are divided by for the softmax.
        sharpness: The same for the assignments; smaller is sharper.
        label: Field of an example with a class, or `None`.
        **kwargs: Arguments of `VectorTask` and `Task`.

    Reference:
        Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster
        Assignments, NeurIPS 2020, for assignments and prototypes, here of one view;
        Asano et al., Self-labelling via Simultaneous Clustering and Representation
        Learning, ICLR 2020.
    """

    kind = "clustering"
    compares = ""
    better = {"error": "lower", "nmi": "higher", "ari": "higher"}
    primary = "error"
    score_name = "log-probability of its cluster"
    smallest_difference = {"error": 0.02, "nmi": 0.02, "ari": 0.02}
    refuses = {}

    def __init__(
        self,
        name: str,
        *,
        num_clusters: int,
        temperature: float = 0.1,
        sharpness: float = 0.05,
        label: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        if num_clusters < 2 or not min(temperature, sharpness) > 0:
            raise ValueError(
                "`num_clusters` must be 2 or more, `temperature` and `sharpness` above "
                f"0. Received: num_clusters={num_clusters}, temperature={temperature}, "
                f"sharpness={sharpness} for task {name!r}"
            )
        self.num_clusters = num_clusters
        self.temperature, self.sharpness = temperature, sharpness
        self.label = label or ""

    @property
    def units(self) -> int:
        """Number of clusters."""
        return self.num_clusters

    def normalize(self, label: Any) -> tuple[Tensor, Tensor]:
        """Returns `(batch,)` int32 classes, −1 without one; all examples count."""
        label = class_ids(self, self.shaped(self.numbers(label)))
        return label, tf.ones_like(label, tf.float32)

    def invalid(self, label: Tensor) -> Tensor:
        """Says where classes are no whole numbers."""
        return tf.convert_to_tensor(label) == NOT_WHOLE

    @property
    def allowed(self) -> str:
        """What labels must be."""
        return "whole numbers, negative where unknown"

    def target(self, example: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Reads classes where the task has a `label`; see `normalize`."""
        if self.label:
            return super().target(example)
        count = tf.shape(tf.nest.flatten(example)[0])[0]
        label, weight = self.normalize(-tf.ones([count], tf.int32))
        return label, weight * self.example_weight(example, weight)

    def mix(self, label: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """Returns the label, of which nothing is learned."""
        return label

    def output(self, x: Tensor) -> Tensor:
        """Builds the prototypes: `(batch, clusters)`."""
        return Prototypes(self.num_clusters, dtype="float32", name="output")(x)

    def default_loss(self) -> losses.MeanLoss:
        """Returns the cross-entropy of balanced assignments."""
        return BalancedCrossEntropy(self.temperature, self.sharpness)

    def default_metrics(self) -> list[keras.Metric]:
        """Returns none: what a cluster is worth shows over the whole set."""
        return []

    def evaluator(self) -> Any:
        """Returns the loss over the whole set, and how clusters agree with classes."""
        return _Agreement(self)

    def decode(self, output: Tensor) -> dict[str, Tensor]:
        """Returns `cluster` `(batch,)` and `probabilities` `(batch, clusters)`."""
        return {
            "cluster": ops.argmax(output, axis=-1),
            "probabilities": ops.softmax(output / self.temperature, axis=-1),
        }

    def truth(self, label: Tensor) -> dict[str, Tensor]:
        """Returns the class in place of the cluster, with probability 1."""
        label = ops.cast(label, "int32")
        hot = ops.one_hot(label, self.num_clusters)
        return {"cluster": label, "probabilities": hot}

    def prior(self, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns zeros: each cluster is as good as another."""
        return np.zeros(self.num_clusters, "float32")

    def example_scores(
        self, label: np.ndarray, fields: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Returns the log-probability of the cluster."""
        p = fields["probabilities"].max(axis=-1)
        return np.log(np.maximum(p.astype("float64"), 1e-7))

    def draw(self, axes: Any, fields: dict[str, np.ndarray]) -> str:
        """Returns the number of the cluster."""
        number = int(fields["cluster"])
        return "unlabelled" if number < 0 else f"cluster {number}"

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        names = ("num_clusters", "temperature", "sharpness")
        return {**super().get_config(), **{n: getattr(self, n) for n in names}}


@keras.saving.register_keras_serializable("p5_keras")
class Prototypes(layers.Layer):
    """Cosines with vectors that are learned: `(batch, n)` to `(batch, count)`.

    Args:
        count: Number of vectors.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, count: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = count

    def build(self, input_shape: Any) -> None:
        """Makes the vectors, in random directions."""
        shape = (input_shape[-1], self.count)
        self.kernel = self.add_weight(
            shape=shape, initializer="random_normal", name="kernel"
        )
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Compares."""
        kernel = ops.normalize(self.kernel, axis=0)
        return ops.matmul(ops.normalize(inputs, axis=-1), kernel)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns `(batch, count)`."""
        return input_shape[0], self.count

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "count": self.count}


@keras.saving.register_keras_serializable("p5_keras")
class BalancedCrossEntropy(losses.MeanLoss):
    """Cross-entropy of the clusters, on balanced assignments of the same outputs.

    Labels do not matter; outputs are cosines `(batch, clusters)`.

    Args:
        temperature: See `Clustering`.
        sharpness: See `Clustering`.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        sharpness: float = 0.05,
        name: str = "balanced_cross_entropy",
    ) -> None:
        super().__init__(name=name)
        self.temperature, self.sharpness = temperature, sharpness

    def terms(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Computes this replica's numerator and denominator; see `MeanLoss`."""
        score = ops.cast(y_pred, "float32")
        weights = ops.ones_like(score[:, 0])
        if sample_weight is not None:
            weights = align(ops.cast(sample_weight, "float32"), weights)
        target = ops.stop_gradient(balanced(score, weights, self.sharpness))
        log_p = ops.log_softmax(score / self.temperature, axis=-1)
        return -ops.sum(target * log_p * weights[:, None]), ops.sum(weights)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        own = {"temperature": self.temperature, "sharpness": self.sharpness}
        return {**super().get_config(), **own}


def balanced(
    score: Tensor, weights: Tensor, sharpness: float, rounds: int = 3
) -> Tensor:
    """Assigns examples to clusters such that all clusters get the same share.

    The columns are scaled to one sum, over all replicas, then the rows to 1, and again
    (Sinkhorn-Knopp).

    Args:
        score: `(batch, clusters)`; what is added to a row does not matter.
        weights: `(batch,)`, what an example counts in its columns.
        sharpness: What scores are divided by.
        rounds: How often.

    Returns:
        `(batch, clusters)`, of which each row sums to 1.
    """
    found = ops.softmax(score / sharpness, axis=-1)
    for _ in range(rounds):
        column = replica_sum(ops.sum(found * weights[:, None], axis=0))
        found = safe_divide(found, column)
        found = safe_divide(found, ops.sum(found, axis=-1, keepdims=True))
    return found


class _Agreement:
    """Adds up the clusters of a whole set, and the classes where there are some."""

    def __init__(self, task: Clustering) -> None:
        self.task = task
        self._labels: list[np.ndarray] = []
        self._p: list[np.ndarray] = []

    def update(
        self, label: np.ndarray, weight: np.ndarray, fields: dict[str, np.ndarray]
    ) -> None:
        """Adds the examples of a batch that count."""
        self._labels.append(label[weight > 0])
        self._p.append(fields["probabilities"][weight > 0])

    def result(self) -> dict[str, float | None]:
        """Returns "error", "nmi" and "ari", `None` where there is nothing to say."""
        from sklearn import metrics  # takes a second to import

        found: dict[str, float | None] = dict.fromkeys(self.task.better)
        p = np.concatenate([*self._p, np.zeros((0, self.task.num_clusters))])
        if len(p):
            log_p = np.log(np.maximum(p, 1e-30)).astype("float32")
            score = ops.convert_to_tensor(log_p * self.task.temperature)
            even = ops.ones_like(score[:, 0])
            target = ops.convert_to_numpy(balanced(score, even, self.task.sharpness))
            found["error"] = float(-(target * log_p).sum(axis=-1).mean())
        label = np.concatenate([*self._labels, np.zeros(0, "int32")])
        if (known := label >= 0).any():
            pair = label[known], p[known].argmax(axis=-1)
            found["nmi"] = float(metrics.normalized_mutual_info_score(*pair))
            found["ari"] = float(metrics.adjusted_rand_score(*pair))
        return found
