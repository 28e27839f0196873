import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.data import COLOR, GEOMETRY, Augment

SIDE = 24
CHANGES = {
    "flip_horizontal": True,
    "flip_vertical": True,
    "transpose": True,
    "zoom": (0.7, 1.6),
    "stretch": 1.4,
    "rotate": 60,
    "shear": 20,
    "translate": 0.2,
    "brightness": 0.5,
    "contrast": 0.5,
    "saturation": 0.5,
    "hue": 0.3,
    "rand_augment": 1,
    "erase": 0.3,
}
FLIPS = GEOMETRY[:3]
MOVED = {
    "flip_horizontal": (6, 4, 12, 16),
    "flip_vertical": (12, 8, 18, 20),
    "transpose": (8, 6, 20, 12),
}
MOVES = {
    **{name: {name: CHANGES[name]} for name in GEOMETRY},
    "window": {"flip_horizontal": True, "flip_vertical": True, "zoom": 1.6},
    "all flips": {name: True for name in FLIPS},
    "all": {name: CHANGES[name] for name in GEOMETRY},
}
SEEDS = [tf.constant([0, i], tf.int64) for i in range(24)]
TASKS = [
    # Every pixel of the scene is a class of its own.
    p5.tasks.Segmentation("mask", num_classes=SIDE * SIDE, ignore_label=None),
    p5.tasks.Detection("cells", label="objects", num_classes=9),
    p5.tasks.Classification("digit", num_classes=10),
]
every_move = pytest.mark.parametrize("name", MOVES)


def example(boxes=((6, 8, 12, 20),), shape=(SIDE, SIDE)):
    """Columns, rows and what is in boxes as three colours; the map numbers pixels."""
    height, width = shape
    rows, columns = np.indices(shape)
    inside = np.zeros(shape)
    for y1, x1, y2, x2 in boxes:
        inside[y1:y2, x1:x2] = 200
    scale = np.array([height, width, height, width], "float32")
    return tf.nest.map_structure(
        tf.constant,
        {
            "image": np.stack([8 * columns, 8 * rows, inside], -1).astype("uint8"),
            "mask": (rows * width + columns).astype("int32")[..., None],
            "objects": {
                "bbox": np.array([*boxes, (0, 0, 0, 0)], "float32") / scale,
                "label": np.array([*range(len(boxes)), -1]),
            },
            "digit": np.array(5),
        },
    )


def noise(seed=0):
    image = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3))
    made = example([(0, 0, 9, 9), (12, 10, 24, 24)])
    return {**made, "image": tf.constant(image, tf.uint8)}


def extent(plane):
    """The rectangle around what is set, in pixels: y1, x1, y2, x2."""
    rows, columns = (np.flatnonzero(plane.any(axis=a)) for a in (1, 0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])


def same(one, two):
    tf.nest.map_structure(np.testing.assert_array_equal, one, two)


def test_every_change_has_its_case():
    assert set(CHANGES) == set(GEOMETRY + COLOR)
    assert set(Augment([], **CHANGES).used) == set(CHANGES)


@every_move
def test_the_map_shows_the_pixels_that_the_image_shows(name):
    augment = tf.function(Augment(TASKS, **MOVES[name]))
    shown = []
    for seed in SEEDS:
        after = augment(example(), seed)
        image, mask = after["image"].numpy(), after["mask"].numpy()[..., 0]
        seen = mask >= 0
        assert seen.mean() > 0.2
        # The nearest pixel is at most half a pixel away, at 8 levels of grey each.
        for channel, number in ((0, mask % SIDE), (1, mask // SIDE)):
            off = np.abs(image[..., channel] - 8 * number)[seen]
            assert off.max() <= (4.01 if set(MOVES[name]) - set(FLIPS) else 0)
        shown.append(mask.tobytes())
    assert len(set(shown)) > 1


def test_flips_and_transposes_show_all_eight_sides():
    augment = tf.function(Augment(TASKS, **MOVES["all flips"]))
    seeds = [tf.constant([1, i], tf.int64) for i in range(80)]
    shown = [augment(example(), seed)["mask"].numpy().tobytes() for seed in seeds]
    assert len(set(shown)) == 8
    assert max(map(shown.count, shown)) < 80 / 4


@every_move
def test_boxes_stay_around_what_is_in_them(name):
    augment = tf.function(Augment(TASKS, **MOVES[name]))
    whole = 0
    for seed in SEEDS:
        after = augment(example([(9, 8, 13, 15)]), seed)
        box, kind = (after["objects"][key].numpy()[0] for key in ("bbox", "label"))
        if kind < 0 or box.min() <= 0 or box.max() >= 1:
            continue  # cut
        whole += 1
        bright = extent(after["image"].numpy()[..., 2] > 100)
        np.testing.assert_allclose(bright, box * SIDE, atol=1.01)
    assert whole > len(SEEDS) / 2


@pytest.mark.parametrize("name", FLIPS)
def test_flips_move_pixels_as_they_are(name):
    augment = Augment(TASKS, **{name: True})
    found = set()
    for seed in SEEDS:
        after = augment(example(), seed)
        box = after["objects"]["bbox"].numpy()[0] * SIDE
        bright = extent(after["image"].numpy()[..., 2] == 200)
        np.testing.assert_allclose(bright, box, atol=1e-5)
        found.add(tuple(bright))
    assert found == {(6, 8, 12, 20), MOVED[name]}


@pytest.mark.parametrize("name", FLIPS)
def test_a_flip_done_twice_is_none(name):
    augment = Augment(TASKS, **{name: True})
    before = example([(1, 2, 5, 9), (10, 3, 20, 6)])
    for seed in SEEDS[:6]:
        after = augment(augment(before, seed), seed)
        same((after["image"], after["mask"]), (before["image"], before["mask"]))
        same(after["objects"]["label"], before["objects"]["label"])
        boxes = [e["objects"]["bbox"] for e in (after, before)]
        np.testing.assert_allclose(*boxes, atol=1e-6)


@pytest.mark.parametrize(
    "off, error", [({}, 0), ({"zoom": (1, 1)}, 1e-3)], ids=["none", "whole window"]
)
def test_nothing_asked_for_changes_nothing(off, error):
    after = Augment(TASKS, **off)(example(), SEEDS[0])
    image = tf.cast(example()["image"], tf.float32)
    np.testing.assert_allclose(after["image"], image, rtol=0, atol=error)
    same(after["mask"], example()["mask"])
    same(after["objects"]["label"], example()["objects"]["label"])
    boxes = [e["objects"]["bbox"] for e in (after, example())]
    np.testing.assert_allclose(*boxes, atol=1e-6)


def test_it_is_a_function_of_example_and_seed_in_any_parallel_order():
    augment = Augment(TASKS, **CHANGES)

    def run(order, parallel):
        return tf.data.Dataset.from_tensor_slices(order).map(
            lambda i: augment(noise(), tf.stack([tf.constant(0, tf.int64), i])),
            num_parallel_calls=parallel,
        )

    order = np.arange(12)
    alone = list(run(order, None))
    for one, two in zip(alone, run(order, 4), strict=True):
        same(one, two)
    for one, two in zip(alone[::-1], run(order[::-1].copy(), 4), strict=True):
        same(one, two)
    assert len({e["image"].numpy().tobytes() for e in alone}) == 12


def test_nothing_leaves_its_range_and_shapes_are_static():
    augment = Augment(TASKS, **CHANGES)
    dataset = tf.data.Dataset.range(40).map(
        lambda i: augment(noise(), tf.stack([tf.constant(9, tf.int64), i]))
    )
    spec = dataset.element_spec
    assert spec["image"] == tf.TensorSpec((SIDE, SIDE, 3), tf.float32)
    assert spec["mask"] == tf.TensorSpec((SIDE, SIDE, 1), tf.int32)
    assert spec["objects"]["bbox"] == tf.TensorSpec((3, 4), tf.float32)
    for after in dataset:
        image, boxes = after["image"].numpy(), after["objects"]["bbox"].numpy()
        assert image.min() >= 0 and image.max() <= 255
        assert boxes.min() >= 0 and boxes.max() <= 1
        kept = after["objects"]["label"].numpy() >= 0
        assert (boxes[kept][:, :2] < boxes[kept][:, 2:]).all()
        assert not boxes[~kept].any()
        assert set(np.unique(after["mask"])) <= set(range(-1, SIDE * SIDE))


@pytest.mark.parametrize("name", COLOR)
def test_colours_leave_everything_else_alone(name):
    augment = tf.function(Augment(TASKS, **{name: CHANGES[name]}))
    before, changed = noise(), 0
    for seed in SEEDS:
        after = augment(before, seed)
        shift = after["image"] - tf.cast(before["image"], tf.float32)
        changed += float(tf.reduce_max(tf.abs(shift))) > 1
        for key in ("mask", "objects", "digit"):
            same(after[key], before[key])
    assert changed > len(SEEDS) / 2


def boxes_after(augment, number=60, box=(11, 11, 13, 13)):
    scene = example([box])
    boxes = [
        augment(scene, tf.constant([0, i], tf.int64))["objects"]["bbox"][0]
        for i in range(number)
    ]
    return np.array(boxes) * SIDE


@pytest.mark.parametrize("low, high, zoom", [(1, 1.5, 1.5), (0.5, 1.5, (0.5, 1.5))])
def test_zoom_is_spread_between_its_ends_and_over_the_image(low, high, zoom):
    boxes = boxes_after(tf.function(Augment(TASKS, zoom=zoom)))
    heights = (boxes[:, 2] - boxes[:, 0]) / 2
    third = (high - low) / 3
    assert low - 1e-4 <= heights.min() < low + third
    assert high - third < heights.max() <= high + 1e-4
    # The middle moves as far as the window can: (zoom - 1) / 2 of the side.
    for axis in (0, 1):
        shift = (boxes[:, axis] + boxes[:, axis + 2]) / 2 - SIDE / 2
        room = np.abs(heights - 1) / 2 * SIDE + 1e-3
        assert (np.abs(shift) <= room).all()
        assert shift.min() < -1 and shift.max() > 1


def test_translation_goes_both_ways_up_to_its_share():
    boxes = boxes_after(tf.function(Augment(TASKS, translate=0.25)))
    for axis in (0, 1):
        shift = boxes[:, axis] - 11
        assert -6 <= shift.min() < -4 and 4 < shift.max() <= 6


def test_stretching_keeps_the_area_and_changes_the_ratio():
    boxes = boxes_after(tf.function(Augment(TASKS, stretch=2.0)))
    height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    np.testing.assert_allclose(height * width, 4, rtol=1e-4)
    ratio = np.log2(width / height)
    assert -1 <= ratio.min() < -0.7 and 0.7 < ratio.max() <= 1


def gradient(augment, seed):
    """How the number of the column changes along x and y, at the centre."""
    image = augment(example([(0, 0, 1, 1)]), seed)["image"].numpy()[..., 0] / 8
    middle = slice(SIDE // 2 - 3, SIDE // 2 + 3)
    along = [np.diff(image, axis=axis)[middle, middle].mean() for axis in (1, 0)]
    return along


def test_rotation_turns_both_ways_up_to_its_angle():
    augment = tf.function(Augment(TASKS, rotate=30))
    x, y = np.transpose([gradient(augment, seed) for seed in SEEDS])
    np.testing.assert_allclose(x**2 + y**2, 1, atol=0.02)
    angles = np.degrees(np.arctan2(y, x))
    assert -31 < angles.min() < -20 and 20 < angles.max() < 31


def test_a_rotation_is_one_in_images_that_are_not_square_too():
    scene = example([(12, 18, 28, 22)], (40, 40))  # 16 by 4, in the middle
    half, quarter = np.float32([1, 0.5, 1, 0.5]), np.float32([0, 0.25, 0, 0.25])
    wide = {
        name: tf.pad(scene[name], [[0, 0], [20, 20], [0, 0]])
        for name in ("image", "mask")
    }
    bbox = scene["objects"]["bbox"] * half + quarter
    wide["objects"] = {**scene["objects"], "bbox": bbox}
    augment = tf.function(Augment(TASKS, rotate=90))
    for seed in SEEDS:
        one, two = (augment(e, seed)["objects"]["bbox"][0] for e in (scene, wide))
        want = one * half + quarter
        np.testing.assert_allclose(two, want, atol=1e-6)


def test_images_that_are_not_square_flip():
    augment = Augment(TASKS, flip_horizontal=True, flip_vertical=True)
    before = example([(2, 3, 6, 5)], shape=(12, 30))
    found = set()
    for seed in SEEDS:
        after = augment(before, seed)
        box = after["objects"]["bbox"].numpy()[0] * [12, 30, 12, 30]
        bright = extent(after["image"].numpy()[..., 2] == 200)
        np.testing.assert_allclose(bright, box, atol=1e-4)
        found.add(tuple(bright))
    assert found == {(2, 3, 6, 5), (6, 3, 10, 5), (2, 25, 6, 27), (6, 25, 10, 27)}


def test_erasing_covers_one_rectangle_with_one_colour():
    augment = tf.function(Augment(TASKS, erase=0.3))
    shares = []
    for seed in SEEDS:
        after = augment(noise(), seed)["image"].numpy()
        gone = (after != noise()["image"].numpy()).any(-1)
        if not gone.any():
            shares.append(0)
            continue
        y1, x1, y2, x2 = extent(gone)
        inside = after[y1:y2, x1:x2].reshape(-1, 3)
        np.testing.assert_array_equal(inside, inside[:1].repeat(len(inside), 0))
        shares.append(len(inside) / SIDE**2)
    # Sides are whole pixels: up to one more each way.
    assert max(shares) <= (0.3**0.5 + 1 / SIDE) ** 2
    assert min(shares) < 0.1 and max(shares) > 0.2


def test_fields_follow_by_what_tasks_say_and_by_name():
    scene = {
        "image": example()["image"],
        "where": {"depth": tf.fill((SIDE, SIDE), 2.0)},
        "face": tf.constant([0.25, 0.0, 0.75, 0.5]),
        "parts": {"bbox": tf.constant([[0.0, 0.0, 1.0, 0.5]]), "id": tf.constant([4])},
        "scene": tf.ones((SIDE, SIDE), tf.uint8),
    }
    tasks = [
        p5.tasks.DenseRegression("depth", label="where/depth", changes_under=[]),
        p5.tasks.Detection("face", num_classes=1),
        p5.tasks.Detection("derived", num_classes=1),  # not there yet
    ]
    augment = Augment(tasks, boxes="parts", maps=("scene",), zoom=(0.5, 0.5))
    after = augment(scene, SEEDS[3])
    seen = after["scene"].numpy() == 1
    assert seen.sum() == (SIDE // 2) ** 2
    assert (after["scene"].numpy()[~seen] == 255).all()
    # No value is 0 for depth, and NaN for its loss.
    np.testing.assert_array_equal(after["where"]["depth"], 2.0 * seen)
    y1, x1, y2, x2 = after["parts"]["bbox"][0].numpy() * SIDE
    np.testing.assert_allclose([y2 - y1, x2 - x1], [12, 6], atol=1e-4)
    np.testing.assert_allclose([y1, x1], extent(seen)[:2], atol=0.501)
    want = [y1 + 3, x1, y1 + 9, x1 + 6]
    np.testing.assert_allclose(after["face"] * SIDE, want, atol=1e-4)
    assert after["parts"]["id"] == 4


def test_dropped_boxes_are_marked_as_padding():
    augment = Augment(TASKS, translate=1.0)
    dropped = 0
    for seed in SEEDS:
        after = augment(example([(6, 8, 12, 20)]), seed)["objects"]
        if after["label"][0] < 0:
            dropped += 1
            assert not after["bbox"].numpy().any()
    assert dropped > 3


REFUSED = [
    ({"zoom": 0.9}, "`zoom` must be at least 1, or a pair .*Received: zoom=0.9"),
    ({"zoom": (0.4, 1)}, r"a pair of at least 0.5.*Received: zoom=\(0.4, 1\)"),
    ({"zoom": (1.2, 1)}, r"smaller number first.*Received: zoom=\(1.2, 1\)"),
    ({"stretch": 0.5}, "`stretch` must be at least 1. Received: stretch=0.5"),
    ({"rotate": -5}, "`rotate` must be from 0 to 180 degrees. Received: rotate=-5"),
    ({"shear": 45}, "`shear` must be from 0 to less than 45 .*Received: shear=45"),
    ({"translate": 2}, "`translate` must be from 0 to 1. Received: translate=2"),
    ({"brightness": -1}, "`brightness` must be from 0 to 1. Received"),
    ({"hue": 0.6}, "`hue` must be from 0 to 0.5. Received: hue=0.6"),
    ({"rand_augment": -1}, "`rand_augment` must be 0 or more. Received"),
    ({"erase": 1}, "`erase` must be from 0 to less than 1. Received: erase=1"),
]


@pytest.mark.parametrize("arguments, message", REFUSED)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Augment(TASKS, **arguments)


@pytest.mark.parametrize("name", CHANGES)
def test_a_task_refuses_what_changes_its_label(name):
    pose = p5.tasks.Classification("pose", num_classes=2, changes_under=[name])
    message = f"Task 'pose' cannot follow `{name}`: its label would change, as its"
    with pytest.raises(ValueError, match=message):
        Augment([*TASKS, pose], **{name: CHANGES[name]})
    others = {key: value for key, value in CHANGES.items() if key != name}
    Augment([*TASKS, pose], **others)


@pytest.mark.parametrize("name", ["zoom", "stretch", "shear"])
def test_depth_does_not_follow_what_changes_sizes(name):
    message = f"Task 'depth' cannot follow `{name}`"
    with pytest.raises(ValueError, match=message):
        Augment([p5.tasks.DenseRegression("depth")], **{name: CHANGES[name]})
    heat = p5.tasks.DenseRegression("heat", changes_under=[])
    Augment([heat, p5.tasks.DenseRegression("depth")], rotate=9, flip_horizontal=True)
    Augment([heat], **{name: CHANGES[name]})


def test_unknown_changes_are_refused():
    task = p5.tasks.Regression("age", changes_under=["flip_horizontl"])
    message = "`changes_under` must hold names.*flip_horizontal.*'flip_horizontl'"
    with pytest.raises(ValueError, match=message):
        Augment([task])


def test_images_and_fields_that_do_not_fit_are_refused():
    wide = example(shape=(12, 30))
    with pytest.raises(ValueError, match=r"square images. Received.*\(12, 30, 3\)"):
        Augment(TASKS, transpose=True)(wide, SEEDS[0])
    grey = {"image": wide["image"][..., :1]}
    for name in ("saturation", "hue", "rand_augment"):
        with pytest.raises(ValueError, match=f"`{name}` is for images with three"):
            Augment([], **{name: CHANGES[name]})(grey, SEEDS[0])
    with pytest.raises(ValueError, match=r"must be fields.*'mosk'"):
        Augment([], maps=("mosk",), rotate=5)(wide, SEEDS[0])
    small = {**wide, "mask": wide["mask"][::2]}
    with pytest.raises(ValueError, match=r"size of their image.*\(6, 30, 1\).*'mask'"):
        Augment(TASKS, rotate=5)(small, SEEDS[0])
    for kind in (tf.bool, tf.uint16):
        odd = {**wide, "mask": tf.cast(wide["mask"], kind)}
        with pytest.raises(ValueError, match=f"must have room.*{kind.name} in the fie"):
            Augment(TASKS, rotate=5)(odd, SEEDS[0])


def test_training_resumes_with_the_very_same_batches():
    made = noise()

    def read(indices, epochs):
        return tf.nest.map_structure(
            lambda t: tf.repeat(t[None], len(indices), axis=0), made
        )

    source = p5.data.Source(5, read, augment=Augment(TASKS, **CHANGES))
    whole = list(p5.data.training(source, TASKS, 2, seed=3).take(6))
    rest = list(p5.data.training(source, TASKS, 2, seed=3, start=4).take(2))
    same(whole[4:], rest)
    images = [image.tobytes() for x, *_ in whole for image in x.numpy()]
    assert len(set(images)) == 12
