"""Random numbers that depend on a scene's number and a seed alone."""

import numpy as np
import tensorflow as tf


class Uniforms:
    """Draws numbers for a batch of scenes, fresh ones on each call.

    TensorFlow's stateless ops take one seed for a whole batch, which would tie a
    scene to its batch. Hashing (seed, scene, place in the stream) does not.

    Args:
        indices: `(batch,)` integers, the numbers of the scenes.
        seed: int or scalar integer tensor.
    """

    def __init__(self, indices, seed):
        """Hashes the seed and each scene's number into one key a scene."""
        indices = tf.cast(indices, tf.int64)
        key = tf.zeros_like(indices, tf.uint32)
        for value in (tf.cast(seed, tf.int64), indices):
            for shift in (0, 32):
                word = tf.bitwise.right_shift(value, tf.constant(shift, tf.int64))
                key = _mix(key ^ tf.cast(word & 0xFFFFFFFF, tf.uint32))
        self._key = key
        self._used = 0

    def __call__(self, *shape):
        """Returns `(batch, *shape)` floats from 0 to 1, 1 excluded."""
        bits = tf.bitwise.right_shift(self._bits(shape), _u32(8))
        return tf.reshape(tf.cast(bits, tf.float32) * 2.0**-24, (-1, *shape))

    def centred(self, *shape):
        """Returns `(batch, *shape)` floats from -1 to 1."""
        return 2.0 * self(*shape) - 1.0

    def normal(self, *shape):
        """Returns `(batch, *shape)` nearly normal floats: the sum of four bytes."""
        bits = self._bits(shape)
        pairs = (bits & _u32(0x00FF00FF)) + (
            tf.bitwise.right_shift(bits, _u32(8)) & _u32(0x00FF00FF)
        )
        total = (pairs & _u32(0xFFFF)) + tf.bitwise.right_shift(pairs, _u32(16))
        # Four uniform bytes have mean 510 and variance 4 * (256**2 - 1) / 12.
        normal = (tf.cast(total, tf.float32) - 510.0) / 147.80
        return tf.reshape(normal, (-1, *shape))

    def _bits(self, shape):
        n = int(np.prod(shape))
        places = np.arange(self._used, self._used + n, dtype=np.uint64)
        self._used += n
        # The multiplier is odd, so no two places share a word.
        words = (places * 0x9E3779B9 + 0x7F4A7C15).astype(np.uint32)
        return _mix(self._key[:, None] ^ tf.constant(words))


def _u32(value):
    return tf.constant(value, tf.uint32)


def _mix(h):
    """Scrambles 32-bit words (the finaliser of MurmurHash3)."""
    h ^= tf.bitwise.right_shift(h, _u32(16))
    h *= _u32(0x85EBCA6B)
    h ^= tf.bitwise.right_shift(h, _u32(13))
    h *= _u32(0xC2B2AE35)
    return h ^ tf.bitwise.right_shift(h, _u32(16))
