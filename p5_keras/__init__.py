"""p5_keras: one shared trunk, many named heads, one joint objective."""

import keras as _keras

if _keras.backend.backend() != "tensorflow":
    raise ImportError(
        "p5_keras needs Keras on TensorFlow; set KERAS_BACKEND=tensorflow. "
        f"Received: KERAS_BACKEND={_keras.backend.backend()}"
    )

from p5_keras import data, losses, metrics, tasks, trunks
from p5_keras.model import MultiTaskModel, build_model
from p5_keras.task import Task
from p5_keras.trunk import Trunk

__version__ = "0.1.0"

__all__ = [
    "MultiTaskModel",
    "Task",
    "Trunk",
    "build_model",
    "data",
    "losses",
    "metrics",
    "tasks",
    "trunks",
]
