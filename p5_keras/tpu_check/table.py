"""The lines that a check prints."""

from collections.abc import Sequence

from p5_keras.tpu_check.chips import CHIPS, GIB, Chip
from p5_keras.tpu_check.compiler import Compiled

SHOWN = ("v4", "v5e", "v6e")


def head(chip: Chip, topology: str, chips: int, size: int, precision: str) -> str:
    """Returns what is compiled for, and the names of the columns."""
    times = "".join(f"{f'{name}, ms':>16}" for name in shown(chip))
    return (
        f"{topology}: {chips} chips with {chip.memory / GIB:.2f} GiB each; a batch of "
        f"{size * chips}, {size} a chip; {precision}\n"
        f"{'on one chip':18}{'compiled in':>12}{'GFLOP':>10}{'GB moved':>10}"
        f"{'FLOP/byte':>11}{'HBM, GiB':>10}{times}"
    )


def row(name: str, found: Compiled | None, chip: Chip) -> str:
    """Returns what a program needs, and its least time on each kind of chip.

    Args:
        name: Name of the program.
        found: What the compiler says, or `None` if it does not fit.
        chip: The chip that it was compiled for.
    """
    if found is None:
        return f"{name:18}{'too large':>12}"
    times = ""
    for other in shown(chip):
        seconds, bound = CHIPS[other].seconds(found.flops, found.moved)
        times += f"{f'{1e3 * seconds:.3g} {bound}':>16}"
    return (
        f"{name:18}{f'{found.seconds:.0f} s':>12}{found.flops / 1e9:>10.4g}"
        f"{found.moved / 1e9:>10.4g}{found.flops / found.moved:>11.3g}"
        f"{found.memory / GIB:>10.3f}{times}"
    )


def capacity(most: int, at: Sequence[int], chips: int) -> str:
    """Returns how large a batch fits.

    Args:
        most: Examples on a chip.
        at: Those for which the memory is known.
        chips: Number of chips.
    """
    if not most:
        return "largest batch that fits: none, not even 1 a chip"
    known = " and ".join(f"{size:,}" for size in at)
    return (
        f"largest batch that fits: about {most * chips:,}, {most:,} a chip, by a line "
        f"through the memory at {known} a chip"
    )


def shown(chip: Chip) -> list[str]:
    """Returns the names of the chips to show times for."""
    return sorted({*SHOWN, chip.name})
