"""Out to where models are served."""

from p5_keras.export.compare import compare
from p5_keras.export.converted import litert, onnx
from p5_keras.export.signatures import saved_model
from p5_keras.export.submodel import submodel
from p5_keras.export.write import FILES, write

__all__ = ["FILES", "compare", "litert", "onnx", "saved_model", "submodel", "write"]
