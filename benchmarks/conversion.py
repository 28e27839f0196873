"""Is p(buy | click) truer over all that is shown if it is learned from all of it?

python benchmarks/conversion.py --seeds 0 1 2

Trains `models/synthetic_clicks.py` both ways, on the same trunk, batches and first
weights: purchases by way of the click from all examples (ESMM), and by themselves from
the clicked ones. Each keeps the epoch with the best loss of purchases on its own
validation examples. Prints of the test split, beside the true probabilities, the mean
error of p(buy | click) over all that is shown, its bias; its root mean square error
over all and over what was clicked; and the area under the ROC curve of p(click and
buy). A seed chooses the problem, the weights and the order.
"""

import argparse
import dataclasses
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

import p5_keras as p5

ROWS = ("bias, all shown", "RMSE, all shown", "RMSE, clicked", "AUC of both")


def trained(recipe, config, seed: int) -> p5.MultiTaskModel:
    """Trains a model, to its best epoch by validation."""
    keras.utils.set_random_seed(seed)
    tasks = recipe.tasks(config)
    train, val = (recipe.data(config, tasks, s) for s in ("train", "validation"))
    steps = p5.data.steps_per_epoch(train, config.batch_size)
    model = recipe.model(config, tasks)
    model.compile(recipe.optimizer(config, config.epochs * steps))
    model.fit(
        p5.data.training(train, tasks, config.batch_size, seed),
        epochs=config.epochs,
        steps_per_epoch=steps,
        validation_data=p5.data.evaluation(val, tasks, 2000),
        callbacks=[
            keras.callbacks.EarlyStopping(
                "val_buy_loss",
                mode="min",
                patience=config.epochs,
                restore_best_weights=True,
            )
        ],
        verbose=0,
    )
    return model


def measured(model: p5.MultiTaskModel, truth: dict[str, np.ndarray]) -> list[float]:
    """Returns the numbers of `ROWS`."""
    outputs = model.predict(truth["input"], batch_size=2000, verbose=0)
    fields = model.decode(outputs)
    own = {name: np.array(value)[:, 0] for name, value in fields["buy"].items()}
    buy = own.get("conversion", own["probability"])
    both = buy * np.array(fields["click"]["probability"])[:, 0]
    error, clicked = buy - truth["p_buy"], truth["click"] > 0
    return [
        float(error.mean()),
        float(np.sqrt((error**2).mean())),
        float(np.sqrt((error[clicked] ** 2).mean())),
        float(roc_auc_score(truth["buy"], both)),
    ]


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    recipe = p5.recipe.load("synthetic_clicks")
    found: dict[str, list[list[float]]] = {"all": [], "clicked": []}
    for seed in arguments.seeds:
        config = dataclasses.replace(
            recipe.Config(), problem=seed, epochs=arguments.epochs
        )
        truth = recipe.examples(seed, "test")
        for learn, rows in found.items():
            model = trained(recipe, dataclasses.replace(config, learn=learn), seed)
            rows.append(measured(model, truth))
            print(seed, learn, [round(x, 4) for x in rows[-1]], flush=True)
    for i, name in enumerate(ROWS):
        columns = [np.array(rows)[:, i] for rows in found.values()]
        each = [f"{x.mean():7.4f} ± {x.std(ddof=1):.4f}" for x in columns]
        print(f"| {name} | {' | '.join(each)} |")


if __name__ == "__main__":
    main()
