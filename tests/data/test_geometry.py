import keras
import numpy as np
import pytest
import tensorflow as tf

from p5_keras.data import geometry

IMAGE = np.arange(24, dtype="uint8").reshape(4, 6)
SAME = [[1, 0, 0], [0, 1, 0]]
# What is at x, y is shown at y, 6 - x: a quarter turn to the left.
QUARTER = [[0, 1, 0], [-1, 0, 6]]


def warped(rows, void=None, image=IMAGE[..., None]):
    return geometry.warp(tf.constant(image), geometry.affine(rows), void).numpy()


@pytest.mark.parametrize("void", [None, 255], ids=["image", "map"])
def test_the_identity_returns_the_very_same_pixels(void):
    found = warped(SAME, void)
    np.testing.assert_array_equal(found, IMAGE[..., None])
    assert found.dtype == (np.float32 if void is None else np.uint8)


def test_a_map_has_no_label_where_nothing_is_shown():
    found = warped([[1, 0, 2], [0, 1, 1]], 255)[..., 0]
    want = np.full((4, 6), 255)
    want[1:, 2:] = IMAGE[:-1, :-2]
    np.testing.assert_array_equal(found, want)


def test_the_edge_of_an_image_is_repeated():
    found = warped([[1, 0, 2], [0, 1, 1]])[..., 0]
    want = np.pad(IMAGE[:-1, :-2], [(1, 0), (2, 0)], mode="edge")
    np.testing.assert_array_equal(found, want)


def test_maps_take_the_nearest_pixel_and_images_are_interpolated():
    twice = [[2, 0, 0], [0, 2, 0]]
    corner = np.repeat(np.repeat(IMAGE[:2, :3], 2, axis=0), 2, axis=1)
    np.testing.assert_array_equal(warped(twice, 255)[..., 0], corner)
    # Pixels of half the size lie at -1/4, 1/4, 3/4, ... of the first one's centre.
    places = [0, 0.25, 0.75, 1.25, 1.75, 2.25]
    want = 6 * np.array(places[:4])[:, None] + places
    np.testing.assert_allclose(warped(twice)[..., 0], want, atol=1e-5)


@pytest.mark.parametrize(
    "rows, want",
    [
        ([[-1, 0, 6], [0, 1, 0]], IMAGE[:, ::-1]),
        ([[1, 0, 0], [0, -1, 4]], IMAGE[::-1]),
        ([[-1, 0, 6], [0, -1, 4]], IMAGE[::-1, ::-1]),
    ],
)
def test_mirrors_by_matrix_are_exact(rows, want):
    np.testing.assert_array_equal(warped(rows, 255)[..., 0], want)
    np.testing.assert_allclose(warped(rows)[..., 0], want, atol=1e-4)


def test_a_quarter_turn():
    square = np.arange(36, dtype="int32").reshape(6, 6)
    np.testing.assert_array_equal(warped(QUARTER, -1, square), np.rot90(square))


@pytest.mark.parametrize("kind", ["bool", "int8", "uint16", "int64", "float32"])
def test_maps_of_any_type_and_without_channels(kind):
    image = IMAGE.astype(kind)
    found = warped([[-1, 0, 6], [0, 1, 0]], 0, image)
    np.testing.assert_array_equal(found, image[:, ::-1])
    assert found.dtype == image.dtype


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("zoom, right, down", [(1, 0, 0), (2, 0, 0), (1.7, 4.2, 1)])
def test_a_window_is_what_the_matrix_shows(mirrored, zoom, right, down):
    noise = np.random.default_rng(0).integers(0, 256, (4, 6, 2)).astype("uint8")
    rows = [[zoom, 0, -right], [0, zoom, -down]]
    if mirrored:
        rows = [[-zoom, 0, 6 + right], [0, zoom, -down]]
    matrix = geometry.affine(rows)
    found = geometry.window(tf.constant(noise), matrix)
    np.testing.assert_allclose(found, warped(rows, image=noise), atol=1e-3)
    assert found.shape == noise.shape and found.dtype == tf.float32


def test_turns_transpose_before_they_mirror():
    square = np.arange(9).reshape(3, 3, 1)
    for code in range(8):
        vertical, horizontal, transposed = (bool(code & bit) for bit in (1, 2, 4))
        want = square.transpose(1, 0, 2) if transposed else square
        want = want[::-1] if vertical else want
        want = want[:, ::-1] if horizontal else want
        flags = (tf.constant(f) for f in (vertical, horizontal, transposed))
        found = geometry.turn(tf.constant(square), *flags)
        np.testing.assert_array_equal(found, want)


def boxes_of(rows, boxes, size=(4, 6)):
    found, kept = geometry.move_boxes(
        tf.constant(boxes, tf.float32),
        geometry.affine(rows),
        tf.constant(size, tf.float32),
    )
    return found.numpy(), kept.numpy()


def test_boxes_follow_a_shift_a_mirror_and_a_turn():
    box = [[0.25, 0.5, 0.75, 1.0]]  # 3, 1 to 6, 3 in pixels
    for rows, want in (
        (SAME, box),
        ([[1, 0, -3], [0, 1, 1]], [[0.5, 0, 1, 0.5]]),
        ([[-1, 0, 6], [0, 1, 0]], [[0.25, 0, 0.75, 0.5]]),
        (QUARTER, [[0, 1 / 6, 0.75, 0.5]]),  # 1, 0 to 3, 3
    ):
        found, kept = boxes_of(rows, box)
        np.testing.assert_allclose(found, want, atol=1e-6)
        assert kept.all()


def test_a_turned_box_becomes_the_upright_box_around_its_corners():
    root = np.sqrt(0.5)
    turn = [[root, -root, 10], [root, root, 10 - 20 * root]]  # 45° around 10, 10
    found, _ = boxes_of(turn, [[0.4, 0.45, 0.6, 0.55]], (20, 20))
    half = (0.1 + 0.05) * root
    want = [[0.5 - half, 0.5 - half, 0.5 + half, 0.5 + half]]
    np.testing.assert_allclose(found, want, atol=1e-6)


def test_keras_moves_boxes_to_the_same_place():
    angle = np.radians(20)
    cosine, sine = np.cos(angle), np.sin(angle)
    # Keras turns against the clock, around the middle of the numbers of the pixels.
    x, y = 9.5, 14.5
    turn = [
        [cosine, sine, x - x * cosine - y * sine],
        [-sine, cosine, y + x * sine - y * cosine],
    ]
    box = [[0.4, 0.3, 0.6, 0.6]]
    found, _ = boxes_of(turn, box, (30, 20))
    xyxy = np.array([[[0.3 * 20, 0.4 * 30, 0.6 * 20, 0.6 * 30]]], "float32")
    none, one = (keras.ops.array([n], "float32") for n in (0, 1))
    want = keras.utils.bounding_boxes.affine_transform(
        xyxy, 20 * one, none, none, one, none, none, 30, 20
    )
    want = np.array(want)[0][:, [1, 0, 3, 2]] / [30, 20, 30, 20]
    np.testing.assert_allclose(found, want, atol=1e-5)


def test_boxes_are_cut_and_those_mostly_out_of_view_dropped():
    corner = [[2, 0, 0], [0, 2, 0]]  # the upper left quarter, of 24 x 24
    pixels = [
        (0, 0, 12, 12),  # fills the view
        (6, 6, 18, 12),  # half of it in view
        (0, 4, 6, 28),  # a third, reaching out of the image already
        (9, 0, 21, 6),  # a quarter
        (14, 14, 20, 20),  # nothing
        (0, 0, 0, 0),  # padding
        (3, 3, 3, 9),  # without area
    ]
    found, kept = boxes_of(corner, np.array(pixels) / 24, (24, 24))
    np.testing.assert_array_equal(kept, [True, True, True] + 4 * [False])
    want = [[0, 0, 1, 1], [0.5, 0.5, 1, 1], [0, 1 / 3, 0.5, 1], *np.zeros((4, 4))]
    np.testing.assert_allclose(found, want, atol=1e-6)


def test_unknown_boxes_stay_unknown():
    found, kept = boxes_of(QUARTER, [[np.nan] * 4, [0.25, 0.5, 0.75, 1.0]])
    assert np.isnan(found[0]).all() and np.isfinite(found[1]).all()
    assert kept.all()
