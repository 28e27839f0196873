"""How large a batch fits into a chip."""

from collections.abc import Callable

from p5_keras.tpu_check.compiler import Compiled

Measure = Callable[[int], Compiled | None]


def largest_batch(
    size: int, first: Compiled | None, limit: float, measure: Measure
) -> tuple[int, list[int]]:
    """Estimates the largest batch from the memory that two others need.

    Memory grows with the batch in a line, save for small ones, which fill up to the
    chip's tiles. So the second batch is about half as large as would fit if all
    temporaries grew from the first in proportion.

    Args:
        size: A batch size, for one chip.
        first: What the compiler says of it, or `None` if it does not fit.
        limit: Bytes of memory.
        measure: Compiles for another batch size.

    Returns:
        The largest size, 0 if there is none; and the two sizes that were compiled.
    """
    while first is None:
        size //= 2
        if size == 0:
            return 0, []
        first = measure(size)
    room = limit - (first.memory - first.temporaries)
    other = max(int(size * room / first.temporaries / 2), size + 1)
    while (second := measure(other)) is None:
        other = (size + other) // 2
        if other == size:
            return size, [size]
    growth = (second.memory - first.memory) / (other - size)
    if growth <= 0:
        return other, [size, other]
    most = other + int((limit - second.memory) / growth)
    return max(most, size), [size, other]
