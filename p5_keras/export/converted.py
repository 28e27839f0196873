"""LiteRT and ONNX, made from the SavedModel's decoded signature."""

import contextlib
import logging
import os
import pathlib
import re
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensorflow as tf

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
    """Exports a LiteRT (TensorFlow Lite) file with the signature `serving_default`.

    Inputs and outputs are float32 and decoded as in the SavedModel, whatever is
    quantized.

    Args:
        model: The model.
        path: The file.
        quantize: "none"; "dynamic" for weights in 8 bits; "int8" for the network's
            values too, but not for those of decoding.
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
        made = _converter(folder)
        if quantize != "none":
            made.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "int8":
            names = _decoding(_converter(folder).convert(), model.name)
            content = _calibrated(made, examples, names)
        else:
            content = made.convert()
    _write(path, content)


def _converter(folder: str) -> Any:
    keys = ["serving_default"]
    return tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=keys)


def _decoding(content: bytes, model: str) -> list[str]:
    """Names the values that are not the network's own but of decoding its outputs."""
    network = re.compile(rf"(^|;){re.escape(model)}(_\d+)?/")
    details = tf.lite.Interpreter(model_content=content).get_tensor_details()
    return [d["name"] for d in details if not network.search(d["name"])]


def _calibrated(
    made: Any, examples: Callable[[], Iterator[dict[str, Any]]], exact: list[str]
) -> bytes:
    """Quantizes all but the values named, such as boxes, for which 8 bits are few."""

    def inputs() -> Iterator[tuple[str, dict[str, Any]]]:
        return (("serving_default", example) for example in examples())

    made.representative_dataset = inputs
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=exact)
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=made, debug_dataset=inputs, debug_options=options
    )
    return debugger.get_nondebug_quantized_model()


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
        signature = loaded.signatures["serving_default"]
        source = model.inputs[0]
        spec = tf.TensorSpec([None, *source.shape[1:]], tf.float32, source.name)
        serve = tf.function(lambda x: signature(**{source.name: x}))
        made, _ = tf2onnx.convert.from_function(serve, [spec], opset=17)
    _write(path, made.SerializeToString())


@contextlib.contextmanager
def _folder(model: MultiTaskModel) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        saved_model(model, folder)
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
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
