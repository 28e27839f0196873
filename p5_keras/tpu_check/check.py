"""Compiles what a model does on a TPU, and says what it would need there."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from p5_keras.tpu_check.blame import explain
from p5_keras.tpu_check.chips import CHIPS, GIB, find
from p5_keras.tpu_check.compiler import (
    Compiled,
    Refused,
    check_installed,
    compile_for,
)
from p5_keras.tpu_check.program import Step, lower, steps

#: Chips whose least times are shown.
SHOWN = ("v4", "v5e", "v6e")


def run(
    model: Any,
    training: tf.data.Dataset,
    evaluation: tf.data.Dataset,
    topology: str = "v5e:2x2",
) -> None:
    """Compiles a model's steps for a TPU and prints what each needs, line by line.

    Every chip takes an equal share of the global batch. What is compiled is the
    program of one chip, without the sums over all of them.

    Args:
        model: A `MultiTaskModel`, compiled.
        training: Its training batches; only their shapes matter.
        evaluation: Batches to evaluate on.
        topology: Kind of chip, and how many in each direction.

    Raises:
        ValueError: A step does not compile or does not fit; the message says which
            task is to blame. Or there is no such topology, or JAX or libtpu is missing.
    """
    check_installed()
    chip, chips = find(topology)
    if model.distribute_strategy.num_replicas_in_sync > 1:
        raise ValueError(
            "The program of one chip is compiled on one device. "
            "Received: several replicas; give --strategy=none"
        )
    specs = training.element_spec, evaluation.element_spec
    batch = tf.nest.flatten(specs[0])[0].shape[0]
    if batch % chips:
        raise ValueError(
            "`batch_size` is global and must be a multiple of the number of chips. "
            f"Received: batch_size={batch} for the {chips} of tpu_topology={topology!r}"
        )
    size = batch // chips
    print(
        f"{topology}: {chips} chips with {chip.memory / GIB:.2f} GiB each, "
        f"{size} examples of {batch} on each; {keras.config.dtype_policy().name}"
    )
    columns = "compiled in", "GFLOP", "GB moved", "FLOP/byte", "HBM, GiB"
    print(line("on one chip", *columns, *(f"{name}, ms" for name in SHOWN)), flush=True)
    found: list[tuple[Step, Compiled | None]] = []
    for step in steps(model, *specs):
        result = measure(model, step, topology, size)
        found.append((step, result))
        print(row(step.name, result), flush=True)
    step, result = found[0]
    measured = functools.partial(measure, model, step, topology)
    most, at = largest_batch(size, result, chip.memory, measured)
    print(
        f"largest batch that fits: about {most * chips:,}, {most:,} a chip, by a line "
        f"through the memory at {' and '.join(map(str, at))} a chip"
        if most
        else "largest batch that fits: none, not even 1 a chip"
    )
    for step, result in found:
        if result is None:
            raise ValueError(
                f"The {step.name} must fit into the memory of a chip. "
                f"Received: batch_size={batch}; take {most * chips} at most"
            )


def measure(model: Any, step: Step, topology: str, size: int) -> Compiled | None:
    """Compiles a step; returns `None` if it does not fit.

    Args:
        model: A `MultiTaskModel`.
        step: One of its steps.
        topology: What to compile for.
        size: Examples on a chip.

    Raises:
        ValueError: It does not compile.
    """
    options, program = find(topology)[0].options, b""
    try:
        program, graph = lower(model, step, size)
        return compile_for(topology, options, program, graph)
    except Refused as refused:

        def fails(other: Step) -> bool:
            try:
                part = lower(model, other, size)
                if program:  # what the compiler itself refused
                    compile_for(topology, options, *part)
            except Refused:
                return True
            return False

        raise ValueError(explain(model, step, refused, fails)) from refused


def largest_batch(
    size: int,
    first: Compiled | None,
    limit: float,
    measured: Callable[[int], Compiled | None],
) -> tuple[int, list[int]]:
    """Estimates the largest batch from the memory that two others need.

    Memory grows with the batch in a line, save for small ones, whose temporaries stay
    within the chip's own. So the second batch is as large as would fill a quarter if
    all that the first needs grew with it, and is the first of two others if it fills
    far less.

    Args:
        size: A batch size, for one chip.
        first: What the compiler says of it, or `None` if it does not fit.
        limit: Bytes of memory.
        measured: Compiles for another batch size.

    Returns:
        The largest size, 0 if there is none; and the sizes that were compiled.
    """
    while first is None:
        size //= 2
        if size == 0:
            return 0, []
        first = measured(size)
    while True:
        other = max(int(size * limit / first.memory / 4), size + 1)
        while (second := measured(other)) is None:
            other = (size + other) // 2
            if other == size:
                return size, [size]
        if second.memory > limit / 16:
            break
        size, first = other, second
    growth = (second.memory - first.memory) / (other - size)
    return other + int((limit - second.memory) / max(growth, 1)), [size, other]


def row(name: str, found: Compiled | None) -> str:
    """Returns what a program needs, and its least time on each kind of chip."""
    if found is None:
        return line(name, "too large")
    least = [CHIPS[chip].seconds(found.flops, found.moved) for chip in SHOWN]
    return line(
        name,
        f"{found.seconds:.0f} s",
        f"{found.flops / 1e9:.4g}",
        f"{found.moved / 1e9:.4g}",
        f"{found.flops / found.moved:.3g}",
        f"{found.memory / GIB:.3f}",
        *(f"{1e3 * seconds:.3g} {bound}" for seconds, bound in least),
    )


def line(name: str, *cells: str) -> str:
    """Returns a line of the table, two spaces or more between its cells."""
    widths = (11, 9, 9, 9, 9, *[14] * len(SHOWN))
    cells = tuple(c.rjust(w) for c, w in zip(cells, widths, strict=False))
    return "  ".join([name.ljust(15), *cells])
