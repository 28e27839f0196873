"""What a request must hold: looked at inside of the graph, before the network runs.

A server passes tensors of any rank and size to a signature, and kernels that were
chosen for the declared ones may end the process.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

Tensor = Any
#: The smallest and the largest number of an input.
Range = tuple[float, float]

#: Numbers further from 0 are taken for faults; the sum of those up to it is finite.
LARGEST = 1e30


def checked(
    specs: Sequence[tf.TensorSpec],
    values: Sequence[Tensor],
    ranges: Mapping[str, Range],
    missing: bool = False,
) -> list[Tensor]:
    """Returns the values of a request, each once it has been looked at.

    Args:
        specs: What each must be; its first axis is the batch.
        values: The tensors.
        ranges: From the smallest to the largest number by the name of an input; all
            others must be within `LARGEST`, if they are no whole numbers.
        missing: Whether NaN in an input of one axis stands for a missing value.

    Raises:
        tf.errors.InvalidArgumentError: In the graph: rank, size, a number, or the
            number of examples of an input is wrong. Under XLA, which cannot raise, of
            these only rank and size.
    """
    # Of what the graph declares nothing is looked at again, so it is forgotten first.
    open_ = [
        tf.raw_ops.PlaceholderWithDefault(input=value, shape=None, name=spec.name)
        for spec, value in zip(specs, values, strict=True)
    ]
    found = []
    for spec, value in zip(specs, open_, strict=True):
        with tf.control_dependencies([_right(spec, value, ranges, missing)]):
            found.append(tf.ensure_shape(value, spec.shape))
    if len(found) == 1:
        return found
    counts = tf.stack([tf.shape(value)[0] for value in found])
    names = ", ".join(f"`{spec.name}`" for spec in specs)
    text = f"{names} must hold one number of examples. Received: as many as"
    same = _assert(tf.reduce_all(tf.equal(counts, counts[0])), text, counts)
    with tf.control_dependencies([same]):
        return [tf.identity(value) for value in found]


def any_number(
    values: Sequence[Tensor], answer: Callable[..., dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Returns the answer to a request of any number of examples, none included.

    Some kernels refuse an empty batch: for it the network gets one row of zeros, whose
    answer is cut off again.
    """
    count = tf.shape(values[0])[0]
    rows = tf.cast(tf.equal(count, 0), tf.int32)
    filled = []
    for value in values:
        # Where nothing is added this copies nothing.
        more = tf.pad(value, [[rows, 0], *[[0, 0]] * (value.shape.rank - 1)])
        filled.append(tf.ensure_shape(more, value.shape))
    return {key: found[:count] for key, found in answer(*filled).items()}


def _right(
    spec: tf.TensorSpec, value: Tensor, ranges: Mapping[str, Range], missing: bool
) -> Any:
    """Asserts that a tensor is as declared; says what it must be, and what it is."""
    rank, shape = len(spec.shape), tf.shape(value)
    right = tf.equal(tf.size(shape), rank)
    fixed = [i for i in range(1, rank) if spec.shape[i] is not None]
    if fixed:
        found = tf.gather(tf.concat([shape, [-1] * rank], 0), fixed)
        right &= tf.reduce_all(tf.equal(found, [spec.shape[i] for i in fixed]))
    sizes = ["any" if size is None else str(size) for size in spec.shape[1:]]
    axes = ", ".join(["batch", *sizes]) + ("," if rank == 1 else "")
    text, told = f"`{spec.name}` must have the shape ({axes})", [shape]
    what = ". Received: the shape"
    if spec.dtype.is_floating or spec.name in ranges:
        low, high = ranges.get(spec.name, (-LARGEST, LARGEST))
        text += f" and finite numbers from {low:g} to {high:g}"
        low, high = (tf.constant(bound, spec.dtype) for bound in (low, high))
        if missing and rank == 1:
            text += ", or NaN where one is missing"
            right &= ~tf.reduce_any((value < low) | (value > high))
            what += ", the first numbers"
            told.append(value)
        else:
            flat = tf.reshape(value, [-1])
            # The least and the largest of numbers and NaN may be numbers.
            told += [tf.reduce_min(flat), tf.reduce_max(flat), tf.reduce_sum(flat)]
            right &= (told[1] >= low) & (told[2] <= high)
            if spec.dtype.is_floating:
                right &= tf.math.is_finite(told[3])
            what += ", the least, the largest, the sum"
    return _assert(right, text + what, *told)


def _assert(right: Tensor, text: str, *told: Tensor) -> Any:
    # Without the branches around it that `tf.debugging.Assert` makes.
    return tf.raw_ops.Assert(condition=right, data=[text, *told], summarize=8)
