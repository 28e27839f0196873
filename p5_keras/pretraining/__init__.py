"""Tasks without labels, from which a trunk learns, and what it has learned."""

from p5_keras.pretraining.contrast import SimCLR, SimSiam
from p5_keras.pretraining.masked_image import MaskedImage
from p5_keras.pretraining.masked_text import MaskedText
from p5_keras.pretraining.probe import Probe
from p5_keras.pretraining.rotation import Rotation

#: The tasks that learn from pictures.
METHODS = ("MaskedImage", "Rotation", "SimCLR", "SimSiam")

__all__ = [
    "METHODS",
    "MaskedImage",
    "MaskedText",
    "Probe",
    "Rotation",
    "SimCLR",
    "SimSiam",
]
