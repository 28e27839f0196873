"""From encoded sound to samples, inside of the graph."""

from typing import Any

import tensorflow as tf

Tensor = Any


def decode_wavs(content: Tensor, rate: int, samples: int) -> tuple[Tensor, Tensor]:
    """Decodes a batch of WAV files; one that is broken does not spoil the others.

    Args:
        content: `(batch,)` strings, each a WAV file of 16 bits.
        rate: Samples a second; a file of another rate counts as broken.
        samples: Length to cut off or fill up at.

    Returns:
        Samples `(batch, samples)` float32 from -1 to 1, of the first channel, 0 where
        a file is broken; and `(batch,)` whether it was read.
    """
    count = tf.size(content)

    def decode(index: Tensor, file: Tensor) -> tuple[Tensor, Tensor]:
        sound, found = tf.audio.decode_wav(file)
        tf.debugging.assert_equal(found, rate)
        sound = sound[:samples, 0]
        sound = tf.pad(sound, [[0, samples - tf.shape(sound)[0]]])
        return index, tf.ensure_shape(sound, [samples])

    # A failing element is left out by tf.data, and by nothing else in a graph.
    sounds = tf.data.Dataset.range(tf.cast(count, tf.int64))
    sounds = sounds.map(lambda i: (tf.cast(i, tf.int32), content[i]))
    sounds = sounds.map(decode, tf.data.AUTOTUNE).ignore_errors(log_warning=False)
    # One more, that goes to a row of its own, so that there always is one.
    spare = (count[None], tf.zeros([1, samples]))
    sounds = sounds.concatenate(tf.data.Dataset.from_tensor_slices(spare))
    rows, found = sounds.batch(tf.cast(count, tf.int64) + 1).get_single_element()
    batch = tf.scatter_nd(rows[:, None], found, [count + 1, samples])[:-1]
    ok = tf.scatter_nd(rows[:, None], tf.ones_like(rows), [count + 1])[:-1] > 0
    return tf.ensure_shape(batch, [None, samples]), ok
