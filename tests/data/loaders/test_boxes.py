import numpy as np
import pytest

from p5_keras.data.loaders import boxes

SIZE = (100, 200)


def test_edges_become_shares():
    found, kept, cut = boxes.shares(
        np.array([[10, 20, 50, 60], [0, 0, 100, 200]]), SIZE
    )
    np.testing.assert_allclose(found, [[0.1, 0.1, 0.5, 0.3], [0, 0, 1, 1]], rtol=1e-6)
    assert found.dtype == np.float32
    assert kept.tolist() == [True, True]
    assert cut == 0


def test_pixels_from_1_begin_at_their_own_edge():
    found, _, _ = boxes.shares(np.array([[1, 1, 100, 200], [11, 21, 50, 60]]), SIZE, 1)
    np.testing.assert_allclose(found, [[0, 0, 1, 1], [0.1, 0.1, 0.5, 0.3]], rtol=1e-6)


def test_no_boxes():
    found, kept, cut = boxes.shares(np.zeros((0, 4)), SIZE)
    assert found.shape == (0, 4)
    assert (kept.shape, cut) == ((0,), 0)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    "box",
    [
        [40, 30, 40, 30],
        [40, 30, 60, 30],
        [40, 30, 40, 50],
        [40, 50, 60, 30],  # turned round
        [10, 210, 20, 230],  # right of the picture
        [10, -20, 20, 0],  # left of it
        [120, 10, 130, 20],  # below it
    ],
)
def test_boxes_without_area_are_left_out(box, first):
    found, kept, cut = boxes.shares(np.array([box, [1, 1, 10, 20]]), SIZE, first)
    assert kept.tolist() == [False, True]
    assert (len(found), cut) == (1, 0)


def test_boxes_are_cut_at_the_edge():
    corners = np.array([[-5, -10, 50, 100], [50, 100, 130, 201], [0, 0, 100.0001, 9]])
    found, _, cut = boxes.shares(corners, SIZE)
    wanted = [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0, 0, 1, 0.045]]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert cut == 2
