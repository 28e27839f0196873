"""Whether a model can train on a TPU, found out without one."""

from p5_keras.tpu_check.check import run

__all__ = ["run"]
