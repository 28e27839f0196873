import keras
import numpy as np
import pytest
import tensorflow as tf

from p5_keras import losses


class Squared(losses.MeanLoss):
    """The squared error of every element."""

    def elements(self, y_true, y_pred):
        error = keras.ops.square(keras.ops.cast(y_true, y_pred.dtype) - y_pred)
        return error, keras.ops.ones_like(error)


class Doubled(keras.losses.Loss):
    """Someone's own loss."""

    def call(self, y_true, y_pred):
        return 2 * keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)


def floats(*values):
    return np.array(values, "float32")


def test_mean_is_over_labelled_elements():
    # (1 + 4 + 16) / 3: the element without a label is in neither sum.
    loss = Squared()(floats(1, 2, np.nan, 4), floats(0, 0, 0, 0))
    assert float(loss) == pytest.approx(7)


def test_negative_integers_are_missing():
    loss = Squared()(np.array([1, -1, 3]), floats(0, 100, 0))
    assert float(loss) == pytest.approx(5)


def test_weights_are_in_both_sums():
    # (1 * 1 + 3 * 4) / (1 + 3).
    loss = Squared()(floats(1, 2, 9), floats(0, 0, 0), floats(1, 3, 0))
    assert float(loss) == pytest.approx(3.25)


def test_terms_are_numerator_and_denominator():
    terms = Squared().terms(floats(1, 2, np.nan), floats(0, 0, 0), floats(2, 0.5, 1))
    assert [float(t) for t in terms] == [4.0, 2.5]


@pytest.mark.parametrize(
    "weight", [[1, 0], [[1], [0]], [[[1, 1], [1, 1]], [[0, 0], [0, 0]]]]
)
def test_weights_of_examples_and_of_pixels(weight):
    maps = floats([[1, 2], [3, 4]], [[9, 9], [9, 9]])
    loss = Squared()(maps, np.zeros_like(maps), np.array(weight))
    assert float(loss) == pytest.approx((1 + 4 + 9 + 16) / 4)


def test_a_column_of_weights_for_a_vector_of_losses():
    loss = Squared()(floats(1, 9), floats(0, 0), floats([1], [0]))
    assert float(loss) == pytest.approx(1)


def test_no_label_is_no_loss_and_no_gradient():
    y_pred = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        loss = Squared()(floats(np.nan, 5), y_pred, floats(1, 0))
    assert float(loss) == 0
    np.testing.assert_array_equal(tape.gradient(loss, y_pred), [0, 0])


@pytest.mark.parametrize("label", [np.inf, -np.inf, np.nan, 1e30])
def test_a_label_of_weight_zero_may_be_anything(label):
    y_pred = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        loss = Squared()(floats(label, 5), y_pred, floats(0, 1))
    assert float(loss) == pytest.approx(9)
    np.testing.assert_allclose(tape.gradient(loss, y_pred), [0, -6])


def test_vectors_with_a_gap_are_missing_where_a_loss_needs_them_whole():
    labels = floats([1, 3], [2, np.nan])
    # Keras' loss takes the mean over the vector, so the second has no value.
    whole = losses.get("mse")(labels, np.zeros((2, 2)))
    # (1 + 9) / 2 and, element by element, (1 + 9 + 4) / 3.
    assert float(whole) == pytest.approx(5)
    assert float(Squared()(labels, np.zeros((2, 2)))) == pytest.approx(14 / 3)


def test_labels_in_double_precision():
    terms = Squared().terms(np.array([1.0, np.nan]), floats(0, 0))
    assert [float(t) for t in terms] == [1, 1]
    assert keras.backend.standardize_dtype(terms[0].dtype) == "float32"


def test_half_precision_outputs_are_summed_in_float32():
    output = keras.ops.cast(np.zeros(3000), "bfloat16")
    terms = Squared().terms(np.ones(3000, "float32"), output)
    assert [keras.backend.standardize_dtype(t.dtype) for t in terms] == ["float32"] * 2
    assert [float(t) for t in terms] == [3000, 3000]


def test_the_parts_of_two_replicas_add_up_to_the_mean(two_replicas):
    labels = [floats(1, 2, 3), floats(np.nan, 4, np.nan)]
    none = [floats(1, 2, 3), floats(np.nan, np.nan, np.nan)]
    for parts, mean in ((labels, (1 + 4 + 9 + 16) / 4), (none, 14 / 3)):
        values = two_replicas.experimental_distribute_values_from_function(
            lambda context, parts=parts: parts[context.replica_id_in_sync_group]
        )
        found = two_replicas.run(lambda y: Squared()(y, keras.ops.zeros(3)), (values,))
        shares = [float(v) for v in two_replicas.experimental_local_results(found)]
        assert sum(shares) == pytest.approx(mean)
        assert shares[0] != shares[1]


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("mse", 5 / 2),
        ("mean_absolute_error", 3 / 2),
        (keras.losses.mean_squared_error, 5 / 2),
        (keras.losses.MeanSquaredError(), 5 / 2),
        (keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"), 5 / 2),
        (keras.losses.Huber(delta=1.5), (0.5 + 1.5 * (2 - 0.75)) / 2),
        (Doubled(), 3),
        (lambda t, p: keras.ops.mean(t - p, axis=-1), 3 / 2),
    ],
    ids=["name", "long name", "function", "object", "mean", "options", "own", "lambda"],
)
def test_any_keras_loss_becomes_a_mean_over_labels(loss, expected):
    labels, outputs = floats([1], [2], [np.nan], [7]), np.zeros((4, 1), "float32")
    loss = losses.get(loss)
    assert isinstance(loss, losses.MeanLoss)
    assert float(loss(labels, outputs, floats(1, 1, 1, 0))) == pytest.approx(expected)


def test_integer_labels_of_a_keras_loss():
    loss = losses.get(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    logits = np.log(floats([1, 3], [1, 3], [1, 3]))
    # p = 1/4 and 3/4; the last has no label.
    expected = (np.log(4) + np.log(4 / 3)) / 2
    assert float(loss(np.array([0, 1, -1]), logits)) == pytest.approx(expected)


def test_a_loss_of_this_package_stays_itself():
    loss = Squared()
    assert losses.get(loss) is loss


@pytest.mark.parametrize("reduction", ["sum", "none", None])
def test_a_keras_loss_without_a_mean_is_refused(reduction):
    loss = keras.losses.MeanSquaredError(reduction=reduction)
    with pytest.raises(
        ValueError, match=r"must have a mean for its reduction.*squared"
    ):
        losses.get(loss)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="mean_sqared"):
        losses.get("mean_sqared")


MAPS = np.abs(np.random.default_rng(0).normal(size=(2, 3, 4, 2))).astype("float32")
CLASSES = np.array([[[0, 1, 1, -1]] * 3] * 2)


@pytest.mark.parametrize(
    ("loss", "labels", "outputs"),
    [
        (losses.SoftmaxCrossEntropy(0.1, [1.0, 2.0], 1.5), CLASSES, MAPS),
        (losses.SigmoidCrossEntropy(0.1, [1.0, 2.0], 1.5), MAPS > 0.7, MAPS),
        (losses.ScaledRegression("huber", [1.0, 2.0], [3.0, 4.0]), MAPS, -MAPS),
        (losses.LogError(0.3), MAPS, -MAPS),
        (losses.SILog(0.7, 0.3), MAPS, -MAPS),
        (losses.Dice(0.5), CLASSES, MAPS),
        (losses.get("mae"), MAPS, -MAPS),
        (losses.get(keras.losses.BinaryCrossentropy(True, 0.2)), MAPS > 0.7, MAPS),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, keras.losses.Loss) else "",
)
def test_config_round_trip(loss, labels, outputs):
    config = keras.saving.serialize_keras_object(loss)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(loss)
    assert copy.get_config() == loss.get_config()
    value = float(loss(labels.astype("float32"), outputs))
    assert value > 0
    assert float(copy(labels.astype("float32"), outputs)) == value
