"""Trunks: what all tasks share."""

from p5_keras.trunks.conv import Conv
from p5_keras.trunks.conv_pool import ConvPool
from p5_keras.trunks.cut import Cut
from p5_keras.trunks.dense import Dense
from p5_keras.trunks.efficientnet_lite import EfficientNetLite0
from p5_keras.trunks.resnet import ResNet50

__all__ = ["Conv", "ConvPool", "Cut", "Dense", "EfficientNetLite0", "ResNet50"]
