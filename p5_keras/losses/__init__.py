"""Losses that Keras lacks; every loss here is a mean over what is labelled."""

from p5_keras.losses.base import MeanLoss, Wrapped, get, replica_sum, safe_divide
from p5_keras.losses.cross_entropy import SigmoidCrossEntropy, SoftmaxCrossEntropy
from p5_keras.losses.dice import Dice
from p5_keras.losses.ranking import ListLoss, PairLoss
from p5_keras.losses.regression import LogError, ScaledRegression, SILog
from p5_keras.losses.sequences import CTC, SequenceCrossEntropy

__all__ = [
    "CTC",
    "Dice",
    "ListLoss",
    "LogError",
    "MeanLoss",
    "PairLoss",
    "SILog",
    "ScaledRegression",
    "SequenceCrossEntropy",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "Wrapped",
    "get",
    "replica_sum",
    "safe_divide",
]
