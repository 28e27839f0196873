"""Weightings: what each task counts in a step, one method a file."""

from p5_keras.weighting.aligned import AlignedMTL
from p5_keras.weighting.base import Clock, GramWeighting, Weighting
from p5_keras.weighting.cagrad import CAGrad
from p5_keras.weighting.conflict_free import ConFIG
from p5_keras.weighting.cosine_gate import CosineGate
from p5_keras.weighting.cost import Cost, measure, print_cost
from p5_keras.weighting.difficulty import Difficulty
from p5_keras.weighting.dualproj import DualProj
from p5_keras.weighting.dwa import DWA
from p5_keras.weighting.fairgrad import FairGrad
from p5_keras.weighting.famo import FAMO
from p5_keras.weighting.fixed import Fixed
from p5_keras.weighting.gls import GLS
from p5_keras.weighting.graddrop import GradDrop
from p5_keras.weighting.gradnorm import GradNorm
from p5_keras.weighting.gradvac import GradVac
from p5_keras.weighting.imtl_g import IMTLG
from p5_keras.weighting.imtl_l import IMTLL
from p5_keras.weighting.mgda import MGDA
from p5_keras.weighting.nash import NashMTL
from p5_keras.weighting.normalized import Normalized
from p5_keras.weighting.pcgrad import PCGrad
from p5_keras.weighting.rlw import RLW
from p5_keras.weighting.stch import STCH
from p5_keras.weighting.uncertainty import UncertaintyWeighting
from p5_keras.weighting.upgrad import UPGrad

__all__ = [
    "AlignedMTL",
    "CAGrad",
    "Clock",
    "Cost",
    "ConFIG",
    "CosineGate",
    "DWA",
    "Difficulty",
    "DualProj",
    "FAMO",
    "FairGrad",
    "Fixed",
    "GLS",
    "GradDrop",
    "GradNorm",
    "GradVac",
    "GramWeighting",
    "IMTLG",
    "IMTLL",
    "MGDA",
    "NashMTL",
    "Normalized",
    "PCGrad",
    "RLW",
    "STCH",
    "UPGrad",
    "UncertaintyWeighting",
    "Weighting",
    "measure",
    "print_cost",
]
