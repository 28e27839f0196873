"""Two regressions of which it is known whether they should share a trunk."""

import dataclasses

import numpy as np
import tensorflow as tf

import p5_keras as p5

INPUTS, FEATURES = 20, 4
SIZES = {"train": 300, "validation": 400, "test": 1000}


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides.

    Attributes:
        kind: "same": both tasks are one, and the second has labels for a tenth of the
            examples; "apart": each reads features of its own, and the trunk has room
            for a part of one task's; "noise": the second task's labels say nothing.
        problem: Seed of features and examples.
    """

    trunk: p5.Trunk = p5.trunks.Dense([8])  # noqa: RUF009
    kind: str = "same"
    problem: int = 0
    epochs: int = 40
    batch_size: int = 50
    learning_rate: float = 1e-2


def tasks(config: Config) -> list[p5.Task]:
    """Two numbers."""
    return [p5.tasks.Regression(name, mean=[0.0], std=[1.0]) for name in ("a", "b")]


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """Sums of tanh features of a normal input, of variance 1, with noise."""
    rng = np.random.default_rng([config.problem, 0])
    weights = rng.normal(size=(2, INPUTS, FEATURES)) / np.sqrt(INPUTS) * 2
    signs = rng.choice([-1.0, 1.0], (2, FEATURES))
    if config.kind == "same":
        weights[1], signs[1] = weights[0], signs[0]
    rng = np.random.default_rng([config.problem, 1 + list(SIZES).index(split)])
    x = rng.normal(size=(SIZES[split], INPUTS))
    y = np.einsum("nif,if->in", np.tanh(np.einsum("nd,idf->nif", x, weights)), signs)
    y = y / np.sqrt(FEATURES) + 0.3 * rng.normal(size=y.shape)
    if config.kind == "noise":
        y[1] = rng.normal(size=len(x))
    if config.kind == "same" and split == "train":
        y[1, len(x) // 10 :] = np.nan
    fields = {"input": x, "a": y[0], "b": y[1]}
    fields = {k: tf.constant(v, tf.float32) for k, v in fields.items()}

    def read(indices, epochs):
        return {name: tf.gather(field, indices) for name, field in fields.items()}

    return p5.data.Source(SIZES[split], read)


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """A dense trunk under linear heads."""
    return p5.recipe.build(config, tasks, (INPUTS,))
