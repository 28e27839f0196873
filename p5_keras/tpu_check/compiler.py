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

    def __init__(self, message: str, operations: list[str]) -> None:
        super().__init__(message)
        self.operations = operations


class TooLarge(Exception):
    """A program needs more memory than the chip has.

    Args:
        needed: What the compiler says of it.
    """


def devices(topology: str, options: str) -> int:
    """Counts the devices of a topology.

    Args:
        topology: As "v5e:2x2".
        options: As `Chip.options`.

    Raises:
        ValueError: The compiler is not installed.
        CompilerError: There is no such topology.
    """
    return int(_run(topology, options, b"")["devices"])


def compile_for(topology: str, options: str, program: bytes) -> Compiled:
    """Compiles a program for one device of a topology.

    Args:
        topology: As "v5e:2x2".
        options: As `Chip.options`.
        program: A portable StableHLO artifact.

    Raises:
        ValueError: The compiler is not installed.
        TooLarge: The program does not fit.
        CompilerError: It refused the program.
    """
    try:
        found = _run(topology, options, program)
    except CompilerError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        sizes = re.findall(r"[\d.]+[KMGT]\b", str(error))
        raise TooLarge(" of ".join(sizes[:2])) from error
    return Compiled(**{key: found[key] for key in Compiled.__dataclass_fields__})


def _run(topology: str, options: str, program: bytes) -> dict[str, Any]:
    missing = [name for name in ("jax", "libtpu") if util.find_spec(name) is None]
    if missing:
        raise ValueError(
            "--mode=tpu_check compiles with libtpu, through JAX: pip install "
            f"'p5_keras[tpu_check]'. Missing: {', '.join(missing)}"
        )
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
                f"the compiler ended with code {done.returncode}: {' '.join(last)}", []
            )
        found = json.loads(result.read_text())
    if "error" in found:
        raise CompilerError(found["error"], found["operations"])
    return dict(found)


def main(topology: str, options: str, source: str, result: str) -> None:
    """Compiles a file and writes what came of it, as JSON."""
    program, said = pathlib.Path(source).read_bytes(), Heard()
    try:
        found = compiled(topology, options, program, said)
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


def compiled(
    topology: str, options: str, program: bytes, said: Heard
) -> dict[str, float]:
    """Compiles an artifact; counts devices only if it is empty."""
    # What is private in JAX is why its version is pinned.
    from jax._src.interpreters.mlir import make_ir_context
    from jax.experimental import topologies
    from jaxlib import _jax, xla_client
    from jaxlib.mlir.dialects import stablehlo

    keywords = {"chip_config_name": options} if options else {}
    known = topologies.get_topology_desc(
        platform="tpu", topology_name=topology, **keywords
    )
    count = {"devices": len(known.devices)}
    if not program:
        return count
    device, context = known.devices[0], make_ir_context()
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
    return count | {
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
