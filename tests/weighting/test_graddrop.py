import numpy as np
import pytest
import tensorflow as tf

from p5_keras.weighting import GradDrop

SEED = tf.constant([3, 4])


def combine(z, g, present=(True, True), leak=0.0, seed=SEED):
    z, g = tf.constant(z, tf.float32), tf.constant(g, tf.float32)
    return GradDrop(leak=leak).combine([z], [g], tf.constant(present), seed)[0].numpy()


def test_signs_that_agree_all_pass():
    # sgn(z) g is positive in unit 0 and negative in unit 1, for both tasks.
    z, g = [[1.0, 1.0]], [[[2.0, -1.0]], [[3.0, -4.0]]]
    np.testing.assert_allclose(combine(z, g), [[5, -5]])


def test_the_sign_is_that_of_the_features_times_the_gradient():
    z, g = [[-1.0], [1.0]], [[[-2.0], [1.0]], [[-3.0], [2.0]]]
    np.testing.assert_allclose(combine(z, g), [[-5], [3]])


def test_signs_are_kept_as_often_as_they_weigh():
    """Task 0 has 3 of 4 parts of the size: kept with probability 3/4."""
    units = 4000
    z = np.ones((1, units))
    g = np.stack([3 * np.ones((1, units)), -np.ones((1, units))])
    found = combine(z, g)
    assert set(np.unique(found)) == {-1.0, 3.0}
    assert np.mean(found == 3) == pytest.approx(0.75, abs=0.03)


def test_leak_passes_whatever_the_sign_is():
    z, g = np.ones((1, 50)), np.stack([np.ones((1, 50)), -np.ones((1, 50))])
    np.testing.assert_allclose(combine(z, g, leak=1.0), 0)
    found = combine(z, g, leak=(0.5, 0.0))
    assert set(np.unique(found)) == {-0.5, 1.0}


def test_absent_tasks_have_no_say():
    z, g = np.ones((1, 50)), np.stack([np.ones((1, 50)), -9 * np.ones((1, 50))])
    np.testing.assert_allclose(combine(z, g, present=(True, False)), 1)


def test_no_gradient_at_all():
    np.testing.assert_array_equal(combine(np.ones((2, 3)), np.zeros((2, 2, 3))), 0)


def test_weights_are_1(weigh):
    weights, _ = weigh(GradDrop(), losses=[1.0, 2.0], present=[True, False])
    np.testing.assert_array_equal(weights, [1, 0])


def test_several_features_are_drawn_apart():
    g = np.stack([np.ones((1, 99)), -np.ones((1, 99))]).astype("float32")
    z = np.ones((1, 99), "float32")
    one, two = GradDrop().combine([z, z], [g, g], tf.fill([2], True), SEED)
    assert (one.numpy() != two.numpy()).any()


def test_replicas_choose_the_same_signs(two_replicas):
    """Two replicas with half of the batch each do what one does with all of it."""
    random = np.random.default_rng(0)
    z = random.normal(size=(4, 6)).astype("float32")
    g = random.normal(size=(2, 4, 6)).astype("float32")

    def step(part):
        half = slice(2 * part, 2 * part + 2)
        return combine_parts(tf.constant(z)[half], tf.constant(g)[:, half])

    def combine_parts(z, g):
        return GradDrop().combine([z], [g], tf.fill([2], True), SEED)[0]

    @tf.function
    def run():
        def replica():
            context = tf.distribute.get_replica_context()
            return step(context.replica_id_in_sync_group)

        return two_replicas.run(replica)

    parts = two_replicas.experimental_local_results(run())
    whole = combine(z, g)
    np.testing.assert_allclose(np.concatenate(parts), whole, 1e-5)
