import numpy as np
import pytest

from p5_keras.metrics.detection import CocoEvaluator, image_average_precision

NOTHING = [0, 0, 0, 0, -1]
A, B, FAR = [10, 10, 30, 30], [50, 50, 80, 90], [200, 200, 220, 220]


def labels(*images, room=3):
    return np.array(
        [[*image, *[NOTHING] * (room - len(image))] for image in images], "float32"
    )


def fields(*images, room=4):
    """Rows of box, class and score."""
    rows = np.zeros((len(images), room, 6), "float32")
    rows[..., 4] = -1
    for i, image in enumerate(images):
        for j, row in enumerate(image):
            rows[i, j] = row
    return {
        "boxes": rows[..., :4],
        "classes": rows[..., 4].astype("int32"),
        "scores": rows[..., 5],
        "count": (rows[..., 4] >= 0).sum(-1),
    }


def result(label, found, weight=None, classes=2):
    evaluator = CocoEvaluator(classes)
    weight = np.ones(len(label)) if weight is None else np.array(weight)
    evaluator.update(label, weight, found)
    return evaluator.result()


def test_perfect():
    label = labels([[*A, 0], [*B, 1]], [])
    found = fields([[*A, 0, 0.9], [*B, 1, 0.2]], [])
    assert result(label, found) == pytest.approx({"map": 1, "map50": 1, "recall": 1})


def test_half_of_the_objects():
    # Recall 0 to .5 at precision 1: 51 of COCO's 101 points.
    label = labels([[*A, 0], [*B, 0]])
    values = result(label, fields([[*A, 0, 0.9]]))
    expected = {"map": 51 / 101, "map50": 51 / 101, "recall": 0.5}
    assert values == pytest.approx(expected)


def test_one_class_of_two_and_one_without_objects():
    label = labels([[*A, 0], [*B, 1]])
    values = result(label, fields([[*A, 0, 0.9], [*FAR, 2, 0.9]]), classes=3)
    assert values == pytest.approx({"map": 0.5, "map50": 0.5, "recall": 0.5})


def test_a_better_false_detection_halves_precision():
    values = result(labels([[*A, 0]]), fields([[*FAR, 0, 0.9], [*A, 0, 0.8]]))
    assert values == pytest.approx({"map": 0.5, "map50": 0.5, "recall": 1})


def test_a_loose_box_counts_at_low_iou_only():
    # IoU 16 / 20 = .8: right at .5, .55, …, .8, seven of the ten.
    loose = [10, 10, 26, 30]
    values = result(labels([[*A, 0]]), fields([[*loose, 0, 0.9]]))
    assert values == pytest.approx({"map": 0.7, "map50": 1, "recall": 1})


def test_wrong_class_and_no_detection():
    label, zero = labels([[*A, 0]]), {"map": 0, "map50": 0, "recall": 0}
    assert result(label, fields([[*A, 1, 0.9]])) == zero
    assert result(label, fields([])) == zero


def test_images_in_batches_and_weight_zero():
    evaluator = CocoEvaluator(1)
    evaluator.update(labels([[*A, 0]]), np.ones(1), fields([[*A, 0, 0.9]]))
    evaluator.update(
        labels([[*A, 0]], [[*B, 0]]),
        np.array([0.0, 1.0]),
        fields([[*FAR, 0, 1.0]], [[*B, 0, 0.8]]),
    )
    assert evaluator.result()["map"] == pytest.approx(1)
    assert evaluator.images == 2


def test_nothing_to_measure():
    evaluator = CocoEvaluator(1)
    assert set(evaluator.result().values()) == {None}
    assert evaluator.reason == "no labels"
    evaluator.update(labels([]), np.ones(1), fields([[*A, 0, 0.9]]))
    assert evaluator.result() == {"map": None, "map50": None, "recall": None}
    assert evaluator.reason == "no labelled image holds an object"
    evaluator.update(labels([[*A, 0]]), np.ones(1), fields([[*A, 0, 0.95]]))
    assert evaluator.result()["map50"] == pytest.approx(1)
    assert evaluator.reason is None


def test_it_is_quiet(capfd, caplog):
    result(labels([[*A, 0]]), fields([[*A, 0, 0.9]]))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_missing_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faster_coco_eval", None)
    with pytest.raises(ImportError, match="pip install faster-coco-eval"):
        result(labels([[*A, 0]]), fields([[*A, 0, 0.9]]))


def test_agrees_with_coco_on_single_images():
    rng = np.random.default_rng(0)
    for _ in range(20):
        low = rng.uniform(0, 60, (3, 2))
        truth = np.concatenate([low, low + rng.uniform(8, 30, (3, 2))], -1)
        boxes = np.concatenate([truth, truth[:1]]) + rng.uniform(-3, 3, (4, 4))
        scores = rng.uniform(0.1, 1, (4, 1))
        label = labels(np.column_stack([truth, np.zeros(3)]))
        found = fields(np.column_stack([boxes, np.zeros(4), scores]))
        coco = result(label, found, classes=1)["map50"]
        # COCO reads the curve at 101 points.
        assert image_average_precision(label, found)[0] == pytest.approx(coco, abs=0.01)


def test_image_average_precision():
    label = labels([[*A, 0], [*B, 1]], [[*A, 0]], [[*A, 0], [*B, 1]], [], [])
    found = fields(
        [[*A, 0, 0.5], [*B, 1, 0.9]],
        [[*FAR, 0, 0.9], [*A, 0, 0.5]],
        [[*A, 0, 0.9], [*A, 0, 0.8], [*B, 0, 0.7]],
        [[*A, 0, 0.4]],
        [[*A, 0, 0.6]],
    )
    scores = image_average_precision(label, found)
    np.testing.assert_allclose(scores, [1, 0.5, 0.5, 1, 0])
