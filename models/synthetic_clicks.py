"""Clicks and purchases of made-up shoppers, whose true probabilities are known.

Source: Ma et al., Entire Space Multi-Task Model, SIGIR 2018, for the task; the data are
this recipe's own.
Data: made by the formula below, nothing is read. Of what is shown 4 to 5 % is clicked,
and of what is clicked 17 to 29 % bought, as the problem may be; of all that is shown
14 to 16 % would be, if it were clicked.
Command: `python train.py --recipe=synthetic_clicks`, and with `--set learn=clicked`
purchases learned of the clicked examples alone, on the same trunk.
On the test split, mean ± standard deviation over ten problems, by
`benchmarks/conversion.py`: area under the ROC curve of p(click and buy) 0.883 ± 0.022,
learned of the clicked 0.876 ± 0.021; p(buy | click) is as far from the truth either
way. See docs/inputs.md.
"""

import dataclasses

import numpy as np
import tensorflow as tf

import p5_keras as p5

INPUTS, FEATURES = 20, 8
SIZES = {"train": 100_000, "validation": 20_000, "test": 50_000}
#: Cosine of what makes for a click and what makes for a purchase, and log-odds of both
#: for an example without any features.
ALIKE, CLICK, BUY = 0.5, -4.0, -2.5


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides.

    Attributes:
        learn: "all" learns purchases by way of the click from all that is shown,
            "clicked" by themselves from what is clicked.
        problem: Number of the problem: its features and its examples.
    """

    trunk: p5.Trunk = p5.trunks.Dense([64, 32])
    learn: str = "all"
    problem: int = 0
    epochs: int = 5
    batch_size: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4


def examples(problem: int, split: str) -> dict[str, np.ndarray]:
    """Draws a split.

    Features are tanh of random sums of the inputs; log-odds are sums of features.

    Args:
        problem: Seed.
        split: Name of the split.

    Returns:
        "input" `(size, INPUTS)`; "click" and "buy", 0 or 1; "clicked", the weight of
        what is clicked; and the truth, "p_click" and "p_buy", of a purchase after a
        click; all but the first `(size,)`.
    """
    rng = np.random.default_rng([problem, 0])
    sums = 2 * rng.normal(size=(INPUTS, FEATURES)) / np.sqrt(INPUTS)
    first, second = np.linalg.qr(rng.normal(size=(FEATURES, 2)))[0].T
    second = ALIKE * first + np.sqrt(1 - ALIKE**2) * second
    rng = np.random.default_rng([problem, 1 + list(SIZES).index(split)])
    x = rng.normal(size=(SIZES[split], INPUTS))
    odds = 2 * np.tanh(x @ sums) @ np.stack([first, second], axis=1) + [CLICK, BUY]
    p = 1 / (1 + np.exp(-odds))
    click, bought = (rng.uniform(size=p.shape) < p).astype("float32").T
    return {
        "input": x.astype("float32"),
        "click": click,
        "buy": click * bought,
        "clicked": click,
        "p_click": p[:, 0],
        "p_buy": p[:, 1],
    }


def tasks(config: Config) -> list[p5.Task]:
    """A click, and a purchase."""
    if config.learn not in ("all", "clicked"):
        raise ValueError(
            f"`learn` must be 'all' or 'clicked'. Received: learn={config.learn!r}"
        )
    buy = (
        p5.tasks.Conversion("buy", click="click")
        if config.learn == "all"
        else p5.tasks.Binary("buy", weight="clicked")
    )
    return [p5.tasks.Binary("click"), buy]


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """Examples of one problem, drawn in memory."""
    found = examples(config.problem, split)
    found = {name: tf.constant(values) for name, values in found.items()}

    def read(indices, epochs):
        del epochs
        return {name: tf.gather(values, indices) for name, values in found.items()}

    return p5.data.Source(SIZES[split], read)


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """Both heads on one trunk, or what `sharing` says."""
    return p5.recipe.build(config, tasks, (INPUTS,))
