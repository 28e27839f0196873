"""Whether tasks should share a trunk: single-task models, the joint one, and others."""

from p5_keras.compare.arms import Arm, Model, arms
from p5_keras.compare.compare import run
from p5_keras.compare.options import Options, options
from p5_keras.compare.statistics import Interval, delta_m, interval, mean_ranks

__all__ = [
    "Arm",
    "Interval",
    "Model",
    "Options",
    "arms",
    "delta_m",
    "interval",
    "mean_ranks",
    "options",
    "run",
]
