import keras
import numpy as np
import pytest
import tensorflow as tf

from p5_keras.data import color

SEEDS = [tf.constant([4, i], tf.int64) for i in range(60)]
IMAGE = tf.constant(np.random.default_rng(1).integers(30, 220, (8, 9, 3)), tf.float32)


def test_seeds_are_new_at_each_call_and_the_same_again():
    one, two = color.Seeds(SEEDS[0]), color.Seeds(SEEDS[0])
    drawn = [one.next().numpy().tolist() for _ in range(3)]
    assert drawn == [two.next().numpy().tolist() for _ in range(3)]
    assert len(set(map(tuple, drawn))) == 3
    assert drawn[0] != color.Seeds(SEEDS[1]).next().numpy().tolist()
    numbers = [
        keras.random.uniform([4], seed=color.Seeds(SEEDS[0])).numpy() for _ in "ab"
    ]
    np.testing.assert_array_equal(*numbers)


def test_brightness_shifts_all_pixels_alike():
    shifts = []
    for seed in SEEDS[:20]:
        off = color.jitter(IMAGE, seed, 0.1, 0, 0, 0) - IMAGE
        np.testing.assert_allclose(off, off[0, 0, 0], atol=1e-4)
        shifts.append(float(off[0, 0, 0]))
    assert -25.5 <= min(shifts) < -10 and 10 < max(shifts) <= 25.5


def test_contrast_keeps_each_channels_mean_and_scales_the_rest():
    mean = tf.reduce_mean(IMAGE, axis=[0, 1])
    factors = []
    for seed in SEEDS[:20]:
        changed = color.jitter(IMAGE, seed, 0, 0.2, 0, 0)
        # Nothing is clipped: at most 190 * 1.2 / 2 off a mean of about 125.
        factor = (changed - mean) / (IMAGE - mean)
        np.testing.assert_allclose(factor, factor[0, 0, 0], rtol=1e-2)
        factors.append(float(factor[0, 0, 0]))
    assert 0.8 <= min(factors) < 0.9 and 1.1 < max(factors) <= 1.2


def test_hue_and_saturation_keep_the_largest_channel():
    for arguments in ((0, 0, 0.5, 0), (0, 0, 0, 0.4)):
        changed = color.jitter(IMAGE, SEEDS[0], *arguments)
        largest = [tf.reduce_max(x, axis=-1) for x in (changed, IMAGE)]
        np.testing.assert_allclose(*largest, atol=1e-2)
        assert np.abs(changed - IMAGE).max() > 1


def test_rand_augment_draws_all_the_layers_of_keras():
    apply = tf.function(color.rand_augment)
    one = [apply(IMAGE, seed, 1, 0.9).numpy() for seed in SEEDS]
    for layer in (keras.layers.AutoContrast(), keras.layers.Equalization()):
        want = np.clip(layer(IMAGE), 0, 255)
        assert any(np.allclose(found, want, atol=1e-3) for found in one)
    # Of the eight each has a part: two draw no strength, and six do each time.
    assert len({found.tobytes() for found in one}) > 60 * 6 / 8 / 2
    again = [apply(IMAGE, seed, 1, 0.9).numpy() for seed in SEEDS]
    np.testing.assert_array_equal(one, again)
    assert min(map(np.min, one)) >= 0 and max(map(np.max, one)) <= 255


@pytest.mark.parametrize("count", [1, 3])
def test_rand_augment_applies_as_many_as_asked_for(monkeypatch, count):
    def one_up(layer, image, seed):
        return image + 1

    monkeypatch.setattr(color, "_apply", one_up)
    found = color.rand_augment(IMAGE, SEEDS[0], count, 0.5)
    np.testing.assert_array_equal(found, IMAGE + count)


def test_rand_augment_computes_in_float32_under_any_policy(bfloat16):
    color._layers.cache_clear()
    found = {color.rand_augment(IMAGE, seed, 1, 0.5).dtype for seed in SEEDS[:12]}
    assert found == {tf.float32}
