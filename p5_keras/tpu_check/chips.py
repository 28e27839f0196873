"""What TPU chips can do at best, and what that means for a program."""

import math
import re
from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Chip:
    """A kind of TPU chip.

    Attributes:
        flops: Peak operations a second in bfloat16, of which TensorFlow makes float32
            products too.
        bandwidth: Peak bytes a second between the chip and its memory (HBM).
        memory: Bytes of HBM that a program may use: what the compiler names when a
            program is too large, a little less than the chip has.
        options: What makes a chip of two cores one device, for the compiler.

    Reference:
        Google Cloud TPU documentation, system architecture of v4, v5e, v5p and v6e.
    """

    flops: float
    bandwidth: float
    memory: float
    options: str = ""

    def seconds(self, flops: float, moved: float) -> tuple[float, str]:
        """Returns the least seconds of a program; "compute" or "memory" bounds it.

        Args:
            flops: Its operations.
            moved: The bytes that it reads and writes.

        Reference:
            Williams et al., Roofline, Communications of the ACM 52 (2009).
        """
        compute, memory = flops / self.flops, moved / self.bandwidth
        return max(compute, memory), "compute" if compute > memory else "memory"


CHIPS = {
    "v4": Chip(275e12, 1200e9, 30.75 * GIB, "megacore"),
    "v5e": Chip(197e12, 819e9, 15.75 * GIB),
    "v5p": Chip(459e12, 2765e9, 95.73 * GIB),
    "v6e": Chip(918e12, 1638e9, 31.24 * GIB),
}


def find(topology: str) -> tuple[Chip, int]:
    """Returns the kind of chip of a topology, and how many there are.

    Args:
        topology: The kind and how many in each direction: "v5e:2x2".

    Raises:
        ValueError: It is not of that form.
    """
    found = re.fullmatch(r"(\w+):(\d+(?:x\d+)*)", topology)
    if found is None or found[1] not in CHIPS:
        raise ValueError(
            f"`tpu_topology` must be one of {', '.join(CHIPS)} and the number of chips "
            "in each direction, such as v5e:2x2, v6e:2x4 or v4:2x2x1. "
            f"Received: tpu_topology={topology!r}"
        )
    return CHIPS[found[1]], math.prod(map(int, found[2].split("x")))
