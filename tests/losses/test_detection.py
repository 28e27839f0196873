import keras
import numpy as np
import pytest
import tensorflow as tf

from p5_keras.losses.detection import DetectionLoss, focal, giou
from p5_keras.tasks.anchors import Anchors


@pytest.fixture
def anchors():
    """Two 16 px anchors side by side on a 16x32 image, and one 32 px anchor."""
    return Anchors([[16, 1, 2], [32, 1, 1]], [1.0], [1.0], 1.0)


def label(*boxes, room=4):
    rows = np.zeros((1, room, 5), "float32")
    rows[..., 4] = -1
    rows[0, : len(boxes)] = np.reshape(boxes, (-1, 5))
    return rows


def output(logits, deltas=0.0):
    logits = np.array(logits, "float32")[None]
    return np.concatenate([np.full((1, len(logits[0]), 4), deltas), logits], -1).astype(
        "float32"
    )


def bce(logit, positive):
    p = 1 / (1 + np.exp(-logit))
    if positive:
        return -0.25 * (1 - p) ** 2 * np.log(p)
    return -0.75 * p**2 * np.log(1 - p)


def test_giou_by_hand():
    square = [0.0, 0.0, 2.0, 2.0]
    others = np.array(
        [square, [1, 0, 3, 2], [4, 0, 6, 2], [1, 1, 3, 3]], dtype="float32"
    )
    # 1; IoU 1/3 in a hull without a gap; apart, 4 of 12 px empty; IoU 1/7, 2 of 9.
    expected = [1, 1 / 3, -4 / 12, 1 / 7 - 2 / 9]
    squares = np.array([square] * 4, "float32")
    np.testing.assert_allclose(giou(squares, others), expected, 1e-6)


def test_focal_by_hand():
    logits = np.array([-1.0, 0.0, 2.0, 2.0], "float32")
    positive = np.array([False, True, True, False])
    expected = [bce(z, t) for z, t in zip(logits, positive, strict=True)]
    np.testing.assert_allclose(focal(logits, positive), expected, 1e-5)


def test_focal_without_focusing_is_cross_entropy():
    logits = np.array([-3.0, 0.5], "float32")
    truth = np.array([1.0, 0.0], "float32")
    expected = keras.ops.binary_crossentropy(truth, logits, from_logits=True) / 2
    np.testing.assert_allclose(focal(logits, truth > 0, 0.5, 0.0), expected, 1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_gradient_is_finite_for_any_logit(gamma):
    logits = tf.constant([-1e4, -90.0, 0.0, 90.0, 1e4])
    for positive in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = focal(logits, tf.fill([5], positive), gamma=gamma)
        assert np.isfinite(tape.gradient(value, logits)).all()


def test_loss_by_hand(anchors):
    # The object is the first anchor, moved by 4 px: IoU 12 / 20, GIoU the same.
    # Against the 32 px anchor, [0, 0] to [32, 32], IoU is 1/4: background.
    y = label([4, 0, 20, 16, 1])
    z = np.array([[0.5, -0.5], [1.0, -1.0], [-2.0, 0.0]])
    losses, weights = DetectionLoss(anchors).elements(y, output(z))
    expected = bce(0.5, False) + bce(-0.5, True) + bce(1, False) + bce(-1, False)
    expected += bce(-2, False) + bce(0, False) + (1 - 12 / 20)
    np.testing.assert_allclose(losses, [expected], 1e-5)
    np.testing.assert_array_equal(weights, [1])


def test_an_anchor_between_the_thresholds_is_ignored(anchors):
    # IoU .61 with the first, .13 with the second, 420 / 1024 = .41 with the large one.
    y = label([0, 0, 21, 20, 0])
    _, positive, negative = anchors.match(y[..., :4])
    np.testing.assert_array_equal(positive, [[True, False, False]])
    np.testing.assert_array_equal(negative, [[False, True, False]])
    quiet, loud = (output([[0.0], [0.0], [z]]) for z in (0.0, 5.0))
    loss = DetectionLoss(anchors)
    np.testing.assert_allclose(loss(y, quiet), loss(y, loud))


def test_matching_by_hand(anchors):
    boxes = np.array([[[16, 0, 32, 16], [1, 1, 3, 3], [0, 0, 0, 0]]], "float32")
    index, positive, negative = anchors.match(boxes)
    # The small box lies in the first anchor, far below IoU .5: it claims it.
    np.testing.assert_array_equal(positive, [[True, True, False]])
    np.testing.assert_array_equal(index[0, :2], [1, 0])
    np.testing.assert_array_equal(negative, [[False, False, True]])


@pytest.mark.parametrize("box_loss", ["giou", "ciou", "huber"])
def test_perfect_output_has_no_loss(anchors, box_loss):
    y = label([4, 1, 20, 15, 1], [16, 0, 30, 14, 0])
    index, positive, _ = (np.array(x) for x in anchors.match(y[..., :4]))
    truth = y[0][index[0]]
    deltas = np.array(anchors.encode(truth[:, :4]))
    logits = np.full((3, 2), -30.0)
    logits[positive[0], truth[positive[0], 4].astype(int)] = 30.0
    perfect = np.concatenate([deltas, logits], -1)[None].astype("float32")
    loss = DetectionLoss(anchors, box_loss=box_loss)
    assert float(loss(y, perfect)) < 1e-5
    assert float(loss(y, perfect + 0.3)) > 0.01


@pytest.mark.parametrize("box_loss", ["giou", "ciou", "huber"])
def test_padding_changes_nothing(anchors, box_loss):
    loss = DetectionLoss(anchors, box_loss=box_loss)
    z = output([[0.3], [-1.0], [0.1]], 0.1)
    box = [3, 2, 15, 14, 0]
    values = [float(loss(label(box, room=n), z)) for n in (1, 2, 9)]
    assert values[0] == pytest.approx(values[1]) == pytest.approx(values[2])


def test_mean_is_the_total_over_all_positive_anchors(anchors):
    y = np.concatenate([label([0, 0, 16, 16, 0], [16, 0, 32, 16, 0]), label()])
    z = np.concatenate([output([[1.0]] * 3), output([[0.5]] * 3)])
    loss = DetectionLoss(anchors)
    losses, weights = loss.elements(y, z)
    np.testing.assert_array_equal(weights, [2, 1])
    np.testing.assert_allclose(losses[1], 3 * bce(0.5, False), 1e-5)
    expected = (2 * losses[0] + losses[1]) / 3
    np.testing.assert_allclose(loss(y, z), expected, 1e-6)


def test_weight_zero_drops_an_image(anchors):
    y = np.concatenate([label([0, 0, 16, 16, 0]), label([5, 5, 9, 9, 0])])
    z = np.concatenate([output([[1.0]] * 3), np.full((1, 3, 5), np.inf, "float32")])
    loss = DetectionLoss(anchors)
    alone = loss(y[:1], z[:1])
    np.testing.assert_allclose(loss(y, z, np.array([1.0, 0.0])), alone, 1e-6)
    assert float(loss(y[:1], z[:1], np.array([0.0]))) == 0


@pytest.mark.parametrize("box_loss", ["giou", "ciou", "huber"])
def test_xla_gives_the_same_and_gradients_are_finite(box_loss):
    anchors = Anchors([[4, 6, 6], [8, 3, 3]], [1.0, 1.5], [0.5, 1.0, 2.0], 2.0)
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 16, (3, 4, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 8, (3, 4, 2))], -1)
    y = np.concatenate([boxes, rng.integers(0, 3, (3, 4, 1))], -1).astype("float32")
    y[0, 2:] = y[1] = [0, 0, 0, 0, -1]
    # Deltas of any size, even where no object is.
    z = rng.normal(0, 10, (3, len(anchors.boxes), 7)).astype("float32")
    z[1] *= 1e3
    loss = DetectionLoss(anchors, box_loss=box_loss)

    def step(y, z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = loss(y, z)
        return value, tape.gradient(value, z)

    y, z = tf.constant(y), tf.constant(z)
    plain = tf.function(step)(y, z)
    compiled = tf.function(step, jit_compile=True)(y, z)
    for a, b in zip(plain, compiled, strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert not np.array(plain[1])[1, :, :4].any()


def test_config_round_trip(anchors):
    loss = DetectionLoss(anchors, "ciou", 2.0, 0.3, 1.5)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(loss)
    )
    y, z = label([4, 1, 20, 15, 0]), output([[0.3], [0.1], [-1.0]], 0.1)
    assert float(again(y, z)) == float(loss(y, z))
    assert again.get_config() == loss.get_config()


def test_unknown_box_loss(anchors):
    with pytest.raises(ValueError, match=r"`box_loss` must be one of .*'l1'"):
        DetectionLoss(anchors, box_loss="l1")
