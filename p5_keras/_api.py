"""All public names of the package, which `p5_keras` loads when it is imported."""

from p5_keras.cli.command import is_command

try:
    import keras as _keras

    _backend = _keras.backend.backend()
except ModuleNotFoundError as _error:  # Another backend, which is not installed.
    if _error.name not in ("jax", "torch", "openvino"):
        raise
    _backend = _error.name
if _backend != "tensorflow":
    raise ImportError(
        "p5_keras needs Keras on TensorFlow; set KERAS_BACKEND=tensorflow. "
        f"Received: KERAS_BACKEND={_backend}"
    )

from p5_keras import keras_settings

if is_command():
    keras_settings.reset()
else:
    keras_settings.check_import()

from p5_keras import (
    catalog,
    compare,
    cost,
    data,
    evaluation,
    export,
    faults,
    grow,
    inputs,
    losses,
    metrics,
    optimizers,
    plan,
    pretraining,
    recipe,
    report,
    results,
    sharing,
    strategy,
    tasks,
    tpu_check,
    transfer,
    trunks,
    weighting,
)
from p5_keras.affinity import Affinity
from p5_keras.averaging import averaged_weights
from p5_keras.build import build_model
from p5_keras.checkpoint import Checkpoints
from p5_keras.model import MultiTaskModel
from p5_keras.predict import predict_folder
from p5_keras.predict_raw import predict_input
from p5_keras.progress import EpochTable
from p5_keras.sharing import Sharing
from p5_keras.task import Task
from p5_keras.task_stopping import TaskStopping
from p5_keras.trunk import Trunk
from p5_keras.workdir import Workdir

__all__ = [
    "Affinity",
    "Checkpoints",
    "EpochTable",
    "MultiTaskModel",
    "Sharing",
    "Task",
    "TaskStopping",
    "Trunk",
    "Workdir",
    "averaged_weights",
    "build_model",
    "catalog",
    "compare",
    "cost",
    "data",
    "evaluation",
    "export",
    "faults",
    "grow",
    "inputs",
    "losses",
    "metrics",
    "optimizers",
    "plan",
    "predict_folder",
    "predict_input",
    "pretraining",
    "recipe",
    "report",
    "results",
    "sharing",
    "strategy",
    "tasks",
    "tpu_check",
    "transfer",
    "trunks",
    "weighting",
]
