"""The TPU compiler, in a process of its own: libtpu, reached through JAX.

JAX knows TPUs that are not there by their topology, and compiles for them. The file is
run as a script as well, by itself and without the package: libtpu writes to the screen,
takes much memory, and may end the process that called it.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import util
from typing import Any

ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",  # JAX itself is to run nothing on a TPU
    "TPU_SKIP_MDS_QUERY": "1",  # there is no cloud to ask which TPU this is
    "TPU_LOG_DIR": "disabled",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # two processes may compile at once
}


@dataclass(frozen=True)
class Compiled:
    """What the compiler says of a program for one chip.

    Attributes:
        flops: Operations.
        moved: Bytes that its parts read and write.
        memory: Bytes of HBM: arguments, results that take no argument's place,
            temporaries and code.
        temporaries: Those of the temporaries alone.
        seconds: Time of compilation.
    """

    flops: float
    moved: float
    memory: float
    temporaries: float
    seconds: float


class CompilerError(Exception):
    """The compiler refused a program.

    Args:
        message: What it says.
        operations: Names of the operations that it speaks of.
    """

    def __init__(self, message: str, operations: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.operations = list(operations)


class TooLarge(Exception):
    """A program needs more memory than the chip has."""


def check_installed() -> None:
    """Raises `ValueError` if the compiler is not installed."""
    missing = [name for name in ("jax", "libtpu") if util.find_spec(name) is None]
    if missing:
        raise ValueError(
            "--mode=tpu_check compiles with libtpu, through JAX: pip install "
            f"'p5_keras[tpu_check]'. Missing: {', '.join(missing)}"
        )


def compile_for(topology: str, options: str, program: bytes) -> Compiled:
    """Compiles a program for one device of a topology.

    Args:
        topology: As "v5e:2x2".
        options: As `Chip.options`.
        program: A portable StableHLO artifact.

    Raises:
        ValueError: There is no such topology.
        TooLarge: The program does not fit.
        CompilerError: It refused the program.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, result = (pathlib.Path(folder, name) for name in ("program", "result"))
        source.write_bytes(program)
        # -P: the files beside this one are not to be taken for other packages.
        done = subprocess.run(
            [sys.executable, "-P", __file__, topology, options, source, result],
            env={**os.environ, **ENVIRONMENT},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if not result.exists():
            last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
            raise CompilerError(
                f"the compiler ended with code {done.returncode}: {' '.join(last)}"
            )
        found = json.loads(result.read_text())
    if "unknown" in found:
        raise ValueError(
            "`tpu_topology` must be one that exists, such as v5e:2x2. "
            f"Received: tpu_topology={topology!r} ({found['unknown']})"
        )
    if "error" not in found:
        return Compiled(**found)
    if "RESOURCE_EXHAUSTED" in found["error"]:
        raise TooLarge
    raise CompilerError(found["error"], found["operations"])


def main(topology: str, options: str, source: str, result: str) -> None:
    """Compiles a file and writes what came of it, as JSON."""
    from jax.experimental import topologies

    program, said = pathlib.Path(source).read_bytes(), Heard()
    found: dict[str, Any]
    try:
        keywords = {"chip_config_name": options} if options else {}
        known = topologies.get_topology_desc(
            platform="tpu", topology_name=topology, **keywords
        )
    except Exception as error:
        found = {"unknown": str(error).partition("\n")[0]}
    else:
        try:
            found = compiled(known.devices[0], program, said)
        except Exception as error:
            message = said.messages[0] if said.messages else str(error)
            found = {"error": message, "operations": said.operations}
    pathlib.Path(result).write_text(json.dumps(found))


class Heard:
    """What the parser complains of, and of which operations."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.operations: list[str] = []

    def __call__(self, diagnostic: Any) -> bool:
        """Takes a complaint; it is not to be printed as well."""
        self.messages.append(diagnostic.message)
        # The name that TensorFlow gave, and where TensorFlow's own code is.
        self.operations += re.findall(r'"([^"]+)"(?!:\d)', str(diagnostic.location))
        return True


def compiled(device: Any, program: bytes, said: Heard) -> dict[str, float]:
    """Compiles an artifact; returns the attributes of a `Compiled`."""
    # What is private in JAX is why its version is pinned.
    from jax._src.interpreters.mlir import make_ir_context
    from jaxlib import _jax, xla_client
    from jaxlib.mlir.dialects import stablehlo

    context = make_ir_context()
    with context, context.attach_diagnostic_handler(said):
        module = stablehlo.deserialize_portable_artifact(context, program)
        drop_copies(module)
        start = time.perf_counter()
        executable = device.client.compile(
            module, _jax.DeviceList((device,)), xla_client.CompileOptions()
        )
        seconds = time.perf_counter() - start
    cost, memory = executable.cost_analysis(), executable.get_compiled_memory_stats()
    own = memory.output_size_in_bytes - memory.alias_size_in_bytes
    kept = memory.argument_size_in_bytes + own + memory.generated_code_size_in_bytes
    return {
        "flops": cost.get("flops", 0.0),
        "moved": cost.get("bytes accessed", 0.0),
        "memory": kept + memory.temp_size_in_bytes,
        "temporaries": memory.temp_size_in_bytes,
        "seconds": seconds,
    }


def drop_copies(module: Any) -> None:
    """Takes out TensorFlow's copies of variables, which JAX's pipeline does not know.

    Args:
        module: The parsed program; changed in place.
    """
    from jaxlib.mlir import ir

    copies: list[Any] = []

    def see(operation: Any) -> Any:
        if operation.name == "mhlo.copy":
            copies.append(operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(see)
    for operation in copies:
        operation.results[0].replace_all_uses_with(operation.operands[0])
        operation.erase()


if __name__ == "__main__":
    main(*sys.argv[1:])
