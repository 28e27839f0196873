"""One optimizer that holds others: for the trunk, and for the heads."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras

from p5_keras.naming import check_keys

Tensor = Any
_SCHEDULE = keras.optimizers.schedules.LearningRateSchedule


@keras.saving.register_keras_serializable("p5_keras")
class PerPart(keras.optimizers.Optimizer):
    """Trains the trunk with one optimizer and the heads with others.

    Each part has its own learning rate or schedule, its own weight decay and its own
    state. All parts count the same steps. What concerns all variables together is set
    here and refused in the parts: clipping, moving averages, loss scale. Gradients are
    not accumulated.

    `learning_rate` is the trunk's. Setting it, as `ReduceLROnPlateau` does, scales
    the learning rates of all parts by the same factor; with a schedule in any part it
    is refused.

    Args:
        trunk: Optimizer of all that no head owns.
        heads: Optimizer of all heads, or a dict with one for every task.
        clipnorm: Largest norm of each variable's gradient.
        clipvalue: Largest absolute value in a gradient.
        global_clipnorm: Largest norm of all gradients together.
        use_ema: Whether to keep moving averages of all weights.
        ema_momentum: Momentum of the averages.
        ema_overwrite_frequency: Steps from one overwriting of the weights by their
            averages to the next, or `None`.
        loss_scale_factor: Factor against underflow of half-precision gradients.
        name: Name of the optimizer.

    Example:
        >>> p5.optimizers.PerPart(keras.optimizers.SGD(1e-3, 0.9), "adam")
    """

    def __init__(
        self,
        trunk: Any,
        heads: Any,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        name: str = "per_part",
    ) -> None:
        super().__init__(
            learning_rate=0.0,  # never read
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            name=name,
        )
        self.trunk = keras.optimizers.get(trunk)
        self.heads = (
            {task: keras.optimizers.get(part) for task, part in heads.items()}
            if isinstance(heads, Mapping)
            else keras.optimizers.get(heads)
        )
        for part in self.parts:
            _check_part(part)
        self._owner: dict[Any, Any] | None = None

    @property
    def parts(self) -> list[Any]:
        """The optimizers, each once, the trunk's first."""
        heads = [self.heads]
        if isinstance(self.heads, Mapping):
            heads = list(self.heads.values())
        return list({id(part): part for part in (self.trunk, *heads)}.values())

    def bind(
        self,
        trunk: Iterable[keras.Variable],
        heads: Mapping[str, Iterable[keras.Variable]],
    ) -> None:
        """Takes the variables of each part; `MultiTaskModel.compile` calls it.

        Args:
            trunk: Variables that no head owns.
            heads: Variables of each task's head.

        Raises:
            ValueError: There is no optimizer for a task, or one for no task.
        """
        each = self.heads
        if isinstance(each, Mapping):
            check_keys("heads", each, heads)
        owner = {self._var_key(v): self.trunk for v in trunk}
        for task, variables in heads.items():
            part = each[task] if isinstance(each, Mapping) else each
            owner |= {self._var_key(v): part for v in variables}
        self._owner = owner

    def build(self, variables: list[keras.Variable]) -> None:
        """Makes the state of all parts.

        Raises:
            ValueError: The model is none of this package.
        """
        if self.built:
            return
        if self._owner is None:
            raise ValueError(
                "PerPart must be compiled into a `MultiTaskModel`, which tells it "
                "trunk and heads. Received: a model without them"
            )
        super().build(variables)
        for part in self.parts:
            part.build([v for v in variables if self._part_of(v) is part])

    @property
    def variables(self) -> list[keras.Variable]:
        """The state, that of all parts included."""
        return [*super().variables, *[v for p in self.parts for v in p.variables]]

    @property
    def learning_rate(self) -> Any:
        """The trunk's learning rate."""
        return self.trunk.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        fixed = [p for p in self.parts if isinstance(p._learning_rate, _SCHEDULE)]
        before = float(keras.ops.convert_to_numpy(self.trunk.learning_rate))
        if fixed or callable(value) or not before:
            raise ValueError(
                "`learning_rate` of PerPart can be set to a number, where no part has "
                "a schedule and the trunk's is not 0; it scales those of all parts. "
                f"Received: learning_rate={value!r}; {before} for the trunk, "
                f"{len(fixed)} parts with a schedule"
            )
        factor = float(keras.ops.convert_to_numpy(value)) / before
        for part in self.parts:
            rate = float(keras.ops.convert_to_numpy(part.learning_rate))
            part.learning_rate = rate * factor

    def apply(self, grads: list[Tensor], trainable_variables: Any = None) -> None:
        """Does a step."""
        super().apply(grads, trainable_variables)
        for part in self.parts:
            part._iterations.assign_add(1)

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        for part in self.parts:
            part._apply_weight_decay([v for v in variables if self._part_of(v) is part])

    def _backend_update_step(
        self, grads: list[Tensor], trainable_variables: list[Any], learning_rate: Any
    ) -> None:
        pairs = list(zip(grads, trainable_variables, strict=True))
        for part in self.parts:
            own = [(g, v) for g, v in pairs if self._part_of(v) is part]
            if own:
                found, variables = (list(side) for side in zip(*own, strict=True))
                part._backend_update_step(found, variables, part.learning_rate)

    def _part_of(self, variable: Any) -> Any:
        return (self._owner or {}).get(self._var_key(variable), self.trunk)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        own = ("learning_rate", "weight_decay", "gradient_accumulation_steps")
        saved = keras.optimizers.serialize
        heads = self.heads
        return {
            **{k: v for k, v in config.items() if k not in own},
            "trunk": saved(self.trunk),
            "heads": {task: saved(part) for task, part in heads.items()}
            if isinstance(heads, Mapping)
            else saved(heads),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Makes the optimizer of `get_config()` again."""

        def made(saved: Any) -> Any:
            return keras.optimizers.deserialize(saved, custom_objects)

        heads = config["heads"]
        heads = (
            made(heads)
            if "class_name" in heads
            else {task: made(part) for task, part in heads.items()}
        )
        return cls(**{**config, "trunk": made(config["trunk"]), "heads": heads})


def _check_part(part: Any) -> None:
    """Checks that a part leaves to the whole what the whole does.

    Raises:
        ValueError: It does not.
    """
    taken = ("clipnorm", "clipvalue", "global_clipnorm", "use_ema", "loss_scale_factor")
    for name in (*taken, "gradient_accumulation_steps"):
        if getattr(part, name):
            where = "PerPart itself takes it" if name in taken else "PerPart has none"
            raise ValueError(
                f"An optimizer in PerPart must not have `{name}`: {where}. "
                f"Received: {type(part).__name__}({name}={getattr(part, name)})"
            )
