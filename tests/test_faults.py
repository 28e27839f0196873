"""What a run does when the disk, the data, the machine or the user lets it down."""

import contextlib
import errno
import json
import os
import resource
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras import faults, not_finite, state_files
from p5_keras.state_files import Progress, StateFiles

SIZE, BATCH, STEPS, EPOCHS = 20, 4, 5, 3


def source(broken=None):
    """Numbers and what becomes of them; one may be infinite in the k-th batch."""
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(SIZE, 3)), tf.float32)
    y = tf.constant(rng.normal(size=SIZE), tf.float32)

    def read(indices, epochs):
        return {"input": tf.gather(x, indices), "value": tf.gather(y, indices)}

    def augment(example, seed):
        bad = seed[1] // BATCH == (-1 if broken is None else broken)
        factor = tf.where(bad, np.float32("inf"), 1.0)
        return {**example, "input": example["input"] * factor}

    return p5.data.Source(SIZE, read, augment=augment)


def build(width=4):
    keras.utils.set_random_seed(1)
    task = p5.tasks.Regression("value", mean=[0.0], std=[1.0])
    model = p5.build_model(p5.trunks.Dense([width]), [task], (3,))
    model.compile(keras.optimizers.SGD(0.05, 0.9))
    return model


def train(folder, data, *callbacks, model=None, save=1e9, **kwargs):
    model = model or build()
    checkpoints = p5.Checkpoints(
        p5.Workdir(folder), lambda logs: -logs["loss"], save_seconds=save, **kwargs
    )
    checkpoints.fit(
        model,
        lambda step: p5.data.training(data, list(model.tasks), BATCH, 7, step),
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        validation_data=p5.data.evaluation(source(), list(model.tasks), BATCH),
        callbacks=callbacks,
        verbose=0,
    )
    return model, checkpoints.progress


def weights(model):
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables]]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return train(tmp_path_factory.mktemp("unbroken"), source())


class At(keras.callbacks.Callback):
    """Does something after a step, once."""

    def __init__(self, step, act):
        super().__init__()
        self.step, self.act = step, act

    def on_train_batch_end(self, batch, logs=None):
        if self.act and int(self.model.optimizer.iterations.numpy()) == self.step:
            act, self.act = self.act, None
            act(self.model)


# SIGTERM.


@pytest.mark.parametrize("step", [2, 5, 7])  # 5 is the end of an epoch
def test_sigterm_saves_and_the_run_goes_on_exactly(step, unbroken, tmp_path):
    kill = At(step, lambda model: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        train(tmp_path, source(), kill)
    assert end.value.code == faults.PREEMPTED == 75
    assert signal.getsignal(signal.SIGTERM) == before
    # It came while a step's callbacks ran: the next step is the last one.
    saved = sorted((tmp_path / "checkpoints" / "state").glob("*.index"))[-1]
    assert saved.name == f"step_{step if step == 5 else step + 1:010d}.index"
    model, progress = train(tmp_path, source())
    assert progress.step == EPOCHS * STEPS
    for ours, theirs in zip(weights(model), weights(unbroken[0]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_sigterm_outside_of_training_ends_the_command(monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py"])
    with pytest.raises(SystemExit) as end:
        faults.run(lambda argv: os.kill(os.getpid(), signal.SIGTERM))
    assert end.value.code == faults.PREEMPTED


# Saved states.


def small(folder, value=0.0, shapes=((2, 3), (4,))):
    variables = [keras.Variable(np.full(s, value, "float32")) for s in shapes]
    return StateFiles(folder, Progress(), variables)


def save(files, step):
    files.progress.step = step
    for v in files.variables:
        v.assign(np.full(v.shape, step))
    files.save()


def test_two_states_are_kept_and_what_was_left_unfinished_goes(tmp_path):
    files = small(tmp_path)
    assert not files.restore()
    for step in (1, 2, 3):
        (tmp_path / "step_9_temp").mkdir(exist_ok=True)
        (tmp_path / "step_0000000000.data-00000-of-00001").write_bytes(b"0")
        save(files, step)
    names = {f"step_{s:010d}.{e}" for s in (2, 3) for e in ("index", PART)}
    assert {path.name for path in tmp_path.iterdir()} == names


PART = "data-00000-of-00001"


@pytest.mark.parametrize("suffix", [PART, "index"])
@pytest.mark.parametrize("size", [0, 0.5, -1, "missing", "flipped"])
def test_a_broken_state_falls_back_to_the_one_before(suffix, size, tmp_path, capsys):
    files = small(tmp_path)
    save(files, 1)
    save(files, 2)
    path = tmp_path / f"step_{2:010d}.{suffix}"
    content = bytearray(path.read_bytes())
    if size == "missing":
        path.unlink()
    elif size == "flipped":
        content[len(content) // 4] ^= 0xFF
        path.write_bytes(content)
    else:
        cut = int(len(content) * size) if size >= 0 else len(content) - 1
        path.write_bytes(content[:cut])
    found = small(tmp_path, value=9.0)
    assert found.restore()
    assert found.progress.step == 1
    for v in found.variables:
        np.testing.assert_array_equal(v.numpy(), np.full(v.shape, 1.0))
    if (suffix, size) != ("index", "missing"):  # then it is as if there were none
        assert "step_0000000002 cannot be read" in capsys.readouterr().out
    save(found, 2)
    assert small(tmp_path).restore()


def test_no_whole_state_is_an_error(tmp_path):
    files = small(tmp_path)
    save(files, 1)
    for path in tmp_path.glob("*.index"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"None of the saved states .* can be read"):
        small(tmp_path).restore()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 3), (5,)), r"\(4,\) there, \(5,\) in the model"),
        (((2, 3),), "2 variables there, 1 in the model"),
        (((2, 3), (4,), (1,)), "2 variables there, 3 in the model"),
    ],
)
def test_another_architecture_is_named(shapes, message, tmp_path):
    save(small(tmp_path), 1)
    found = small(tmp_path, value=9.0, shapes=shapes)
    with pytest.raises(ValueError, match=f"another architecture: .*{message}"):
        found.restore()
    assert all((v.numpy() == 9.0).all() for v in found.variables)


def test_a_run_of_another_architecture_is_refused(tmp_path):
    train(tmp_path, source())
    with pytest.raises(ValueError, match=r"another architecture: .*kernel has"):
        train(tmp_path, source(), model=build(width=5))


# The disk.


@contextlib.contextmanager
def small_disk(size):
    """No file can be longer than this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line_and_the_state_before_is_whole(tmp_path):
    def files():
        return small(tmp_path, shapes=((100, 100),))

    first = files()
    save(first, 1)
    with (
        small_disk(20_000),
        pytest.raises(ValueError, match="could not be written") as e,
    ):
        save(first, 2)
    assert "\n" not in str(e.value)
    found = files()
    assert found.restore()
    assert found.progress.step == 1
    save(found, 2)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_run_on_a_full_disk_goes_on_when_there_is_space(unbroken, tmp_path):
    train(tmp_path / "a", source())
    size = (tmp_path / "a" / "checkpoints" / "best.keras").stat().st_size
    with (
        small_disk(size // 2),
        pytest.raises(ValueError, match=r"best.*not be written"),
    ):
        train(tmp_path / "b", source())
    assert not list((tmp_path / "b").rglob("partial*"))
    model, _ = train(tmp_path / "b", source())
    for ours, theirs in zip(weights(model), weights(unbroken[0]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_best_model_that_is_not_whole_is_named(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.keras").write_bytes(b"PK no more")
    with pytest.raises(ValueError, match=r"best model .*best\.keras is damaged"):
        p5.Workdir(tmp_path).best_model()


# Losses that are not finite.


def test_a_batch_that_breaks_the_loss_stops_the_run_and_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"not finite after batch 7, .*on_nan=skip"):
        train(tmp_path, source(broken=7))
    with np.load(tmp_path / "not_finite" / "step_0000000007.npz") as file:
        assert file["step"] == 7
        assert np.isinf(file["x"]).all()
        assert file["x"].shape == (BATCH, 3)
        assert file["label/value"].shape == (BATCH, 1)
        np.testing.assert_array_equal(file["weight/value"], np.ones(BATCH))


@pytest.mark.parametrize("broken", [0, 7, 9])  # the first, one, the last of an epoch
@pytest.mark.parametrize("save", [-1.0, 1e9])  # at each step, at each epoch
def test_or_is_skipped_and_counted(broken, save, tmp_path, capsys):
    model, progress = train(tmp_path, source(broken), save=save, on_nan="skip")
    assert progress.skipped == [broken]
    assert progress.step == EPOCHS * STEPS == int(model.optimizer.iterations.numpy())
    assert all(np.isfinite(array).all() for array in weights(model))
    assert all(np.isfinite(row["loss"]) for row in progress.history)
    assert f"Not finite after batch {broken}," in capsys.readouterr().out
    # It is as if that batch had been another one from the start.
    expected = build()
    tasks = list(expected.tasks)

    def batches(step):
        return p5.data.training(source(), tasks, BATCH, 7, step)

    whole = not_finite.without(batches, 0, [broken], EPOCHS * STEPS)
    expected.fit(whole, steps_per_epoch=EPOCHS * STEPS, verbose=0)
    for ours, theirs in zip(weights(model), weights(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    # Nor does a run that goes on meet it again.
    _, again = train(tmp_path, source(broken), save=save, on_nan="skip")
    assert again.skipped == [broken]


class Breaks(keras.callbacks.Callback):
    """Stands for gradients of batch 6 that are not finite, though its loss is.

    With a ReLU behind them the losses that follow are finite as well.
    """

    def on_train_batch_end(self, batch, logs=None):
        step = int(self.model.optimizer.iterations.numpy())
        if step == 7 and 6 not in self.checkpoints.progress.skipped:
            self.model.trainable_variables[0].assign(np.full((3, 4), np.nan))


@pytest.mark.parametrize("save", [-1.0, 1e9])
def test_gradients_that_break_the_weights_are_found(save, tmp_path, monkeypatch):
    breaks = Breaks()
    made = p5.Checkpoints.__init__

    def init(self, *args, **kwargs):
        breaks.checkpoints = self
        made(self, *args, **kwargs)

    monkeypatch.setattr(p5.Checkpoints, "__init__", init)
    # As a callback in the model's own list it would come after the check.
    end = p5.Checkpoints.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        breaks.set_model(self.model)
        breaks.on_train_batch_end(batch)
        end(self, batch, logs)

    monkeypatch.setattr(p5.Checkpoints, "on_train_batch_end", on_train_batch_end)
    model, progress = train(tmp_path, source(), save=save, on_nan="skip")
    assert progress.skipped == [6]
    assert all(np.isfinite(array).all() for array in weights(model))
    files = [path.name for path in (tmp_path / "not_finite").iterdir()]
    assert files == ["step_0000000006.npz"]


def test_blame():
    blame = not_finite.Blame()
    assert blame.skip(range(7, 8), [], 5) == [7]
    assert [blame.careful(k) for k in (6, 7, 8)] == [True, True, False]
    assert blame.skip(range(9, 10), [7], 5) == [7, 9]
    assert blame.skip(range(8, 9), [7, 9], 5) == [7, 8]  # it was not 9
    assert blame.skip(range(8, 9), [7, 8], 5) == []  # with another batch it is the same
    assert blame.skip(range(10, 12), [8], 6) == [8, 10, 11]  # two steps in a call
    many = list(range(100, 110))
    assert not_finite.Blame().skip(range(110, 111), many[1:], 1000)[-1] == 110
    assert not_finite.Blame().skip(range(110, 111), many, 1000) == []


def test_where_no_batch_is_to_blame_it_stops(tmp_path):
    class Diverges(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer.iterations.numpy()) >= 7:
                self.model.trainable_variables[0].assign(np.full((3, 4), np.nan))

    with pytest.raises(ValueError, match="to skip batches does not help: 1 were"):
        train(tmp_path, source(), Diverges(), on_nan="skip")


def test_settings_of_faults_may_change_when_a_run_goes_on(tmp_path):
    decided = {"recipe": "a", "on_nan": "stop", "save_seconds": 60.0}
    assert p5.Workdir(tmp_path).begin(decided) is None
    (tmp_path / "checkpoints").mkdir()
    other = {**decided, "on_nan": "skip", "save_seconds": 1.0}
    assert p5.Workdir(tmp_path).begin(other) is None
    with pytest.raises(ValueError, match="started differently"):
        p5.Workdir(tmp_path).begin({**other, "recipe": "b"})


def test_a_workdir_of_another_worker_stays_as_it_is(tmp_path):
    workdir = p5.Workdir(tmp_path / "run", writes=False)
    assert workdir.begin({"recipe": "a"}) is None
    workdir.write("data.json", {})
    assert not (tmp_path / "run").exists()


# Workers.


def test_a_worker_that_has_lost_another_ends(monkeypatch, capsys):
    ended = []
    monkeypatch.setattr(faults, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(faults, "_end", lambda code: ended.append(code))
    with faults.workers_watched(["127.0.0.1:1"]):
        for _ in range(1000):
            if ended:
                break
            signal.sigtimedwait([], 0.01)
    assert ended == [faults.WORKER_LOST]
    assert "127.0.0.1:1 was lost" in capsys.readouterr().err
    assert json.dumps(faults.WORKER_LOST) == "76"


@pytest.mark.parametrize("last", [False, True])
def test_only_the_last_word_of_a_worker_may_be_lost(last, tmp_path, monkeypatch):
    def gone(strategy, values):
        raise tf.errors.UnavailableError(None, None, "the other has ended")

    if last:
        monkeypatch.setattr(faults.strategy, "total", gone)
        assert train(tmp_path, source())[1].step == STEPS * EPOCHS
    else:
        monkeypatch.setattr("p5_keras.checkpoint.total", gone)
        with pytest.raises(tf.errors.UnavailableError):
            train(tmp_path, source())


@pytest.mark.parametrize("part", ["checkpoints/state", "best.keras", "logs"])
@pytest.mark.parametrize(
    "code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES]
)
def test_a_disk_that_cannot_be_written_is_one_line_and_the_run_goes_on_later(
    part, code, tmp_path, monkeypatch
):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    owner, name = {
        "checkpoints/state": (tf.train.Checkpoint, "write"),
        "best.keras": (p5.MultiTaskModel, "save"),
        "logs": (tf.summary, "scalar"),
    }[part]
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(ValueError, match=part) as error:
        train(tmp_path, source())
    assert "\n" not in str(error.value)
    assert os.strerror(code) in str(error.value)
    assert ("Free some space" in str(error.value)) == (code in state_files.FULL)
    monkeypatch.undo()
    assert train(tmp_path, source())[1].step == EPOCHS * STEPS
    assert not list(tmp_path.rglob("partial*"))


def test_a_workdir_that_goes_away_ends_the_run(tmp_path):
    def remove(model):
        shutil.rmtree(tmp_path / "run")

    with pytest.raises(ValueError, match="was removed") as error:
        train(tmp_path / "run", source(), At(7, remove))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()
