"""Requests that TensorFlow Serving answers before it takes those of clients."""

import os
import pathlib
from typing import Any

import tensorflow as tf

#: Where TensorFlow Serving looks for them in a SavedModel.
FILE = pathlib.Path("assets.extra") / "tf_serving_warmup_requests"


def write_warm_up(
    path: str | os.PathLike[str], requests: dict[str, dict[str, Any]]
) -> None:
    """Writes one request a signature, so that the first client does not wait.

    Args:
        path: Folder of a SavedModel.
        requests: For each signature its inputs by name.

    Reference:
        TensorFlow Serving, SavedModel Warmup; `PredictionLog` of its
        `prediction_log.proto`, written by hand, as its package is large.
    """
    file = pathlib.Path(path) / FILE
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for signature, inputs in requests.items():
            request = _field(1, _field(3, signature.encode()))  # model_spec
            for name, value in inputs.items():
                tensor = tf.make_tensor_proto(value).SerializeToString()
                request += _field(2, _field(1, name.encode()) + _field(2, tensor))
            writer.write(_field(6, _field(1, request)))  # predict_log, request


def _field(number: int, content: bytes) -> bytes:
    """Encodes a field that has a length, as protocol buffers do."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])
