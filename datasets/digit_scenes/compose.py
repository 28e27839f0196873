"""Composes scenes of handwritten digits with TensorFlow ops, a batch at a time.

Everything has a static shape and a scene is a pure function of its number and a
seed, so that the same code prepares the fixed splits and serves fresh training
scenes inside a `tf.data` pipeline.
"""

import numpy as np
import tensorflow as tf

from .draw import Uniforms

CANVAS = 48  # Side of the square canvas, pixels.
MAX_DIGITS = 4
NUM_CLASSES = 10
MIN_SIZE = 9.0  # Longer side of a digit's tight box, pixels.
MAX_SIZE = 18.0
MIN_RATIO = 1.4  # Largest over next largest; about 1.2 in whole pixels.
INK_THRESHOLD = 0.35  # A pixel is ink from this share of full ink on.
CANDIDATES = 16  # Places tried for each digit.
BOX_GAP = 1.0  # Pixels kept free around a digit where there is room.

# The 1,797 digits come form by form (each form opens with 0..9 three times), so
# blocks cut where a form starts share no form, and so in practice no writer.
BLOCKS = {"train": (0, 1157), "validation": (1157, 1415), "test": (1415, 1797)}

_GLYPH = 8  # Side of a source glyph.
_GRID = 16  # Side of the warped glyph.
_REACH = 5.25  # The warped glyph covers this much around the centre, source pixels.
_KNOTS = 4  # Side of the grid of control points of the elastic warp.

# How far augmentation goes. Each is the half-width of a uniform range.
_ROTATION = np.pi / 12
_SHEAR = 0.25
_ASPECT = 0.15  # Of the logarithm of width over height.
_ELASTIC = 0.7  # Source pixels.
_GAMMA = 0.4  # Of the logarithm of the exponent: thinner or thicker strokes.


def glyph_block(split):
    """Returns the source digits of one split.

    Args:
        split: `"train"`, `"validation"` or `"test"`.

    Returns:
        `(glyphs, labels)`: `(n, 8, 8)` float32 from 0 (paper) to 1 (ink), and
        `(n,)` int64.

    Raises:
        ValueError: if `split` is not one of the three.
    """
    if split not in BLOCKS:
        raise ValueError(
            f"`split` must be one of {sorted(BLOCKS)}. Received: split={split!r}"
        )
    from sklearn.datasets import load_digits  # Takes a second to import.

    start, stop = BLOCKS[split]
    digits = load_digits()
    glyphs = digits.images[start:stop].astype("float32") / 16.0
    return glyphs, digits.target[start:stop].astype("int64")


def compose(glyphs, labels, indices, seed, augment=False):
    """Composes one scene for each number in `indices`.

    The largest digit is first in `objects`, and before rounding to pixels at least
    `MIN_RATIO` times as large as the next.

    Args:
        glyphs: `(n, 8, 8)` floats from 0 (paper) to 1 (ink).
        labels: `(n,)` integers, the class of each glyph.
        indices: `(batch,)` int64, the numbers of the scenes. A scene depends on its
            number and on `seed`, not on its place in the batch.
        seed: int or scalar int64 tensor.
        augment: whether to turn, shear, stretch, bend, thin and thicken the glyphs.

    Returns:
        A dict with `"image"` `(batch, 48, 48, 1)` uint8; `"digit"` `(batch,)`
        int64, the class of the largest digit; `"count"` `(batch,)` int64, the
        number of digits less one (its class); `"ink"` `(batch,)` float32, the mean
        of the clean drawing in percent of full ink; `"mask"` `(batch, 48, 48, 1)`
        uint8, 1 where there is ink; `"objects"`, a dict with `"bbox"`
        `(batch, 4, 4)` float32 (ymin, xmin, ymax, xmax relative to the canvas) and
        `"label"` `(batch, 4)` int64. Places without a digit have box 0, label -1.
    """
    glyphs = tf.convert_to_tensor(glyphs, tf.float32)
    labels = tf.cast(labels, tf.int64)
    draw = Uniforms(indices, seed)

    count = tf.cast(draw(1)[:, 0] * MAX_DIGITS, tf.int32) + 1
    active = tf.range(MAX_DIGITS) < count[:, None]
    chosen = draw(MAX_DIGITS) * tf.cast(tf.shape(labels)[0], tf.float32)
    chosen = tf.cast(chosen, tf.int32)
    digits = tf.gather(labels, chosen)

    ink = _warp(tf.gather(glyphs, chosen), draw, 1.0 if augment else 0.0)
    layers = _layers(ink, _sizes(active, draw), active, draw)
    bbox, drawn = _boxes(layers)

    clean = tf.reduce_max(layers, axis=1)
    mask = tf.cast(clean > INK_THRESHOLD, tf.uint8)
    return {
        "image": _photograph(layers, draw),
        "digit": digits[:, 0],
        "count": tf.cast(count, tf.int64) - 1,
        "ink": 100.0 * tf.reduce_mean(clean, axis=(1, 2)),
        "mask": mask[..., None],
        "objects": {"bbox": bbox, "label": tf.where(drawn, digits, -1)},
    }


def _hat(u, size, width=1.0):
    """Bilinear weights of positions `u` `(..., n)` on a grid: `(..., size, n)`."""
    u = u[..., None, :] - np.arange(size, dtype="float32")[:, None]
    return tf.nn.relu(1.0 - tf.abs(u) / width)


def _knot_weights():
    """Smooth weights `(knots**2, grid**2)` from control points to the grid."""
    u = np.linspace(0, _KNOTS - 1, _GRID)[:, None] - np.arange(_KNOTS)
    hat = np.maximum(0, 1 - np.abs(u))
    hat = hat * hat * (3 - 2 * hat)
    return np.einsum("yi,xj->ijyx", hat, hat).reshape(_KNOTS**2, _GRID**2)


def _warp(glyphs, draw, strength):
    """Redraws `(batch, 4, 8, 8)` glyphs on a finer grid: `(batch, 4, 16, 16)`."""
    grid = np.linspace(-_REACH, _REACH, _GRID, dtype="float32")
    y, x = (g.reshape(-1) for g in np.meshgrid(grid, grid, indexing="ij"))
    wish = strength * draw.centred(MAX_DIGITS, 4)
    angle, shear, aspect, gamma = tf.unstack(wish[..., None], axis=2)
    # The map from the finer grid back to the source: turn, shear, stretch.
    cos, sin = tf.cos(_ROTATION * angle), tf.sin(_ROTATION * angle)
    stretch = tf.exp(0.5 * _ASPECT * aspect)
    u = (x + _SHEAR * shear * y) / stretch
    v = y * stretch
    bend = strength * _ELASTIC * draw.centred(MAX_DIGITS, 2, _KNOTS**2)
    bend = tf.einsum("bnik,kp->bnip", bend, _knot_weights().astype("float32"))
    centre = (_GLYPH - 1) / 2
    src_y = cos * v + sin * u + centre + bend[:, :, 0]
    src_x = cos * u - sin * v + centre + bend[:, :, 1]
    # Bilinear interpolation by two matrices of hat functions.
    columns = tf.matmul(glyphs, _hat(src_y, _GLYPH), transpose_a=True)
    ink = tf.reduce_sum(columns * _hat(src_x, _GLYPH), axis=-2)
    ink = tf.pow(ink, tf.exp(_GAMMA * gamma))
    return tf.reshape(ink, (-1, MAX_DIGITS, _GRID, _GRID))


def _sizes(active, draw):
    """Draws each digit's size in pixels, largest first: `(batch, 4)`."""
    u = draw(MAX_DIGITS)
    low = max(MIN_SIZE * MIN_RATIO, (MIN_SIZE + MAX_SIZE) / 2)
    first = low + (MAX_SIZE - low) * u[:, :1]
    rest = MIN_SIZE + (first / MIN_RATIO - MIN_SIZE) * u[:, 1:]
    # Large ones first, as they find a free place less easily.
    rest = tf.sort(tf.where(active[:, 1:], rest, 0.0), direction="DESCENDING")
    return tf.concat([first, rest], axis=1)


def _span(profile):
    """First and last place above the threshold of `(..., n)`, as float edges."""
    n = profile.shape[-1]
    places = np.arange(n, dtype="float32")
    ink = profile > INK_THRESHOLD
    first = tf.reduce_min(tf.where(ink, places, float(n)), axis=-1)
    last = tf.reduce_max(tf.where(ink, places + 1.0, 0.0), axis=-1)
    return first, last


def _crossing(profile):
    """Where `(..., n)` first rises through the threshold, between places."""
    n = profile.shape[-1]
    before = tf.concat([tf.zeros_like(profile[..., :1]), profile[..., :-1]], axis=-1)
    rises = (before <= INK_THRESHOLD) & (profile > INK_THRESHOLD)
    share = (profile - INK_THRESHOLD) / tf.where(rises, profile - before, 1.0)
    at = np.arange(n, dtype="float32") - share
    return tf.reduce_min(tf.where(rises, at, float(n)), axis=-1)


def _layers(ink, sizes, active, draw):
    """Places each glyph on its own canvas: `(batch, 4, 48, 48)` clean ink."""
    sides = tf.stack([tf.reduce_max(ink, axis=3), tf.reduce_max(ink, axis=2)], axis=2)
    low = _crossing(sides)
    high = _GRID - 1.0 - _crossing(sides[..., ::-1])
    extent = high - low
    # The longer side of the ink, not of the glyph's frame, gets the drawn size.
    scale = sizes / tf.reduce_max(extent, axis=2)
    middle = (low + high) / 2.0
    centres = _places(extent * scale[..., None], active, draw)

    pixels = np.arange(CANVAS, dtype="float32") + 0.5
    scale = tf.where(active, scale, 1.0)[..., None, None]
    offset = (pixels - centres[..., None]) / scale + middle[..., None]
    # A wider hat where the glyph shrinks, so that no stroke is skipped.
    blur = tf.maximum(1.0, 1.0 / scale[..., None])
    weights = _hat(offset, _GRID, blur) / blur
    across = tf.matmul(ink, weights[:, :, 1])
    across *= tf.cast(active, tf.float32)[..., None, None]
    return tf.matmul(weights[:, :, 0], across, transpose_a=True)


def _places(extent, active, draw):
    """Chooses centres `(batch, 4, 2)` with least overlap, one digit at a time."""
    half = extent / 2.0 + BOX_GAP / 2.0
    u = draw(MAX_DIGITS, CANDIDATES, 2)
    free = tf.maximum(CANVAS - 2.0 * half, 0.0)[:, :, None]
    tries = half[:, :, None] + u * free
    chosen = [tries[:, 0, 0]]
    for k in range(1, MAX_DIGITS):
        placed = tf.stack(chosen, axis=1)[:, None]
        reach = (half[:, :k] + half[:, k : k + 1])[:, None]
        gap = reach - tf.abs(tries[:, k, :, None] - placed)
        overlap = tf.reduce_prod(tf.nn.relu(gap), axis=-1)
        overlap = tf.reduce_sum(
            overlap * tf.cast(active[:, None, :k], tf.float32), axis=-1
        )
        best = tf.argmin(overlap, axis=1)
        chosen.append(tf.gather(tries[:, k], best, batch_dims=1))
    return tf.stack(chosen, axis=1)


def _boxes(layers):
    """Tight boxes `(batch, 4, 4)` of the drawn ink, and which there are."""
    top, bottom = _span(tf.reduce_max(layers, axis=3))
    left, right = _span(tf.reduce_max(layers, axis=2))
    drawn = bottom > top
    bbox = tf.stack([top, left, bottom, right], axis=2) / CANVAS
    # Compilers divide by multiplying, which may end a hair above 1.
    return tf.where(drawn[..., None], tf.minimum(bbox, 1.0), 0.0), drawn


def _photograph(layers, draw):
    """Turns clean ink into a noisy gray image `(batch, 48, 48, 1)` uint8."""
    u = draw(2 + MAX_DIGITS)
    paper = 0.05 + 0.3 * u[:, 0, None]
    noise = 0.01 + 0.035 * u[:, 1, None]
    contrast = 0.35 + 0.25 * u[:, 2:]
    flat = tf.reshape(layers, (-1, MAX_DIGITS, CANVAS * CANVAS))
    tone = tf.squeeze(tf.matmul(contrast[:, None], flat), axis=1) + paper
    tone += noise * draw.normal(CANVAS * CANVAS)
    image = tf.cast(tf.clip_by_value(255.0 * tone + 0.5, 0.0, 255.0), tf.uint8)
    return tf.reshape(image, (-1, CANVAS, CANVAS, 1))
