import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import p5_keras as p5
from p5_keras.data.importers import watched
from p5_keras.data.importers.watched import named_faults
from p5_keras.data.records import Field, Problems, Records

FIELDS = {
    "kind": Field("class", ("a", "b")),
    "marks": Field("labels", ("x", "y")),
    "age": Field("number"),
    "things": Field("boxes", ("thing",)),
    "area": Field("mask", ("no", "yes")),
}


@pytest.fixture(autouse=True)
def nothing_else_is_watched():
    watched._ALL.clear()


def noise(seed, height=24, width=32):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 255, (height, width, 3), "uint8")


def inspected(folder, on_bad="raise", size=6):
    """Six images with every kind of label, after they were looked at."""
    (folder / "set").mkdir()
    images, masks = [], []
    for i in range(size):
        images.append(folder / "set" / f"{i}.png")
        masks.append(folder / "set" / f"m{i}.png")
        Image.fromarray(noise(i)).save(images[-1])
        Image.fromarray((noise(i)[..., 0] > 99).astype("uint8")).save(masks[-1])
    box = (np.array([[0.1, 0.1, 0.5, 0.5]], "float32"), np.array([0]))
    records = Records(
        "set",
        np.array(["train"] * size),
        FIELDS,
        {
            "kind": np.arange(size) % 2,
            "marks": np.ones((size, 2), "float32"),
            "age": np.arange(size, dtype="float32"),
            "things": [box] * size,
            "area": [str(path) for path in masks],
        },
        images=np.array([str(path) for path in images]),
        problems=Problems(on_bad),
    )
    records, _ = p5.data.inspect(records, folder / "cache")
    return records, images, masks


def tasks():
    return [
        p5.tasks.Classification("kind", num_classes=2),
        p5.tasks.MultiLabel("marks", num_classes=2),
        p5.tasks.Regression("age"),
        p5.tasks.Detection("things", num_classes=1, max_boxes=2),
        p5.tasks.Segmentation("area", num_classes=2),
    ]


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


FAULTS = {
    "gone": (lambda path: path.unlink(), "No such file or directory"),
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "cut off": (cut, "it is broken"),
    "no image": (lambda path: path.write_text("<html>"), "it is no readable"),
    "of another size": (
        lambda path: Image.fromarray(noise(9, 30, 30)).save(path),
        "it has 30x30 pixels, and had 32x24",
    ),
    "folder gone": (lambda path: shutil.rmtree(path.parent), "No such file"),
}


@pytest.mark.parametrize("size", [(24, 32), (16, 16)])
def test_a_file_that_changes_under_a_run_is_named(tmp_path, size):
    records, images, _ = inspected(tmp_path)
    source = p5.data.from_records(records, "train", size, cache="none")
    batches = p5.data.evaluation(source, tasks(), 3)
    whole = images[4].read_bytes()
    for fault, (change, line) in FAULTS.items():
        assert len(list(batches)) == 2
        change(images[4])
        with pytest.raises(ValueError) as caught, named_faults():
            list(batches)
        named = images[0] if fault == "folder gone" else images[4]
        assert str(caught.value).startswith(f"{named}: {line}"), fault
        assert "\n" not in str(caught.value) and "--on_bad" in str(caught.value)
        if fault != "folder gone":
            images[4].write_bytes(whole)


def test_it_is_left_out_if_such_are_to_be_skipped(tmp_path, caplog):
    records, images, masks = inspected(tmp_path, "skip")
    source = p5.data.from_records(records, "train", (24, 32), cache="none")
    batches = p5.data.evaluation(source, tasks(), 3)
    before, whole = list(batches), images[4].read_bytes()
    masks[1].unlink()
    for fault in ("gone", "empty", "cut off", "no image", "of another size"):
        FAULTS[fault][0](images[4])
        after = list(batches)
        for (x0, y0, w0), (x1, y1, w1) in zip(before, after, strict=True):
            left = np.arange(3) != 1
            np.testing.assert_array_equal(x0.numpy()[left], x1.numpy()[left])
            for name in w0:
                assert not w1[name].numpy()[1].any(), name
                for old, new in ((w0, w1), (y0, y1)):
                    kept = (old[name].numpy()[left], new[name].numpy()[left])
                    np.testing.assert_array_equal(*kept)
        images[4].write_bytes(whole)
    told = [r.getMessage() for r in caplog.records if "left out, as" in r.getMessage()]
    assert len(told) == 2  # once for each
    assert any(f"{images[4]}: No such file" in message for message in told)
    assert list(batches)[1][2]["kind"].numpy().tolist() == [1, 1, 1]  # it is back


def test_batches_stay_those_of_their_step(tmp_path):
    records, images, _ = inspected(tmp_path, "skip")
    source = p5.data.from_records(records, "train", (16, 16), cache="none")
    images[2].unlink()
    first = list(p5.data.training(source, tasks(), 2, seed=5).take(6))
    later = list(p5.data.training(source, tasks(), 2, seed=5, start=3).take(3))
    for (x, y, w), (x2, y2, w2) in zip(first[3:], later, strict=True):
        np.testing.assert_array_equal(x, x2)
        for name in y:
            np.testing.assert_array_equal(y[name], y2[name])
            np.testing.assert_array_equal(w[name], w2[name])
    assert sum(float(w["kind"].numpy().sum()) for _, _, w in first[:3]) == 5


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_what_changed_before_it_is_read_at_all(tmp_path, cache):
    records, images, _ = inspected(tmp_path)
    given = {"cache": cache, "cache_dir": tmp_path / "cache", "image_size": (24, 32)}
    images[3].unlink()
    with pytest.raises(ValueError, match=r"3\.png: No such file.*was whole when"):
        p5.data.from_records(records, "train", **given)
    records.problems.on_bad_example = "skip"
    source = p5.data.from_records(records, "train", **given)
    assert source.size == 5 and records.problems.dropped[0][0] == str(images[3])


def test_a_file_that_is_written_anew_with_the_same_size_is_read(tmp_path):
    records, images, _ = inspected(tmp_path)
    source = p5.data.from_records(records, "train", (24, 32), cache="none")
    Image.fromarray(noise(77)).save(images[0])
    batch = next(iter(p5.data.evaluation(source, tasks(), 1)))
    np.testing.assert_array_equal(batch[0].numpy()[0], noise(77))


def test_other_errors_pass_by(tmp_path):
    inspected(tmp_path)
    error = tf.errors.InternalError(None, None, "something else")
    with pytest.raises(tf.errors.InternalError, match="something"), named_faults():
        raise error
