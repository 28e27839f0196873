"""Each epoch once, whatever was there before."""

import csv
import pathlib

import pytest
import tensorflow as tf

from p5_keras.training.logs import Logs


def points(folder):
    """All points for TensorBoard, as (part, tag, step, value)."""
    found = []
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        for raw in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(raw.numpy())
            for value in event.summary.value:
                number = float(tf.make_ndarray(value.tensor))
                found.append((path.parent.name, value.tag, event.step, number))
    return found


def row(epoch, loss, **more):
    times = {"epoch": epoch, "seconds": 1.0, "val_seconds": 0.5}
    return {**times, "loss": loss, "val_loss": 2 * loss, **more}


def expected(history):
    found = []
    for r in history:
        step = r["epoch"] - 1
        found += [("train", "epoch_loss", step, r["loss"])]
        found += [("validation", "epoch_loss", step, r["val_loss"])]
    return sorted(found)


HISTORY = [row(i + 1, 0.5 / 2**i) for i in range(5)]


@pytest.mark.parametrize("resumed", [0, 1, 3])
def test_what_a_killed_process_wrote_is_neither_twice_nor_lost(resumed, tmp_path):
    before = Logs(tmp_path)
    for i in range(4):  # one more than the state that it goes on from, or several
        before.follow(HISTORY[:i])
    # A file that was cut, and one of another process, as of a fault before.
    (tmp_path / "train" / "events.out.tfevents.1.x").write_bytes(b"cut")
    after = Logs(tmp_path)
    for i in range(resumed, 6):
        after.follow(HISTORY[:i])
        assert sorted(points(tmp_path)) == expected(HISTORY[:i])
        after.follow(HISTORY[:i])
    assert len(list(tmp_path.rglob("events*"))) == 2
    with (tmp_path / "history.csv").open() as file:
        rows = [{k: float(v) for k, v in r.items()} for r in csv.DictReader(file)]
    assert rows == HISTORY
    assert not list(tmp_path.rglob("partial*"))


def test_a_history_that_went_back_is_followed(tmp_path):
    logs = Logs(tmp_path)
    logs.follow(HISTORY)
    logs.follow(HISTORY[:2])
    assert sorted(points(tmp_path)) == expected(HISTORY[:2])
    other = [*HISTORY[:2], row(3, 9.0, late=1.0)]
    logs.follow(other)
    assert ("train", "epoch_late", 2, 1.0) in points(tmp_path)
    assert "late" in (tmp_path / "history.csv").read_text()
    logs.follow([])
    assert not points(tmp_path)
    assert not (tmp_path / "history.csv").exists()


def test_open_files_do_not_grow(tmp_path):
    def count():
        return len(list(pathlib.Path("/proc/self/fd").iterdir()))

    logs = Logs(tmp_path)
    logs.follow(HISTORY[:1])
    before = count()
    for i in range(50):
        logs.follow(HISTORY[: 1 + i % 4])
    assert count() <= before
