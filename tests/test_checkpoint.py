import csv
import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.state_files import Progress, vars_of

SIZE, BATCH, STEPS, EPOCHS = 18, 4, 5, 4  # the last batch of an epoch wraps round
STEP, VALIDATION, EPOCH_END = "step", "validation", "epoch end"


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    trunk: p5.Trunk | None = None
    learning_rate: float = 0.02
    weight_decay: float = 0.01
    clip_norm: float | None = 1.0
    ema: float | None = 0.8


class Interrupted(Exception):
    """Stands for whatever ends a process."""


class Interrupt(keras.callbacks.Callback):
    """Ends training at a place that is given as (what, epoch, step)."""

    def __init__(self, at):
        super().__init__()
        self.at, self.epoch = at, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.at == (STEP, self.epoch, int(self.model.optimizer.iterations.numpy())):
            raise Interrupted

    def on_test_batch_end(self, batch, logs=None):
        if self.at == (VALIDATION, self.epoch):
            raise Interrupted

    def on_epoch_end(self, epoch, logs=None):
        if self.at == (EPOCH_END, epoch):
            raise Interrupted


def noise(example, seed):
    draw = 0.1 * tf.random.stateless_normal([3], seed)
    return {**example, "input": example["input"] + draw}


def source(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(SIZE, 3)).astype("float32")
    value = x @ [1.0, -1.0, 0.5]
    fields = {"input": x, "side": value > 0, "value": value.astype("float32")}
    fields["side"] = np.where(np.arange(SIZE) % 3 == 0, -1, fields["side"])
    fields["value"][::4] = np.nan
    fields = {key: tf.constant(array) for key, array in fields.items()}

    def read(indices, epochs):
        return {key: tf.gather(array, indices) for key, array in fields.items()}

    return p5.data.Source(SIZE, read, augment=noise)


def build(seed, weighting=None):
    """A compiled model with dropout and batch normalisation, and its tasks."""
    keras.utils.set_random_seed(seed)
    inputs = x = keras.Input((3,))
    x = keras.layers.Dense(6, use_bias=False)(x)
    x = keras.layers.BatchNormalization(synchronized=True)(x)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.Dropout(0.3)(x)
    net = keras.Model(inputs, x)
    tasks = [
        p5.tasks.Classification("side", num_classes=2, hidden=4, dropout=0.2),
        p5.tasks.Regression("value", mean=[0.0], std=[1.5]),
    ]
    trunk = p5.trunks.Cut(net, {"vector": x._keras_history.operation.name})
    model = p5.build_model(trunk, tasks, (3,), trunk_l2=1e-3)
    model.compile(
        p5.recipe.default_optimizer(Config(), EPOCHS * STEPS), weighting=weighting
    )
    return model, tasks


def train(
    folder,
    interrupt=None,
    seed=1,
    score=None,
    patience=None,
    save=-1.0,
    strategy=None,
    weighting=None,
):
    """One process: everything is made anew, and training goes on from the folder.

    The weights of a process that resumes are drawn with another seed, so that
    nothing can come from anywhere but the saved state.
    """
    with (strategy or tf.distribute.get_strategy()).scope():
        model, tasks = build(seed, weighting)
    checkpoints = p5.Checkpoints(
        p5.Workdir(folder),
        score or (lambda logs: -logs["loss"]),
        patience,
        save_seconds=save,
    )
    batches = lambda step: p5.data.training(source(0), tasks, BATCH, 7, step)  # noqa: E731
    checkpoints.fit(
        model,
        batches,
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        validation_data=p5.data.evaluation(source(1), tasks, BATCH),
        callbacks=[Interrupt(interrupt)],
        verbose=0,
    )
    return model, checkpoints.progress


def assert_same_run(ours, theirs, folder, reference):
    (model, progress), (expected, whole) = ours, theirs
    assert progress.step == whole.step
    assert len(progress.history) == len(whole.history)
    for row, other in zip(progress.history, whole.history, strict=True):
        row, other = dict(row), dict(other)
        assert row.pop("seconds") > 0 and other.pop("seconds") > 0
        assert row.pop("val_seconds") > 0 and other.pop("val_seconds") > 0
        assert row == pytest.approx(other, rel=1e-6, nan_ok=True)
    assert progress.best_epoch == whole.best_epoch
    assert progress.best == pytest.approx(whole.best, rel=1e-6)
    assert progress.stopped == whole.stopped
    variables = [
        [*m.variables, *m.optimizer.variables, *m.weighting_variables]
        for m in (model, expected)
    ]
    for v, w in zip(*variables, strict=True):
        np.testing.assert_allclose(v.numpy(), w.numpy(), rtol=1e-6, atol=1e-7)
    # Without the seeds of dropout, which Keras does not save with a model.
    best = [p5.Workdir(f).best_model().weights for f in (folder, reference)]
    for v, w in zip(*best, strict=True):
        np.testing.assert_allclose(v.numpy(), w.numpy(), rtol=1e-6, atol=1e-7)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    return train(folder, seed=1), folder


def test_an_unbroken_run_is_what_stock_fit_gives(unbroken):
    (ours, progress), _ = unbroken
    model, tasks = build(1)
    history = model.fit(
        p5.data.training(source(0), tasks, BATCH, 7, 0),
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        validation_data=p5.data.evaluation(source(1), tasks, BATCH),
        verbose=0,
    ).history
    for name in ("loss", "side_loss", "value_mae", "val_loss", "val_side_accuracy"):
        found = [row[name] for row in progress.history]
        assert found == pytest.approx(history[name], rel=1e-5)
    # `fit` ends with the averages in place; here training could go on.
    averages = ours.optimizer._model_variables_moving_average
    for v, w in zip(averages, model.trainable_variables, strict=True):
        np.testing.assert_allclose(v.numpy(), w.numpy(), rtol=1e-5, atol=1e-6)
    moved = [
        np.abs(v.numpy() - a.numpy()).max()
        for v, a in zip(ours.trainable_variables, averages, strict=True)
    ]
    assert max(moved) > 1e-3


@pytest.mark.parametrize(
    ("places", "save"),
    [
        # With a save at every step ...
        ([(STEP, 0, 1), (VALIDATION, 1), (EPOCH_END, 2), (STEP, 3, 17)], -1.0),
        # ... and with none but those between epochs.
        ([(STEP, 2, 13), (VALIDATION, 2)], 1e9),
    ],
    ids=["every step", "every epoch"],
)
def test_an_interrupted_run_ends_as_an_unbroken_one(places, save, unbroken, tmp_path):
    expected, reference = unbroken
    for i, place in enumerate(places):
        with pytest.raises(Interrupted):
            train(tmp_path, place, seed=i + 1, save=save)
    found = train(tmp_path, seed=len(places) + 1, save=save)
    assert_same_run(found, expected, tmp_path, reference)


@pytest.mark.parametrize(
    "weighting",
    [
        p5.weighting.GradNorm(learning_rate=0.1),
        *(
            pytest.param(weighting, marks=pytest.mark.slow)
            for weighting in (
                p5.weighting.FAMO(same_batch=True),
                p5.weighting.UncertaintyWeighting(),
                p5.weighting.PCGrad(update_every=2),
            )
        ),
        pytest.param(p5.weighting.DWA(), marks=(pytest.mark.slow, pytest.mark.heavy)),
    ],
    ids=lambda weighting: type(weighting).__name__,
)
def test_the_state_of_a_weighting_goes_on(weighting, tmp_path):
    expected = train(tmp_path / "unbroken", weighting=weighting)
    for i, place in enumerate([(STEP, 0, 2), (EPOCH_END, 1), (STEP, 2, 12)]):
        with pytest.raises(Interrupted):
            train(tmp_path / "broken", place, seed=i + 1, weighting=weighting)
    found = train(tmp_path / "broken", seed=9, weighting=weighting)
    assert_same_run(found, expected, tmp_path / "broken", tmp_path / "unbroken")
    assert any("weighting/" in key for key in found[1].history[0])
    state = [v.numpy() for v in found[0].weighting_variables]
    fresh = [v.numpy() for v in build(1, weighting)[0].weighting_variables]
    assert sum(not np.array_equal(a, b) for a, b in zip(state, fresh, strict=True)) > 2


@pytest.mark.slow
def test_so_does_one_on_two_replicas(two_replicas, tmp_path):
    expected = train(tmp_path / "unbroken", strategy=two_replicas)
    with pytest.raises(Interrupted):
        train(tmp_path / "broken", (STEP, 1, 8), strategy=two_replicas)
    with two_replicas.scope():  # Some enter it for `fit` as well.
        found = train(tmp_path / "broken", seed=2, strategy=two_replicas)
    assert_same_run(found, expected, tmp_path / "broken", tmp_path / "unbroken")


def test_an_epoch_must_be_whole_executions(tmp_path):
    model, _ = build(1)
    model.steps_per_execution = 2
    checkpoints = p5.Checkpoints(p5.Workdir(tmp_path), lambda logs: 0.0)
    with pytest.raises(ValueError, match=r"multiple of `steps_per_execution`.*=5.*=2"):
        checkpoints.fit(model, None, epochs=EPOCHS, steps_per_epoch=STEPS)


def test_a_finished_run_trains_no_more(unbroken):
    (_, whole), folder = unbroken
    model, progress = train(folder, (STEP, 0, 1), seed=9)
    assert vars_of(progress) == vars_of(whole)
    assert int(model.optimizer.iterations) == EPOCHS * STEPS


def scores_of(values):
    """A score that follows a script: what an epoch gets depends on its loss alone."""
    seen = {}

    def score(logs):
        return values[seen.setdefault(round(logs["loss"], 5), len(seen))]

    return score


@pytest.mark.parametrize("place", [(STEP, 2, 12), (EPOCH_END, 2)])
def test_early_stopping_survives_an_interruption(place, tmp_path):
    score = scores_of([0.1, 0.3, 0.2, 0.4])
    with pytest.raises(Interrupted):
        train(tmp_path, place, score=score, patience=1)
    _, progress = train(tmp_path, seed=2, score=score, patience=1)
    assert progress.stopped
    assert (progress.best_epoch, progress.best) == (2, 0.3)
    assert progress.step == 3 * STEPS
    assert [row["val_skill"] for row in progress.history] == [0.1, 0.3, 0.2]
    # A stopped run stays stopped.
    _, again = train(tmp_path, seed=3, score=score, patience=1)
    assert vars_of(again) == vars_of(progress)


def test_patience_counts_from_the_best_epoch_that_has_a_score(tmp_path):
    score = scores_of([np.nan, 0.1, np.nan, 0.2])
    _, progress = train(tmp_path, score=score, patience=2)
    assert not progress.stopped
    assert (progress.best_epoch, progress.best) == (4, 0.2)


@pytest.mark.slow
def test_the_best_model_holds_the_averages_of_its_epoch(tmp_path):
    score = scores_of([0.1, 0.3, 0.2, 0.2])
    with pytest.raises(Interrupted):
        train(tmp_path, (EPOCH_END, 1), score=score)
    model, tasks = build(5)
    checkpoint = p5.Checkpoints(p5.Workdir(tmp_path), score)
    checkpoint._restore(model)
    best = p5.Workdir(tmp_path).best_model()
    averages = model.optimizer._model_variables_moving_average
    for v, w in zip(best.trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(v.numpy(), w.numpy())
    # What the table says of that epoch is what this model does.
    val = p5.data.evaluation(source(1), tasks, BATCH)
    logs = best.evaluate(val, return_dict=True, verbose=0)
    for name, value in logs.items():
        assert checkpoint.progress.history[1][f"val_{name}"] == pytest.approx(
            value, rel=1e-5
        )


def test_history_is_a_table_with_a_line_an_epoch(unbroken):
    (_, progress), folder = unbroken
    with (folder / "logs" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(float(row["epoch"])) for row in rows] == [1, 2, 3, 4]
    for row, kept in zip(rows, progress.history, strict=True):
        assert {key: float(value) for key, value in row.items()} == pytest.approx(kept)
    schedule = p5.recipe.default_optimizer(Config(), EPOCHS * STEPS)._learning_rate
    rates = [float(schedule(STEPS * (i + 1))) for i in range(EPOCHS)]
    assert [r["learning_rate"] for r in progress.history] == pytest.approx(rates)


def test_at_most_two_states_are_kept(unbroken):
    _, folder = unbroken
    assert len(list((folder / "checkpoints" / "state").glob("*.index"))) == 2
    assert not list(folder.rglob("partial*"))


class Poison(keras.callbacks.Callback):
    """Makes a weight infinite after some steps."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == 7:
            self.model.trainable_variables[0].assign(np.full((3, 6), np.inf))


def test_a_loss_that_is_not_finite_stops_the_run_at_the_last_good_state(tmp_path):
    model, tasks = build(1)
    checkpoints = p5.Checkpoints(
        p5.Workdir(tmp_path), lambda logs: -logs["loss"], save_seconds=-1.0
    )
    with pytest.raises(ValueError, match=r"not finite after batch 7,.*clip_norm"):
        checkpoints.fit(
            model,
            lambda step: p5.data.training(source(0), tasks, BATCH, 7, step),
            epochs=EPOCHS,
            steps_per_epoch=STEPS,
            validation_data=p5.data.evaluation(source(1), tasks, BATCH),
            callbacks=[Poison()],
            verbose=0,
        )
    fresh, _ = build(2)
    again = p5.Checkpoints(p5.Workdir(tmp_path), lambda logs: 0.0)
    again._restore(fresh)
    assert again.progress.step == 7
    assert all(np.isfinite(v.numpy()).all() for v in fresh.variables)


def test_progress_goes_through_json():
    progress = Progress()
    progress.step, progress.best, progress.best_epoch = 12, -0.25, 3
    progress.history = [{"epoch": 1.0, "loss": 0.1 + 0.2}]
    progress.metrics = [1.5, [0.1, [1.0, 2.0]]]
    json.loads(progress.serialize())
    other = Progress()
    other.deserialize(progress.serialize())
    assert vars_of(other) == vars_of(progress)


def test_steps_per_second():
    progress = Progress()
    assert progress.steps_per_second == 0
    progress.step, progress.seconds = 30, 4.0
    assert progress.steps_per_second == 7.5
