"""How good a trunk's features are, by what simple classifiers make of them."""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from p5_keras.data.pipeline import evaluation
from p5_keras.data.source import Source
from p5_keras.sharing.base import pooled
from p5_keras.task import Task
from p5_keras.transfer.init_from import trunk_of


class Probe(keras.callbacks.Callback):
    """Measures a trunk during training by a linear probe and by nearest neighbours.

    Its deepest feature, averaged over positions, is computed for labelled examples
    that training does not see as such. The epoch's logs get `val_probe_<task>_linear`,
    the accuracy of a logistic regression on the features, and `val_probe_<task>_knn`,
    that of 20 nearest neighbours by cosine. A recipe's `callbacks` come before the
    checkpoints, so that these numbers are in `logs/history.csv`.

    Args:
        task: A classification task, which need not be in the model.
        train: The labelled examples to learn from.
        held_out: Those to measure on.
        every: Epochs from one measurement to the next.
        limit: Examples of each source that are used at most, evenly spread.
    """

    def __init__(
        self,
        task: Task,
        train: Source,
        held_out: Source,
        every: int = 1,
        limit: int = 5000,
    ) -> None:
        super().__init__()
        self.task, self.every = task, every
        self.sources = [_spread(source, limit) for source in (train, held_out)]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds to the logs, when it is time."""
        if logs is not None and (epoch + 1) % self.every == 0:
            start = f"val_probe_{self.task.name}_"
            logs |= {start + name: value for name, value in self.measure().items()}

    def measure(self) -> dict[str, float]:
        """Returns "linear" and "knn", both an accuracy."""
        (x, y), (held_x, held_y) = self._features()
        return {
            "linear": linear(x, y, held_x, held_y),
            "knn": knn(x, y, held_x, held_y),
        }

    def _features(self) -> list[tuple[np.ndarray, np.ndarray]]:
        trunk = trunk_of(self.model)
        deepest = list(trunk.output.values())[-1]
        model = keras.Model(trunk.input, pooled(deepest))

        @tf.function(reduce_retracing=True)
        def compute(x: Any) -> Any:
            return tf.cast(model(x, training=False), tf.float32)

        found = []
        for source in self.sources:
            parts = [
                (compute(x).numpy(), y[self.task.name].numpy(), w[self.task.name] > 0)
                for x, y, w in evaluation(source, [self.task], 100)
            ]
            rows = np.concatenate([known for _, _, known in parts])
            columns = [
                np.concatenate(c)[rows] for c in list(zip(*parts, strict=True))[:2]
            ]
            found.append((columns[0], columns[1]))
        return found


def _spread(source: Source, limit: int) -> Source:
    """Returns a source of examples from its beginning to its end."""
    size = min(source.size, limit)

    def read(index: Any, epoch: Any) -> Any:
        return source.read(index * source.size // size, epoch)

    return dataclasses.replace(source, size=size, read=read)


def linear(
    x: np.ndarray, y: np.ndarray, held_x: np.ndarray, held_y: np.ndarray
) -> float:
    """Returns the accuracy of a logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(y)) < 2:
        return float("nan")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
    return float(model.fit(x, y).score(held_x, held_y))


def knn(
    x: np.ndarray,
    y: np.ndarray,
    held_x: np.ndarray,
    held_y: np.ndarray,
    neighbours: int = 20,
) -> float:
    """Returns the accuracy of the neighbours' vote, by cosine weighted with it."""
    x, held_x = (
        v / (np.linalg.norm(v, axis=1, keepdims=True) + 1e-9) for v in (x, held_x)
    )
    similar = held_x @ x.T
    count = min(neighbours, len(x))
    near = np.argpartition(-similar, count - 1, axis=1)[:, :count]
    weight = np.exp(np.take_along_axis(similar, near, axis=1) / 0.1)
    votes = np.zeros((len(held_x), int(max(y.max(), held_y.max())) + 1))
    for place in range(count):
        np.add.at(votes, (np.arange(len(held_x)), y[near[:, place]]), weight[:, place])
    return float((votes.argmax(axis=1) == held_y).mean())
