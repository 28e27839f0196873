"""Random changes of what an image looks like; nothing moves."""

import functools
from typing import Any

import keras
import tensorflow as tf

#: Layers of `keras.layers.RandAugment` that move nothing.
RAND_AUGMENT = (
    "random_brightness",
    "random_color_degeneration",
    "random_contrast",
    "random_sharpness",
    "solarization",
    "random_posterization",
    "auto_contrast",
    "equalization",
)


class Seeds(keras.random.SeedGenerator):
    """Gives Keras' layers seeds that are a function of one seed.

    The state of Keras' own generator depends on the order of calls, which a parallel
    `map` does not keep; this one has none.

    Args:
        seed: `(2,)` integers.
    """

    def __init__(self, seed: tf.Tensor) -> None:
        # Not the parent's: it makes a variable.
        self._seed, self._drawn = seed, 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        """Returns another `(2,)` int32 seed at each call."""
        self._drawn += 1
        return tf.random.experimental.stateless_fold_in(self._seed, self._drawn)


def jitter(
    image: tf.Tensor,
    seed: tf.Tensor,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
) -> tf.Tensor:
    """Changes brightness, contrast, saturation and hue, each if not 0.

    TensorFlow's own operations are used: they take a seed, and cost half of what
    Keras' layers for the same do.

    Args:
        image: `(height, width, channels)` float32 from 0 to 255.
        seed: `(2,)` integers.
        brightness: Largest shift, as a share of the full range.
        contrast: Largest relative change.
        saturation: Largest relative change.
        hue: Largest turn, in 0..0.5.
    """
    if not (brightness or contrast or saturation or hue):
        return image
    seeds = tf.random.split(seed, 4)
    if brightness:
        image += tf.random.stateless_uniform(
            [], seeds[0], -255 * brightness, 255 * brightness
        )
    if contrast:
        image = tf.image.stateless_random_contrast(
            image, 1 - contrast, 1 + contrast, seeds[1]
        )
    image = tf.clip_by_value(image, 0.0, 255.0)
    if saturation:
        image = tf.image.stateless_random_saturation(
            image, 1 - saturation, 1 + saturation, seeds[2]
        )
    if hue:
        image = 255 * tf.image.stateless_random_hue(image / 255, hue, seeds[3])
    return tf.clip_by_value(image, 0.0, 255.0)


def rand_augment(
    image: tf.Tensor, seed: tf.Tensor, count: int, magnitude: float
) -> tf.Tensor:
    """Applies layers of Keras' `RandAugment`, drawn with replacement.

    Keras computes all layers and throws away what it did not draw; here only what was
    drawn runs.

    Args:
        image: `(height, width, 3)` float32 from 0 to 255.
        seed: `(2,)` integers.
        count: Number of layers to apply.
        magnitude: Strength of each, 0 to 1: the `factor` of Keras' layer.

    Reference:
        Cubuk et al., RandAugment, NeurIPS 2020.
    """
    layers = _layers(magnitude)
    one, two = tf.unstack(tf.random.split(seed, 2))
    picks = tf.random.stateless_uniform([count], one, 0, len(layers), tf.int32)
    for pick, own in zip(
        tf.unstack(picks), tf.unstack(tf.random.split(two, count)), strict=True
    ):
        branches = [functools.partial(_apply, f, image, own) for f in layers]
        image = tf.switch_case(pick, branches)
    return image


def erase(image: tf.Tensor, seed: tf.Tensor, largest: float) -> tf.Tensor:
    """Covers a random rectangle with one random colour.

    Keras' `RandomErasing` does the same at several times the cost.

    Args:
        image: `(height, width, channels)` float32 from 0 to 255.
        seed: `(2,)` integers.
        largest: Largest share of the image that is covered. The sides differ by a
            factor of up to 2 from the proportions of the image.

    Reference:
        Zhong et al., Random Erasing Data Augmentation, AAAI 2020.
    """
    shape = tf.shape(image)
    size = tf.cast(shape[:2], tf.float32)
    draws = tf.random.stateless_uniform([4 + image.shape[-1]], seed)
    ratio = 2 ** (2 * draws[1] - 1)
    share = tf.sqrt(draws[0] * largest * tf.stack([ratio, 1 / ratio]))
    side = tf.minimum(share, 1.0) * size
    start = draws[2:4] * (size - side)
    inside = [
        (place >= start[i]) & (place < start[i] + side[i])
        for i in (0, 1)
        for place in [tf.range(size[i]) + 0.5]
    ]
    mask = inside[0][:, None, None] & inside[1][None, :, None]
    return tf.where(mask, 255 * draws[4:], image)


@functools.cache
def _layers(magnitude: float) -> list[Any]:
    # Layers make variables, which must not belong to the graph of a `map`.
    with tf.init_scope():
        whole = keras.layers.RandAugment(factor=magnitude, seed=0, dtype="float32")
    return [getattr(whole, name) for name in RAND_AUGMENT]


def _apply(layer: Any, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    batch = image[None]
    drawn = layer.get_random_transformation(batch, seed=Seeds(seed))
    changed = layer.transform_images(batch, drawn)[0]
    return tf.clip_by_value(tf.ensure_shape(changed, image.shape), 0.0, 255.0)
