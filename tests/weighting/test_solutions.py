"""Weights worked out by hand, and conditions that a solution must fulfil."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize_scalar, nnls

from p5_keras import weighting as w

GRAM = np.array([[4.0, 1], [1, 2]])
CONFLICT = np.array([[1.0, -1], [-1, 4]])
SIZES = [(2, 5, 0.0), (3, 4, 0.0), (3, 9, 3.0), (11, 12, 0.0), (40, 60, 3.0)]
sizes = pytest.mark.parametrize(("count", "size", "spread"), SIZES)


def plain(method, **fields):
    return method(rescale="none", **fields)


@pytest.mark.parametrize(
    ("method", "gram", "expected"),
    [
        # ((2 − 1) / (4 + 2 − 2), …), and clipped to a corner.
        (plain(w.MGDA), GRAM, [0.25, 0.75]),
        (plain(w.MGDA), np.array([[1.0, 2], [2, 9]]), [1, 0]),
        # Unit gradients halve each other: α = ½ each, over lengths 2 and 3.
        (plain(w.MGDA, normalize="l2"), np.diag([4.0, 9]), [0.6, 0.4]),
        # β (1 + cos) β = 1 and w = β / length, with cos ½, lengths 2 and 1.
        (
            plain(w.NashMTL, max_norm=np.inf),
            np.array([[4.0, 1], [1, 1]]),
            np.array([0.5, 1]) / np.sqrt(1.5),
        ),
        # Clipped: the length of Nash's update is √2.
        (plain(w.NashMTL), np.eye(2), np.array([1, 1]) / np.sqrt(2)),
        # g²w = w^(−1/2), so w = g^(−4/3).
        (plain(w.FairGrad), np.diag([1.0, 64]), [1, 1 / 16]),
        # g₁ + g₂ / 4 and g₂ + g₁.
        (plain(w.PCGrad), CONFLICT, [2, 1.25]),
        (plain(w.GradVac), CONFLICT, [2, 1.25]),
        (plain(w.UPGrad), CONFLICT, [2, 1.25]),
        # The mean has products ½ and 1½; then −½ and 3½, cured by g₁ / 2.
        (plain(w.DualProj), np.array([[2.0, -1], [-1, 4]]), [0.5, 0.5]),
        (plain(w.DualProj), np.array([[1.0, -2], [-2, 9]]), [1, 0.5]),
        # In proportion to 1 / length, whatever the angle is.
        (plain(w.IMTLG), np.array([[4.0, 1], [1, 1]]), [1 / 3, 2 / 3]),
        # β = (1 / 1.5)(1, 1), d = (Σ ‖g‖ cos) u: (3 · 1) / (2 / 1.5) · β / length.
        (plain(w.ConFIG), np.array([[4.0, 1], [1, 1]]), [0.75, 1.5]),
        (plain(w.AlignedMTL), np.diag([4.0, 1]), [0.25, 0.5]),
        (
            plain(w.AlignedMTL, scale="median"),
            np.diag([4.0, 1, 16]),
            [1 / 3, 2 / 3, 1 / 6],
        ),
        (plain(w.AlignedMTL, scale="rmse"), np.diag([9.0, 41]), [5 / 6, 2.5 / 41**0.5]),
        (plain(w.CAGrad, c=0.0), GRAM, [0.5, 0.5]),
        # g_w of the mean's direction: d = (1 + c) g₀, and divided.
        (plain(w.CAGrad, c=0.5, divisor=0), np.eye(2), [0.75, 0.75]),
        (plain(w.CAGrad, c=0.5, divisor=1), np.eye(2), [0.6, 0.6]),
        (plain(w.CAGrad, c=0.5, divisor=2), np.eye(2), [0.5, 0.5]),
        (w.CosineGate(primary="t0"), CONFLICT, [1, 0]),
        (w.CosineGate(primary="t1", form="cosine"), GRAM, [1 / 8**0.5, 1]),
        # The pair's sum has products 0 with itself: nothing to conflict with.
        (w.CosineGate(primary=("t0", "t1")), GRAM, [1, 1]),
        # 2 for a sum of sizes of T, and the length of g₁ + g₂: √8 over √4.
        (w.MGDA(), GRAM, [0.5, 1.5]),
        (w.MGDA(rescale="norm"), GRAM, np.array([0.25, 0.75]) * np.sqrt(8 / 1.75)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, w.Weighting) else "",
)
def test_by_hand(method, gram, expected, weigh):
    weights, _ = weigh(method, gram)
    np.testing.assert_allclose(weights, expected, 1e-6, 1e-8)


def test_mgda_in_units_of_the_losses(weigh):
    # Over the losses lengths are 1 and 1, so α is (1, 1) / 2; over both they are 1/2
    # and 1/3, so α is (4, 9) / 13. The weights are α / c, here scaled to a sum of 1.
    gram, losses = np.diag([4.0, 9]), [2.0, 3.0]
    for normalize, expected in (("loss", [0.6, 0.4]), ("loss+", [0.5, 0.5])):
        weights, _ = weigh(plain(w.MGDA, normalize=normalize), gram, losses)
        np.testing.assert_allclose(weights, expected, 1e-6, err_msg=normalize)


def test_gradvac_turns_to_the_wanted_cosine(weigh):
    """Two unit gradients with cosine 0.6; 0.8 is wanted of the first one."""
    gram, state = np.array([[1.0, 0.6], [0.6, 1]]), {"cosines": np.zeros((2, 2), "f4")}
    state["cosines"][0, 1] = 0.8
    weights, state = weigh(plain(w.GradVac, decay=0.5), gram, state=state)
    added = weights[1] - 1
    assert weights[0] == pytest.approx(1)
    cosine = (0.6 + added) / np.sqrt(1 + 2 * 0.6 * added + added**2)
    assert cosine == pytest.approx(0.8, abs=1e-6)
    np.testing.assert_allclose(state["cosines"], [[0, 0.7], [0.3, 0]], 1e-6)


def test_gradnorm_trains_its_weights_by_the_formula(weigh):
    method, state = w.GradNorm(alpha=1.5, learning_rate=0.1), None
    gram = np.diag([1.0, 16.0])
    weights, state = weigh(method, gram, [2.0, 4.0], state=state)
    np.testing.assert_allclose(weights, [1, 1])
    # Equal progress: both lengths are to be 2.5, so v₁ rises and v₂ falls; Adam's
    # first step is the learning rate.
    np.testing.assert_allclose(state["logits"], [0.1, -0.1], 1e-4)
    np.testing.assert_allclose(state["first"], [2, 4])
    weights, state = weigh(method, gram, [2.0, 1.0], state=state)
    np.testing.assert_allclose(weights, 2 * np.exp([0.1, -0.1]) / 2.01000834, 1e-4)


def test_gradnorm_slope_is_the_derivative(weigh):
    """Its Adam's memory holds a tenth of the first slope."""
    gram, losses = np.diag([1.0, 16.0, 4.0]), np.array([2.0, 4.0, 3.0])
    method = w.GradNorm()
    state = method.start(["t0", "t1", "t2"])
    state["logits"] = np.array([0.3, -0.2, 0.1], "f4")
    state["first"] = np.array([4.0, 4.0, 12.0], "f4")
    v = tf.constant(state["logits"], tf.float64)
    norms, ratio = np.sqrt(np.diag(gram)), losses / state["first"]
    with tf.GradientTape() as tape:
        tape.watch(v)
        lengths = 3 * tf.nn.softmax(v) * norms
        target = tf.reduce_mean(lengths) * (ratio / ratio.mean()) ** 1.5
        value = tf.reduce_sum(tf.abs(lengths - tf.stop_gradient(target)))
    _, state = weigh(method, gram, losses, state=state)
    np.testing.assert_allclose(
        state["adam_mean"], 0.1 * tape.gradient(value, v).numpy(), 1e-4
    )


def test_gradnorm_takes_no_first_loss_from_a_task_that_is_learnt(weigh):
    method = w.GradNorm()
    _, state = weigh(method, np.eye(2), [1.0, 0.0])
    assert state["first"][1] == 0
    weights, state = weigh(method, np.eye(2), [1.0, 0.5], state=state)
    assert state["first"][1] == 0.5 and np.isfinite(weights).all()


@sizes
def test_mgda_is_optimal(count, size, spread, weigh, jacobian):
    rows = jacobian(count, size, spread, 0.9)
    weights, _ = weigh(plain(w.MGDA), rows @ rows.T)
    update = weights @ rows
    assert weights.sum() == pytest.approx(1) and weights.min() >= 0
    # No gradient has a smaller product with the update than the update itself.
    shortest = np.linalg.norm(rows, axis=1).min()
    assert (rows @ update).min() >= update @ update - 1e-8 * shortest**2


@sizes
@pytest.mark.parametrize("method", [w.UPGrad, w.DualProj])
def test_projections_are_those_of_non_negative_least_squares(
    method, count, size, spread, weigh, jacobian
):
    rows = jacobian(count, size, spread, 0.9)
    weights, _ = weigh(plain(method), rows @ rows.T)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def project(row):
        return row + nnls(units.T, -row)[0] @ units

    parts = rows if method is w.UPGrad else [rows.mean(0)]
    expected = sum(project(row) for row in parts)
    size = np.linalg.norm(expected)
    assert np.linalg.norm(weights @ rows - expected) < 1e-7 * size


@sizes
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_fairgrad_solves_its_equation(alpha, count, size, spread, weigh, jacobian):
    rows = jacobian(count, size, spread, 0.5)
    gram = rows @ rows.T
    weights, _ = weigh(plain(w.FairGrad, alpha=alpha), gram)
    assert weights.min() > 0
    np.testing.assert_allclose((gram @ weights) * weights ** (1 / alpha), 1, 1e-3)


@sizes
def test_nash_solves_its_equation(count, size, spread, weigh, jacobian):
    rows = jacobian(count, size, spread, 0.9)
    gram = rows @ rows.T
    weights, _ = weigh(plain(w.NashMTL, max_norm=np.inf), gram)
    np.testing.assert_allclose((gram @ weights) * weights, 1, 1e-4)
    assert np.linalg.norm(weights @ rows) == pytest.approx(np.sqrt(count), 1e-4)


@sizes
@pytest.mark.parametrize(
    "c",
    [
        pytest.param(0.1, marks=pytest.mark.slow),
        0.4,
        pytest.param(0.9, marks=pytest.mark.slow),
        2.0,
    ],
)
def test_cagrad_has_no_gap(c, count, size, spread, weigh, jacobian):
    """Its worst gain is the value of the dual problem."""
    rows = jacobian(count, size, spread, 0.5)
    weights, _ = weigh(plain(w.CAGrad, c=c, divisor=0), rows @ rows.T)
    mean, update = rows.mean(0), weights @ rows
    length = np.linalg.norm(mean)
    assert np.linalg.norm(update - mean) == pytest.approx(c * length, 1e-6)
    dual = weights - 1 / count
    dual = dual / dual.sum()
    assert dual.min() > -1e-9
    value = dual @ rows @ mean + c * length * np.linalg.norm(dual @ rows)
    scale = length * np.linalg.norm(rows, axis=1).min()
    assert abs((rows @ update).min() - value) < 1e-7 * scale


@pytest.mark.parametrize("c", [1.0, 2.0])
def test_cagrad_stays_where_no_direction_is_a_gain_for_all(c, weigh):
    rows = np.array([[1.0, 0], [-0.5, 0.9], [-0.5, -0.8]])
    weights, _ = weigh(plain(w.CAGrad, c=c, divisor=0), rows @ rows.T)
    np.testing.assert_array_equal(weights, 0)


def test_cagrad_of_two_tasks_by_search(weigh):
    gram, c = CONFLICT, 0.4
    mean = gram @ [0.5, 0.5]
    length = np.sqrt(mean.mean())

    def cost(first):
        point = np.array([first, 1 - first])
        return point @ mean + c * length * np.sqrt(point @ gram @ point)

    best = minimize_scalar(cost, bounds=(0, 1), options={"xatol": 1e-10}).x
    point = np.array([best, 1 - best])
    expected = 0.5 + c * length * point / np.sqrt(point @ gram @ point)
    weights, _ = weigh(plain(w.CAGrad, c=c, divisor=0), gram)
    np.testing.assert_allclose(weights, expected, 1e-5)


@sizes
@pytest.mark.parametrize("method", [w.IMTLG, w.ConFIG])
def test_all_unit_gradients_gain_alike(method, count, size, spread, weigh, jacobian):
    rows = jacobian(count, 2 * size, spread, 0.5)
    weights, _ = weigh(plain(method), rows @ rows.T)
    gains = rows @ (weights @ rows) / np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(gains, gains.mean(), 1e-6)
    assert gains.mean() > 0
    if method is w.ConFIG:  # Its length is Σ gᵀu, with u its direction.
        update = weights @ rows
        length = np.linalg.norm(update)
        assert (rows @ update).sum() / length == pytest.approx(length, 1e-6)


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_aligned_gradients_are_orthogonal_and_equally_long(spread, weigh, jacobian):
    """Its weights are those of B = √λ G^(−½), by another way to the square root."""
    rows = jacobian(4, 9, spread)
    gram = rows @ rows.T
    left, values, _ = np.linalg.svd(rows, full_matrices=False)
    balance = values.min() * left / values @ left.T
    aligned = balance @ rows
    np.testing.assert_allclose(
        aligned @ aligned.T, values.min() ** 2 * np.eye(4), 1e-6, 1e-9
    )
    weights, _ = weigh(plain(w.AlignedMTL), gram)
    np.testing.assert_allclose(weights, balance.mean(1), 1e-6)


def test_update_of_opposite_gradients_is_0(weigh):
    gram = np.array([[1.0, -2], [-2, 4]])
    for method in (w.MGDA(), w.NashMTL(), w.UPGrad(), w.ConFIG(), w.IMTLG()):
        weights, _ = weigh(method, gram)
        assert abs(weights @ [1, -2]) < 1e-4, method
