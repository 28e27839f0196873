import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5

SIDE = 24
ALL = {"boxes": "objects", "maps": ("mask",)}
MOVES = {
    "flip_horizontal": {"flip_horizontal": True},
    "flip_vertical": {"flip_vertical": True},
    "transpose": {"transpose": True},
}
SEEDS = [tf.constant([0, i], tf.int64) for i in range(24)]


def example(boxes=((6, 8, 12, 20),), channels=1, shape=(SIDE, SIDE)):
    """A dark image with a bright, mapped rectangle in each box, in pixels."""
    image = np.zeros((*shape, channels), "uint8")
    mask = np.zeros((*shape, 1), "uint8")
    for y1, x1, y2, x2 in boxes:
        image[y1:y2, x1:x2] = 200
        mask[y1:y2, x1:x2] = 1
    height, width = shape
    scale = np.array([height, width, height, width], "float32")
    bbox = np.array([*boxes, (0, 0, 0, 0)], "float32") / scale
    label = np.array([*range(7, 7 + len(boxes)), -1])
    return tf.nest.map_structure(
        tf.constant,
        {
            "image": image,
            "mask": mask,
            "objects": {"bbox": bbox, "label": label},
            "digit": np.array(5),
        },
    )


def extent(plane):
    """The rectangle around what is set, in pixels: y1, x1, y2, x2."""
    rows, columns = (np.flatnonzero(plane.any(axis=a)) for a in (1, 0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])


def assert_together(changed, tolerance):
    """Compares image, map and box with each other; returns the box in pixels."""
    box = changed["objects"]["bbox"].numpy()[0] * SIDE
    image, mask = changed["image"].numpy(), changed["mask"].numpy()
    np.testing.assert_allclose(extent(image[..., 0] > 100), box, atol=tolerance)
    np.testing.assert_allclose(extent(mask[..., 0] == 1), box, atol=tolerance)
    return tuple(np.round(box, 3))


@pytest.mark.parametrize("name", MOVES)
def test_image_map_and_boxes_move_together(name):
    augment = p5.data.Augment(**MOVES[name], **ALL)
    found = {assert_together(augment(example(), s), tolerance=1e-4) for s in SEEDS}
    moved = {
        "flip_horizontal": (6, 4, 12, 16),
        "flip_vertical": (12, 8, 18, 20),
        "transpose": (8, 6, 20, 12),
    }
    assert found == {(6, 8, 12, 20), moved[name]}


def test_all_moves_at_once_keep_image_map_and_boxes_together():
    augment = p5.data.Augment(
        flip_horizontal=True, flip_vertical=True, transpose=True, zoom=1.6, **ALL
    )
    # The whole rectangle stays in view; bilinear edges are blurred by a pixel.
    found = {
        assert_together(augment(example([(9, 10, 13, 14)]), s), tolerance=1.1)
        for s in SEEDS
    }
    assert len(found) == len(SEEDS)


@pytest.mark.parametrize("name", MOVES)
def test_a_move_done_twice_is_none(name):
    augment = p5.data.Augment(**MOVES[name], **ALL)
    before = example([(1, 2, 5, 9), (10, 3, 20, 6)])
    for seed in SEEDS:
        after = augment(augment(before, seed), seed)
        np.testing.assert_array_equal(after["image"], before["image"])
        np.testing.assert_array_equal(after["mask"], before["mask"])
        boxes = [e["objects"]["bbox"][:2] for e in (after, before)]
        np.testing.assert_allclose(*boxes, atol=1e-6)
        np.testing.assert_array_equal(
            after["objects"]["label"], before["objects"]["label"]
        )


def test_images_that_are_not_square_flip():
    augment = p5.data.Augment(flip_horizontal=True, flip_vertical=True, **ALL)
    before = example([(2, 3, 6, 5)], shape=(12, 30))
    found = set()
    for seed in SEEDS:
        after = augment(before, seed)
        box = after["objects"]["bbox"].numpy()[0] * [12, 30, 12, 30]
        found_box = extent(after["mask"].numpy()[..., 0])
        np.testing.assert_allclose(found_box, box, atol=1e-4)
        found.add(tuple(np.round(box).astype(int)))
    assert found == {(2, 3, 6, 5), (6, 3, 10, 5), (2, 25, 6, 27), (6, 25, 10, 27)}


def everything():
    return p5.data.Augment(
        flip_horizontal=True,
        flip_vertical=True,
        transpose=True,
        zoom=2.0,
        brightness=0.5,
        contrast=0.5,
        saturation=0.5,
        hue=0.3,
        **ALL,
    )


def colourful():
    made = example([(0, 0, 9, 9), (12, 10, 24, 24)], channels=3)
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3))
    return {**made, "image": tf.constant(image, tf.uint8)}


def test_it_is_a_function_of_example_and_seed():
    augment = tf.function(everything())
    first = [augment(colourful(), s) for s in SEEDS]
    again = [augment(colourful(), s) for s in SEEDS]
    for a, b in zip(first, again, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, a, b)
    assert len({e["image"].numpy().tobytes() for e in first}) == len(SEEDS)


def test_nothing_leaves_its_range():
    augment = tf.function(everything())
    for i in range(40):
        after = augment(colourful(), tf.constant([9, i], tf.int64))
        image, boxes = after["image"].numpy(), after["objects"]["bbox"].numpy()
        assert image.shape == (SIDE, SIDE, 3) and image.dtype == np.float32
        assert image.min() >= 0 and image.max() <= 255
        assert boxes.min() >= 0 and boxes.max() <= 1
        kept = after["objects"]["label"].numpy() >= 0
        assert (boxes[kept][:, :2] < boxes[kept][:, 2:]).all()
        assert after["mask"].dtype == tf.uint8
        assert set(np.unique(after["mask"])) <= {0, 1}


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_colours_leave_everything_else_alone(name):
    augment = p5.data.Augment(**{name: 0.3}, **ALL)
    before = colourful()
    changed = 0
    for seed in SEEDS:
        after = augment(before, seed)
        shift = after["image"] - tf.cast(before["image"], tf.float32)
        changed += float(tf.reduce_max(tf.abs(shift))) > 1
        for key in ("mask", "objects", "digit"):
            tf.nest.map_structure(
                np.testing.assert_array_equal, after[key], before[key]
            )
    assert changed > len(SEEDS) / 2


def test_the_default_changes_nothing():
    before = example()
    after = p5.data.Augment(**ALL)(before, SEEDS[0])
    np.testing.assert_array_equal(after["image"], before["image"])
    tf.nest.map_structure(
        np.testing.assert_array_equal, after["objects"], before["objects"]
    )


def test_zoom_cuts_boxes_and_drops_those_mostly_out_of_view():
    boxes = [
        (0, 0, 12, 12),  # fills the window
        (6, 6, 18, 12),  # half of it in view
        (9, 0, 21, 6),  # a quarter in view
        (14, 14, 20, 20),  # out of view
    ]
    augment = p5.data.Augment(zoom=2.0, **ALL)
    # The largest zoom, into the upper left corner.
    after = augment._zoom(example(boxes), tf.constant([1.0, 0.0, 0.0]))
    np.testing.assert_array_equal(after["objects"]["label"], [7, 8, -1, -1, -1])
    np.testing.assert_allclose(
        after["objects"]["bbox"],
        [[0, 0, 1, 1], [0.5, 0.5, 1, 1], *np.zeros((3, 4))],
        atol=1e-6,
    )


def test_zoom_shows_between_all_and_the_least_of_the_image():
    augment = p5.data.Augment(zoom=1.5, **ALL)
    heights = []
    for i in range(60):
        after = augment(example([(11, 11, 13, 13)]), tf.constant([0, i], tf.int64))
        y1, _, y2, _ = after["objects"]["bbox"].numpy()[0]
        heights.append((y2 - y1) / (2 / SIDE))
    assert 1 <= min(heights) < 1.1
    assert 1.4 < max(heights) <= 1.5 + 1e-5


def test_it_runs_in_a_pipeline_with_static_shapes():
    made = example()

    def read(indices, epochs):
        return tf.nest.map_structure(
            lambda t: tf.repeat(t[None], len(indices), axis=0), made
        )

    tasks = [p5.tasks.Classification("digit", num_classes=10)]
    augment = p5.data.Augment(
        flip_vertical=True, transpose=True, zoom=1.3, brightness=0.1, **ALL
    )
    source = p5.data.Source(6, read, augment=augment)
    spec = p5.data.training(source, tasks, 2).element_spec
    assert spec[0] == tf.TensorSpec((2, SIDE, SIDE, 1), tf.float32)
