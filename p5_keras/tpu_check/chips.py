"""What TPU chips can do at best, and what that means for a program."""

import re
from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Chip:
    """A kind of TPU chip.

    Attributes:
        name: As the first part of a topology.
        flops: Peak operations a second in bfloat16; a float32 product is made of
            bfloat16 ones too, unless a higher precision is asked for.
        bandwidth: Peak bytes a second between the chip and its memory (HBM).
        memory: Bytes of HBM that a program may use. It is a little less than the chip
            has, and what the compiler names when a program is too large for it.
        options: What makes one device of a chip, for the compiler; a chip of two
            cores can be two.

    Reference:
        Google Cloud TPU documentation, system architecture of v4, v5e, v5p and v6e.
    """

    name: str
    flops: float
    bandwidth: float
    memory: float
    options: str = ""

    def seconds(self, flops: float, moved: float) -> tuple[float, str]:
        """Returns the least time that a program can take, and what bounds it.

        Args:
            flops: Its operations.
            moved: The bytes that it reads and writes.

        Returns:
            Seconds, and "compute" or "memory".

        Reference:
            Williams et al., Roofline, Communications of the ACM 52 (2009).
        """
        compute, memory = flops / self.flops, moved / self.bandwidth
        return max(compute, memory), "compute" if compute > memory else "memory"


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v4", 275e12, 1200e9, 30.75 * GIB, "megacore"),
        Chip("v5e", 197e12, 819e9, 15.75 * GIB),
        Chip("v5p", 459e12, 2765e9, 95.73 * GIB),
        Chip("v6e", 918e12, 1638e9, 31.24 * GIB),
    )
}


def chip_of(topology: str) -> Chip:
    """Returns the chip of a topology.

    Args:
        topology: Its kind and how many there are in each direction: "v5e:2x2".

    Raises:
        ValueError: No chip is known by that name.
    """
    found = re.fullmatch(r"(\w+):\d+(x\d+)*", topology)
    if found is None or found[1] not in CHIPS:
        raise ValueError(
            f"`tpu_topology` must be one of {', '.join(CHIPS)} and the number of chips "
            "in each direction, such as v5e:2x2, v6e:2x4 or v4:2x2x1. "
            f"Received: tpu_topology={topology!r}"
        )
    return CHIPS[found[1]]
