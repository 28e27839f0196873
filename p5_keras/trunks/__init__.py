"""Trunks: what all tasks share."""

from p5_keras.trunks.audio import AudioConv
from p5_keras.trunks.conv import Conv
from p5_keras.trunks.conv_pool import ConvPool
from p5_keras.trunks.cut import Cut
from p5_keras.trunks.dense import Dense
from p5_keras.trunks.efficientnet_lite import EfficientNetLite0
from p5_keras.trunks.multi_input import MultiInput, TwoTower
from p5_keras.trunks.resnet import ResNet50
from p5_keras.trunks.tabular import TabularDense
from p5_keras.trunks.text import TextConv, TextRNN, TextTransformer

__all__ = [
    "AudioConv",
    "Conv",
    "ConvPool",
    "Cut",
    "Dense",
    "EfficientNetLite0",
    "MultiInput",
    "ResNet50",
    "TabularDense",
    "TextConv",
    "TextRNN",
    "TextTransformer",
    "TwoTower",
]
