"""Tomorrow's highest and lowest temperature: two linear heads on one dense layer.

First form: one dense layer from 100 inputs to 50, a linear head for each target, Adam,
and weights of the tasks that sum to 1, here 0.7 and 0.3. The layer has as many inputs
as the table gives, here 62. Put right: inputs and targets are standardised, and the
rows of a day are in one split, for its stations share the weather.
Source of the data: Cho et al., Comparative Assessment of Various Machine Learning-Based
Bias Correction Methods for Numerical Weather Prediction Model Forecasts of Extreme Air
Temperatures in Urban Areas, Earth and Space Science 2020: 25 stations in Seoul, the
summers of 2013 to 2017.
Command: `python train.py --recipe=shared_dense`, with `--data_dir=FOLDER` for a local
copy of the one file.
On the test split, mean ± standard deviation over seeds 0 to 2: error of the highest
temperature 1.073 ± 0.046 °C (mean: 2.475), of the lowest 0.889 ± 0.036 °C (1.995). A
run takes 13 s of CPU time; see docs/results.md.
"""

import dataclasses
import functools
import math

import p5_keras as p5
from p5_keras.data import summary

URL = (
    "https://archive.ics.uci.edu/ml/machine-learning-databases/00514/"
    "Bias_correction_ucl.csv"
)
#: Columns to learn, and options of the loader of tables.
TARGETS = ["Next_Tmax", "Next_Tmin"]
OPTIONS = ["targets=" + ",".join(TARGETS), "classes=station", "group=Date"]


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides.

    Attributes:
        task_weights: Weight of each task in the joint objective; they sum to 1.
    """

    trunk: p5.Trunk = p5.trunks.Dense([50])
    task_weights: tuple[float, ...] = (0.7, 0.3)
    epochs: int = 12
    batch_size: int = 64
    learning_rate: float = 1e-3


def tasks(config: Config) -> list[p5.Task]:
    """A linear head for each target."""
    weights = config.task_weights
    if len(weights) != len(TARGETS) or not math.isclose(sum(weights), 1):
        raise ValueError(
            f"`task_weights` must be {len(TARGETS)} numbers that sum to 1. "
            f"Received: task_weights={weights}"
        )
    return [
        p5.tasks.Regression(name, unit="°C", loss_weight=weight)
        for name, weight in zip(TARGETS, weights, strict=True)
    ]


@functools.lru_cache(1)
def found(data_dir: str | None) -> p5.data.UserData:
    """The table, without its last two rows, which hold extremes and no day."""
    folder = data_dir or p5.data.fetch("bias_correction", {URL: None})
    return p5.data.user_data(f"table:{folder}", OPTIONS, on_bad_example="skip")


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """Days at stations; a local copy is read from `data_dir`."""
    return found(config.data_dir).source(split)


def about(config: Config, tasks: list[p5.Task]) -> dict:
    """What is known of the data, for the table before training and the report."""
    return summary.describe(found(config.data_dir), tasks)


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """One dense layer under both heads."""
    inputs = found(config.data_dir).records.encoders
    return p5.recipe.build(config, tasks, inputs)
