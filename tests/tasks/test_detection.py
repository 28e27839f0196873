import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from p5_keras.tasks import Detection
from p5_keras.tasks.anchors import Anchors

NOTHING = [0, 0, 0, 0, -1]


def trunk(size=48, channels=16, levels=(2, 3, 4, 5)):
    """A small pyramid on a (size, size, 3) input."""
    x = inputs = keras.Input((size, size, 3))
    features = {}
    x = layers.Conv2D(channels, 3, strides=2, padding="same", activation="relu")(x)
    for level in levels:
        x = layers.Conv2D(channels, 3, strides=2, padding="same", activation="relu")(x)
        features[f"P{level}"] = x
    return inputs, features


def built(size=48, **kwargs):
    """A task with a head on a small trunk, and the model of both."""
    kwargs = {"num_classes": 2, "width": 16, "anchor_size": 2.0, **kwargs}
    task = Detection("boxes", **kwargs)
    inputs, features = trunk(size)
    head = task.build(features, (size, size, 3))
    return task, keras.Model(inputs, head({n: features[n] for n in head.input}))


def labels(*images, room=3):
    return np.array(
        [[*image, *[NOTHING] * (room - len(image))] for image in images], "float32"
    )


def perfect(task, label):
    """The raw output that knows the label."""
    anchors, classes = task.anchors, len(task.class_names)
    index, positive, _ = (np.array(x) for x in anchors.match(label[..., :4]))
    truth = np.take_along_axis(label, index[..., None], axis=1)
    logits = np.full((*index.shape, classes), -12.0)
    image, anchor = np.nonzero(positive)
    logits[image, anchor, truth[image, anchor, 4].astype(int)] = 12.0
    return np.concatenate([anchors.encode(truth[..., :4]), logits], -1, dtype="float32")


def example(bbox, ids=None, size=48, **fields):
    objects = {"bbox": np.array(bbox, "float32")}
    if ids is not None:
        objects["label"] = np.array(ids)
    image = np.zeros((len(bbox), size, 2 * size, 3), "uint8")
    return {"image": image, "boxes": objects, **fields}


# Anchors


def test_anchors_by_hand():
    anchors = Anchors([[8, 1, 2], [16, 1, 1]], [1.0, 2.0], [1.0, 4.0], 2.0)
    assert anchors.boxes.shape == (12, 4)
    # Around (4, 4): a side of 16, then area 256 with a height of 4 widths.
    np.testing.assert_allclose(anchors.boxes[0], [-4, -4, 12, 12])
    np.testing.assert_allclose(anchors.boxes[1], [0, -12, 8, 20])
    np.testing.assert_allclose(anchors.boxes[2], [-12, -12, 20, 20])
    np.testing.assert_allclose(anchors.boxes[4], [4, -4, 20, 12])
    np.testing.assert_allclose(anchors.boxes[8], [-8, -8, 24, 24])


def test_encode_and_decode_by_hand():
    anchors = Anchors([[8, 1, 1]], [1.0], [1.0], 2.0)
    box = np.array([[0, 4, 8, 12]], "float32")
    deltas = [[0, 0.25, np.log(0.5), np.log(0.5)]]
    np.testing.assert_allclose(anchors.encode(box), deltas, atol=1e-6)
    np.testing.assert_allclose(anchors.decode(anchors.encode(box)), box, atol=1e-5)


def test_decode_agrees_with_keras():
    anchors = Anchors([[8, 2, 3]], [1.0, 1.5], [0.5, 2.0], 2.0)
    deltas = np.random.default_rng(0).normal(size=(2, 24, 4)).astype("float32")
    boxes = keras.utils.bounding_boxes.decode_deltas_to_boxes(
        anchors.boxes, deltas, "xyxy", "xyxy", encoded_format="center_xywh"
    )
    np.testing.assert_allclose(anchors.decode(deltas), boxes, 1e-4, 1e-4)
    assert np.isfinite(anchors.decode(deltas * 1e4)).all()


# Labels


def test_target_is_in_pixels_of_the_image():
    task = Detection("boxes", num_classes=3, max_boxes=4)
    label, weight = task.target(
        example(
            [[[0, 0, 0, 0], [0.25, 0.5, 0.5, 1]], [[0, 0, 1, 1]] * 2], [[-1, 2]] * 2
        )
    )
    np.testing.assert_allclose(label[0], [[48, 12, 96, 24, 2], *[NOTHING] * 3])
    np.testing.assert_allclose(label[1], [[0, 0, 96, 48, 2], *[NOTHING] * 3])
    np.testing.assert_array_equal(weight, [1, 1])
    assert label.shape == (2, 4, 5)


def test_target_in_a_dataset_has_a_static_shape():
    task = Detection("boxes", num_classes=3, max_boxes=4)
    examples = example(np.zeros((4, 0, 4)), np.zeros((4, 0), "int64"))
    data = tf.data.Dataset.from_tensor_slices(examples).batch(2).map(task.target)
    assert data.element_spec[0].shape.as_list() == [None, 4, 5]
    for label, weight in data:
        np.testing.assert_array_equal(label, [[NOTHING] * 4] * 2)
        np.testing.assert_array_equal(weight, [1, 1])


def test_weight_field_and_nan_mark_missing_labels():
    task = Detection("boxes", num_classes=1, weight="known")
    bbox = [[[0, 0, 1, 1]], [[np.nan] * 4], [[0, 0, 1, 1]]]
    _, weight = task.target(example(bbox, [[0]] * 3, known=np.array([1, 1, 0])))
    np.testing.assert_array_equal(weight, [1, 0, 0])


def test_one_class_needs_no_ids():
    task = Detection("boxes", num_classes=1, max_boxes=2)
    bbox = np.array([[0, 0, 0.5, 0.5], [0, 0, 0, 0], [np.nan] * 4], "float32")
    plain = {**example(bbox[:, None]), "boxes": bbox}
    for batch in (plain, example(bbox[:, None])):
        label, weight = task.target(batch)
        np.testing.assert_allclose(label[0], [[0, 0, 48, 24, 0], NOTHING])
        np.testing.assert_allclose(label[1:], [[NOTHING] * 2] * 2)
        np.testing.assert_array_equal(weight, [1, 1, 0])


def test_target_refuses_images_of_another_size():
    task = Detection("boxes", num_classes=1, image_size=(32, 32))
    with pytest.raises(ValueError, match=r"\[48, 96\]; image_size=\[32, 32\]"):
        task.target(example([[[0, 0, 1, 1]]], [[0]]))


def test_check_names_what_is_wrong():
    task = Detection("boxes", num_classes=2, image_size=(48, 48), max_boxes=3)
    one = np.ones(2)
    task.check(labels([[0, 0, 48.5, 48, 1]], []), one)

    def bad(*row):
        return labels([[0, 0, 9, 9, 0]], [[0, 0, 9, 9, 0], row])

    for row, message in (
        (
            (0, 0, 9, 9, 2),
            "'boxes' must have a class below 2.*box 1 of example 1 .*class 2",
        ),
        ((np.nan, 0, 9, 9, 0), r"must be finite.*box 1 of example 1 is \[nan"),
        ((9, 0, 9, 9, 0), r"x2 > x1.*box 1 of example 1 is \[9.0, 0.0, 9.0, 9.0\]"),
        ((0, 0, 50, 9, 0), "within the 48x48 pixels.*box 1 of example 1"),
    ):
        with pytest.raises(ValueError, match=message):
            task.check(bad(*row), one)
        task.check(bad(*row), np.array([1.0, 0.0]))


def test_more_objects_than_room():
    task = Detection("boxes", num_classes=2, max_boxes=2)
    bbox = [[[0, 0, 0.5, 0.5], [0, 0, 1, 1], [0, 0, 0.1, 0.1]]] * 2
    label, weight = task.target(example(bbox, [[0, 1, 1], [0, 1, -1]]))
    fields = {k: np.array(v) for k, v in task.truth(label).items()}
    np.testing.assert_array_equal(fields["classes"], [[0, 1], [0, 1]])
    task.check(np.array(label)[1:], np.array(weight)[1:])
    with pytest.raises(ValueError, match=r"`max_boxes` .*example 0 has more.*=2"):
        task.check(np.array(label), np.array(weight))


# Head


@pytest.mark.parametrize("top_down", [True, False])
@pytest.mark.parametrize("norm", ["batch", "group", "none"])
def test_head_on_odd_sizes(top_down, norm):
    features = ["P2", "P3", "P4", "P5"]
    task, model = built(features=features, top_down=top_down, norm=norm)
    assert task.levels == [[4, 12, 12], [8, 6, 6], [16, 3, 3], [32, 2, 2]]
    assert model.output_shape == (None, 9 * (144 + 36 + 9 + 4), 6)
    assert len(task.anchors.boxes) == model.output_shape[1]
    # An untrained head gives every class the probability .01.
    scores = keras.ops.sigmoid(model(np.zeros((1, 48, 48, 3)))[..., 4:])
    np.testing.assert_allclose(scores, 0.01, 0.1)


def test_towers_are_shared_by_the_levels():
    one = built(features=["P4"], norm="none")[1].get_layer("boxes")
    two = built(features=["P4", "P5"], norm="none")[1].get_layer("boxes")
    lateral = 16 * 16 + 16
    assert two.count_params() - one.count_params() == lateral


def test_cells_and_anchors_are_in_the_same_order():
    """A bias of one cell's logits shows at the anchors around this cell."""
    task, model = built(features=["P4"], norm="none", anchor_ratios=[1.0])
    head = model.get_layer("boxes")
    feature = np.zeros((1, 3, 3, 16), "float32")
    feature[0, 0, 2] = 1.0
    for layer in head.layers:
        if isinstance(layer, layers.Conv2D):
            kernel = np.zeros(layer.kernel.shape)
            centre = tuple(n // 2 for n in kernel.shape[:2])
            kernel[centre] = 1.0
            layer.kernel.assign(kernel)
    logits = np.array(head({"P4": feature}))[0, :, 4]
    hot = task.anchors.boxes[logits > 0]
    centres = (hot[:, :2] + hot[:, 2:]) / 2
    np.testing.assert_allclose(centres, [[40, 8]] * 3, 1e-6)


def test_default_features():
    task = Detection("boxes", num_classes=1)
    assert task.default_features(["P2", "P3", "P4"], ()) == ["P3", "P4"]
    assert task.default_features(["P1", "P2"], ()) == ["P2"]
    assert task.default_features(["map"], ()) == ["map"]


def test_stride_of_features_without_a_level():
    task = Detection("boxes", num_classes=1, features="map")
    task.build({"map": keras.KerasTensor((None, 7, 10, 8))}, (70, 100, 3))
    assert task.levels == [[10, 7, 10]]


def test_head_refuses():
    task = built()[0]
    with pytest.raises(ValueError, match=r"input_shape=\(64, 64, 3\).*\[48, 48\]"):
        task.build(trunk(64)[1], (64, 64, 3))
    task = Detection("boxes", num_classes=1, features="v")
    with pytest.raises(ValueError, match="maps of a fixed size"):
        task.build({"v": keras.KerasTensor((None, 8))}, (8,))
    with pytest.raises(ValueError, match="build the model first"):
        task.default_loss()


def test_half_precision_ends_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert built()[1].output.dtype == "float32"
    finally:
        keras.config.set_dtype_policy("float32")


# Decoding


def test_decode_returns_the_truth_of_a_perfect_output():
    task = built()[0]
    label = labels(
        [[4, 4, 20, 24, 1], [30, 8, 44, 40, 0], [30, 9, 44, 41, 1]],
        [],
        [[0, 0, 48, 48, 1]],
    )
    output = perfect(task, label)
    assert float(task.training_loss()(label, output)) < 1e-3
    fields = {k: np.array(v) for k, v in task.decode(output).items()}
    assert fields["boxes"].shape == (3, 100, 4)
    np.testing.assert_array_equal(fields["count"], [3, 0, 1])
    for i, count in enumerate(fields["count"]):
        found = np.column_stack([fields["boxes"][i], fields["classes"][i]])
        np.testing.assert_array_equal(found[count:], [NOTHING] * (100 - count))
        truth = label[i][label[i, :, 4] >= 0]
        found = found[:count][np.lexsort(found[:count].T[::-1])]
        np.testing.assert_allclose(found, truth[np.lexsort(truth.T[::-1])], atol=1e-3)
    np.testing.assert_array_equal(task.example_scores(label, fields), [1, 1, 1])
    evaluator = task.evaluator()
    evaluator.update(label, np.ones(3), fields)
    assert evaluator.result() == pytest.approx(dict.fromkeys(task.better, 1.0))
    assert task.primary in task.better


def test_decode_orders_by_score_and_suppresses_within_a_class():
    task = Detection(
        "boxes",
        num_classes=2,
        anchor_size=1.0,
        anchor_scales=[1.0],
        anchor_ratios=[1.0],
        image_size=(16, 48),
        levels=[[16, 1, 3]],
        max_detections=4,
    )
    output = np.zeros((1, 3, 6), "float32")
    output[..., 4:] = -10
    output[0, 0, 4:] = [0.0, 1.0]  # both classes on the same box
    output[0, 1, 0], output[0, 1, 5] = -0.9, 2.0  # nearly the same box, class 1
    output[0, 2, 0], output[0, 2, 4] = 5.0, 3.0  # beside the image
    fields = {k: np.array(v) for k, v in task.decode(output).items()}
    np.testing.assert_array_equal(fields["count"], [2])
    np.testing.assert_array_equal(fields["classes"], [[1, 0, -1, -1]])
    p = 1 / (1 + np.exp(-np.array([2.0, 0.0])))
    np.testing.assert_allclose(fields["scores"], [[*p, 0, 0]], 1e-5)
    np.testing.assert_allclose(fields["boxes"][0, 0], [1.6, 0, 17.6, 16], 1e-5)


def test_truth_has_the_fields_of_decode():
    task, model = built()
    label = labels([[4, 4, 20, 24, 1]], [])
    truth = task.truth(label)
    found = task.decode(model.predict(np.zeros((2, 48, 48, 3)), verbose=0))
    assert {k: v.dtype for k, v in truth.items()} == {
        k: v.dtype.name for k, v in found.items()
    }
    np.testing.assert_array_equal(truth["count"], [1, 0])
    np.testing.assert_array_equal(truth["scores"], [[1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(truth["classes"][0], [1, -1, -1])


def test_decode_in_xla_and_in_a_saved_model(tmp_path):
    task, model = built()
    images = np.random.default_rng(0).normal(size=(2, 48, 48, 3)).astype("float32")

    def serve(x):
        return task.decode(model(x))

    plain = serve(images)
    assert (plain["count"] > 0).numpy().all()
    compiled = tf.function(serve, jit_compile=True)(images)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve", serve, [tf.TensorSpec((None, 48, 48, 3), name="image")]
    )
    archive.write_out(str(tmp_path / "export"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "export"))
    served = loaded.serve(images)
    for name, value in plain.items():
        np.testing.assert_allclose(value, served[name], 1e-4, 1e-4)
        if name == "count":
            np.testing.assert_array_equal(value, compiled[name])


# The rest


def test_prior_knows_the_usual_box():
    task = built()[0]
    label = np.concatenate([labels([[8, 8, 40, 40, 1]])] * 6 + [labels([])] * 2)
    label[0] = labels([[0, 0, 10, 10, 0]])[0]
    prior = task.prior(label, np.array([0.0, *[1.0] * 7]))
    assert prior.shape == (len(task.anchors.boxes), 6)
    assert prior.dtype == np.float32
    fields = {k: np.array(v)[0] for k, v in task.decode(prior[None]).items()}
    np.testing.assert_allclose(fields["boxes"][0], [8, 8, 40, 40], atol=1e-3)
    assert fields["classes"][0] == 1
    assert fields["scores"][0] == pytest.approx(0.5)  # the most usual box
    evaluator = task.evaluator()
    batch = {k: np.stack([v] * 2) for k, v in fields.items()}
    evaluator.update(labels([[8, 8, 40, 40, 1]], [[0, 0, 9, 9, 0]]), np.ones(2), batch)
    assert evaluator.result()["map50"] == pytest.approx(0.5)


def test_draw():
    from matplotlib.figure import Figure

    task = Detection("boxes", class_names=["cat", "dog"])
    axes = Figure().subplots()
    fields = {
        "boxes": np.array([[1, 2, 5, 8], [0, 0, 4, 4], [0, 0, 2, 2], [0, 0, 0, 0]]),
        "scores": np.array([1.0, 0.5, 0.2, 0.0]),
        "classes": np.array([0, 1, 1, -1]),
        "count": np.array(3),
    }
    assert task.draw(axes, fields) == ""
    assert [text.get_text() for text in axes.texts] == ["cat", "dog 0.50"]
    assert axes.patches[0].get_bbox().extents.tolist() == [0.5, 1.5, 4.5, 7.5]


def test_config_round_trip():
    task = built(box_loss="ciou", top_down=False, max_boxes=7, nms_iou=0.4)[0]
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(task)
    )
    assert again.get_config() == task.get_config()
    output = np.random.default_rng(0).normal(size=(1, len(task.anchors.boxes), 6))
    for name, value in task.decode(output.astype("float32")).items():
        np.testing.assert_array_equal(
            value, again.decode(output.astype("float32"))[name]
        )


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"box_loss": "l1"}, "`box_loss` must be one of .*Received: box_loss='l1'"),
        ({"norm": "layer"}, "`norm` must be one of"),
        ({"max_boxes": 0}, "`max_boxes` must be at least 1.*max_boxes=0"),
        ({"class_names": ["a", "b"]}, "`num_classes`"),
    ],
)
def test_wrong_arguments(argument, message):
    with pytest.raises(ValueError, match=message):
        Detection("boxes", num_classes=1, **argument)


def test_overfits_two_images():
    keras.utils.set_random_seed(0)
    task, model = built(features=["P3", "P4"], width=32, anchor_ratios=[1.0])
    label = labels([[6, 8, 22, 24, 0], [28, 20, 44, 44, 1]], [[20, 4, 40, 20, 1]])
    images = np.zeros((2, 48, 48, 3), "float32")
    for image, rows in zip(images, label, strict=True):
        for x1, y1, x2, y2, kind in rows[rows[:, 4] >= 0].astype(int):
            image[y1:y2, x1:x2, kind] = 1.0
    model.compile(keras.optimizers.Adam(3e-3), task.training_loss())
    before = model.evaluate(images, label, verbose=0)
    many = np.tile(images, (100, 1, 1, 1)), np.tile(label, (100, 1, 1))
    model.fit(*many, batch_size=2, verbose=0)
    assert model.evaluate(images, label, verbose=0) < before / 4
    fields = task.decode(model.predict(images, verbose=0))
    evaluator = task.evaluator()
    evaluator.update(label, np.ones(2), {k: np.array(v) for k, v in fields.items()})
    assert evaluator.result()["map50"] >= 0.9
