"""Parkinson's disease by telephone: two scores of a person who is new to the model.

Source: Tsanas et al., Accurate Telemonitoring of Parkinson's Disease Progression by
Non-invasive Speech Tests, IEEE Transactions on Biomedical Engineering 2010, where the
recordings of a person are in training and in test. Put right: people are split, for the
scores of one are a line in time, which age and time alone would tell.
Data: UCI 189, 5,875 recordings of 42 people; 34, 4 and 4 people train, validate, test.
Command: `python train.py --recipe=parkinsons`, with `--data_dir=FOLDER` for a local
copy of parkinsons_updrs.data.
On the test people, mean ± standard deviation over seeds 0 to 2: error of the motor
score 6.92 ± 0.18 (mean of the training scores: 7.78), of all 10.65 ± 0.34 (10.70). So
the voice tells little of a person who is new, and of the whole score nothing; four
people are too few to say more. Two models, one a score (`--mode=compare --trials=0`):
6.43 ± 0.91 and 9.56 ± 1.76, which no more than these seeds sets apart from one.
"""

import dataclasses
import functools

import p5_keras as p5
from p5_keras.data import summary

URL = (
    "https://archive.ics.uci.edu/ml/machine-learning-databases/parkinsons/"
    "telemonitoring/parkinsons_updrs.data"
)
TARGETS = ["motor_UPDRS", "total_UPDRS"]
OPTIONS = ["targets=" + ",".join(TARGETS), "group=subject#"]


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides."""

    trunk: p5.Trunk = p5.trunks.TabularDense([32], dropout=0.3)
    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    ema: float | None = 0.99


def tasks(config: Config) -> list[p5.Task]:
    """The motor score, and the score of all."""
    return [p5.tasks.Regression(name) for name in TARGETS]


@functools.lru_cache(1)
def found(data_dir: str | None) -> p5.data.UserData:
    """The table."""
    folder = data_dir or p5.data.fetch("parkinsons", {URL: None})
    return p5.data.user_data(f"table:{folder}", OPTIONS)


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """Recordings; a local copy is read from `data_dir`."""
    return found(config.data_dir).source(split)


def about(config: Config, tasks: list[p5.Task]) -> dict:
    """What is known of the data, for the table before training and the report."""
    return summary.describe(found(config.data_dir), tasks)


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """One dense trunk under both heads."""
    return p5.recipe.build(config, tasks, found(config.data_dir).records.encoders)
