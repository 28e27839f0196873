"""Several sources as one, each with labels for its own tasks only."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from p5_keras.data.source import Batch, Example, Source, shuffled
from p5_keras.task import Task


@dataclass(frozen=True)
class Part(Source):
    """A source that has labels for some of the tasks.

    Attributes:
        absent: For each task without a label here, one label of it as a dummy.
    """

    absent: dict[str, np.ndarray] = field(default_factory=dict)

    def batch(self, tasks: list[Task], example: Example) -> Batch:
        """Turns a batch of examples into input, labels and weights."""
        known = [task for task in tasks if task.name not in self.absent]
        x, labels, weights = super().batch(known, example)
        count = tf.shape(x)[0]
        for name, dummy in self.absent.items():
            labels[name] = tf.repeat(tf.constant(dummy)[None], count, axis=0)
            weights[name] = tf.zeros([count])
        order = [task.name for task in tasks]
        return x, {n: labels[n] for n in order}, {n: weights[n] for n in order}


@dataclass(frozen=True)
class Mixture(Source):
    """Examples of several sources in a stated proportion; see `mix`.

    Attributes:
        parts: The sources by name.
        counts: `(epochs, sources)`: examples of each source in each epoch; the last
            row stands for all epochs that follow.
        tasks: The tasks of all sources.
    """

    parts: dict[str, Part] = field(default_factory=dict)
    counts: np.ndarray = field(default_factory=lambda: np.zeros((1, 0), int))
    tasks: tuple[Task, ...] = ()

    def batch(self, tasks: list[Task], example: Example) -> Batch:
        """Returns what each example's own source has already made of it."""
        return example["x"], example["labels"], example["weights"]

    def first(self, size: int) -> "Mixture":
        """Returns a mixture of the first examples of every source."""
        parts = {
            name: dataclasses.replace(part, size=min(part.size, size))
            for name, part in self.parts.items()
        }
        return self.of(parts, np.array([[part.size for part in parts.values()]]))

    def of(self, parts: dict[str, Part], counts: np.ndarray) -> "Mixture":
        """Returns a mixture of other examples of the same sources."""
        made = _mixture(parts, list(self.tasks), counts, self.ordered)
        return dataclasses.replace(made, augment_batch=self.augment_batch)


def mix(
    sources: dict[str, Source],
    tasks: list[Task],
    alpha: float = 1.0,
    ratio: dict[str, float] | None = None,
    alpha_end: float | None = None,
    anneal_epochs: int = 10,
    size: int | None = None,
    order: str = "random",
) -> Mixture:
    """Mixes sources for training on tasks from different data sets.

    An example carries the labels of its own source; its weight is 0 for all other
    tasks. A task belongs to every source whose examples have its label's field.

    A source's share of an epoch is proportional to its size to the power `alpha`: 1
    sees every example equally often, 0 sees every source equally often. Within an
    epoch examples come in one random order, or the sources take turns. A source runs
    through all its examples, in an order of its own, before it repeats one, across
    epochs too.

    Args:
        sources: The sources by name. Their inputs must have one shape.
        tasks: The tasks of all sources.
        alpha: Exponent of the sizes.
        ratio: Shares by source, in place of `alpha`; they need not add up to 1.
        alpha_end: If given, the exponent goes there from `alpha` in equal steps, in
            `anneal_epochs` epochs.
        anneal_epochs: See `alpha_end`.
        size: Examples an epoch; as many as all sources hold if left out.
        order: "random", or "turns": sources alternate, one example a turn, those with
            a larger share more often, so that every batch holds them in proportion.

    Raises:
        ValueError: `order` is neither, a task has no source, inputs differ in shape, a
            share is not above 0, or the names of `ratio` are not those of `sources`.

    Reference:
        Arivazhagan et al., Massively Multilingual Neural Machine Translation in the
        Wild, 2019 (temperature); Stickland & Murray, BERT and PALs, ICML 2019
        (annealed).
    """
    if order not in ("random", "turns"):
        raise ValueError(
            f"`order` must be 'random' or 'turns'. Received: order={order!r}"
        )
    parts = _parts(sources, tasks)
    sizes = np.array([source.size for source in sources.values()], "float64")
    total = int(sizes.sum()) if size is None else size
    if ratio is not None:
        if set(ratio) != set(sources) or not min(ratio.values()) > 0:
            raise ValueError(
                "`ratio` must have a share above 0 for every source. "
                f"Received: ratio={ratio}, sources={list(sources)}"
            )
        shares = [np.array([ratio[name] for name in sources], "float64")]
    elif alpha_end is None:
        shares = [sizes**alpha]
    else:
        steps = np.linspace(alpha, alpha_end, max(anneal_epochs, 1) + 1)
        shares = [sizes**a for a in steps]
    counts = np.stack([_apportion(share / share.sum(), total) for share in shares])
    return _mixture(parts, tasks, counts, order == "turns")


def _apportion(shares: np.ndarray, total: int) -> np.ndarray:
    """Returns whole numbers in given shares that add up to a total (Hamilton)."""
    if total < len(shares):
        raise ValueError(
            "`size` must be at least the number of sources. "
            f"Received: size={total}, sources: {len(shares)}"
        )
    counts = np.maximum(np.floor(shares * total).astype(int), 1)
    while counts.sum() > total:
        counts[np.argmax(counts - shares * total)] -= 1
    while counts.sum() < total:
        counts[np.argmax(shares * total - counts)] += 1
    return counts


def _parts(sources: dict[str, Source], tasks: list[Task]) -> dict[str, Part]:
    """Finds which source has which tasks, from one example of each."""
    if not sources:
        raise ValueError("`sources` must have an entry. Received: sources={}")
    shapes: dict[str, tuple[int, ...]] = {}
    owned: dict[str, list[Task]] = {}
    dummies: dict[str, np.ndarray] = {}
    for name, source in sources.items():
        if source.augment_batch is not None:
            raise ValueError(
                "`augment_batch` must be given to the mixture, whose batches hold "
                "examples of all sources, by `dataclasses.replace`. "
                f"Received: one in source {name!r}"
            )
        zero = tf.zeros([1], tf.int64)
        example = _loaded(source, source.read(zero, zero))
        fixed = source.transform(example) if source.transform else example
        owned[name] = [task for task in tasks if _has(fixed, task.label)]
        x, labels, _ = source.batch(owned[name], example)
        shapes[name] = tuple(x.shape[1:])
        dummies |= {task: np.zeros_like(label[0]) for task, label in labels.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"Inputs must have one shape. Received: {shapes}")
    homeless = [task for task in tasks if task.name not in dummies]
    if homeless:
        raise ValueError(
            "Every task must have its label in a source. Received: no field "
            f"{homeless[0].label!r} for task {homeless[0].name!r} in {list(sources)}"
        )
    parts = {}
    for name, source in sources.items():
        own = {task.name for task in owned[name]}
        given = {f.name: getattr(source, f.name) for f in dataclasses.fields(Source)}
        absent = {task: dummy for task, dummy in dummies.items() if task not in own}
        parts[name] = Part(**given, absent=absent)
    return parts


def _has(example: Any, path: str) -> bool:
    for part in path.split("/"):
        if not isinstance(example, dict) or part not in example:
            return False
        example = example[part]
    return True


def _loaded(source: Source, batch: Example) -> Example:
    if source.load is None:
        return batch
    one = source.load(tf.nest.map_structure(lambda t: t[0], batch))
    return tf.nest.map_structure(lambda t: t[None], one)


def _mixture(
    parts: dict[str, Part], tasks: list[Task], counts: np.ndarray, turns: bool = False
) -> Mixture:
    """Makes the mixture: which source number i of epoch e is of, and the example."""
    ends = np.cumsum(counts, axis=1)
    order = np.stack([_turns(row) for row in counts]) if turns else None
    # Examples of each source in all epochs before.
    before = np.concatenate([np.zeros_like(counts[:1]), np.cumsum(counts, axis=0)])
    sizes = np.array([part.size for part in parts.values()])

    def read(indices: tf.Tensor, epochs: tf.Tensor) -> Example:
        row = tf.minimum(epochs, len(counts) - 1)
        if order is not None:
            indices = tf.gather_nd(order, tf.stack([row, indices], axis=1))
        source = tf.reduce_sum(
            tf.cast(indices[:, None] >= tf.gather(ends, row), tf.int32), axis=1
        )
        pick = tf.stack([row, tf.cast(source, tf.int64)], axis=1)
        count, end = tf.gather_nd(counts, pick), tf.gather_nd(ends, pick)
        drawn = tf.gather_nd(before, pick) + (epochs - row) * count
        return {"source": source, "number": drawn + indices - (end - count)}

    def make(part: Part, size: int, number: tf.Tensor, seed: tf.Tensor) -> Example:
        epoch, index = number // size, number % size
        index = shuffled(index, size, seed[0], epoch)
        batch = part.read(index[None], epoch[None])
        example = tf.nest.map_structure(lambda t: t[0], _loaded(part, batch))
        if part.augment is not None:
            example = part.augment(example, seed)
        x, labels, weights = part.batch(
            tasks, tf.nest.map_structure(lambda t: t[None], example)
        )
        found = {"x": x, "labels": labels, "weights": weights}
        return tf.nest.map_structure(lambda t: t[0], found)

    def one(example: Example, seed: tf.Tensor) -> Example:
        branches = [
            lambda part=part, size=int(size): make(part, size, example["number"], seed)
            for part, size in zip(parts.values(), sizes, strict=True)
        ]
        return tf.switch_case(example["source"], branches)

    return Mixture(
        int(ends[0, -1]),
        read,
        augment=one,
        ordered=turns,
        parts=parts,
        counts=counts,
        tasks=tuple(tasks),
    )


def _turns(counts: np.ndarray) -> np.ndarray:
    """Returns the numbers of an epoch in turns, each source's spread evenly over it."""
    when = np.concatenate([(np.arange(n) + 0.5) / n for n in counts])
    return np.argsort(when, kind="stable")
