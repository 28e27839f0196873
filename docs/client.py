"""Runs an exported model with NumPy and the runtime of its format, and nothing else.

    python docs/client.py runs/quickstart/model.tflite images.npy outputs.npz

`images.npy` holds `(n, height, width, channels)` of the model's size, 0 to 255. The
outputs are those of `serving_default`, named `<task>_<field>`.
"""

import pathlib
import sys

import numpy as np


def run(path: str, images: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the decoded outputs of a SavedModel, a LiteRT or an ONNX file."""
    if path.endswith(".tflite"):
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(path)  # must live as long as what runs
        serve = interpreter.get_signature_runner("serving_default")
        ((name, input_),) = serve.get_input_details().items()
        # The runtime would take images of any size, and answer some.
        if images.shape[1:] != tuple(input_["shape_signature"][1:]):
            raise ValueError(f"the model takes {input_['shape_signature']} images")
        return serve(**{name: images})
    if path.endswith(".onnx"):
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        names = [output.name for output in session.get_outputs()]
        found = session.run(names, {session.get_inputs()[0].name: images})
        return dict(zip(names, found, strict=True))
    import tensorflow as tf

    model = tf.saved_model.load(path)  # must live as long as what runs
    serve = model.signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]
    found = serve(**{name: tf.constant(images)})
    return {name: value.numpy() for name, value in found.items()}


if __name__ == "__main__":
    model, images, outputs = sys.argv[1:]
    np.savez(outputs, **run(model, np.load(images).astype("float32")))
    print(pathlib.Path(outputs).resolve())
