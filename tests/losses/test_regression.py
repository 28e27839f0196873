import numpy as np
import pytest
import tensorflow as tf

from p5_keras.losses import LogError, ScaledRegression, SILog

NAN = np.nan


def maps(*images):
    """Label maps of one row, `(batch, 1, width)`."""
    return np.array(images, "float32")[:, None]


def zeros(like):
    return np.zeros((*like.shape, 1), "float32")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("mse", (1.5**2 + 0.25**2) / 2),
        ("mae", (1.5 + 0.25) / 2),
        ("huber", (1.0 + 0.25**2 / 2) / 2),
    ],
)
def test_scaled_by_hand(shape, expected):
    # (14 - 10) / 2 - 0.5 = 1.5 and (11 - 10) / 2 - 0.25 = 0.25.
    loss = ScaledRegression(shape, mean=10.0, std=2.0)
    labels, outputs = np.array([14.0, 11.0], "float32"), np.array([[0.5], [0.25]])
    assert float(loss(labels, outputs)) == pytest.approx(expected)


def test_scaled_vectors_have_their_own_scales_and_gaps():
    loss = ScaledRegression("mae", mean=[0.0, 100.0], std=[1.0, 50.0])
    labels = np.array([[2, 200], [NAN, 0], [NAN, NAN]], "float32")
    # 2, 2 and 2 standard deviations: what is missing is not in the mean.
    assert float(loss(labels, np.zeros((3, 2)))) == pytest.approx(2)
    assert float(loss(labels, np.zeros((3, 2)), np.array([1, 0, 1]))) == pytest.approx(
        2
    )
    outputs = np.array([[0, 0], [0, 1], [0, 0]])
    assert float(loss(labels, outputs)) == pytest.approx((2 + 2 + 3) / 3)


def test_scaled_refuses_an_unknown_shape():
    with pytest.raises(ValueError, match=r"`shape` must be one of.*shape='l2'"):
        ScaledRegression("l2")


def test_log_error_by_hand():
    labels = maps([np.exp(2.0), np.exp(-1.0)])
    outputs = np.array([1.0, 0.0]).reshape((1, 1, 2, 1))
    # |2 - 0.5 - 1| and |-1 - 0.5 - 0|.
    assert float(LogError(offset=0.5)(labels, outputs)) == pytest.approx(
        (0.5 + 1.5) / 2
    )


@pytest.mark.parametrize("loss", [LogError(), SILog(balance=0.0)])
@pytest.mark.parametrize("missing", [NAN, 0.0, -3.0])
def test_pixels_without_a_value_change_nothing(loss, missing):
    labels = maps([np.exp(1.0), missing, missing], [missing, missing, missing])
    outputs = tf.Variable(zeros(labels))
    with tf.GradientTape() as tape:
        value = loss(labels, outputs)
    assert float(value) == pytest.approx(1)
    gradient = np.squeeze(tape.gradient(value, outputs))
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient != 0, [[1, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize(("balance", "expected"), [(0, 2.5), (0.5, 1.375), (1, 0.25)])
def test_silog_by_hand(balance, expected):
    # d = 1 and 2: mean(d²) = 2.5, mean(d)² = 2.25.
    labels = maps([np.exp(1.0), np.exp(2.0)])
    value = SILog(balance=balance)(labels, zeros(labels))
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_silog_is_a_mean_over_images_with_a_value():
    # Images of d = (1, 2), d = (3) and none at all.
    e = np.exp
    labels = maps([e(1.0), e(2.0)], [NAN, e(3.0)], [NAN, NAN])
    loss = SILog(balance=0.5)
    value = loss(labels, zeros(labels))
    assert float(value) == pytest.approx((1.375 + 4.5) / 2, rel=1e-5)
    value = loss(labels, zeros(labels), np.array([3.0, 1.0, 5.0]))
    assert float(value) == pytest.approx((3 * 1.375 + 4.5) / 4, rel=1e-5)


def test_silog_of_full_balance_ignores_scale():
    labels = maps([1.0, 2.0, 5.0])
    values = [float(SILog(1.0)(k * labels, zeros(labels))) for k in (1, 7)]
    assert values[0] == pytest.approx(values[1], rel=1e-4)
    assert values[0] > 0.1


def test_silog_offset_moves_the_output():
    labels = maps([np.exp(1.0), np.exp(2.0)])
    value = SILog(balance=0.0, offset=1.0)(labels, zeros(labels))
    assert float(value) == pytest.approx((0 + 1) / 2, abs=1e-6)
