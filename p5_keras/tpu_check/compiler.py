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
        seconds: Time of compilation.
    """

    flops: float
    moved: float
    memory: float
    seconds: float


class Refused(Exception):
    """A step cannot be compiled.

    Args:
        reason: Why, as the end of "Received: ...".
        operations: Names of the operations that are to blame, the first one first.
        graph: Where they are, or `None` if the step could not even be traced.
    """

    def __init__(
        self, reason: str, operations: Sequence[str] = (), graph: Any = None
    ) -> None:
        super().__init__(reason)
        self.reason, self.operations, self.graph = reason, list(operations), graph


def check_installed() -> None:
    """Raises `ValueError` if the compiler is not installed."""
    missing = [name for name in ("jax", "libtpu") if util.find_spec(name) is None]
    if missing:
        raise ValueError(
            "--mode=tpu_check compiles with libtpu, through JAX: pip install "
            f"'p5_keras[tpu_check]'. Missing: {', '.join(missing)}"
        )


def compile_for(
    topology: str, options: str, program: bytes, graph: Any
) -> Compiled | None:
    """Compiles a program for one device of a topology.

    Args:
        topology: As "v5e:2x2".
        options: As `Chip.options`.
        program: A portable StableHLO artifact.
        graph: The graph that it was made of.

    Returns:
        What the compiler says of it, or `None` if it does not fit into memory.

    Raises:
        ValueError: There is no such topology.
        Refused: It does not compile.
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
            raise Refused(f"exit code {done.returncode} of the compiler: {last}")
        found = json.loads(result.read_text())
    if "unknown" in found:
        raise ValueError(
            "`tpu_topology` must be one that exists, such as v5e:2x2. "
            f"Received: tpu_topology={topology!r} ({found['unknown']})"
        )
    if "error" not in found:
        return Compiled(**found)
    if "RESOURCE_EXHAUSTED" in found["error"]:
        return None
    raise Refused(found["error"], found["operations"], graph)


def first_line(error: Any) -> str:
    """Returns the first line of an error that says something."""
    return next((x.strip() for x in str(error).splitlines() if x.strip()), "")


def main(topology: str, options: str, source: str, result: str) -> None:
    """Compiles a file and writes what came of it, as JSON."""
    # What is private in JAX is why its version is pinned.
    from jax._src.interpreters.mlir import make_ir_context
    from jax.experimental import topologies
    from jaxlib.mlir.dialects import stablehlo

    messages: list[str] = []
    operations: list[str] = []

    def hear(diagnostic: Any) -> bool:
        messages.append(diagnostic.message)
        # The name that TensorFlow gave, and where TensorFlow's own code is.
        operations.extend(re.findall(r'"([^"]+)"(?!:\d)', str(diagnostic.location)))
        return True

    failed, keywords = "unknown", {"chip_config_name": options} if options else {}
    try:
        devices = topologies.get_topology_desc(
            platform="tpu", topology_name=topology, **keywords
        ).devices
        failed, context = "error", make_ir_context()
        with context, context.attach_diagnostic_handler(hear):
            module = stablehlo.deserialize_portable_artifact(
                context, pathlib.Path(source).read_bytes()
            )
            found = compiled(devices[0], module)
    except Exception as error:
        message = (messages or [str(error)])[0]
        found = {failed: first_line(message), "operations": operations}
    pathlib.Path(result).write_text(json.dumps(found))


def compiled(device: Any, module: Any) -> dict[str, Any]:
    """Compiles a parsed program; returns the attributes of a `Compiled`."""
    from jaxlib import _jax, xla_client
    from jaxlib.mlir import ir

    copies: list[Any] = []

    def see(operation: Any) -> Any:
        if operation.name == "mhlo.copy":
            copies.append(operation)
        return ir.WalkResult.ADVANCE

    # TensorFlow copies variables, which JAX's pipeline does not know.
    module.operation.walk(see)
    for operation in copies:
        operation.results[0].replace_all_uses_with(operation.operands[0])
        operation.erase()
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
        "seconds": seconds,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
