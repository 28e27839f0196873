"""The head of every task whose output is one vector."""

from typing import Any

from keras import layers

from p5_keras.task import Task, Tensor

_POOLS = ("avg", "max", "flatten")


class VectorTask(Task):
    """Base of tasks that answer with one vector an example.

    The head pools each feature it reads, joins them, and ends in a dense layer.

    Args:
        name: Name of the task.
        hidden: Units of dense layers between the features and the output.
        dropout: Rate of dropout before the output layer.
        pool: How a map becomes a vector: "avg", "max" or "flatten".
        **kwargs: Arguments of `Task`.
    """

    def __init__(
        self,
        name: str,
        *,
        hidden: int | list[int] | tuple[int, ...] = (),
        dropout: float = 0.0,
        pool: str = "avg",
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        if pool not in _POOLS:
            raise ValueError(
                f"`pool` must be one of {_POOLS}. "
                f"Received: pool={pool!r} for task {name!r}"
            )
        self.hidden = [hidden] if isinstance(hidden, int) else list(hidden)
        self.dropout = dropout
        self.pool = pool

    @property
    def units(self) -> int:
        """Size of the raw output."""
        raise NotImplementedError

    def head(self, features: dict[str, Any], input_shape: tuple[int, ...]) -> Tensor:
        """Builds pooling, hidden layers and the output layer: `(batch, units)`."""
        vectors = [self._vector(x) for x in features.values()]
        x = vectors[0] if len(vectors) == 1 else layers.Concatenate()(vectors)
        for units in self.hidden:
            x = layers.Dense(units, activation="relu")(x)
        if self.dropout:
            x = layers.Dropout(self.dropout)(x)
        return self.output(x)

    def output(self, x: Tensor) -> Tensor:
        """Builds the output layer, float32."""
        return layers.Dense(self.units, dtype="float32", name="output")(x)

    def _vector(self, x: Tensor) -> Tensor:
        rank = len(x.shape)
        if rank == 2:
            return x
        if self.pool == "flatten":
            return layers.Flatten()(x)
        name = {"avg": "GlobalAveragePooling", "max": "GlobalMaxPooling"}[self.pool]
        return getattr(layers, f"{name}{rank - 2}D")()(x)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "hidden": self.hidden,
            "dropout": self.dropout,
            "pool": self.pool,
        }


def class_list(
    task: str, num_classes: int | None, class_names: list[str] | None
) -> list[str]:
    """Returns the names of classes from whichever of the two arguments was given.

    Raises:
        ValueError: Neither was given, or they disagree, or there are no classes.
    """
    if class_names is None:
        class_names = [str(i) for i in range(num_classes or 0)]
    class_names = [str(name) for name in class_names]
    if not class_names or (num_classes is not None and num_classes != len(class_names)):
        raise ValueError(
            "`num_classes` must be at least 1 and equal the number of `class_names`. "
            f"Received: num_classes={num_classes}, class_names={class_names} "
            f"for task {task!r}"
        )
    return class_names
