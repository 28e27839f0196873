"""Heart attack: twelve complications, told from what is known when a patient comes in.

Source: Golovenkin et al., Trajectories, bifurcations, and pseudo-time in large clinical
datasets, GigaScience 2020. Put right: columns that leak are left out. These are what is
recorded on the three days after, which is not known yet when a patient comes in.
Data: UCI 579, 1,700 patients; 11 outcomes that may be true at once, and the cause of
death in 8 classes. Missing values are inputs of their own.
Command: `python train.py --recipe=myocardial`, with `--data_dir=FOLDER` for a local
copy of MI.data.
On the test split, seed 0, 170 patients: mean AUC of the eleven outcomes 0.619, from
0.161 of RAZRIV to 0.819 of DRESSLER, with two to 49 patients each, so that most of
these numbers say little; cause of death 0.859 right (most frequent class: 0.835). Of
three outcomes (`--mode=compare --tasks=FIBR_PREDS,ZSN,LET_IS --trials=0`), seeds 0 to
2, a model each has AUC 0.767 ± 0.034, 0.647 ± 0.053 and accuracy 0.857 ± 0.003, one
model 0.748 ± 0.032, 0.691 ± 0.034 and 0.863 ± 0.003; no difference is shown.
"""

import dataclasses
import functools
import pathlib

import p5_keras as p5

URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/00579/MI.data"
#: The last columns of the file, which has no names, from number 112 on.
OUTCOMES = [
    "FIBR_PREDS",
    "PREDS_TAH",
    "JELUD_TAH",
    "FIBR_JELUD",
    "A_V_BLOK",
    "OTEK_LANC",
    "RAZRIV",
    "DRESSLER",
    "ZSN",
    "REC_IM",
    "P_IM_STEN",
    "LET_IS",
]
FIRST = 112
#: The patient's number, and relapses and drugs of the first to the third day.
LEFT_OUT = [0, 92, 93, 94, 99, 100, 101, 102, 103, 104]


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides."""

    trunk: p5.Trunk = p5.trunks.TabularDense([64], dropout=0.5)
    epochs: int = 12
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.1


def tasks(config: Config) -> list[p5.Task]:
    """One for each outcome."""
    *yes_or_no, cause = OUTCOMES
    found: list[p5.Task] = [
        p5.tasks.Binary(name, label=f"column_{FIRST + i}")
        for i, name in enumerate(yes_or_no)
    ]
    label = f"column_{FIRST + len(yes_or_no)}"
    return [*found, p5.tasks.Classification(cause, label=label, num_classes=8)]


@functools.lru_cache(1)
def found(data_dir: str | None) -> p5.data.UserData:
    """The table."""
    folder = data_dir or p5.data.fetch("myocardial", {URL: None})
    targets = [f"column_{FIRST + i}" for i in range(len(OUTCOMES))]
    ignore = [f"column_{i}" for i in LEFT_OUT]
    options = ["header=False", "targets=" + ",".join(targets)]
    options += ["ignore=" + ",".join(ignore), "classes=" + targets[-1]]
    path = pathlib.Path(folder) / "MI.data"
    return p5.data.user_data(f"table:{path}", options)


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """Patients; a local copy is read from `data_dir`."""
    return found(config.data_dir).source(split)


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """One dense trunk under all heads."""
    return p5.recipe.build(config, tasks, found(config.data_dir).records.encoders)
