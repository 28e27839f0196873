"""What a model reads: from raw values to tensors, in training and when it serves."""

from p5_keras.inputs.base import Input, encode, keras_inputs
from p5_keras.inputs.table import Table
from p5_keras.inputs.text import Text
from p5_keras.inputs.waveform import Waveform

__all__ = ["Input", "Table", "Text", "Waveform", "encode", "keras_inputs"]
