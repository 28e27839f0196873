"""LiteRT and ONNX, made from the SavedModel's decoded signature."""

import contextlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from p5_keras.atomic import whole
from p5_keras.export.entries import of_tensors, tensors_signature
from p5_keras.export.int8 import quantized
from p5_keras.export.signatures import saved_model
from p5_keras.model import MultiTaskModel

#: What of a LiteRT file may be quantized.
QUANTIZED = ("none", "dynamic", "int8")

#: Examples that int8 is calibrated with.
CALIBRATION = 200


def litert(
    model: MultiTaskModel,
    path: str | os.PathLike[str],
    quantize: str = "none",
    images: Iterable[Any] | None = None,
) -> None:
    """Exports a LiteRT (TensorFlow Lite) file of one signature.

    Inputs and outputs are float32 and decoded as in the SavedModel, whatever is
    quantized. Raw text, sound and columns are not for LiteRT nor for ONNX: inputs are
    as the model takes them.

    Args:
        model: The model.
        path: The file.
        quantize: "none"; "dynamic" for weights in 8 bits; "int8" for the network's
            values too, up to each head's last layer that has weights.
        images: Batches of inputs, `(batch, height, width, channels)`, to calibrate
            "int8" with; some hundreds of examples of the training or validation split.

    Raises:
        ValueError: `quantize` is unknown, or there is nothing to calibrate with.
    """
    if quantize not in QUANTIZED:
        raise ValueError(
            f"`quantize` must be one of {QUANTIZED}. Received: quantize={quantize!r}"
        )
    if quantize == "int8" and images is None:
        raise ValueError("`quantize='int8'` needs `images`. Received: images=None")
    name = model.inputs[0].name

    def examples() -> Iterator[dict[str, Any]]:
        count = 0
        for batch in images or ():
            for x in batch:
                if count == CALIBRATION:
                    return
                yield {name: tf.cast(x, tf.float32)[None]}
                count += 1

    with _folder(model) as folder, _quiet():
        keys = [tensors_signature(model)]
        made = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=keys)
        if quantize == "int8":
            content = quantized(made, examples)
        else:
            if quantize == "dynamic":
                made.optimizations = [tf.lite.Optimize.DEFAULT]
            content = made.convert()
    _write(path, content)


def onnx(model: MultiTaskModel, path: str | os.PathLike[str]) -> None:
    """Exports an ONNX file with the decoded outputs of the SavedModel.

    Args:
        model: The model.
        path: The file.

    Raises:
        ValueError: `tf2onnx` is not installed.
    """
    try:
        import tf2onnx
    except ImportError as error:
        raise ValueError(
            "ONNX needs tf2onnx: pip install p5_keras[onnx]. Received: no tf2onnx"
        ) from error
    with _folder(model) as folder, _quiet():
        loaded = tf.saved_model.load(folder)
        signature = loaded.signatures[tensors_signature(model)]
        specs = of_tensors(model).specs
        names = [spec.name for spec in specs]
        serve = tf.function(lambda *x: signature(**dict(zip(names, x, strict=True))))
        made, _ = tf2onnx.convert.from_function(serve, specs, opset=17)
    _write(path, made.SerializeToString())


@contextlib.contextmanager
def _folder(model: MultiTaskModel) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        saved_model(model, folder, looks=False)
        yield folder


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the converters' accounts of their own steps off the terminal."""
    loggers = [tf.get_logger(), logging.getLogger("tf2onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _write(path: str | os.PathLike[str], content: bytes) -> None:
    with whole(path) as partial:
        partial.write_bytes(content)
