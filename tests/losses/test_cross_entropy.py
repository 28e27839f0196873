import numpy as np
import pytest
import tensorflow as tf

from p5_keras.losses import SigmoidCrossEntropy, SoftmaxCrossEntropy

# Logits of the probabilities 1/4 and 3/4; a right answer costs RIGHT, a wrong WRONG.
LOGITS = np.array([0.0, np.log(3)], "float32")
RIGHT, WRONG = np.log(4 / 3), np.log(4)


def rows(count):
    return np.tile(LOGITS, (count, 1))


def test_softmax_by_hand():
    loss = SoftmaxCrossEntropy()(np.array([0, 1, 1]), rows(3))
    assert float(loss) == pytest.approx((WRONG + 2 * RIGHT) / 3)


def test_softmax_of_three_classes():
    logits = np.log(np.array([[0.5, 0.3, 0.2]], "float32")) + 7
    assert float(SoftmaxCrossEntropy()(np.array([2]), logits)) == pytest.approx(
        -np.log(0.2), rel=1e-5
    )


def test_softmax_class_weights_make_a_weighted_mean():
    loss = SoftmaxCrossEntropy(class_weights=[1.0, 3.0])
    value = loss(np.array([0, 1, 1]), rows(3), np.array([1.0, 1.0, 0.5]))
    expected = (1 * WRONG + 3 * RIGHT + 1.5 * RIGHT) / (1 + 3 + 1.5)
    assert float(value) == pytest.approx(expected)


def test_softmax_smoothing_spreads_the_target():
    loss = SoftmaxCrossEntropy(label_smoothing=0.2)(np.array([1]), rows(1))
    assert float(loss) == pytest.approx(0.9 * RIGHT + 0.1 * WRONG)


def test_softmax_focusing_weighs_by_the_doubt():
    loss = SoftmaxCrossEntropy(gamma=2.0)(np.array([1, 0]), rows(2))
    expected = (0.25**2 * RIGHT + 0.75**2 * WRONG) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_softmax_of_pixels_leaves_ignored_ones_out():
    labels = np.array([[[0, -1]], [[1, 1]], [[-1, -1]]])
    loss = SoftmaxCrossEntropy()(labels, np.tile(LOGITS, (3, 1, 2, 1)))
    assert float(loss) == pytest.approx((WRONG + 2 * RIGHT) / 3)


def test_softmax_weights_of_images_reach_their_pixels():
    labels = np.array([[[0, 0]], [[1, -1]]])
    loss = SoftmaxCrossEntropy()
    value = loss(labels, np.tile(LOGITS, (2, 1, 2, 1)), np.array([1.0, 3.0]))
    assert float(value) == pytest.approx((2 * WRONG + 3 * RIGHT) / 5)


def test_softmax_takes_a_column_of_labels():
    loss = SoftmaxCrossEntropy()(np.array([[0], [1]]), rows(2))
    assert float(loss) == pytest.approx((WRONG + RIGHT) / 2)


def test_softmax_of_probabilities_by_hand():
    labels = np.array([[0.25, 0.75], [1.0, 0.0]], "float32")
    loss = SoftmaxCrossEntropy(class_weights=[1.0, 3.0])(labels, rows(2))
    expected = (0.25 * WRONG + 0.75 * 3 * RIGHT + WRONG) / (0.25 + 0.75 * 3 + 1)
    assert float(loss) == pytest.approx(expected)
    missing = np.array([1.0, 0.0])
    loss = SoftmaxCrossEntropy()(labels, rows(2), missing)
    assert float(loss) == pytest.approx(0.25 * WRONG + 0.75 * RIGHT)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("class_weights", [None, [1.0, 0.0, 5.0]])
def test_softmax_of_probabilities_is_the_mean_of_the_classes(
    smoothing, gamma, class_weights
):
    loss = SoftmaxCrossEntropy(smoothing, class_weights, gamma)
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 3)).astype("float32")
    one, two = rng.integers(0, 3, (2, 6))
    share = rng.uniform(size=6).astype("float32")
    eye = np.eye(3, dtype="float32")
    # The same terms as of two sets of labels, weighted.
    soft = loss.terms(
        share[:, None] * eye[one] + (1 - share[:, None]) * eye[two], logits
    )
    parts = [loss.terms(one, logits, share), loss.terms(two, logits, 1 - share)]
    np.testing.assert_allclose(soft, np.sum(parts, axis=0), rtol=1e-5)


def test_softmax_refuses_full_smoothing():
    with pytest.raises(ValueError, match=r"`label_smoothing`.*label_smoothing=1"):
        SoftmaxCrossEntropy(label_smoothing=1)


def test_sigmoid_by_hand():
    labels = np.array([[0, 1], [1, 1]], "float32")
    logits = np.full((2, 2), np.log(3), "float32")
    loss = SigmoidCrossEntropy()(labels, logits)
    assert float(loss) == pytest.approx((WRONG + 3 * RIGHT) / 4)


@pytest.mark.parametrize("missing", [np.nan, -1])
def test_sigmoid_drops_missing_labels_one_by_one(missing):
    kind = "float32" if np.isnan(missing) else "int32"
    labels = np.array([[0, missing], [1, 1]], kind)
    loss = SigmoidCrossEntropy()(labels, np.full((2, 2), np.log(3), "float32"))
    assert float(loss) == pytest.approx((WRONG + 2 * RIGHT) / 3)


def test_sigmoid_positive_weights():
    loss = SigmoidCrossEntropy(positive_weights=[2.0, 5.0])
    labels = np.array([[1, 0], [0, 1]], "float32")
    value = loss(labels, np.full((2, 2), np.log(3), "float32"))
    expected = (2 * RIGHT + WRONG + WRONG + 5 * RIGHT) / (2 + 1 + 1 + 5)
    assert float(value) == pytest.approx(expected)


def test_sigmoid_smoothing_moves_the_target_to_one_half():
    loss = SigmoidCrossEntropy(label_smoothing=0.2)
    value = loss(np.array([[1.0]]), np.full((1, 1), np.log(3), "float32"))
    assert float(value) == pytest.approx(0.9 * RIGHT + 0.1 * WRONG)


def test_sigmoid_focusing():
    logits = np.full((1, 2), np.log(3), "float32")
    value = SigmoidCrossEntropy(gamma=2.0)(np.array([[1.0, 0.0]]), logits)
    expected = (0.25**2 * RIGHT + 0.75**2 * WRONG) / 2
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_sigmoid_takes_labels_without_the_last_axis():
    logits = np.full((2, 1), np.log(3), "float32")
    loss = SigmoidCrossEntropy()(np.array([0.0, 1.0]), logits)
    assert float(loss) == pytest.approx((WRONG + RIGHT) / 2)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("size", [20.0, 1000.0])
def test_sure_outputs_have_finite_losses_and_gradients(gamma, size):
    for loss, labels, logits in (
        (SoftmaxCrossEntropy(gamma=gamma), [0, 1], [[size, -size]] * 2),
        (SigmoidCrossEntropy(gamma=gamma), [[1.0], [0.0]], [[size]] * 2),
    ):
        logits = tf.Variable(logits)
        with tf.GradientTape() as tape:
            value = loss(np.array(labels), logits)
        # One is right and costs nothing, the other is wrong by the whole distance.
        wrong = 2 * size if isinstance(loss, SoftmaxCrossEntropy) else size
        assert float(value) == pytest.approx(wrong / 2, rel=1e-4)
        gradient = tape.gradient(value, logits).numpy()
        assert np.isfinite(gradient).all()
        assert np.abs(gradient[0]).max() < 1e-3 < np.abs(gradient[1]).max()
