"""Sharings: what lies between a trunk and the heads, one architecture a file."""

from p5_keras.sharing.adapters import ResidualAdapters
from p5_keras.sharing.base import Sharing, attach, columns
from p5_keras.sharing.branching import Branching
from p5_keras.sharing.cascade import Cascade
from p5_keras.sharing.cross_stitch import CrossStitch, Sluice
from p5_keras.sharing.gate import Gate, Mixture
from p5_keras.sharing.hard import Hard
from p5_keras.sharing.hierarchical import Hierarchical
from p5_keras.sharing.mmoe import MMoE
from p5_keras.sharing.mtan import MTAN
from p5_keras.sharing.ple import CGC, PLE
from p5_keras.sharing.stitch import Stitch
from p5_keras.sharing.stop_gradient import StopGradient

__all__ = [
    "Branching",
    "CGC",
    "Cascade",
    "CrossStitch",
    "Gate",
    "Hard",
    "Hierarchical",
    "MMoE",
    "MTAN",
    "Mixture",
    "PLE",
    "ResidualAdapters",
    "Sharing",
    "Sluice",
    "Stitch",
    "StopGradient",
    "attach",
    "columns",
]
