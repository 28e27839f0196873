"""Compiles what a model does on a TPU, and says what it would need there."""

import functools
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from p5_keras.tpu_check import table
from p5_keras.tpu_check.blame import explain
from p5_keras.tpu_check.capacity import largest_batch
from p5_keras.tpu_check.chips import Chip, chip_of
from p5_keras.tpu_check.compiler import (
    Compiled,
    CompilerError,
    TooLarge,
    compile_for,
    devices,
)
from p5_keras.tpu_check.lowering import Refused, first_line, lower
from p5_keras.tpu_check.steps import Step, build, of_size, share, steps
from p5_keras.weighting.gradients import for_tpu


@dataclass(frozen=True)
class Target:
    """What is compiled for.

    Attributes:
        topology: As the compiler knows it.
        chip: The kind of chip.
        chips: How many there are.
    """

    topology: str
    chip: Chip
    chips: int


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
    target = find(topology)
    if model.distribute_strategy.num_replicas_in_sync > 1:
        raise ValueError(
            "The program of one chip is compiled on one device. "
            "Received: several replicas; give --strategy=none"
        )
    specs = training.element_spec, evaluation.element_spec
    chip, size = target.chip, share(specs[0], target.chips)
    precision = keras.config.dtype_policy().name
    print(table.head(chip, topology, target.chips, size, precision), flush=True)
    found: list[tuple[Step, Compiled | None]] = []
    for step in steps(model, *specs):
        found.append((step, measure(model, step, target, size)))
        print(table.row(step.name, found[-1][1], chip), flush=True)
    step, first = found[0]
    compiles = functools.partial(measure, model, step, target)
    most, at = largest_batch(size, first, chip.memory, compiles)
    print(table.capacity(most, at, target.chips))
    for step, result in found:
        if result is None:
            raise ValueError(
                f"The {step.name} must fit into the memory of a chip. "
                f"Received: batch_size={size * target.chips}; take "
                f"{most * target.chips} at most"
            )


def find(topology: str) -> Target:
    """Returns what a topology is.

    Raises:
        ValueError: There is none of that name.
    """
    chip = chip_of(topology)
    try:
        return Target(topology, chip, devices(topology, chip.options))
    except CompilerError as error:
        raise ValueError(
            "`tpu_topology` must be one that exists, such as v5e:2x2. "
            f"Received: tpu_topology={topology!r} ({error})"
        ) from error


def measure(model: Any, step: Step, target: Target, size: int) -> Compiled | None:
    """Compiles a step; returns `None` if it does not fit.

    Args:
        model: A `MultiTaskModel`.
        step: One of its steps.
        target: What to compile for.
        size: Examples on a chip.

    Raises:
        ValueError: It does not compile.
    """

    def fails(other: Step) -> bool:
        try:
            compiled(model, other, target, size)
        except Refused:
            return True
        except TooLarge:
            pass
        return False

    try:
        return compiled(model, step, target, size)
    except TooLarge:
        return None
    except Refused as refused:
        raise ValueError(explain(model, step, refused, fails)) from refused


def compiled(model: Any, step: Step, target: Target, size: int) -> Compiled:
    """Compiles a step.

    Args:
        model: A `MultiTaskModel`.
        step: One of its steps.
        target: What to compile for.
        size: Examples on a chip.

    Raises:
        Refused: It does not compile.
        TooLarge: It does not fit.
    """
    spec = of_size(model, step.spec, size)
    with for_tpu():
        build(model, spec)
        program = lower(step.function, spec)
    try:
        return compile_for(target.topology, target.chip.options, program.artifact)
    except CompilerError as error:
        raise Refused(first_line(error), error.operations, program.graph) from error
