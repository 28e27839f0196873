"""Freezing layers, and early stopping of single tasks."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.task_stopping import stopped
from p5_keras.tasks import Classification, Regression

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 3)).astype("float32")
Y = {"a": RNG.integers(0, 2, 8), "b": RNG.normal(size=(8, 1)).astype("float32")}


def tasks():
    return [Classification("a", num_classes=2), Regression("b", mean=[0.0], std=[1.0])]


def build(optimizer=None, trunk=None, sharing=None, **kwargs):
    keras.utils.set_random_seed(0)
    trunk = trunk or p5.trunks.Dense([4])
    model = p5.build_model(trunk, tasks(), (3,), sharing=sharing)
    model.compile(optimizer or keras.optimizers.Adam(0.1), **kwargs)
    return model


def data():
    weights = {name: np.ones(8, "float32") for name in Y}
    return tf.data.Dataset.from_tensor_slices((X, Y, weights)).batch(4)


def values(variables):
    return [np.array(v) for v in variables]


def moved(before, variables):
    pairs = zip(before, variables, strict=True)
    return [not np.array_equal(old, v) for old, v in pairs]


OPTIMIZERS = {
    "adamw": lambda: keras.optimizers.AdamW(
        0.1, weight_decay=0.1, use_ema=True, ema_momentum=0.5
    ),
    "clipped": lambda: keras.optimizers.SGD(0.1, 0.9, global_clipnorm=0.5),
    "parts": lambda: p5.optimizers.PerPart("adam", {"a": "adam", "b": "sgd"}),
}


@pytest.mark.parametrize("weighting", [None, p5.weighting.UPGrad()])
@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_frozen_layers_stay_and_the_others_move(optimizer, weighting):
    model = build(OPTIMIZERS[optimizer](), weighting=weighting)
    model.fit(data(), verbose=0)
    model.freeze("trunk_*")
    trunk, heads = values(model.trunk_variables), values(model.head_variables)
    model.train_on_batch(X, Y)
    model.fit(data(), verbose=0, epochs=2)
    if optimizer != "adamw":  # `fit` ends with the averages in the weights' place
        assert not any(moved(trunk, model.trunk_variables))
    assert all(moved(heads, model.head_variables))
    model.unfreeze("trunk_*")
    trunk = values(model.trunk_variables)
    model.fit(data(), verbose=0)
    assert all(moved(trunk, model.trunk_variables))


def test_freezing_acts_in_the_middle_of_fit():
    model, seen = build(), []

    def begin(epoch, logs):
        if epoch == 2:
            model.freeze("trunk_*")
        seen.append(values(model.trunk_variables))

    freeze = keras.callbacks.LambdaCallback(on_epoch_begin=begin)
    model.fit(data(), epochs=4, callbacks=[freeze], verbose=0)
    assert all(moved(seen[0], seen[1])) and all(moved(seen[1], seen[2]))
    assert not any(moved(seen[2], seen[3]))


def test_layers_that_are_not_trainable_before_compile(tmp_path):
    keras.utils.set_random_seed(0)
    model = p5.build_model(p5.trunks.Dense([4]), tasks(), (3,))
    model.get_layer("trunk_vector").trainable = False
    model.compile("adam", weighting=p5.weighting.RLW())
    before = values(model.get_layer("trunk_vector").variables)
    model.fit(data(), verbose=0)
    assert not any(moved(before, model.get_layer("trunk_vector").variables))
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.trunk_variables == []


def test_a_pattern_that_fits_nothing():
    model = build()
    with pytest.raises(
        ValueError, match=r"Did you mean 'trunk_vector'\? Received: 'tr"
    ):
        model.freeze("trunk_vectors")


@pytest.mark.parametrize(
    "weighting",
    [None, p5.weighting.MGDA(), p5.weighting.UncertaintyWeighting()],
    ids=["sum", "mgda", "uncertainty"],
)
def test_a_stopped_task_is_as_if_without_labels(weighting):
    model = build(keras.optimizers.SGD(0.1), weighting=weighting)
    other = build(keras.optimizers.SGD(0.1), weighting=weighting)
    model.stop("a")
    assert model.loss_weights == {"a": 0.0, "b": 1.0}
    before = values(model.variables_of("a"))
    model.train_on_batch(X, Y)
    absent = {"a": np.zeros(8, "float32"), "b": np.ones(8, "float32")}
    other.train_on_batch(X, Y, sample_weight=absent)
    assert not any(moved(before, model.variables_of("a")))
    for ours, theirs in zip(model.variables, other.variables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_stopped_task_takes_its_own_column_along():
    sharing = p5.sharing.Branching(after="input")
    model = build(sharing=sharing)
    model.train_on_batch(X, Y)
    model.stop("a")
    before = {t: values(model.variables_of(t)) for t in "ab"}
    assert len(before["a"]) == 4
    model.train_on_batch(X, Y)
    assert not any(moved(before["a"], model.variables_of("a")))
    assert all(moved(before["b"], model.variables_of("b")))


def test_a_task_that_is_none():
    with pytest.raises(ValueError, match="must be the name of a task"):
        build().stop("c")


def rows(**scores):
    return [
        {f"val_{key}": value for key, value in zip(scores, row, strict=True)}
        for row in zip(*scores.values(), strict=True)
    ]


def test_when_a_task_stops():
    # Accuracy is better higher, the error lower.
    history = rows(
        a_accuracy=[0.5, 0.6, 0.6, 0.6, 0.9], b_mae=[3.0, 2.0, 1.0, 0.5, 0.4]
    )
    assert [stopped(tasks(), history[:n], 2, 0.0) for n in range(1, 6)] == [
        [],
        [],
        [],
        ["a"],
        ["a"],
    ]
    assert stopped(tasks(), history, 3, 0.0) == []
    assert stopped(tasks(), history, 2, 0.2) == ["a"]
    falling = rows(a_accuracy=[0.5, 0.6, 0.7], b_mae=[1.0, 2.0, 0.999])
    assert stopped(tasks(), falling, 1, 0.0) == ["b"]
    assert stopped(tasks(), falling, 2, 0.01) == ["b"]
    assert stopped(tasks(), falling, 2, 0.0) == []


def test_the_last_task_goes_on_and_an_unmeasured_epoch_is_none():
    history = rows(a_accuracy=[0.5] * 3, b_mae=[1.0] * 3)
    assert stopped(tasks(), history, 1, 0.0) == ["a"]
    history = rows(a_accuracy=[0.5, math.nan, 0.4], b_mae=[3.0, 2.0, 1.0])
    assert stopped(tasks(), history[:2], 1, 0.0) == []
    assert stopped(tasks(), history, 1, 0.0) == ["a"]


def test_refused():
    with pytest.raises(ValueError, match="`patience` must be 1 or more"):
        p5.TaskStopping(0)
    with pytest.raises(ValueError, match="`min_delta` 0 or more"):
        p5.TaskStopping(1, min_delta=-1.0)
    with pytest.raises(
        ValueError, match="of task 'a' needs its metric 'val_a_accuracy'"
    ):
        build().fit(data(), callbacks=[p5.TaskStopping(1)], verbose=0)


def test_in_plain_fit():
    model = build(keras.optimizers.SGD(0.1))
    history = rows(a_accuracy=[0.5, 0.5, 0.5], b_mae=[1.0, 1.0, 1.0])
    callback = p5.TaskStopping(1)
    seen = []

    class Script(keras.callbacks.Callback):
        """Stands in for validation."""

        def on_epoch_end(self, epoch, logs=None):
            logs.update(history[epoch])
            seen.append(values(model.variables_of("a")))

    model.fit(data(), epochs=3, callbacks=[Script(), callback], verbose=0)
    assert all(moved(seen[0], seen[1]))
    assert not any(moved(seen[1], seen[2]))
    assert model.loss_weights == {"a": 0.0, "b": 1.0}


class Kill(keras.callbacks.Callback):
    """Raises after a number of steps."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise InterruptedError


def train(folder, kill=0, seed=0):
    keras.utils.set_random_seed(seed)
    model = p5.build_model(p5.trunks.Dense([4]), tasks(), (3,))
    optimizer = p5.optimizers.PerPart(
        keras.optimizers.SGD(0.1, 0.9), keras.optimizers.Adam(0.1), use_ema=True
    )
    model.compile(optimizer)
    checkpoints = p5.Checkpoints(
        p5.Workdir(folder), lambda logs: -logs["loss"], save_seconds=-1.0
    )

    def batches(step):
        return data().repeat().skip(step % 2)

    callbacks = [p5.TaskStopping(1, checkpoints=checkpoints)]
    checkpoints.fit(
        model,
        batches,
        epochs=6,
        steps_per_epoch=2,
        validation_data=data(),
        callbacks=[*callbacks, *([Kill(kill)] if kill else [])],
        verbose=0,
    )
    return model, checkpoints.progress.history


@pytest.mark.parametrize(
    "kill", [4, *(pytest.param(k, marks=pytest.mark.slow) for k in (3, 7, 9))]
)
def test_a_killed_run_goes_on_as_if_never_killed(tmp_path, kill):
    whole, history = train(tmp_path / "whole")
    weights = whole.loss_weights
    assert sorted(weights.values()) == [0.0, 1.0]  # one task did stop
    with pytest.raises(InterruptedError):
        train(tmp_path / "killed", kill)
    again, resumed = train(tmp_path / "killed", seed=5)
    assert again.loss_weights == weights
    ours, theirs = again.variables, whole.variables
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(again.optimizer.variables, whole.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    for one, two in zip(history, resumed, strict=True):
        assert {k: v for k, v in one.items() if "seconds" not in k} == {
            k: v for k, v in two.items() if "seconds" not in k
        }
