"""Nothing grows with the number of epochs."""

import gc
import pathlib

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf

import p5_keras as p5

WARM_UP, EPOCHS = 30, 130


class Measure(keras.callbacks.Callback):
    """What this process and its folder have, at the ends of some epochs."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.process = folder, psutil.Process()
        self.found = []

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 in (WARM_UP, EPOCHS):
            gc.collect()
            own = [o for o in gc.get_objects() if not isinstance(o, (float, int))]
            self.found.append(
                {
                    "open files": len(list(pathlib.Path("/proc/self/fd").iterdir())),
                    "files": sum(1 for _ in self.folder.rglob("*")),
                    "threads": self.process.num_threads(),
                    "memory": self.process.memory_info().rss,
                    "objects": len(own),
                    "tensors": sum(
                        str(type(o).__module__).startswith("tensorflow") for o in own
                    ),
                }
            )


def train(folder, epochs, *callbacks):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(4, 3)), tf.float32)

    def read(indices, numbers):
        return {"input": tf.gather(x, indices), "value": tf.gather(x[:, 0], indices)}

    source = p5.data.Source(4, read)
    task = p5.tasks.Regression("value", mean=[0.0], std=[1.0])
    model = p5.build_model(p5.trunks.Dense([2]), [task], (3,))
    model.compile(keras.optimizers.SGD(0.01))
    workdir = p5.Workdir(folder)
    workdir.begin({"recipe": "r"})
    # The first epoch is the best: h5py keeps 70 kB of each file that Keras writes.
    checkpoints = p5.Checkpoints(workdir, lambda logs: 0.0, save_seconds=1e9)
    checkpoints.fit(
        model,
        lambda step: p5.data.training(source, [task], 4, 7, step),
        epochs=epochs,
        steps_per_epoch=1,
        validation_data=p5.data.evaluation(source, [task], 4),
        callbacks=[*callbacks, p5.EpochTable([task], epochs)],
        verbose=0,
    )


@pytest.mark.slow
def test_nothing_grows_with_the_number_of_epochs(tmp_path):
    measure = Measure(tmp_path)
    train(tmp_path, EPOCHS, measure)
    before, after = measure.found
    between = EPOCHS - WARM_UP
    for what in ("open files", "files", "threads"):
        assert after[what] - before[what] < 3, what
    assert after["tensors"] - before["tensors"] < between / 2
    # A line in the history, and what Python keeps of the patterns of file names.
    assert after["objects"] - before["objects"] < 4 * between
    assert after["memory"] < 1.05 * before["memory"]
