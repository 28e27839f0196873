"""A short training that is to end alike on one device, two replicas, two workers.

    TF_CONFIG=... python tests/replica_run.py OUT.npz

writes the weights, logs and predictions of this worker, by weighting.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import p5_keras as p5

BATCH, EPOCHS, STEPS = 8, 4, 5
SIZE = {"train": 37, "validation": 13}  # neither is a multiple of a batch
WEIGHTINGS = {
    "none": lambda: None,
    "NashMTL": lambda: p5.weighting.NashMTL(gradients="full"),
    "UW": lambda: p5.weighting.UncertaintyWeighting(),
}


def source(split):
    """Examples with every label missing here and there, and noise by example."""
    size = SIZE[split]
    rng = np.random.default_rng(len(split))
    missing = {k: rng.uniform(size=size) < 0.4 for k in ("kind", "size", "tags")}
    missing["kind"][:5] = True
    tags = rng.integers(0, 2, (size, 2)).astype("float32")
    tags[missing["tags"]] = np.nan
    number = np.where(missing["size"], np.nan, rng.normal(size=size))
    fields = {
        "input": rng.normal(size=(size, 3)).astype("float32"),
        "kind": np.where(missing["kind"], -1, rng.integers(0, 3, size)),
        "size": number.astype("float32"),
        "tags": tags,
    }
    fields = {key: tf.constant(array) for key, array in fields.items()}

    def read(indices, epochs):
        return {key: tf.gather(array, indices) for key, array in fields.items()}

    def noise(example, seed):
        draw = 0.1 * tf.random.stateless_normal([3], seed)
        return {**example, "input": example["input"] + draw}

    return p5.data.Source(size, read, augment=noise)


def build():
    """A model with batch normalisation, and its tasks."""
    x = inputs = keras.Input((3,))
    x = layers.Dense(6, use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.8)(x)  # `Cut` sees to the replicas
    x = layers.Activation("tanh", name="features")(x)
    trunk = p5.trunks.Cut(keras.Model(inputs, x), {"vector": "features"})
    tasks = [
        p5.tasks.Classification("kind", num_classes=3),
        p5.tasks.Regression("size", mean=[0.0], std=[1.0]),
        p5.tasks.MultiLabel("tags", num_classes=2),
    ]
    return p5.build_model(trunk, tasks, (3,), trunk_l2=0.01), tasks


def boxes(strategy):
    """Returns the metrics of a detector on what it finds itself, moved a little.

    mAP cannot be added up over workers: all must see all predictions.
    """
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    size = SIZE["validation"]
    with strategy.scope():
        task = p5.tasks.Detection(
            "boxes", num_classes=2, max_boxes=2, width=4, depth=0, score_threshold=0.0
        )
        model = p5.build_model(p5.trunks.Conv(4), [task], (32, 32, 1))
        for v in model.trainable_variables:
            v.assign(rng.normal(size=v.shape, scale=0.2))
        model.compile("sgd")
    images = tf.constant(rng.normal(size=(size, 32, 32, 1)), tf.float32)
    found = task.decode(model(images)["boxes"])
    moved = found["boxes"][:, :2] / 32 + rng.uniform(-0.02, 0.02, (size, 2, 4))
    bbox = tf.gather(tf.clip_by_value(moved, 0.0, 1.0), [1, 0, 3, 2], axis=-1)
    ids = tf.where(rng.uniform(size=(size, 2)) < 0.3, -1, found["classes"][:, :2])

    def read(indices, epochs):
        objects = {"bbox": tf.gather(bbox, indices), "label": tf.gather(ids, indices)}
        return {"image": tf.gather(images, indices), "boxes": objects}

    shard = p5.strategy.shard(strategy)
    batches = p5.data.evaluation(p5.data.Source(size, read), [task], BATCH, shard)
    return model.evaluate(batches, return_dict=True, verbose=0)


def run(strategy, weighting):
    """Returns weights, logs and labels of the predictions of a training, by name."""
    keras.utils.set_random_seed(0)
    start = np.random.default_rng(1)
    shard = p5.strategy.shard(strategy)
    with strategy.scope():
        model, tasks = build()
        for v in model.trainable_variables:
            if len(v.shape) > 1:
                v.assign(start.normal(size=v.shape, scale=0.2))
        # What the gradients are without clipping is above this.
        optimizer = keras.optimizers.SGD(0.05, 0.9, global_clipnorm=0.5)
        model.compile(optimizer, weighting=WEIGHTINGS[weighting]())
    history = model.fit(
        p5.data.training(source("train"), tasks, BATCH, 3, shard=shard),
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        validation_data=p5.data.evaluation(source("validation"), tasks, BATCH, shard),
        verbose=0,
    ).history
    found = {f"log/{name}": np.array(values) for name, values in history.items()}
    held_out = p5.data.evaluation(source("validation"), tasks, BATCH, shard)
    logs = model.evaluate(held_out, return_dict=True, verbose=0)
    found |= {f"log/evaluate/{name}": np.array(v) for name, v in logs.items()}
    for i, batch in enumerate(model.predictions(held_out)):
        for task in ("kind", "size", "tags"):
            found[f"label/{i}/{task}"] = batch["label"][task]
            found[f"weight/{i}/{task}"] = batch["weight"][task]
        found[f"value/{i}"] = batch["fields"]["size"]["value"]
    variables = [*model.variables, *model.optimizer.variables]
    variables += model.weighting_variables
    for i, v in enumerate(variables):
        found[f"variable/{i}"] = v.numpy()
    return found


def all_of(strategy):
    """Returns the results of all trainings and of the detector, by name."""
    found = {f"boxes/{k}": np.array(v) for k, v in boxes(strategy).items()}
    for weighting in WEIGHTINGS:
        found |= {f"{weighting}/{k}": v for k, v in run(strategy, weighting).items()}
    return found


if __name__ == "__main__":
    strategy = p5.strategy.get("multiworker", batch_size=BATCH)
    np.savez(sys.argv[1], **all_of(strategy))
