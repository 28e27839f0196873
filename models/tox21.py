"""Toxicity: twelve assays of a molecule, read as text, many labels missing.

Source: Goh et al., SMILES2Vec, 2017: convolutions over the characters of a formula. The
assays are those of Huang et al., Tox21Challenge, Frontiers in Environmental Science
2016. A missing label has no part in the losses and the metrics.
Data: DeepChem's table of 8,014 molecules, 7 to 26 % of the labels of an assay missing;
split at random by molecule, not by scaffold.
Command: `python train.py --recipe=tox21`, with `--data_dir=FOLDER` for a local copy of
tox21.csv.gz.
On the test split, seed 0: mean AUC of the twelve assays 0.823, from 0.709 (SR-ATAD5) to
0.894 (SR-MMP). A run takes 112 s of CPU time.
"""

import csv
import dataclasses
import functools
import gzip
import pathlib

import numpy as np

import p5_keras as p5
from p5_keras.data import summary

URL = "https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/tox21.csv.gz"
#: Characters of a formula; 96 % are no longer.
LENGTH = 80


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides."""

    trunk: p5.Trunk = p5.trunks.TextConv(width=96, depth=3, dropout=0.2)
    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 3e-2
    clip_norm: float | None = 5.0
    ema: float | None = 0.99


@functools.lru_cache(1)
def found(data_dir: str | None) -> p5.data.UserData:
    """The molecules."""
    folder = pathlib.Path(data_dir or p5.data.fetch("tox21", {URL: None}))
    path = next(iter(sorted(folder.rglob("tox21.csv.gz"))), folder / "tox21.csv.gz")
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise ValueError(
            f"`data_dir` must hold tox21.csv.gz. Received: {path} ({error})"
        ) from error
    if not rows or "smiles" not in rows[0]:
        raise ValueError(
            f"tox21.csv.gz must have rows, with a column smiles. Received: {path} with "
            f"{len(rows)} rows"
        )
    assays = [name for name in rows[0] if name not in ("mol_id", "smiles")]
    formulas = np.array([row["smiles"] for row in rows], object)
    # A molecule that was measured twice is in one split.
    known, place = np.unique(formulas.astype(str), return_inverse=True)
    splits = p5.data.split_examples(known.tolist())[place]
    text = p5.inputs.Text("smiles", LENGTH, split="character", standardize="none")
    text.adapt({"smiles": formulas[splits == "train"]})
    columns = {
        name: np.array([[float(r[name] or "nan")] for r in rows], "float32")
        for name in assays
    }
    records = p5.data.Records(
        name="tox21",
        splits=splits,
        groups=place,
        fields={name: p5.data.Field("labels", (name,)) for name in assays},
        columns=columns,
        inputs={"smiles": formulas},
        encoders={"text": text},
    )
    return p5.data.of_records(records, "tox21")


def tasks(config: Config) -> list[p5.Task]:
    """One yes or no for each assay."""
    fields = found(config.data_dir).records.fields
    return [p5.tasks.Binary(name) for name in fields]


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """Molecules; a local copy is read from `data_dir`."""
    return found(config.data_dir).source(split)


def about(config: Config, tasks: list[p5.Task]) -> dict:
    """What is known of the data, for the table before training and the report."""
    return summary.describe(found(config.data_dir), tasks)


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """One convolutional trunk under all heads."""
    return p5.recipe.build(config, tasks, found(config.data_dir).records.encoders)
