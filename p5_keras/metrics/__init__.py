"""Metrics that Keras lacks: they leave missing labels out, element by element."""

from p5_keras.metrics.element_mean import ElementMean
from p5_keras.metrics.label_auc import LabelAUC
from p5_keras.metrics.mean_iou import MeanIoU

__all__ = ["ElementMean", "LabelAUC", "MeanIoU"]
