"""What masked language modelling is worth where labelled texts are few.

python benchmarks/few_labels_text.py --data_dir=FOLDER

Learns the intent and the slots of SNIPS (`models/snips.py`) from a share of its
training texts, chosen evenly over intents: from scratch, and from a trunk that learned
to tell hidden words of all training texts. Prints test metrics of each seed, and means.
A seed chooses the labels, the heads' weights and the order; pretraining is done once.
"""

import argparse
import os
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from few_labels import subset

import p5_keras as p5

METRICS = {"intent": "intent_accuracy", "slots": "slots_f1"}


def few(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Chooses a share of the examples of each class."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(labels == k)) for k in np.unique(labels)]
    return np.concatenate([own[: max(round(share * len(own)), 1)] for own in rows])


def train(model, source, tasks, batch: int, steps: int, seed: int, config) -> dict:
    """Trains for some steps with a cosine schedule; returns the logs."""
    model.compile(p5.recipe.default_optimizer(config, steps))
    batches = p5.data.training(source, tasks, batch, seed)
    return model.fit(batches, epochs=1, steps_per_epoch=steps, verbose=0).history


def main() -> None:
    """Prints a line for each result, and a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir")
    parser.add_argument("--trunk", default="TextTransformer")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.1])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--split", default="test")
    flags = parser.parse_args()
    recipe = p5.recipe.load("snips")
    data = recipe.found(flags.data_dir)
    encoders = data.records.encoders
    sources = [data.source(split) for split in ("train", flags.split)]
    trunk = getattr(p5.trunks, flags.trunk)(width=flags.width)
    config = p5.recipe.Config(trunk, learning_rate=2e-3, weight_decay=1e-2)

    keras.utils.set_random_seed(0)
    size = encoders["text"].size
    hidden = [p5.pretraining.MaskedText("masked", vocabulary=size)]
    pretrained = p5.build_model(trunk, hidden, encoders)
    start, steps = time.time(), flags.epochs * sources[0].size // 64
    logs = train(pretrained, sources[0], hidden, 64, steps, 0, config)
    print(
        "pretraining", steps, "steps", logs, f"{time.time() - start:.0f} s", flush=True
    )
    folder = tempfile.TemporaryDirectory()
    path = f"{folder.name}/pretrained.keras"
    pretrained.save(path)

    labels = data.records.columns["intent"][data.records.splits == "train"]
    found: dict[tuple, list] = {}
    for share in flags.shares:
        for seed in range(flags.seeds):
            rows = few(labels, share, seed)
            for way in ("scratch", "masked words first"):
                keras.utils.set_random_seed(seed)
                tasks = data.tasks()
                model = p5.build_model(trunk, tasks, encoders)
                if way != "scratch":
                    p5.transfer.init_from(model, path)
                some = subset(sources[0], rows)
                batch = min(64, len(rows))
                train(model, some, tasks, batch, flags.steps, seed, config)
                held_out = p5.data.evaluation(sources[1], tasks, 100)
                logs = model.evaluate(held_out, return_dict=True, verbose=0)
                values = [logs[name] for name in METRICS.values()]
                print(way, len(rows), "texts, seed", seed, values, flush=True)
                found.setdefault((way, len(rows)), []).append(values)
    print("\n| | texts |", " | ".join(METRICS), "|\n|---|---|---|---|")
    for (way, count), rows in found.items():
        cells = [
            f"{statistics.mean(v):.3f} ± {statistics.stdev(v) if len(v) > 1 else 0:.3f}"
            for v in zip(*rows, strict=True)
        ]
        print(f"| {way} | {count} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
