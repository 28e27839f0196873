"""Lays one small picture over another, each item used once on either side."""

import numpy as np

ITEM = 28
CANVAS = 36


def partners(count, held_out=0, seed=0):
    """Draws which item lies at the bottom right of each item.

    The items form a ring in random order, and each lies over the next: every item is
    used once on either side, and none lies over itself, but for a ring of one. The
    last `held_out` items form a ring of their own, so that a validation split cut off
    there shares no item with the rest.

    Args:
        count: int, the number of items.
        held_out: int, how many of them, at the end, keep to themselves.
        seed: int, the seed of the order.

    Returns:
        An int64 array `(count,)`, a permutation.
    """
    # The legacy generator: NumPy promises that its numbers never change.
    random = np.random.RandomState(seed)
    partner = np.empty(count, np.int64)
    for start, end in ((0, count - held_out), (count - held_out, count)):
        ring = start + random.permutation(end - start)
        partner[ring] = np.roll(ring, -1)
    return partner


def overlay(left, right):
    """Puts one picture at the top left and one at the bottom right of a canvas.

    Where they meet, the brighter pixel wins.

    Args:
        left: uint8 array `(batch, 28, 28)`.
        right: uint8 array `(batch, 28, 28)`.

    Returns:
        A uint8 array `(batch, 36, 36, 1)`.
    """
    canvas = np.zeros((len(left), CANVAS, CANVAS, 1), np.uint8)
    canvas[:, :ITEM, :ITEM, 0] = left
    corner = canvas[:, -ITEM:, -ITEM:, 0]
    np.maximum(corner, right, out=corner)
    return canvas
