"""Two regressions of a set correlation: experts under gates, or a shared bottom.

Source: Ma et al., Modeling Task Relationships in Multi-task Learning with Multi-gate
Mixture-of-Experts, KDD 2018, sections 3.2 and 5.1. From there: the formula of the data,
100 inputs, 8 experts of 16 units or a shared bottom of as many parameters (113 units),
towers of 8 units, Adam. Not said there and chosen here: c = 1, m = 4, α_i = β_i = i,
0.01 is the variance of the noise, the numbers of examples, batch and steps.
Data: made by the formula, nothing is read.
Command: `python train.py --recipe=synthetic_mmoe --set correlation=0.5`; the shared
bottom with `--sharing=Hard --set trunk.units=113,`.
Mean squared error on test after 1500 steps, mean ± standard deviation over 100 seeds,
at correlations 1, 0.9 and 0.5: shared bottom 0.174 ± 0.031, 0.183 ± 0.030 and 0.186 ±
0.030, MMoE 0.126 ± 0.034, 0.122 ± 0.026 and 0.125 ± 0.040. The difference grows as the
correlation falls; see docs/sharing.md.
"""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

import p5_keras as p5

INPUTS = 100
SIZES = {"train": 100_000, "validation": 5_000, "test": 20_000}
ALPHA = BETA = np.arange(1.0, 5.0)
NOISE = 0.1  # standard deviation


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides.

    Attributes:
        correlation: Cosine of the two tasks' weight vectors, which the paper calls
            their correlation.
        problem: Number of the problem: its weight vectors and its examples.
    """

    trunk: p5.Trunk = p5.trunks.Dense([16])
    sharing: p5.Sharing | None = p5.sharing.MMoE(experts=8)
    correlation: float = 0.5
    problem: int = 0
    epochs: int = 2
    batch_size: int = 128
    learning_rate: float = 1e-2


def weights(correlation: float, problem: int) -> np.ndarray:
    """Draws the weight vectors of both tasks: `(INPUTS, 2)`.

    Of two orthogonal unit vectors, `w1 = u1` and `w2 = p u1 + sqrt(1 - p²) u2`.

    Args:
        correlation: p.
        problem: Seed of the unit vectors.
    """
    if not -1 <= correlation <= 1:
        raise ValueError(
            f"`correlation` must be from -1 to 1. Received: correlation={correlation}"
        )
    rng = np.random.default_rng([problem, 0])
    first, second = np.linalg.qr(rng.normal(size=(INPUTS, 2)))[0].T
    across = math.sqrt(1 - correlation**2)
    return np.stack([first, correlation * first + across * second], axis=1)


def label(z: np.ndarray) -> np.ndarray:
    """Returns `z + Σ_i sin(α_i z + β_i)` of the products `z = w x`."""
    return z + np.sin(z[..., None] * ALPHA + BETA).sum(axis=-1)


def examples(correlation: float, problem: int, split: str) -> dict[str, np.ndarray]:
    """Draws a split: x and noise are the same at every correlation.

    Returns:
        "input" `(size, INPUTS)`, "first" and "second" `(size,)`.
    """
    rng = np.random.default_rng([problem, 1 + list(SIZES).index(split)])
    x = rng.normal(size=(SIZES[split], INPUTS))
    noise = NOISE * rng.normal(size=(SIZES[split], 2))
    first, second = (label(x @ weights(correlation, problem)) + noise).T
    return {"input": x.astype("float32"), "first": first, "second": second}


def tasks(config: Config) -> list[p5.Task]:
    """Two regressions, each with a tower; the loss is of the labels as they are."""
    return [
        p5.tasks.Regression(name, mean=[0.0], std=[1.0], hidden=8)
        for name in ("first", "second")
    ]


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """Examples of one problem, drawn in memory."""
    found = examples(config.correlation, config.problem, split)
    found = {name: tf.constant(values) for name, values in found.items()}

    def read(indices, epochs):
        del epochs
        return {name: tf.gather(values, indices) for name, values in found.items()}

    return p5.data.Source(SIZES[split], read)


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """Experts, gates and towers, or what `sharing` says."""
    return p5.recipe.build(config, tasks, (INPUTS,))


def optimizer(config: Config, steps: int) -> keras.Optimizer:
    """Adam at one learning rate, as in the paper."""
    del steps
    return keras.optimizers.Adam(config.learning_rate)
