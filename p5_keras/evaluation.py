"""How good a model is, beside a trivial predictor that never sees an input."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from p5_keras.data.labels import Labels
from p5_keras.model import MultiTaskModel
from p5_keras.task import Task
from p5_keras.tasks import Classification
from p5_keras.verdict import smallest_difference

Logs = dict[str, float]


def priors(tasks: Sequence[Task], labels: Labels) -> dict[str, np.ndarray]:
    """Returns the trivial predictor's raw output for each task.

    Args:
        tasks: The tasks, adapted, with heads built.
        labels: Training labels, as `data.adapt` returns them.
    """
    return {task.name: task.prior(*labels[task.name]) for task in tasks}


def trivial_metrics(
    tasks: Sequence[Task], dataset: tf.data.Dataset, priors: dict[str, np.ndarray]
) -> Logs:
    """Returns the metrics of the trivial predictor, named as in `evaluate`'s logs.

    Args:
        tasks: The tasks.
        dataset: Batches `(x, y, sample_weight)`.
        priors: Raw outputs, as `priors` gives them.
    """
    # Inside a graph, since some ops of decoding and metrics are slow on their own.
    decode = {t.name: tf.function(t.decode) for t in tasks}
    metrics = {t.name: t.default_metrics() for t in tasks}
    evaluators = {t.name: t.evaluator() for t in tasks}

    @tf.function
    def update(labels: Any, outputs: Any, weights: Any) -> None:
        for name, found in metrics.items():
            for metric in found:
                metric.update_state(labels[name], outputs[name], weights[name])

    for _, labels, weights in dataset:
        outputs = {n: _repeat(prior, len(weights[n])) for n, prior in priors.items()}
        update(labels, outputs, weights)
        for name, evaluator in evaluators.items():
            if evaluator is not None:
                fields = {k: v.numpy() for k, v in decode[name](outputs[name]).items()}
                evaluator.update(labels[name].numpy(), weights[name].numpy(), fields)
    logs = {}
    for task in tasks:
        for metric in metrics[task.name]:
            logs[f"{task.name}_{metric.name}"] = float(metric.result())
        if evaluators[task.name] is not None:
            for key, value in evaluators[task.name].result().items():
                logs[f"{task.name}_{key}"] = math.nan if value is None else value
    return logs


def skill(tasks: Sequence[Task], logs: Logs, trivial: Logs) -> float:
    """Returns the mean skill score of the tasks: 0 is trivial, 1 is perfect.

    The skill of a task is how much of the way from the trivial predictor to
    perfection its primary metric has gone; perfection is 1 for metrics of which
    higher is better and 0 for errors. It puts accuracies, errors and mAP on one
    scale, so that one number can choose the best epoch of all tasks together.

    Args:
        tasks: The tasks.
        logs: Metrics of the model, as `evaluate` returns them.
        trivial: Metrics of the trivial predictor on the same data.

    Reference:
        Murphy, Skill Scores Based on the Mean Square Error, Monthly Weather Review
        1988.
    """
    skills = []
    for task in tasks:
        key = f"{task.name}_{task.primary}"
        model, base = logs.get(key, math.nan), trivial.get(key, math.nan)
        if task.better[task.primary] == "higher":
            value = (model - base) / (1 - base) if base < 1 else math.nan
        else:
            value = 1 - model / base if base > 0 else math.nan
        if math.isfinite(value):
            skills.append(value)
    return float(np.mean(skills)) if skills else math.nan


def scorer(
    tasks: Sequence[Task], dataset: tf.data.Dataset, priors: dict[str, np.ndarray]
) -> Callable[[Logs], float]:
    """Returns `skill` of logs on a dataset, on which the trivial predictor is known."""
    trivial = trivial_metrics(tasks, dataset, priors)
    return functools.partial(skill, tasks, trivial=trivial)


def assess(
    model: MultiTaskModel,
    dataset: tf.data.Dataset,
    priors: dict[str, np.ndarray],
    pictures: int = 12,
    seed: int = 0,
) -> tuple[
    dict[str, Any],
    dict[str, np.ndarray],
    list[dict[str, Any]],
    dict[str, np.ndarray],
]:
    """Compares the model with the trivial predictor, example by example.

    Args:
        model: A trained model.
        dataset: Held-out batches `(x, y, sample_weight)`.
        priors: Raw outputs of the trivial predictor.
        pictures: Number of examples to return for drawing.
        seed: Seed of the bootstrap.

    Returns:
        The score of each task with a 95 % interval of the difference (see
        `paired_interval`), the smallest that matters, and whether all labelled
        examples got the same answer; `None` where nothing was labelled; a confusion
        matrix for each task with one class an example; examples with the truth of
        what is labelled, and the prediction; and the score of each labelled example
        by task.
    """
    decode = {t.name: tf.function(t.decode) for t in model.tasks}
    scores: dict[str, list[np.ndarray]] = {t.name: [] for t in model.tasks}
    confusions: dict[str, np.ndarray] = {}
    examples: list[dict[str, Any]] = []
    answers = {t.name: _SameAnswer() for t in model.tasks}
    for batch in model.predictions(dataset):
        for task in model.tasks:
            label, fields = batch["label"][task.name], batch["fields"][task.name]
            present = batch["weight"][task.name] > 0
            output = _repeat(priors[task.name], len(label))
            trivial = {k: v.numpy() for k, v in decode[task.name](output).items()}
            pair = [task.example_scores(label, f)[present] for f in (fields, trivial)]
            scores[task.name].append(np.stack(pair))
            answers[task.name].see(fields, present)
            if isinstance(task, Classification):
                n = len(task.class_names)
                table = confusions.setdefault(task.name, np.zeros((n, n), int))
                np.add.at(table, (label[present], fields["label"][present]), 1)
        truth = {t.name: t.truth(batch["label"][t.name]) for t in model.tasks}
        real = np.max([batch["weight"][t.name] for t in model.tasks], axis=0) > 0
        inputs = tf.nest.flatten(batch["x"])
        for i in np.flatnonzero(real)[: pictures - len(examples)]:
            known = {n: f for n, f in truth.items() if batch["weight"][n][i] > 0}
            examples.append(
                {
                    "image": inputs[0][i],
                    "truth": _row(known, i),
                    "prediction": _row(batch["fields"], i),
                }
            )
    found: dict[str, Any] = {}
    each: dict[str, np.ndarray] = {}
    for task in model.tasks:
        ours, theirs = np.concatenate(scores[task.name], axis=1)
        each[task.name] = ours
        if not len(ours):
            found[task.name] = None
            continue
        low, high = paired_interval(ours - theirs, seed)
        found[task.name] = {
            "name": task.score_name,
            "mean": float(ours.mean()),
            "trivial": float(theirs.mean()),
            "difference": float((ours - theirs).mean()),
            "interval": [low, high],
            "smallest_difference": smallest_difference(task, float(theirs.mean())),
            "same_answer": answers[task.name].same,
            "examples": len(ours),
        }
    return found, confusions, examples, each


def by_source(
    model: MultiTaskModel, parts: Mapping[str, tf.data.Dataset]
) -> dict[str, dict[str, Logs]]:
    """Measures each source of a mixture by itself.

    Args:
        model: A trained model.
        parts: Batches by source, as `data.by_source` makes them.

    Returns:
        Metrics by source and task; a task without a label in a source is left out.
    """
    found: dict[str, dict[str, Logs]] = {}
    for source, dataset in parts.items():
        logs = model.evaluate(dataset, return_dict=True, verbose=0)
        found[source] = {}
        for task in model.tasks:
            keys = {name: f"{task.name}_{name}" for name in task.better}
            values = {name: logs.get(key, math.nan) for name, key in keys.items()}
            if not math.isnan(values[task.primary]):
                found[source][task.name] = values
    return found


def paired_interval(
    differences: np.ndarray, seed: int = 0, resamples: int = 2000
) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of the mean of paired differences.

    Args:
        differences: One difference an example.
        seed: Seed of the resampling.
        resamples: Number of bootstrap resamples.

    Reference:
        Efron & Tibshirani, An Introduction to the Bootstrap, 1993: percentile
        interval.
    """
    rng = np.random.default_rng(seed)
    n = len(differences)
    means = [differences[rng.integers(0, n, n)].mean() for _ in range(resamples)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


class _SameAnswer:
    """Whether all examples get one answer; a class counts, and not how sure it is."""

    def __init__(self) -> None:
        self.same = True
        self._first: dict[str, np.ndarray] = {}

    def see(self, fields: dict[str, Any], present: np.ndarray) -> None:
        """Compares the labelled examples of a batch with the first one of all."""
        values = {name: np.asarray(field)[present] for name, field in fields.items()}
        whole = {n: v for n, v in values.items() if v.dtype.kind in "iub"}
        for name, own in (whole or values).items():
            if not len(own) or not self.same:
                return
            first = self._first.setdefault(name, own[0])
            self.same = bool(np.isclose(own, first, rtol=1e-4, atol=0).all())


def _repeat(output: np.ndarray, count: int) -> tf.Tensor:
    return tf.repeat(tf.constant(output)[None], count, axis=0)


def _row(fields: dict[str, dict[str, Any]], i: int) -> dict[str, dict[str, Any]]:
    return {
        task: {key: np.asarray(value[i]) for key, value in by_key.items()}
        for task, by_key in fields.items()
    }
