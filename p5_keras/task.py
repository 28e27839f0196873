"""A task: everything that one output of a model needs."""

from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from p5_keras import losses
from p5_keras.losses.of_keras import as_loss
from p5_keras.metrics.decoded import as_metric
from p5_keras.naming import did_you_mean

Tensor = Any
Features = dict[str, Any]


class Task:
    """One named output: label, head, loss, metrics, decoding, drawing.

    A kind of task is a subclass in one file of `p5_keras/tasks/`. It says how a
    dataset example becomes a label, how features become a raw output, and how a raw
    output becomes what a person wants. Everything else (masking, replicas, reports,
    export) is the same for all kinds.

    Arrays are batched everywhere: an example is a dict of tensors with a leading
    batch axis, and so are labels, outputs and decoded fields.

    Args:
        name: Key of this task in outputs, losses, metrics, logs and signatures.
        label: Field of a dataset example that holds the label, with "/" between the
            levels of nested fields. The task's name if left out.
        weight: Field of a dataset example with the weight of its label, 0 where the
            label is missing. A label is missing, too, where it is NaN or, for classes
            and answers of yes and no, negative.
        loss: Any Keras loss, its name, or a function, in place of the kind's own. It
            sees labels and outputs in one space: probabilities, or logits with
            `from_logits=True` and in a function of one's own; standardised values; the
            logarithms of a `DenseRegression`.
        metrics: List of Keras metrics, or their names, in place of the kind's own.
            They see what `decode` gives: probabilities, and values in their unit.
        loss_weight: α, the task's weight in the joint objective;
            `compile(loss_weights=)` overrides it.
        features: Names of the trunk's features that the head reads. The kind's own
            choice if left out.
        changes_under: Changes that this label cannot follow, by the names that
            `p5.data.Augment` has for them, or "mixup", "cutmix". They are refused.
    """

    kind: ClassVar[str] = "task"
    #: Name of each metric of the kind: "higher" or "lower" is better.
    better: ClassVar[dict[str, str]] = {}
    #: The metric that stands for the task where one number is wanted.
    primary: ClassVar[str] = ""
    #: What `example_scores` measures, for the reader of a table.
    score_name: ClassVar[str] = ""
    #: Of each metric, the smallest difference that matters, as a share of the way from
    #: a baseline to perfection; 0.02 of one that is not named. See `p5_keras.verdict`.
    smallest_difference: ClassVar[dict[str, float]] = {}
    #: How Keras' losses and metrics see it: "classes", "labels" or "values", "" if they
    #: cannot, "raw" for labels and outputs as they are. See `losses/of_keras.py`.
    compares: ClassVar[str] = "raw"
    #: How many pictures `views` makes of one.
    pictures: ClassVar[int] = 1
    #: What the label's field holds that moves with the image: "boxes", "map", or "".
    follows: ClassVar[str] = ""
    #: Value of a pixel without a label, in a field that is a map.
    void: int = 255
    #: What `changes_under` is if left out.
    changing: ClassVar[tuple[str, ...]] = ()
    #: Names of other tasks, whose raw outputs the head reads beside the features.
    reads: tuple[str, ...] = ()
    #: Changes that no label of the kind can follow, and why.
    refuses: ClassVar[dict[str, str]] = dict.fromkeys(
        ("mixup", "cutmix"), "two examples in one have no label of its kind"
    )

    def __init__(
        self,
        name: str,
        *,
        label: str | None = None,
        weight: str | None = None,
        loss: Any = None,
        metrics: list[Any] | None = None,
        loss_weight: float = 1.0,
        features: str | list[str] | None = None,
        changes_under: list[str] | tuple[str, ...] | None = None,
    ) -> None:
        if not loss_weight >= 0:
            raise ValueError(
                "`loss_weight` must be 0 or more. "
                f"Received: loss_weight={loss_weight} for task {name!r}"
            )
        self.name = name
        self.label = label or name
        self.weight = weight
        self.loss = loss
        self.metrics = metrics
        self.loss_weight = loss_weight
        self.features = [features] if isinstance(features, str) else features
        self.changes_under = list(
            self.changing if changes_under is None else changes_under
        )

    # What a kind defines.

    def adapt(self, labels: np.ndarray, weights: np.ndarray) -> None:
        """Learns what the kind needs to know of the training labels.

        Args:
            labels: Labels of many examples, as `target()` gives them.
            weights: `(examples,)`, 0 where the label is missing.
        """

    def normalize(self, label: Any) -> tuple[Tensor, Tensor]:
        """Brings a batch of labels into the task's own form, in TensorFlow.

        The one way in for labels, whether a `Source` reads them or `fit` is given
        them. Labels in that form already stay as they are. A value that no label can
        have stays recognisable, for `invalid()`.

        Args:
            label: `(batch, ...)` as the kind describes it, of any type of number, with
                or without a last axis of 1.

        Returns:
            The label in the kind's shape and type, with a valid dummy where it is
            missing, and `(batch,)` float32, 0 where it is missing and else 1.

        Raises:
            ValueError: The labels have another shape, or are no numbers.
        """
        label = tf.convert_to_tensor(label)
        return label, tf.ones(tf.shape(label)[:1])

    def invalid(self, label: Tensor) -> Tensor:
        """Says which values no label of the task can have, in TensorFlow.

        Args:
            label: Labels as `normalize()` gives them.

        Returns:
            bool `(batch, ...)`, with as many of the label's axes as it takes.
        """
        return tf.zeros(tf.shape(label)[:1], tf.bool)

    @property
    def allowed(self) -> str:
        """What labels must be, for an error: the rest of "The labels must be"."""
        return "what its kind describes"

    #: Length of `tally()`.
    tallies: ClassVar[int] = 0

    def tally(self, given: Tensor, label: Tensor, weight: Tensor) -> list[Tensor]:
        """Counts, in TensorFlow, what only many labels together can be wrong in.

        Args:
            given: Labels as they came.
            label: Labels as `normalize()` gives them.
            weight: `(batch, ...)`, 0 where they do not count.

        Returns:
            `tallies` float32 scalars, which add up over batches and replicas.
        """
        return []

    def doubt(self, tally: list[float], training: bool) -> str:
        """Says what is wrong with labels of which these are the sums; "" if nothing."""
        return ""

    def target(self, example: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Reads label and weight from a batch of dataset examples, in TensorFlow.

        Returns:
            The label as `normalize()` gives it, of a static shape, and its weight
            `(batch,)` float32, 0 where it is missing.
        """
        label, weight = self.normalize(self.field(example, self.label))
        return label, weight * self.example_weight(example, weight)

    def mix(self, label: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """Returns labels of mixed examples, unless the kind `refuses` "mixup".

        Args:
            label: Labels `(batch, ...)`, as `target()` gives them.
            other: Those of each example's partner.
            share: `(batch,)`, what the example itself contributes, 0 to 1.
        """
        raise NotImplementedError

    def paste(self, label: Tensor, other: Tensor, share: Tensor, own: Tensor) -> Tensor:
        """Returns labels of images with a part of another; see `mix`.

        `own` `(batch, height, width)` says which pixels stay their own.
        """
        return self.mix(label, other, share)

    def check(self, label: np.ndarray, weight: np.ndarray) -> None:
        """Checks the values of a batch of labels, as `normalize()` gives them.

        Raises:
            ValueError: A label is out of range or not finite.
        """
        wrong = np.asarray(self.invalid(label))
        counts = np.reshape(np.asarray(weight) > 0, (len(weight), -1)).any(axis=1)
        wrong = wrong & np.reshape(counts, (-1, *[1] * (wrong.ndim - 1)))
        if wrong.any():
            place = tuple(int(n) for n in np.argwhere(wrong)[0])
            raise self.refusal(f"{said(label[place])} in example {place[0]}")

    def refusal(self, received: str) -> ValueError:
        """Returns the error of labels that are not as they must be."""
        return ValueError(
            f"The labels of task {self.name!r} must be {self.allowed}. "
            f"Received: {received}"
        )

    def head(self, features: Features, input_shape: tuple[int, ...]) -> Tensor:
        """Builds the head: layers from trunk features to the raw output.

        Args:
            features: The trunk's features by name.
            input_shape: Shape of one model input, `(height, width, channels)` for
                images.

        Returns:
            The raw output, float32 under any precision policy.
        """
        raise NotImplementedError

    def logits(self, output: Tensor) -> Tensor:
        """Returns the logits of what "classes" or "labels" compares."""
        return output

    def standardized(self, label: Tensor) -> Tensor:
        """Returns labels in the space, and the shape, of the raw output."""
        return label

    def default_loss(self) -> losses.MeanLoss:
        """Returns the kind's loss."""
        raise NotImplementedError

    def default_metrics(self) -> list[keras.Metric]:
        """Returns new metrics of the kind, named as in `better`."""
        raise NotImplementedError

    def evaluator(self) -> Any:
        """Returns an object for metrics that need whole predictions, or `None`.

        It has `update(label, weight, fields)`, with NumPy arrays of a batch, and
        `result()`, a dict of numbers by metric name.
        """
        return None

    def decode(self, output: Tensor) -> dict[str, Tensor]:
        """Turns raw output into named fields a person wants, in exportable ops."""
        raise NotImplementedError

    def truth(self, label: Tensor) -> dict[str, Tensor]:
        """Turns labels into the same fields that `decode` gives."""
        raise NotImplementedError

    def difference(self, new: Tensor, old: Tensor) -> Tensor:
        """Says how far raw outputs are from earlier ones, for distillation.

        Args:
            new: Raw outputs `(batch, ...)`, float32.
            old: Those of another model for the same inputs.

        Returns:
            `(batch,)`, 0 where they are the same; here the mean squared difference.
        """
        axes = tuple(range(1, len(new.shape)))
        return ops.mean(ops.square(new - old), axis=axes)

    def apart(self) -> "Task":
        """Returns what stands for the task in a model without the tasks it `reads`."""
        return self

    def views(self, inputs: Tensor) -> dict[str, Tensor] | None:
        """Changes the input for the task to read, in the model: other pictures, say.

        Args:
            inputs: The Keras tensor of the model's input.

        Returns:
            `None` to read the input as it is. Else "input", of the input's shape but
            for the number of examples, from which the features are then computed,
            and what else the head is to have by name.
        """
        return None

    def prior(self, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns the raw output of the trivial predictor, without a batch axis.

        It knows the training labels and never sees an input: the majority class, the
        mean, the prior boxes.
        """
        raise NotImplementedError

    def example_scores(
        self, label: np.ndarray, fields: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Scores each example by itself, higher is better, for paired intervals."""
        raise NotImplementedError

    def draw(self, axes: Any, fields: dict[str, np.ndarray]) -> str:
        """Draws one example's fields over its picture on Matplotlib axes.

        Returns:
            A caption, empty when the drawing says it all.
        """
        return ""

    # What all kinds share.

    def build(self, features: Features, input_shape: tuple[int, ...]) -> Any:
        """Builds the head as a model named like the task.

        Args:
            features: All features of the trunk by name, and the raw outputs of the
                tasks that it `reads`.
            input_shape: Shape of one model input.

        Returns:
            A functional `keras.Model` from a dict of the features it reads.

        Raises:
            ValueError: The trunk lacks a feature that the head reads.
        """
        own = [name for name in features if name not in self.reads]
        names = [
            *(self.features or self.default_features(own, input_shape)),
            *self.reads,
        ]
        for name in names:
            if name not in features:
                raise ValueError(
                    f"Task {self.name!r} reads the feature {name!r}, which the trunk "
                    f"lacks. Received: features={list(features)}"
                )
        inputs = {
            n: keras.Input(features[n].shape[1:], dtype=features[n].dtype, name=n)
            for n in names
        }
        output = self.head(dict(inputs), input_shape)
        return keras.Model(inputs, output, name=self.name)

    def default_features(
        self, features: list[str], input_shape: tuple[int, ...]
    ) -> list[str]:
        """Returns the features that the head reads: the deepest one, if not told."""
        return features[-1:]

    def training_loss(self, loss: Any = None) -> losses.MeanLoss:
        """Returns the loss to train with: the argument, the task's, or the kind's."""
        loss = self.loss if loss is None else loss
        return self.default_loss() if loss is None else as_loss(loss, self)

    def training_metrics(self, metrics: list[Any] | None = None) -> list[Any]:
        """Returns the metrics: the argument, the task's, or the kind's."""
        metrics = self.metrics if metrics is None else metrics
        if metrics is None:
            return self.default_metrics()
        listed = metrics if isinstance(metrics, list | tuple) else [metrics]
        return [as_metric(metric, self) for metric in listed]

    def example_weight(self, example: dict[str, Any], like: Tensor) -> Tensor:
        """Returns the weight field of the examples, or ones."""
        if self.weight is None:
            return tf.ones_like(like)
        return tf.cast(tf.reshape(self.field(example, self.weight), [-1]), tf.float32)

    def numbers(self, label: Any) -> Tensor:
        """Returns labels as a tensor.

        Raises:
            ValueError: They are no numbers, or have no array's form.
        """
        if not isinstance(label, dict | tf.RaggedTensor | tf.SparseTensor):
            label = tf.convert_to_tensor(label)
            kind = label.dtype
            if kind.is_floating or kind.is_integer or kind.is_bool:
                return label
        what = getattr(getattr(label, "dtype", None), "name", type(label).__name__)
        raise ValueError(
            f"The labels of task {self.name!r} must be an array of numbers, for "
            "classes their places in `class_names`, from 0 on. Received: "
            f"{type(label).__name__ if what == 'dict' else what}"
        )

    def field(self, example: dict[str, Any], path: str) -> Tensor:
        """Reads a field of an example.

        Raises:
            ValueError: There is no such field.
        """
        value: Any = example
        for part in path.split("/"):
            if not isinstance(value, dict) or part not in value:
                known = list(value) if isinstance(value, dict) else []
                raise ValueError(
                    f"Task {self.name!r} reads its label from the field {path!r}, "
                    f"which the examples lack.{did_you_mean(part, known)} "
                    f"Received: fields={known}"
                )
            value = value[part]
        return value

    def shaped(self, label: Tensor, *shape: int) -> Tensor:
        """Gives a batch of labels its shape; last axes of 1 may be there or not.

        Args:
            label: `(batch, ...)`.
            *shape: The shape of one label.

        Raises:
            ValueError: The labels have another shape.
        """
        if label.shape.rank is None:
            return tf.reshape(label, [-1, *shape])
        if label.shape.rank == 0:
            raise self.refusal("a single number")
        given = found = tuple(label.shape[1:])
        wanted = shape
        while found and found[-1] == 1:
            found = found[:-1]
        while wanted and wanted[-1] == 1:
            wanted = wanted[:-1]
        known = len(found) == len(wanted)
        if not known or any(
            a not in (None, b) for a, b in zip(found, wanted, strict=True)
        ):
            raise ValueError(
                f"Each label of task {self.name!r} must have the shape {shape}. "
                f"Received: {tuple(label.shape[1:])} in the field {self.label!r}"
            )
        return label if given == shape else tf.reshape(label, [-1, *shape])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, in a form that JSON can hold."""

        def saved(value: Any) -> Any:
            return None if value is None else keras.saving.serialize_keras_object(value)

        return {
            "name": self.name,
            "label": self.label,
            "weight": self.weight,
            "loss": saved(self.loss),
            "metrics": saved(self.metrics),
            "loss_weight": self.loss_weight,
            "features": self.features,
            "changes_under": self.changes_under,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Task":
        """Makes the task of `get_config()` again."""
        config = dict(config)
        for key in ("loss", "metrics"):
            if config.get(key) is not None:
                config[key] = keras.saving.deserialize_keras_object(config[key])
        return cls(**config)

    def __repr__(self) -> str:
        """Returns the kind and the name."""
        return f"{type(self).__name__}({self.name!r})"


#: What stands for a class that is not a whole number: higher than any class.
NOT_WHOLE = 2**31 - 1


def said(value: Any) -> str:
    """Returns a label's value, or values, for an error."""
    if np.ndim(value):
        return str(np.asarray(value).tolist())
    if float(value) == float(np.float32(NOT_WHOLE)):
        return "one that is not whole"
    return f"{float(value):g}"
