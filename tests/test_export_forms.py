"""Encoded images in, parts of a model out, and other formats than SavedModel."""

import io
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import p5_keras as p5
from p5_keras.export import int8
from p5_keras.export.image_bytes import decode_images
from p5_keras.export.warm_up import FILE

SHAPE = (24, 32, 3)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    tasks = [
        p5.tasks.Classification("kind", num_classes=3),
        p5.tasks.Regression("size", mean=[10.0], std=[2.0]),
        p5.tasks.Detection("cells", num_classes=1, max_boxes=4, width=8),
    ]
    return p5.build_model(p5.trunks.Conv(width=4, depth=1, levels=3), tasks, SHAPE)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export")
    p5.export.saved_model(model, path)
    return path


def pixels(height, width):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, 3)).astype("uint8")


def encoded(image, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def dataset(model):
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 255, (6, *SHAPE)).astype("float32")
    boxes = np.full((6, 4, 5), -1, "float32")
    boxes[:, 0] = [2, 3, 20, 18, 0]
    labels = {"kind": rng.integers(0, 3, 6), "size": np.ones((6, 1)), "cells": boxes}
    labels = {
        k: v.astype("int32" if k == "kind" else "float32") for k, v in labels.items()
    }
    weight = {"kind": np.ones(6, "float32"), "size": np.ones(6, "float32")}
    weight["cells"] = np.array([1, 1, 1, 1, 1, 0], "float32")
    return tf.data.Dataset.from_tensor_slices((x, labels, weight)).batch(3)


BROKEN = [b"", b"no picture", encoded(pixels(9, 9), "JPEG")[:60], b"\x89PNG\r\n\x1a\n"]


def test_broken_files_leave_the_others_of_a_batch_served(model, folder):
    good = pixels(*SHAPE[:2])
    files = [BROKEN[0], encoded(good), *BROKEN[1:], encoded(pixels(48, 96))]
    serve = tf.saved_model.load(str(folder)).signatures["serve_image_bytes"]
    found = serve(image_bytes=tf.constant(files))
    ok = found["ok"].numpy()
    assert ok.tolist() == [False, True, False, False, False, True]
    whole = tf.saved_model.load(str(folder)).signatures["serving_default"]
    expected = whole(image=tf.constant(good[None], tf.float32))
    for key, value in expected.items():
        np.testing.assert_allclose(found[key][1], value[0], 1e-4, 1e-4, err_msg=key)
    small = tf.image.resize(pixels(48, 96), SHAPE[:2], antialias=True)
    expected = whole(image=tf.round(small)[None])
    # Boxes are in pixels of the file's image, 3 times as wide and twice as high.
    boxes = expected["cells_boxes"][0] * [3.0, 2.0, 3.0, 2.0]
    np.testing.assert_allclose(found["cells_boxes"][5], boxes, 1e-4, 1e-3)


def test_a_batch_without_a_readable_image(folder):
    serve = tf.saved_model.load(str(folder)).signatures["serve_image_bytes"]
    found = serve(image_bytes=tf.constant(BROKEN))
    assert found["ok"].numpy().tolist() == [False] * len(BROKEN)
    assert found["size_value"].shape == (len(BROKEN), 1)


def test_images_are_decoded_as_for_training():
    grey = pixels(10, 14)[..., 0]
    x, size, ok = decode_images(
        tf.constant([encoded(grey), encoded(pixels(20, 28), "BMP")]), (10, 14, 1)
    )
    np.testing.assert_array_equal(x[0, ..., 0], grey)
    assert size.numpy().tolist() == [[10, 14], [20, 28]] and ok.numpy().all()


def test_the_server_has_a_request_of_each_signature_to_warm_up_with(folder):
    records = list(tf.data.TFRecordDataset(str(folder / FILE)).as_numpy_iterator())
    assert len(records) == 3
    for record, name in zip(
        records, ["serving_default", "raw", "serve_image_bytes"], strict=True
    ):
        assert name.encode() in record
    serving = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    log = serving.PredictionLog.FromString(records[2]).predict_log.request
    assert log.model_spec.signature_name == "serve_image_bytes"
    (content,) = tf.make_ndarray(log.inputs["image_bytes"])
    assert tf.io.decode_image(content).shape == SHAPE


def test_a_submodel_has_what_its_tasks_need_and_no_more(model, tmp_path):
    part = p5.export.submodel(model, ["size"])
    x = np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype("float32")
    np.testing.assert_array_equal(part(x)["size"], model(x)["size"])
    assert [task.name for task in part.tasks] == ["size"]
    names = {layer.name for layer in part.layers}
    assert "size" in names and not names & {"kind", "cells"}
    assert part.count_params() < model.count_params()
    part.save(tmp_path / "part.keras")  # though it was never compiled
    loaded = keras.saving.load_model(tmp_path / "part.keras")
    np.testing.assert_array_equal(loaded(x)["size"], model(x)["size"])


@pytest.mark.parametrize(
    ("tasks", "text"),
    [(["sice"], r"Did you mean 'size'\? Received: 'sice'"), ([], "Received: none")],
)
def test_a_submodel_of_no_or_unknown_tasks(tasks, text, model):
    with pytest.raises(ValueError, match=text):
        p5.export.submodel(model, tasks)


def test_a_saved_model_is_compared_with_its_model(model, folder, dataset):
    found = p5.export.compare(model, folder, dataset)
    assert found["cells_boxes"]["difference"] < 1e-3
    assert found["kind_label"]["difference"] == 0
    assert found["size"]["score"] == pytest.approx(found["size"]["exported"], abs=1e-4)
    before = model.get_layer("size").get_weights()
    changed = [w + 1 for w in before]
    try:
        model.get_layer("size").set_weights(changed)
        found = p5.export.compare(model, folder, dataset)
    finally:
        model.get_layer("size").set_weights(before)
    assert found["size_value"]["difference"] > 0.1
    assert found["kind_label"]["difference"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("quantize", ["none", "dynamic", "int8"])
def test_litert_agrees(quantize, model, dataset, tmp_path):
    pytest.importorskip("ai_edge_litert.interpreter")
    path = tmp_path / "model.tflite"
    images = [batch[0] for batch in dataset]
    p5.export.litert(model, path, quantize, images)
    found = p5.export.compare(model, path, dataset)
    bound = 1e-4 if quantize == "none" else 2.0
    assert found["size_value"]["difference"] < bound
    assert found["kind_probabilities"]["difference"] < min(bound, 0.2)
    if quantize == "none":
        assert found["cells_boxes"]["difference"] < 1e-3


@pytest.mark.slow
def test_onnx_agrees(model, dataset, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    p5.export.onnx(model, tmp_path / "model.onnx")
    found = p5.export.compare(model, tmp_path / "model.onnx", dataset)
    assert found["size_value"]["difference"] < 1e-4
    assert found["cells_boxes"]["difference"] < 1e-3


def test_what_follows_the_last_heavy_operation_of_a_head_is_left_in_floats():
    def operation(inputs, output):
        return types.SimpleNamespace(inputs=inputs, outputs=[output])

    graph = {
        "CONV_2D": ([0], 1),
        "RELU": ([1], 2),  # both heads need it
        "RESHAPE": ([2], 3),  # the first head ends with it
        "FULLY_CONNECTED": ([2], 4),
        "SOFTMAX": ([4], 5),
        "CONCATENATION": ([3, 5], 6),
    }
    operators = [operation(*value) for value in graph.values()]
    found = int8.after_heavy(operators, list(graph))
    assert [code for i, code in enumerate(graph) if i in found] == [
        "RESHAPE",
        "SOFTMAX",
        "CONCATENATION",
    ]


@pytest.mark.parametrize(
    ("forms", "text"),
    [(["onx"], r"Did you mean 'onnx'\? Received: 'onx'")],
)
def test_an_unknown_form_is_refused_before_anything_is_written(
    forms, text, model, dataset, tmp_path
):
    with pytest.raises(ValueError, match=text):
        p5.export.write(model, tmp_path, ["saved_model", *forms], dataset)
    assert not list(tmp_path.iterdir())


def test_int8_needs_images(model, tmp_path):
    with pytest.raises(ValueError, match="`quantize='int8'` needs `images`"):
        p5.export.litert(model, tmp_path / "a", "int8")
    with pytest.raises(ValueError, match="`quantize` must be one of"):
        p5.export.litert(model, tmp_path / "a", "int4")
