"""Regressions of which it is known whether they should share a trunk."""

import dataclasses

import numpy as np
import tensorflow as tf

import p5_keras as p5

INPUTS, FEATURES = 20, 4
SIZES = {"train": 300, "validation": 400, "test": 1000}
#: Which features each task is made of, by kind.
READS = {"same": [0, 0], "apart": [0, 1], "noise": [0, 1], "pairs": [0, 1, 0, 1]}


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides.

    Attributes:
        kind: "same": both tasks read the same features, and their labels are noisy;
            "apart": each reads features of its own, and the trunk has room for a part
            of one task's; "noise": the second task's labels say nothing; "pairs": of
            four tasks the first and the third are as in "same", and so are the other
            two, whose features are others.
        problem: Seed of features and examples.
    """

    trunk: p5.Trunk = p5.trunks.Dense([8])  # noqa: RUF009
    kind: str = "same"
    problem: int = 0
    epochs: int = 40
    batch_size: int = 50
    learning_rate: float = 1e-2


def tasks(config: Config) -> list[p5.Task]:
    """A number each."""
    names = "abcd"[: len(READS[config.kind])]
    return [p5.tasks.Regression(name, mean=[0.0], std=[1.0]) for name in names]


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """Sums of tanh features of a normal input, of variance 1, with noise."""
    reads = READS[config.kind]
    rng = np.random.default_rng([config.problem, 0])
    weights = rng.normal(size=(2, INPUTS, FEATURES)) / np.sqrt(INPUTS) * 2
    signs = rng.choice([-1.0, 1.0], (2, FEATURES))
    rng = np.random.default_rng([config.problem, 1 + list(SIZES).index(split)])
    x = rng.normal(size=(SIZES[split], INPUTS))
    y = np.einsum("nif,if->in", np.tanh(np.einsum("nd,idf->nif", x, weights)), signs)
    y = y[reads] / np.sqrt(FEATURES)
    noise = 0.3 if config.kind == "apart" else 1.0
    y += (noise if split == "train" else 0.3) * rng.normal(size=y.shape)
    if config.kind == "noise":
        y[1] = rng.normal(size=len(x))
    fields = {"input": x, **dict(zip("abcd", y, strict=False))}
    fields = {k: tf.constant(v, tf.float32) for k, v in fields.items()}

    def read(indices, epochs):
        return {name: tf.gather(field, indices) for name, field in fields.items()}

    return p5.data.Source(SIZES[split], read)


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """A dense trunk under linear heads."""
    return p5.recipe.build(config, tasks, (INPUTS,))
