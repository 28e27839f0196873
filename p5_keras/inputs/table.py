"""The columns of a table as one vector."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from p5_keras.inputs.base import Input, Tensor, missing

_KINDS = ("number", "category")


@keras.saving.register_keras_serializable("p5_keras")
class Table(Input):
    """Numbers and categories, `(batch,)` each, as one vector.

    A number has mean 0 and standard deviation 1 over the training examples, and is 0
    where it is missing (NaN). A category is 1 in its own place and 0 in the others; one
    that training has not seen is 0 everywhere, as is a missing one (""). Where a value
    is missing in training, one more number is 1 where it is. A column that has one
    value in all of training tells nothing, and is in no place.

    Args:
        columns: "number" or "category" by column, in the order of the vector.
        learned: What `adapt` learns, by column: "mean" and "std" of a number,
            "categories" of a category, if these differ; "missing", whether some are.
    """

    def __init__(
        self,
        columns: Mapping[str, str],
        learned: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        wrong = {n: kind for n, kind in columns.items() if kind not in _KINDS}
        if wrong or not columns:
            raise ValueError(
                f"Each of `columns` must be one of {_KINDS}. Received: {wrong}"
            )
        self.columns = dict(columns)
        self.learned = None if learned is None else dict(learned)
        self._made: dict[str, Any] | None = None

    def adapt(self, columns: Mapping[str, np.ndarray]) -> None:
        """Learns means, deviations, categories, and where values are missing."""
        found: dict[str, dict[str, Any]] = {}
        for name, kind in self.columns.items():
            if name not in columns:
                raise missing(name, columns)
            values = np.asarray(columns[name])
            if kind == "number":
                values = values.astype("float64")
                known = ~np.isnan(values)
                some = values[known] if known.any() else np.zeros(1)
                mean, std = some.mean(), some.std()
                found[name] = (
                    {"mean": float(mean), "std": float(std)} if std > 0 else {}
                )
            else:
                known = values != ""
                categories = in_order(np.unique(values[known]))
                found[name] = {"categories": categories} if len(categories) > 1 else {}
            found[name]["missing"] = bool(0 < known.sum() < len(known))
        self.learned, self._made = found, None

    @property
    def names(self) -> list[str]:
        """What each number of the vector is, such as "age" or "work=Private"."""
        return [name for names in self._blocks() for name in names]

    @property
    def blocks(self) -> list[int]:
        """How many neighbours in the vector belong together: 1, or the categories."""
        return [len(names) for names in self._blocks()]

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of the vector."""
        return (sum(self.blocks),)

    def specs(self) -> dict[str, tf.TensorSpec]:
        """Returns `(batch,)` float32 for numbers and strings for categories."""
        dtypes = {"number": tf.float32, "category": tf.string}
        return {n: tf.TensorSpec([None], dtypes[k], n) for n, k in self.columns.items()}

    def encode(self, raw: Mapping[str, Tensor]) -> Tensor:
        """Returns `(batch, size)` float32."""
        parts = []
        lookups = self._lookups()
        for name, learned in self._known().items():
            if name not in raw:
                raise missing(name, raw)
            value = tf.reshape(tf.convert_to_tensor(raw[name]), [-1])
            if self.columns[name] == "number":
                value = tf.cast(value, tf.float32)
                absent = tf.math.is_nan(value)
                if "mean" in learned:
                    scaled = (value - learned["mean"]) / learned["std"]
                    parts.append(tf.where(absent, 0.0, scaled)[:, None])
            else:
                absent = tf.equal(value, "")
                if name in lookups:  # its first place is for unknown ones
                    hot = lookups[name](value[:, None])[:, 1:]
                    parts.append(tf.cast(hot, tf.float32))
            if learned["missing"]:
                parts.append(tf.cast(absent, tf.float32)[:, None])
        return tf.ensure_shape(tf.concat(parts, axis=1), [None, *self.shape])

    def layers(self) -> list[Any]:
        """Returns the lookups of categories."""
        return list(self._lookups().values())

    def about(self) -> str:
        """Returns how many numbers there are, and which."""
        return f"{self.shape[0]} numbers: {', '.join(self.names)}"

    def get_config(self) -> dict[str, Any]:
        """Returns the columns, and what was learned of each."""
        return {"columns": self.columns, "learned": self.learned}

    def _known(self) -> dict[str, dict[str, Any]]:
        if self.learned is None:
            raise ValueError(
                "A table must have seen training examples: call `adapt(columns)`. "
                f"Received: a table of {list(self.columns)} that has not"
            )
        return {name: self.learned[name] for name in self.columns}

    def _blocks(self) -> list[list[str]]:
        found = []
        for name, learned in self._known().items():
            if "mean" in learned:
                found.append([name])
            if "categories" in learned:
                found.append([f"{name}={c}" for c in learned["categories"]])
            if learned["missing"]:
                found.append([f"{name} is missing"])
        return found

    def _lookups(self) -> dict[str, Any]:
        if self._made is None:
            # Not in the graph of a data set, which may be the first to ask.
            with tf.init_scope():
                self._made = {
                    name: keras.layers.StringLookup(
                        vocabulary=learned["categories"], output_mode="one_hot"
                    )
                    for name, learned in self._known().items()
                    if "categories" in learned
                }
        return self._made


def in_order(names: Any) -> list[str]:
    """Sorts by value where all are numbers, else as texts."""
    texts = sorted(str(name) for name in names)
    try:
        return sorted(texts, key=float)
    except ValueError:
        return texts
