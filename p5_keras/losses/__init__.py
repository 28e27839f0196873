"""Losses that Keras lacks; every loss here is a mean over what is labelled."""

from p5_keras.losses.base import MeanLoss, Wrapped, get, replica_sum, safe_divide
from p5_keras.losses.cross_entropy import SigmoidCrossEntropy, SoftmaxCrossEntropy
from p5_keras.losses.dice import Dice
from p5_keras.losses.ranking import ListLoss, PairLoss
from p5_keras.losses.regression import LogError, ScaledRegression, SILog

__all__ = [
    "Dice",
    "ListLoss",
    "LogError",
    "MeanLoss",
    "PairLoss",
    "SILog",
    "ScaledRegression",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "Wrapped",
    "get",
    "replica_sum",
    "safe_divide",
]
