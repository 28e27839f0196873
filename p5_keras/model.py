"""The multi-task model: one trunk, named heads, one joint objective."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from p5_keras import keras_settings, objective, replicas, strategy
from p5_keras.averaging import averaged_weights
from p5_keras.batch import (
    FitCheck,
    LabelCheck,
    check_inputs,
    check_keys_of,
    normalized,
    prepared,
)
from p5_keras.data import generators
from p5_keras.inference import predictions, whole_set_metrics
from p5_keras.inputs import Input
from p5_keras.joint_objective import JointObjective
from p5_keras.naming import check_argument, check_keys
from p5_keras.optimizers import PerPart
from p5_keras.ownership import Ownership
from p5_keras.task import Task
from p5_keras.training_step import scheduled, train_step
from p5_keras.weighting.base import Weighting
from p5_keras.weighting.engine import EngineCallback
from p5_keras.weighting.step import make_engine

Tensor = Any


@keras.saving.register_keras_serializable("p5_keras")
class MultiTaskModel(JointObjective, keras.Model, Ownership):
    """A functional model that trains all its tasks under one joint objective.

    `Σ_t α_t L_t + λ‖θ‖² + γ‖φ‖²`: L_t is the mean loss of task t over the examples
    that have its label, φ the heads' kernels and θ all others, be they shared or in a
    column of one task (anything with two or more axes: no bias, no normalisation). It
    is compiled, fitted, saved and exported as any Keras model; outputs, labels,
    weights and logs are keyed by task.

    Args:
        *args: Keras input or inputs, dict of one Keras tensor a task, and the model's
            name, as `keras.Model` takes them.
        tasks: The tasks, in the order of tables and reports.
        trunk_l2: λ.
        head_l2: γ.
        encoders: What makes the inputs, by name, of raw values that are no pictures.
        reading: How the training data were read, as `data.Records` has it, for other
            data to be read in the same way.
        **kwargs: Further arguments of `keras.Model`.
    """

    train_function: Any  # Keras makes it when `fit` begins

    # Every Keras version from 3.12 to 3.15 takes a class for a functional model, and
    # saves its graph, if its constructor has these `*args` and `**kwargs`.
    def __init__(
        self,
        *args: Any,
        tasks: Iterable[Task] = (),
        trunk_l2: float = 0.0,
        head_l2: float = 0.0,
        encoders: Mapping[str, Input] | None = None,
        reading: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        keras_settings.check()
        super().__init__(*args, **kwargs)
        made_by = [getattr(y, "made_by", None) for y in dict(self.output).values()]
        if not tasks and (origin := made_by[0]) is not None:  # see `_run_through_graph`
            own = _arguments(origin._own_config())
            tasks, encoders = own["tasks"], own["encoders"]
            reading = own["reading"]
            trunk_l2, head_l2 = own["trunk_l2"], own["head_l2"]
        if min(trunk_l2, head_l2) < 0:
            raise ValueError(
                "`trunk_l2` and `head_l2` must be 0 or more. "
                f"Received: trunk_l2={trunk_l2}, head_l2={head_l2}"
            )
        self.tasks = tuple(tasks)
        self.trunk_l2, self.head_l2 = trunk_l2, head_l2
        self.encoders = MappingProxyType(dict(encoders or {}))
        self.reading = reading or {}
        check_keys("outputs", self.output, self.task_names)

    @property
    def reading(self) -> Mapping[str, Any]:
        """How the training data were read; see `data.Records`."""
        return self._reading

    @reading.setter
    def reading(self, reading: Mapping[str, Any]) -> None:
        # Not a plain dict, which Keras would look through for layers.
        self._reading = MappingProxyType(dict(reading))

    def compile(
        self,
        optimizer: Any = "adam",
        loss: dict[str, Any] | None = None,
        loss_weights: dict[str, Any] | None = None,
        metrics: dict[str, Any] | None = None,
        normalize_loss_weights: str | None = None,
        weighting: Weighting | None = None,
        **kwargs: Any,
    ) -> None:
        """Sets optimizer, losses, weights and metrics; tasks fill what is left out.

        Args:
            optimizer: Any Keras optimizer.
            loss: Any Keras loss by task; an explicit `None` leaves the task out of
                the objective.
            loss_weights: α by task, a number or a `keras.Variable`, which may change
                while training.
            metrics: List of Keras metrics by task.
            normalize_loss_weights: `None` takes α as given, "one" scales them to sum
                to 1, "tasks" to the number of tasks.
            weighting: What the losses count beside each other from step to step, one
                of `p5_keras.weighting`; it sees α·L. `None` adds them up.
            **kwargs: Further arguments of `keras.Model.compile`.

        Raises:
            ValueError: A key is not the name of a task, or a weight is negative.
        """
        keras_settings.check()
        names = self.task_names
        check_argument("loss_weights", loss_weights, names)
        # Losses and metrics that are left out are the tasks' own.
        check_argument("loss", loss, names, partial=True)
        check_argument("metrics", metrics, names, partial=True)
        loss, metrics = loss or {}, metrics or {}
        self._task_losses = {
            task.name: task.training_loss(loss.get(task.name))
            for task in self.tasks
            if not (task.name in loss and loss[task.name] is None)
        }
        if not self._task_losses:
            raise ValueError(
                f"One task at least must have a loss. Received: loss={loss}"
            )
        alpha = objective.loss_weights(
            loss_weights or {t.name: t.loss_weight for t in self.tasks},
            normalize_loss_weights,
        )
        with self.distribute_strategy.scope():
            self._engine = make_engine(self, weighting, alpha)
            self._label_check = LabelCheck(self.tasks)
        # Not plain dicts: Keras takes the variables and metrics in one for the model's.
        self._alpha = MappingProxyType(alpha)
        # The exact mean over labelled examples of an epoch: a batch without labels
        # for a task weighs nothing in it.
        parts = [f"{name}_loss" for name in self._task_losses]
        if self.trunk_l2 or self.head_l2:
            parts.append("l2")
        self._loss_trackers = MappingProxyType(
            {name: keras.metrics.Mean(name=name) for name in parts}
        )
        if "weighted_metrics" in kwargs:
            raise ValueError(
                "Metrics are given as `metrics={task: [...]}`, and all of them count "
                "sample weights. Received: weighted_metrics"
            )
        super().compile(
            optimizer=optimizer,
            weighted_metrics={
                t.name: t.training_metrics(metrics.get(t.name)) for t in self.tasks
            },
            **kwargs,
        )
        strategy.check_model(self, self.optimizer, self.steps_per_execution)
        self._frozen: frozenset[str] = frozenset()
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if isinstance(optimizer, PerPart):
            heads = {n: self.get_layer(n).trainable_variables for n in self.task_names}
            optimizer.bind(self.trunk_variables, heads)
        self._given = MappingProxyType(
            {
                "optimizer": self.optimizer,
                "loss": loss or None,
                "loss_weights": loss_weights,
                "metrics": metrics or None,
                "normalize_loss_weights": normalize_loss_weights,
                "weighting": weighting,
                **kwargs,
            }
        )

    @property
    def metrics(self) -> list[keras.Metric]:
        """All metrics, the means of the tasks' losses among them."""
        trackers = getattr(self, "_loss_trackers", {})
        return [*super().metrics, *trackers.values()]

    def get_metrics_result(self) -> dict[str, Any]:
        """Returns the logs; Keras leaves the name of an only output out of them."""
        logs = super().get_metrics_result()
        if len(self.tasks) > 1:
            return logs
        own = {metric.name for metric in self.metrics}
        only = self.task_names[0]
        return {k if k in own else f"{only}_{k}": v for k, v in logs.items()}

    def train_step(self, data: Any) -> dict[str, Tensor]:
        """Keras' own step, but where gradients are needed one task at a time.

        And but for gradient clipping under several replicas: Keras clips every
        replica's gradient and then adds them up. Here they are added first; what the
        optimizer then does to its share changes nothing more.
        """
        data = self._normalized(data)
        logs = train_step(self, self._engine, data, super().train_step)
        return replicas.step_logs(self, logs)

    def test_step(self, data: Any) -> dict[str, Tensor]:
        """Keras' own step, with logs that several workers can reduce."""
        return replicas.step_logs(self, super().test_step(self._normalized(data)))

    def _normalized(self, data: Any) -> Any:
        """Returns a batch with labels and weights as the tasks want them."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        return x, *self._label_check.normalized(y, sample_weight)

    def reset_metrics(self) -> None:
        """Resets all metrics, and the counts of wrong labels."""
        super().reset_metrics()
        self._label_check.reset()

    def _get_metrics_result_or_logs(self, logs: dict[str, Any]) -> dict[str, Any]:
        self._label_check.refuse()
        # All logs are metrics; of several workers a step has logged the loss alone.
        return self.get_metrics_result()

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        if self._distribute_strategy is None:
            return  # what is to be built is built when the step is traced
        if iterator is not None:
            data_batch = replicas.local_batch(self, iterator)
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data_batch)
        data_batch = x, *normalized(self.tasks, y, sample_weight)[:2]
        super()._maybe_symbolic_build(None, data_batch)

    def make_train_function(self, force: bool = False) -> Any:
        """Makes the function of a step, or two: one that solves and one that keeps."""
        if self.train_function is not None and not force:
            return self.train_function
        make = functools.partial(super().make_train_function, force=True)
        self.train_function = scheduled(self, self._engine, make)
        return self.train_function

    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """Trains as `keras.Model.fit` does, after checking the labels.

        Labels and sample weights are dicts by task, lists in the order of the tasks
        or, of an only task, just its own; of each what `Task.normalize` takes. Arrays
        are checked before, what a dataset gives after the first step and at the end
        of each epoch; a loss that is not finite ends the training there.

        Under several workers a dataset gives global batches or, where it was made with
        `shard=`, this worker's share of them.
        """
        if kwargs.get("class_weight") is not None:
            raise _no_class_weight(kwargs["class_weight"])
        x = self._opened(x, shuffle=kwargs.get("shuffle", True))
        y, kwargs = self._prepared(x, y, kwargs, training=True)
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # Keras warns of its own default.
        x, kwargs = replicas.distributed(self, x, kwargs, "steps_per_epoch")
        held_out = self._opened(kwargs.pop("validation_data", None))
        if isinstance(held_out, list | tuple) and len(held_out) in (2, 3):
            y_val, w_val = (*held_out, None)[1:3]
            labels, weights = prepared(self.tasks, y_val, w_val, training=False)
            held_out = (held_out[0], labels, *([] if weights is None else [weights]))
        held_out, kwargs = replicas.distributed(
            self, held_out, kwargs, "validation_steps"
        )
        kwargs["validation_data"] = held_out
        callbacks = list(kwargs.get("callbacks") or ())
        # To read the counts, workers would have to do so together.
        alone = strategy.shard(self.distribute_strategy)[1] == 1
        finite = not any(hasattr(callback, "on_nan") for callback in callbacks)
        callbacks.insert(0, FitCheck(self._label_check if alone else None, finite))
        if self._engine is not None:
            self._engine.begin()
            if self._engine.needs_gradients and not self.shared_variables:
                logging.warning(
                    "Nothing that the tasks share is trained, so %s has nothing to "
                    "weigh: all tasks count 1.",
                    type(self._engine.weighting).__name__,
                )
            own = EngineCallback(self._engine)
            callbacks.insert(0, own)
        self._label_check.training = True
        with replicas.own_seeds(self):
            return super().fit(x, y, **{**kwargs, "callbacks": callbacks})

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any
    ) -> Any:
        """Trains as `keras.Model.train_on_batch` does, after checking the labels."""
        if kwargs.get("class_weight") is not None:
            raise _no_class_weight(kwargs["class_weight"])
        y, sample_weight = prepared(self.tasks, y, sample_weight)
        return super().train_on_batch(x, y, sample_weight, **kwargs)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any
    ) -> Any:
        """Measures as `keras.Model.test_on_batch` does, after checking the labels."""
        y, sample_weight = prepared(self.tasks, y, sample_weight)
        return super().test_on_batch(x, y, sample_weight, **kwargs)

    def _prepared(
        self, x: Any, y: Any, kwargs: dict[str, Any], training: bool
    ) -> tuple[Any, dict[str, Any]]:
        """Returns labels and arguments of `fit` or `evaluate`, after checking them."""
        if "_use_cached_eval_dataset" in kwargs:
            return y, kwargs  # `fit` has checked them
        if hasattr(x, "element_spec"):
            check_keys_of(x, self.task_names)
            return y, kwargs
        check_inputs(x)
        y, weights = prepared(self.tasks, y, kwargs.get("sample_weight"), training)
        return y, {**kwargs, "sample_weight": weights}

    def evaluate(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """Evaluates as `keras.Model.evaluate` does, and adds whole-set metrics.

        With an optimizer that keeps moving averages of the weights, these are used.
        Metrics that need all predictions at once (a detector's mAP) cost a second
        pass; one that no label could measure is NaN.
        """
        x = self._opened(x)
        y, kwargs = self._prepared(x, y, kwargs, training=False)
        as_dict = kwargs.pop("return_dict", False)
        x, kwargs = replicas.distributed(self, x, kwargs, "steps")
        with averaged_weights(self), self._label_check.evaluation():
            logs = super().evaluate(x, y, return_dict=True, **kwargs)
            logs |= whole_set_metrics(self, x, y, **kwargs)
        # Gates are counted while training.
        logs = {k: v for k, v in logs.items() if not k.startswith("gate/")}
        return logs if as_dict else list(logs.values())

    def _opened(self, data: Any, shuffle: bool | None = None) -> Any:
        """Returns a dataset in the place of batches that are made in Python.

        Args:
            data: What `fit` takes.
            shuffle: Whether to shuffle batches; `None` where data are to measure on.
        """
        # Keras looks at the first batch of a strategy's data, then begins anew.
        twice = self._distribute_strategy is not None or (
            shuffle is None and any(t.evaluator() is not None for t in self.tasks)
        )
        return generators.opened(data, bool(shuffle), second_pass=twice)

    def predictions(self, dataset: tf.data.Dataset) -> Iterator[dict[str, Any]]:
        """Yields labels, weights and decoded fields of every batch, as NumPy arrays.

        Args:
            dataset: Batches `(x, y)` or `(x, y, sample_weight)`.

        Yields:
            `{"x": ..., "label": {task: ...}, "weight": {task: ...}, "fields": {task:
            {field: ...}}}`, the fields as the task's `decode` names them.
        """
        return predictions(self, dataset)

    def decode(self, outputs: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """Turns raw outputs into what a person wants, by task and field."""
        return {task.name: task.decode(outputs[task.name]) for task in self.tasks}

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves as `keras.Model.save` does, in the one form that can be loaded again.

        Raises:
            ValueError: The file is to be an old HDF5 one.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise _no_hdf5(filepath)
        super().save(filepath, overwrite, **kwargs)

    def _run_through_graph(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        # `keras.models.clone_model` gives the constructor these tensors and no tasks.
        outputs = super()._run_through_graph(*args, **kwargs)
        for output in outputs.values():
            if isinstance(output, keras.KerasTensor):
                output.made_by = self
        return outputs

    def get_config(self) -> dict[str, Any]:
        """Returns the functional graph, the tasks, the encoders, λ and γ."""
        config = super().get_config()
        if "module" not in config["layers"][0]:  # it is being saved as HDF5
            raise _no_hdf5("HDF5")
        return config | self._own_config()

    def _own_config(self) -> dict[str, Any]:
        saved = keras.saving.serialize_keras_object
        return {
            "tasks": [saved(t) for t in self.tasks],
            "encoders": {n: saved(e) for n, e in self.encoders.items()},
            "reading": dict(self.reading),
            "trunk_l2": self.trunk_l2,
            "head_l2": self.head_l2,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Makes the model of `get_config()` again."""
        config = dict(config)
        names = ("tasks", "trunk_l2", "head_l2", "encoders", "reading")
        own = {key: config.pop(key) for key in names if key in config}
        graph = keras.Model.from_config(config, custom_objects=custom_objects)
        return cls(graph.input, graph.output, name=graph.name, **_arguments(own))

    def get_compile_config(self) -> dict[str, Any] | None:
        """Returns what was given to `compile()`, variables as they are now."""
        if not self.compiled:
            return None
        given = dict(self._given)
        alpha = given["loss_weights"]
        given["loss_weights"] = alpha and {
            name: objective.number(value) for name, value in alpha.items()
        }
        state = {} if self._engine is None else {"state": self._engine.get_state()}
        config = {k: keras.saving.serialize_keras_object(v) for k, v in given.items()}
        return {**config, **state}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the saved model was, the weighting's state included."""
        config = dict(config)
        state = config.pop("state", None)
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self._engine is not None and state is not None:
            self._engine.set_state(state)
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)


def _arguments(config: dict[str, Any]) -> dict[str, Any]:
    """Makes constructor's arguments of what `_own_config` returned."""
    load = keras.saving.deserialize_keras_object
    encoders = config.get("encoders", {})  # older files have none
    return {
        **config,
        "tasks": [load(t) for t in config["tasks"]],
        "encoders": {name: load(e) for name, e in encoders.items()},
    }


def _no_class_weight(given: Any) -> ValueError:
    return ValueError(
        "`class_weight` is for models of one output. Here a task has its own: "
        "Classification(..., class_weights=[1.0, 2.0]) or 'balanced'. "
        f"Received: class_weight={given}"
    )


def _no_hdf5(file: Any) -> ValueError:
    return ValueError(
        "A model of several tasks is saved as .keras; an old HDF5 file cannot be "
        "loaded again. `save_weights` takes .weights.h5. "
        f"Received: {str(file)!r}"
    )
