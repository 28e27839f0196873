"""Heads on cached features beside the slow way, on the breeds of the Oxford Pets.

python benchmarks/cached_heads.py PATH_OF_THE_PETS

A linear head on EfficientNet-Lite0 with ImageNet weights, frozen; pictures of 192 x 224
pixels, without augmentation. Prints the test accuracy of three seeds after 20 epochs on
cached features, and both ways' accuracy, loss and seconds an epoch after three.
"""

import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import p5_keras as p5

SIZE = (192, 224)


class Clock(keras.callbacks.Callback):
    """Measures each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch, logs=None) -> None:
        """Looks at the clock."""
        self.start = time.time()

    def on_epoch_end(self, epoch, logs=None) -> None:
        """Looks again."""
        self.seconds.append(time.time() - self.start)


def make(data, seed: int):
    """Returns a frozen trunk with a new head."""
    keras.utils.set_random_seed(seed)
    tasks = [task for task in data.tasks(SIZE) if task.name == "breed"]
    trunk = p5.trunks.EfficientNetLite0("imagenet")
    model = p5.build_model(trunk, tasks, (*SIZE, 3))
    p5.transfer.freeze(model, "trunk")
    return model


def fit(model, sources, epochs: int, seed: int) -> str:
    """Trains, and says what came of it."""
    tasks, clock = list(model.tasks), Clock()
    model.compile(keras.optimizers.AdamW(2e-3, weight_decay=1e-2))
    model.fit(
        p5.data.training(sources[0], tasks, 32, seed),
        epochs=epochs,
        steps_per_epoch=p5.data.steps_per_epoch(sources[0], 32),
        callbacks=[clock],
        verbose=0,
    )
    held_out = p5.data.evaluation(sources[2], tasks, 32)
    logs = model.evaluate(held_out, return_dict=True, verbose=0)
    seconds = np.median(clock.seconds[1:])  # the first one traces
    return (
        f"accuracy {logs['breed_accuracy']:.4f}, loss {logs['breed_loss']:.6f}, "
        f"{seconds:.3f} s an epoch"
    )


def main() -> None:
    """Prints a line for each run."""
    data = p5.data.user_data(f"voc:{sys.argv[1]}", on_bad_example="skip")
    sources = [data.source(split, SIZE) for split in p5.data.SPLITS]
    for seed in range(3):
        start = time.time()
        heads, computed = p5.transfer.cached(make(data, seed), sources)
        print(f"features in {time.time() - start:.1f} s")
        print(f"seed {seed}, 20 epochs:", fit(heads, computed, 20, seed), flush=True)
    heads, computed = p5.transfer.cached(make(data, 0), sources)
    print("cached, 3 epochs:", fit(heads, computed, 3, 0), flush=True)
    print("slow, 3 epochs:", fit(make(data, 0), sources, 3, 0))


if __name__ == "__main__":
    main()
