"""Restaurants: how a guest rates a place, its food and its service, by two towers.

Source: Covington et al., Deep Neural Networks for YouTube Recommendations, RecSys 2016,
for a tower each of user and item; the ratings, which have an order, by Cao et al., Rank
Consistent Ordinal Regression, Pattern Recognition Letters 2020.
Data: UCI 232 (Vargas-Govea et al. 2011), 1,161 ratings from 0 to 2 by 138 guests of 130
places, with what is known of both; a tenth each validates and tests.
Command: `python train.py --recipe=restaurants`, with `--data_dir=FOLDER` for a local
copy of rating_final.csv, userprofile.csv and geoplaces2.csv.
On the test split of 116 ratings, mean ± standard deviation over seeds 0 to 2, mean
distance from the true rating: overall 0.405 ± 0.026 (median rating: 0.647), food 0.512
± 0.072 (0.724), service 0.445 ± 0.053 (0.672). Three models, one a rating
(`--mode=compare --trials=0`): 0.425 ± 0.026, 0.537 ± 0.080 and 0.468 ± 0.022; no
difference is shown.
"""

import csv
import dataclasses
import functools
import pathlib

import numpy as np

import p5_keras as p5
from p5_keras.data import summary

URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/00232/RCdata.zip"
RATINGS = {"overall": "rating", "food": "food_rating", "service": "service_rating"}
NUMBERS = ("latitude", "longitude", "birth_year", "weight", "height")
#: Columns that are different for almost every place.
LEFT_OUT = ("the_geom_meter", "name", "address", "fax", "zip", "url")


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides."""

    trunk: p5.Trunk = p5.trunks.TwoTower(
        p5.trunks.TabularDense([32], embedding=8, dropout=0.3),
        p5.trunks.TabularDense([32], embedding=8, dropout=0.3),
        units=[32],
        dropout=0.3,
    )
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.1


def read(folder: pathlib.Path, name: str, *columns: str) -> list[dict[str, str]]:
    """Reads a table that has some columns at least; "?" is missing."""
    path = next(iter(sorted(folder.rglob(name))), folder / name)
    try:
        # Names of places are in Latin-1.
        lines = path.read_text("latin-1").splitlines()
    except OSError as error:
        raise ValueError(
            f"`data_dir` must hold {name}. Received: {path} ({error.strerror})"
        ) from error
    rows = csv.DictReader(lines)
    found = [
        {k: "" if v.strip() == "?" else v.strip() for k, v in r.items()} for r in rows
    ]
    missing = sorted({*columns} - {*(rows.fieldnames or ())})
    if missing or not found:
        raise ValueError(
            f"{name} must have rows, with the columns {', '.join(columns)}. Received: "
            f"{path} with {len(found)} rows, without {missing or 'a row'}"
        )
    return found


@functools.lru_cache(1)
def found(data_dir: str | None) -> p5.data.UserData:
    """The ratings, each with what is known of guest and place."""
    folder = pathlib.Path(data_dir or p5.data.fetch("restaurants", {URL: None}))
    rows = read(folder, "rating_final.csv", "userID", "placeID", *RATINGS.values())
    names = [f"{row['userID']} {row['placeID']}" for row in rows]
    splits = p5.data.split_examples(names, strata=[row["rating"] for row in rows])
    columns, encoders = {}, {}
    for tower, key, name in (
        ("user", "userID", "userprofile.csv"),
        ("item", "placeID", "geoplaces2.csv"),
    ):
        known = {row[key]: row for row in read(folder, name, key)}
        if unknown := sorted({row[key] for row in rows} - {*known}):
            raise ValueError(
                f"{name} must have each {key} of rating_final.csv. Received: a rating "
                f"of {key}={unknown[0]!r}, of which it has no row"
            )
        kinds = {}
        for column in next(iter(known.values())):
            if column in LEFT_OUT:
                continue
            cells = [known[row[key]][column] for row in rows]
            number = column in NUMBERS
            if number:
                cells = [float(cell or "nan") for cell in cells]
            own = column if column == key else f"{tower}_{column}"
            columns[own] = np.array(cells, "float64" if number else object)
            kinds[own] = "number" if number else "category"
        encoders[tower] = p5.inputs.Table(kinds)
        encoders[tower].adapt({n: columns[n][splits == "train"] for n in kinds})
    records = p5.data.Records(
        name="restaurants",
        splits=splits,
        fields={task: p5.data.Field("class", ("0", "1", "2")) for task in RATINGS},
        columns={
            task: np.array([int(row[column]) for row in rows])
            for task, column in RATINGS.items()
        },
        inputs=columns,
        encoders=encoders,
    )
    return p5.data.of_records(records, "restaurants")


def tasks(config: Config) -> list[p5.Task]:
    """Three ratings."""
    return [p5.tasks.Ordinal(name, num_classes=3) for name in RATINGS]


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """Ratings; a local copy is read from `data_dir`."""
    return found(config.data_dir).source(split)


def about(config: Config, tasks: list[p5.Task]) -> dict:
    """What is known of the data, for the table before training and the report."""
    return summary.describe(found(config.data_dir), tasks)


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """Two towers under all heads."""
    return p5.recipe.build(config, tasks, found(config.data_dir).records.encoders)
