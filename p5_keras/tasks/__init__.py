"""The kinds of task."""

from p5_keras.tasks.classification import Classification
from p5_keras.tasks.clustering import Clustering
from p5_keras.tasks.conversion import Conversion
from p5_keras.tasks.dense_regression import DenseRegression
from p5_keras.tasks.detection import Detection
from p5_keras.tasks.kept import Kept
from p5_keras.tasks.map_head import MapTask
from p5_keras.tasks.multi_label import Binary, MultiLabel
from p5_keras.tasks.ordinal import Ordinal
from p5_keras.tasks.ranking import Ranking
from p5_keras.tasks.regression import Regression
from p5_keras.tasks.segmentation import Segmentation
from p5_keras.tasks.seq2seq import Seq2Seq
from p5_keras.tasks.sequence_head import SequenceTask
from p5_keras.tasks.tagging import Tagging
from p5_keras.tasks.transcription import Transcription
from p5_keras.tasks.unlabelled import Unlabelled
from p5_keras.tasks.vector_head import VectorTask

__all__ = [
    "Binary",
    "Classification",
    "Clustering",
    "Conversion",
    "DenseRegression",
    "Detection",
    "Kept",
    "MapTask",
    "MultiLabel",
    "Ordinal",
    "Ranking",
    "Regression",
    "Segmentation",
    "Seq2Seq",
    "SequenceTask",
    "Tagging",
    "Transcription",
    "Unlabelled",
    "VectorTask",
]
