import numpy as np
import pytest
import tensorflow as tf

from p5_keras.tasks.suppression import survivors


def iou(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    both = np.prod(np.maximum(high - low, 0))
    return both / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - both)


def greedy(boxes, kinds, valid, limit):
    """The algorithm as it is written in books, one box after another."""
    kept = []
    for i in np.flatnonzero(valid):
        rivals = [j for j in kept if kinds[j] == kinds[i]]
        if all(iou(boxes[i], boxes[j]) <= limit for j in rivals):
            kept.append(i)
    return np.isin(np.arange(len(boxes)), kept)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("limit", [0.2, 0.5, 0.8])
def test_survivors_are_those_of_the_greedy_algorithm(limit, jit):
    rng = np.random.default_rng(0)
    corner, size = rng.uniform(0, 20, (6, 50, 2)), rng.uniform(5, 20, (6, 50, 2))
    boxes = np.concatenate([corner, corner + size], -1).astype("float32")
    kinds, valid = rng.integers(0, 2, (6, 50)), rng.uniform(size=(6, 50)) < 0.9
    run = tf.function(survivors, jit_compile=jit)
    found = run(boxes, tf.constant(kinds, tf.int32), valid, limit).numpy()
    expected = np.stack(
        [greedy(*one, limit) for one in zip(boxes, kinds, valid, strict=True)]
    )
    assert 0.1 < expected.mean() < 0.9
    np.testing.assert_array_equal(found, expected)


def test_a_box_that_is_dropped_drops_no_other():
    # Each overlaps its neighbours by an IoU of 0.6: every second one remains.
    left = np.arange(0, 50, 2.5, "float32")
    boxes = np.stack([left, 0 * left, left + 10, 0 * left + 1], -1)
    kinds, valid = np.zeros((1, 20), "int32"), np.ones((1, 20), bool)
    found = survivors(boxes[None], kinds, valid, 0.5).numpy()
    assert found.tolist() == [[True, False] * 10]


def test_an_empty_batch():
    empty = tf.zeros([0, 3]), tf.zeros([0, 3], tf.bool)
    assert survivors(tf.zeros([0, 3, 4]), *empty, 0.5).shape == (0, 3)
