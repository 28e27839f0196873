"""Each file of a run, damaged in each way: said at the start, in one line."""

import itertools
import json
import shutil
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras import state_files
from p5_keras.training import best_model

DECIDED = {"recipe": "r", "seed": 0, "tasks": None}
RESULTS = {"recipe": "r", "seed": 0, "tasks": {"value": {"primary": "mae"}}}
STEPS, BATCH, EPOCHS = 2, 4, 3


def source():
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(8, 3)), tf.float32)

    def read(indices, epochs):
        return {"input": tf.gather(x, indices), "value": tf.gather(x[:, 0], indices)}

    return p5.data.Source(8, read)


def train(folder, decided=DECIDED, scores=(0.1, 0.3, 0.2), epochs=EPOCHS):
    """What train.py does, on the least of models; the best epoch is not the last."""
    workdir = p5.Workdir(folder)
    if found := workdir.begin(decided):
        return found
    keras.utils.set_random_seed(decided["seed"])
    task = p5.tasks.Regression("value", mean=[0.0], std=[1.0])
    model = p5.build_model(p5.trunks.Dense([2]), [task], (3,))
    model.compile(keras.optimizers.SGD(0.05, 0.9))
    progress = None

    def score(logs):
        return scores[len(progress.history)]

    checkpoints = p5.Checkpoints(workdir, score, save_seconds=1e9)
    progress = checkpoints.progress
    checkpoints.fit(
        model,
        lambda step: p5.data.training(source(), [task], BATCH, 7, step),
        epochs=epochs,
        steps_per_epoch=STEPS,
        validation_data=p5.data.evaluation(source(), [task], BATCH),
        verbose=0,
    )
    workdir.write("data.json", {"dropped": []})
    workdir.write("results.json", RESULTS)
    return progress


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(folder)
    return folder


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The same command with another seed."""
    folder = tmp_path_factory.mktemp("other") / "run"
    train(folder, {**DECIDED, "seed": 7})
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the finished run."""
    return shutil.copytree(finished, tmp_path / "run")


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 0x10
    path.write_bytes(content)


def folder_instead(path):
    path.unlink()
    path.mkdir()


DAMAGE = {
    "first byte": lambda path: flip(path, 0),
    "a byte": lambda path: flip(path, 0.3),
    "another byte": lambda path: flip(path, 0.55),
    "cut": lambda path: path.write_bytes(
        path.read_bytes()[: -path.stat().st_size // 3]
    ),
    "empty": lambda path: path.write_bytes(b""),
    "folder": folder_instead,
    "text": lambda path: path.write_text("hello"),
    "list": lambda path: path.write_text("[]"),
    "nan": lambda path: path.write_text('{"seed": NaN}'),
    "types": lambda path: path.write_text('{"seed": "0", "recipe": 5, "tasks": 3}'),
    "deep": lambda path: path.write_text("[" * 100_000),
}
JSON = ("config.json", "results.json", "data.json")
BEST = "checkpoints/best.keras"
STATE = f"checkpoints/state/step_{EPOCHS * STEPS:010d}"


def one_line(error, path):
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    assert any(word in message for word in ("elete", "ut back", "another --workdir"))
    return message


# "types" says nothing of data.json, which may hold anything.
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        pair
        for pair in itertools.product((*JSON, BEST), DAMAGE)
        if pair != ("data.json", "types")
    ],
)
def test_a_damaged_file_is_named_at_the_start(name, damage, run):
    DAMAGE[damage](run / name)
    with pytest.raises(ValueError) as error:
        p5.Workdir(run).begin(DECIDED)
    one_line(error, run / name)
    if name == BEST:  # as eval, predict and export meet it
        with pytest.raises(ValueError, match="damaged") as error:
            p5.Workdir(run).best_model()
        one_line(error, run / name)


def test_a_damaged_file_is_made_anew_when_it_is_deleted(run, finished, capsys):
    before = p5.Workdir(finished).read("config.json")
    for name in (*JSON, BEST):
        (run / name).unlink()
    with pytest.raises(ValueError, match=r"config\.json is missing"):
        p5.Workdir(run).begin({**DECIDED, "seed": 1})
    progress = train(run)
    assert progress.step == EPOCHS * STEPS
    assert p5.Workdir(run).read("config.json") == before
    # The best epoch is the last but one, and the state before the last is of it.
    assert progress.best_epoch == 2
    assert "made anew from" in capsys.readouterr().out
    pairs = zip(
        *(p5.Workdir(w).best_model().weights for w in (run, finished)), strict=True
    )
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert train(run) == RESULTS


def test_a_best_model_that_no_state_holds_is_replaced_by_what_there_is(
    tmp_path, capsys
):
    scores = (0.9, 0.3, 0.2)
    train(tmp_path / "run", scores=scores)
    (tmp_path / "run" / BEST).unlink()
    progress = train(tmp_path / "run", scores=scores)
    assert (progress.best_epoch, progress.best) == (2, 0.3)
    assert "the best, epoch 1, is in no saved state" in capsys.readouterr().out
    assert p5.Workdir(tmp_path / "run").best_model()


@pytest.mark.parametrize("damage", [*list(DAMAGE)[:7], "missing"])
@pytest.mark.parametrize("suffix", ["index", "data-00000-of-00001"])
def test_a_damaged_state_leaves_the_one_before(suffix, damage, run):
    path = run / f"{STATE}.{suffix}"
    DAMAGE.get(damage, lambda path: path.unlink())(path)
    assert p5.Workdir(run).begin(DECIDED) == RESULTS
    assert state_files.check(path.parent, p5.Workdir(run).run())
    # And where it was the only one, that is said at the start.
    for before in set(path.parent.glob("*")) - set(path.parent.glob(f"{path.stem}*")):
        before.unlink()
    (run / "results.json").unlink()
    with pytest.raises(ValueError, match=r"None of the|no saved state") as error:
        p5.Workdir(run).begin(DECIDED)
    one_line(error, run / "checkpoints")


@pytest.mark.parametrize("part", ["checkpoints", BEST, "checkpoints/state"])
def test_what_is_of_another_run_is_refused(part, run, other):
    if (run / part).is_dir():
        shutil.rmtree(run / part)
        shutil.copytree(other / part, run / part)
    else:
        shutil.copy(other / part, run / part)
    with pytest.raises(ValueError, match="is of another run") as error:
        p5.Workdir(run).begin(DECIDED)
    assert str(run / "config.json") in one_line(error, run / part)


def test_a_run_of_before_there_were_numbers_goes_on(tmp_path, monkeypatch):
    run = p5.Workdir(tmp_path / "run")
    run.begin(DECIDED)
    (run / "config.json").write_text(json.dumps(DECIDED))
    made = state_files.vars_of
    monkeypatch.setattr(
        state_files,
        "vars_of",
        lambda p: {k: v for k, v in made(p).items() if k != "run"},
    )
    train(run.path, epochs=2)
    (run / "results.json").unlink()
    monkeypatch.undo()
    progress = train(run.path)
    assert progress.step == EPOCHS * STEPS
    assert progress.run == run.run() == ""
    assert run.best_model()


def test_every_flipped_byte_of_the_best_model_is_noticed_or_changes_nothing(run):
    path = run / BEST
    whole = path.read_bytes()
    expected = p5.Workdir(run).run()
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    unnoticed = 0
    for at in range(0, len(whole), 37):
        flipped = bytearray(whole)
        flipped[at] ^= 0x01
        path.write_bytes(flipped)
        try:
            found = best_model.run_of(path)
        except ValueError:
            continue
        unnoticed += 1
        assert found == expected
        with zipfile.ZipFile(path) as file:  # as a date in a header
            assert {name: file.read(name) for name in file.namelist()} == parts
    assert unnoticed < len(whole) / 37 / 20
