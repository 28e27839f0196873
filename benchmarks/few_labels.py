"""What pretraining is worth where labels are few.

python benchmarks/few_labels.py --dataset=folder:PATH --shares=0.01,0.1 --size=32

Learns one classification task of a data set from a share of its training labels: from
scratch, from a trunk pretrained here on all training pictures without labels, and from
EfficientNet-Lite0 with ImageNet weights; the trunk frozen, with a linear head on cached
features, or tuned. Prints the test accuracy of each seed, and means. A seed chooses the
labels, the head's weights and the order; pretraining is done once for each of
--pretrainings. A result that --out holds already is not computed again.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import p5_keras as p5

BATCH = 64


class Data:
    """Training and test pictures in memory, and one task."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        found = p5.data.user_data(arguments.dataset, on_bad_example="skip")
        self.size = (arguments.size, arguments.size)
        tasks = found.tasks(self.size)
        name = arguments.task or tasks[0].name
        self.task = next(task for task in tasks if task.name == name)
        self.sources = [found.source(s, self.size) for s in ("train", "test")]
        index = tf.range(self.sources[0].size, dtype=tf.int64)
        example = self.sources[0].read(index, index)
        self.labels = self.task.target(example)[0].numpy()

    def some(self, share: float, seed: int) -> np.ndarray:
        """Chooses a share of the examples of each class."""
        rng = np.random.default_rng(seed)
        chosen = []
        for kind in np.unique(self.labels):
            rows = rng.permutation(np.flatnonzero(self.labels == kind))
            chosen.append(rows[: max(round(share * len(rows)), 1)])
        return np.concatenate(chosen)


def subset(source: p5.data.Source, rows: np.ndarray, augment=None) -> p5.data.Source:
    """Returns a source of some examples of another."""
    index = tf.constant(rows, tf.int64)

    def read(i, epoch):
        return source.read(tf.gather(index, i), epoch)

    return dataclasses.replace(source, size=len(rows), read=read, augment=augment)


def pretrain(data: Data, arguments: argparse.Namespace, number: int) -> str:
    """Pretrains a trunk without labels; returns the file of the model."""
    path = pathlib.Path(arguments.workdir) / f"pretrained_{number}.keras"
    if path.exists():
        return str(path)
    keras.utils.set_random_seed(1000 + number)
    kinds = {kind: getattr(p5.pretraining, kind) for kind in arguments.pretraining}
    tasks = [kind(name.lower()) for name, kind in kinds.items()]
    shape = (*data.size, 3)
    model = p5.build_model(trunk(arguments), tasks, shape)
    steps = data.sources[0].size // 256 or 1
    batch = min(256, data.sources[0].size)
    config = p5.recipe.Config(trunk(arguments), learning_rate=2e-3, weight_decay=1e-2)
    model.compile(p5.recipe.default_optimizer(config, arguments.epochs * steps))
    probe = p5.pretraining.Probe(data.task, *data.sources, every=5, limit=2000)
    for epoch in range(arguments.epochs):
        start = time.time()
        batches = p5.data.training(data.sources[0], tasks, batch, number, epoch * steps)
        logs = model.fit(
            batches,
            initial_epoch=epoch,
            epochs=epoch + 1,
            steps_per_epoch=steps,
            verbose=0,
        ).history
        found = {k: round(v[-1], 4) for k, v in logs.items()}
        if epoch % 5 == 4 or epoch + 1 == arguments.epochs:
            probe.set_model(model)
            found |= probe.measure()
            model.save(path.with_name("partial_" + path.name))
        print(
            "pretraining", epoch + 1, found, f"{time.time() - start:.0f} s", flush=True
        )
    path.with_name("partial_" + path.name).replace(path)
    return str(path)


def trunk(arguments: argparse.Namespace) -> p5.Trunk:
    """Returns the trunk that is trained here."""
    return p5.trunks.Conv(arguments.width, 1, levels=arguments.levels)


def learn(data: Data, model, rows, seed: int, steps: int, rate: float, share: float):
    """Trains a model on some labels; returns its accuracy on the test split."""
    task = data.task
    batch = min(BATCH, len(rows))
    augment = p5.data.Augment([task], flip_horizontal=True, zoom=1.25)
    config = p5.recipe.Config(
        p5.trunks.Conv(), learning_rate=rate, weight_decay=1e-2, trunk_rate=share
    )
    source = subset(data.sources[0], rows, augment)
    model.compile(p5.recipe.default_optimizer(config, steps))
    batches = p5.data.training(source, [task], batch, seed)
    model.fit(batches, epochs=1, steps_per_epoch=steps, verbose=0)
    held_out = p5.data.evaluation(data.sources[1], [task], 100)
    logs = model.evaluate(held_out, return_dict=True, verbose=0)
    return logs[f"{task.name}_accuracy"]


class Frozen:
    """A trunk whose features of all pictures are computed once."""

    def __init__(self, data: Data, model) -> None:
        p5.transfer.freeze(model, "trunk")
        self.data = data
        self.heads, self.sources = p5.transfer.cached(model, data.sources, 100)

    def learn(self, rows, seed: int, steps: int) -> float:
        """Trains a linear head; returns its accuracy on the test split."""
        keras.utils.set_random_seed(seed)
        heads = p5.MultiTaskModel.from_config(self.heads.get_config())  # new weights
        heads.compile(keras.optimizers.AdamW(2e-3, weight_decay=1e-2))
        task = self.data.task
        source = subset(self.sources[0], rows)
        batches = p5.data.training(source, [task], min(BATCH, len(rows)), seed)
        heads.fit(batches, epochs=1, steps_per_epoch=steps, verbose=0)
        held_out = p5.data.evaluation(self.sources[1], [task], 100)
        logs = heads.evaluate(held_out, return_dict=True, verbose=0)
        return logs[f"{task.name}_accuracy"]


def main() -> None:
    """Prints a line for each result, and a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--task")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--levels", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--shares", default="0.01,0.1")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pretrainings", type=int, default=1)
    parser.add_argument("--pretraining", nargs="+", default=["SimCLR"])
    parser.add_argument(
        "--ways",
        nargs="+",
        default=["scratch", "ssl_frozen", "ssl_tuned", "lite0_frozen", "lite0_tuned"],
    )
    parser.add_argument("--workdir", default="runs/few_labels")
    arguments = parser.parse_args()
    out = pathlib.Path(arguments.workdir) / "results.jsonl"
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = out.read_text().splitlines() if out.exists() else []
    done = [json.loads(line) for line in lines]
    data = Data(arguments)
    shares = [float(share) for share in arguments.shares.split(",")]

    def make(way: str, seed: int):
        keras.utils.set_random_seed(seed)
        own = p5.trunks.EfficientNetLite0("imagenet")
        own = own if way.startswith("lite0") else trunk(arguments)
        model = p5.build_model(own, [data.task], (*data.size, 3))
        if way.startswith("ssl"):
            number = seed % arguments.pretrainings
            p5.transfer.init_from(model, pretrain(data, arguments, number))
        return model

    for way in arguments.ways:
        frozen: dict[int, Frozen] = {}
        for share in shares:
            for seed in range(arguments.seeds):
                known = {"way": way, "share": share, "seed": seed}
                if any(known.items() <= row.items() for row in done):
                    continue
                rows, start = data.some(share, seed), time.time()
                if way.endswith("frozen"):
                    number = seed % arguments.pretrainings if way[0] == "s" else 0
                    if number not in frozen:
                        frozen[number] = Frozen(data, make(way, number))
                    found = frozen[number].learn(rows, seed, arguments.steps)
                else:
                    rate = {"scratch": (2e-3, None)}.get(way, (2e-3, 0.1))
                    model = make(way, seed)
                    found = learn(data, model, rows, seed, arguments.steps, *rate)
                known |= {"labels": len(rows), "accuracy": found}
                known["seconds"] = round(time.time() - start, 1)
                print(known, flush=True)
                done.append(known)
                with out.open("a") as file:
                    file.write(json.dumps(known) + "\n")
    print(f"{'way':14s}", *(f"{share:>16}" for share in shares))
    for way in arguments.ways:
        cells = []
        for share in shares:
            v = [r["accuracy"] for r in done if (r["way"], r["share"]) == (way, share)]
            cells.append(f"{np.mean(v):.3f} ± {np.std(v, ddof=1):.3f}" if v[1:] else "")
        print(f"{way:14s}", *(f"{cell:>16s}" for cell in cells))


if __name__ == "__main__":
    main()
