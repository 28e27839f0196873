import itertools

import numpy as np
import pytest
import tensorflow as tf

from p5_keras.losses import CTC, SequenceCrossEntropy

RNG = np.random.default_rng(0)


def spelled(path, blank):
    return tuple(s for s, _ in itertools.groupby(path) if s != blank)


def over_all_paths(label, logits):
    """The negative log-likelihood of a label, path by path."""
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    steps, classes = p.shape
    likelihood = sum(
        np.prod(p[np.arange(steps), path])
        for path in itertools.product(range(classes), repeat=steps)
        if spelled(path, classes - 1) == tuple(label)
    )
    return -np.log(likelihood)


def value_and_gradient(loss, label, logits, weight=None, jit=False):
    @tf.function(jit_compile=jit)
    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(tf.constant(label), x, weight)
        return value, tape.gradient(value, x)

    return [x.numpy() for x in both(tf.constant(logits, tf.float32))]


def test_ctc_is_the_likelihood_of_all_paths():
    label = np.array([[0, 1, -1], [1, 1, -1], [0, -1, -1], [-1, -1, -1]])
    logits = RNG.normal(size=(4, 5, 3))
    parts = [
        over_all_paths([s for s in own if s >= 0], x)
        for own, x in zip(label, logits, strict=True)
    ]
    # The last has no label.
    value, gradient = value_and_gradient(CTC(), label, logits)
    assert value == pytest.approx(np.sum(parts[:3]) / 5, rel=1e-5)
    assert not gradient[3].any() and gradient[:3].any(axis=(1, 2)).all()
    weight = tf.constant([1.0, 0.0, 0.5, 1.0])
    value, _ = value_and_gradient(CTC(), label, logits, weight)
    assert value == pytest.approx((parts[0] + parts[2] / 2) / 2.5, rel=1e-5)


@pytest.mark.parametrize("loss", [CTC(), SequenceCrossEntropy(0.1)])
def test_xla_compiles_it_and_its_gradient(loss):
    label = np.array([[0, 1, -1, -1], [1, 1, 0, 1], [-1, -1, -1, -1]])
    logits = RNG.normal(size=(3, 4, 3))
    plain = value_and_gradient(loss, label, logits)
    compiled = value_and_gradient(loss, label, logits, jit=True)
    np.testing.assert_allclose(compiled[0], plain[0], rtol=1e-5)
    np.testing.assert_allclose(compiled[1], plain[1], atol=1e-5)


def test_a_label_without_room_has_a_finite_loss():
    # Two equal symbols need three steps.
    value, gradient = value_and_gradient(CTC(), [[0, 0]], RNG.normal(size=(1, 2, 3)))
    assert 100 < value < 1e4 and np.isfinite(gradient).all()


def test_cross_entropy_counts_up_to_the_stop():
    label = np.array([[1, -1, -1], [0, 1, 0], [-1, -1, -1]])
    logits = RNG.normal(size=(3, 3, 3))
    minus_log_p = np.log(np.exp(logits).sum(-1, keepdims=True)) - logits
    parts = [
        minus_log_p[0, 0, 1],
        minus_log_p[0, 1, 2],
        *minus_log_p[1, [0, 1, 2], [0, 1, 0]],
    ]
    value, gradient = value_and_gradient(SequenceCrossEntropy(), label, logits)
    assert value == pytest.approx(np.mean(parts), rel=1e-5)
    assert not gradient[0, 2].any() and not gradient[2].any()
    smooth, _ = value_and_gradient(SequenceCrossEntropy(0.3), label, logits)
    even = np.concatenate([minus_log_p[0, :2], minus_log_p[1]]).mean()
    assert smooth == pytest.approx(0.7 * np.mean(parts) + 0.3 * even, rel=1e-5)


def test_the_arguments_are_in_the_config():
    again = SequenceCrossEntropy.from_config(SequenceCrossEntropy(0.2).get_config())
    assert (again.label_smoothing, again.name) == (0.2, "cross_entropy")
    assert CTC.from_config(CTC().get_config()).name == "ctc"
