"""Properties that hold for every weighting, or for all that claim them."""

import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from p5_keras import weighting as w
from p5_keras.weighting.engine import Engine
from p5_keras.weighting.gradvac import vaccinated
from p5_keras.weighting.pcgrad import projected
from p5_keras.weighting.unit_gram import unit_gram

LOSS = [
    w.Fixed(),
    w.Normalized(),
    w.Normalized(decay=0.0),
    w.Normalized(decay=1.0),
    w.UncertaintyWeighting(),
    w.UncertaintyWeighting(form="liebel"),
    w.DWA(),
    w.GLS(),
    w.RLW(),
    w.RLW(distribution="dirichlet"),
    w.IMTLL(),
    w.FAMO(),
    w.FAMO(least={"t0": -0.5}, same_batch=True),
    w.STCH(),
    w.STCH(warmup=1, smoothness=0.3),
    w.Difficulty(),
    w.Difficulty(targets={"t0_accuracy": 0.9}, power=2.0),
    w.GradDrop(leak=0.1),
]
GRAM = [
    w.GradNorm(),
    *(w.MGDA(normalize=n) for n in ("none", "l2", "loss", "loss+")),
    w.PCGrad(),
    w.GradVac(),
    w.CAGrad(),
    w.CAGrad(c=2.0, divisor=2, rescale="none"),
    w.IMTLG(),
    w.NashMTL(),
    w.NashMTL(rescale="norm"),
    *(w.AlignedMTL(scale=s) for s in ("min", "median", "rmse")),
    w.UPGrad(),
    w.DualProj(),
    w.FairGrad(),
    w.FairGrad(alpha=0.5, rescale="none"),
    w.ConFIG(),
    w.CosineGate(primary="t0"),
    w.CosineGate(primary=("t0",), form="cosine"),
]
ALL = LOSS + GRAM
RANDOM = (w.RLW, w.PCGrad, w.GradVac)
CALM = [m for m in ALL if not isinstance(m, RANDOM)]
#: J d ≥ 0. Not so for the others, by their nature.
PEACEFUL = [
    w.MGDA(),
    w.MGDA(normalize="l2"),
    w.UPGrad(),
    w.DualProj(),
    w.NashMTL(),
    w.FairGrad(),
    w.FairGrad(alpha=1.0),
    w.ConFIG(),
    w.IMTLG(),
]


def name(value):
    if isinstance(value, w.Weighting):
        config = value.get_config()
        changed = [f"{k}={v}" for k, v in config.items() if v != default(value, k)]
        return "-".join([type(value).__name__, *changed])
    return None


def default(method, field):
    return type(method).__dataclass_fields__[field].default


def every(methods, argument="method"):
    return pytest.mark.parametrize(argument, methods, ids=name)


def direction(weights, rows):
    update = weights @ rows
    return update / np.linalg.norm(update)


def losses_of(count):
    return np.linspace(0.5, 2.0, count).astype("float32")


@every(ALL)
def test_config_makes_the_weighting_again(method):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(method)))
    again = keras.saving.deserialize_keras_object(config)
    assert again == method and type(again) is type(method)


@every(ALL)
def test_state_keeps_its_form_and_nothing_is_traced_twice(
    method, weigh, traced, jacobian
):
    call = traced(method)
    traces = None
    gram = jacobian(3, 5) @ jacobian(3, 5).T
    first = state = method.start(["t0", "t1", "t2"])
    for step, present in enumerate([[1, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 1]]):
        present = np.array(present, bool)
        losses = np.where(present, losses_of(3) / (step + 1), 0)
        weights, state = weigh(
            method,
            gram * np.outer(present, present),
            losses,
            present,
            state=state,
            step=step,
            epoch=step,
            call=call,
        )
        assert np.isfinite(weights).all()
        assert not weights[~present].any()
        # Another test may have traced it, but no later step does.
        traces = traces or call.experimental_get_tracing_count()
    assert call.experimental_get_tracing_count() == traces > 0
    assert {k: (v.shape, v.dtype) for k, v in state.items()} == {
        k: (v.shape, v.dtype) for k, v in first.items()
    }


#: XLA takes over a second each; MGDA stands for all loops, ConFIG for eigenvectors.
SLOW_IN_XLA = (
    w.AlignedMTL,
    w.CAGrad,
    w.DualProj,
    w.FairGrad,
    w.GradVac,
    w.IMTLG,
    w.NashMTL,
    w.PCGrad,
    w.UPGrad,
)
#: XLA's eigenvectors are good to some 1e-5, float64 or not.
EIGEN = (w.AlignedMTL, w.IMTLG, w.ConFIG)


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(m, marks=[pytest.mark.slow] * isinstance(m, SLOW_IN_XLA))
        for m in {type(m): m for m in ALL}.values()
    ],
    ids=name,
)
def test_xla_compiles_it(method, weigh, quick, jacobian):
    rows = jacobian(3, 5, spread=1.0, conflict=0.9)
    call = tf.function(method.step, jit_compile=True)
    found, state = weigh(method, rows @ rows.T, losses_of(3), call=call)
    if isinstance(method, RANDOM):  # XLA may draw other numbers.
        assert np.isfinite(found).all() and found.sum() > 0
        return
    expected, memory = weigh(method, rows @ rows.T, losses_of(3), call=quick(method))
    tolerance = 1e-4 if isinstance(method, EIGEN) else 1e-6
    np.testing.assert_allclose(found, expected, tolerance)
    for key, value in memory.items():
        np.testing.assert_allclose(state[key], value, 1e-5, 1e-7)


@every(CALM)
def test_order_of_the_tasks_does_not_matter(method, weigh, quick, jacobian):
    rows, order = jacobian(6, 9, 1.0, 0.9), np.array([0, 3, 5, 1, 4, 2])
    losses = losses_of(6)
    state = again = None
    for step in range(3):
        kwargs = {"step": step, "epoch": step, "call": quick(method)}
        weights, state = weigh(
            method, rows @ rows.T, losses * (step + 1), state=state, **kwargs
        )
        moved, again = weigh(
            method,
            (rows @ rows.T)[order][:, order],
            losses[order] * (step + 1),
            state=again,
            **kwargs,
        )
        np.testing.assert_allclose(moved, weights[order], 1e-5)


@pytest.mark.parametrize("method", ["pcgrad", "gradvac"])
def test_order_of_the_tasks_does_not_matter_to_surgery(method, jacobian):
    rows, order = jacobian(4, 6, 1.0, 0.9), np.array([2, 0, 3, 1])
    meetings = np.array([[3, 1, 2, 0], [0, 3, 2, 1], [1, 2, 3, 0], [2, 0, 1, 3]])
    # Task order[i] is task i now, so it meets those whose new names are its old ones.
    new_name = np.argsort(order)

    def solve(gram, orders):
        unit = unit_gram(tf.constant(gram), tf.ones(4, tf.bool))
        if method == "pcgrad":
            return projected(unit, tf.constant(orders)).numpy()
        targets = tf.fill((4, 4), tf.constant(0.3, tf.float64))
        return vaccinated(unit, tf.constant(orders), targets, 0.1)[0].numpy()

    gram = rows @ rows.T
    weights = solve(gram, meetings)
    moved = solve(gram[order][:, order], new_name[meetings][order])
    np.testing.assert_allclose(moved, weights[order], 1e-9)


@every([m for m in ALL if isinstance(m, RANDOM)])
def test_random_weights_favour_no_task(method, weigh):
    gram = np.array([[1, -0.5, -0.4], [-0.5, 1, -0.5], [-0.4, -0.5, 1.0]])
    if not isinstance(method, w.RLW):
        gram[0, 2] = gram[2, 0] = -0.5  # All tasks alike.
    call = tf.function(method.step)
    drawn = np.array(
        [weigh(method, gram, seed=(i, 7), call=call)[0] for i in range(600)]
    )
    np.testing.assert_allclose(drawn.sum(1), 3, 1e-5)
    assert drawn.std(0).min() > 0.01
    error = drawn.std(0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(0) - 1) < 4 * error).all()


@every(CALM)
def test_absent_tasks_are_as_if_they_did_not_exist(method, weigh, quick, jacobian):
    """Tasks 1, 3 and 4 of six are absent in all steps but the first."""
    rows = jacobian(6, 9, 1.0, 0.9)
    there = np.array([True, False, True, False, False, True])
    full, few = rows @ rows.T, rows[there] @ rows[there].T
    wide = method.start([f"t{i}" for i in range(6)])
    names = ["t0", "t2", "t5"]
    narrow = method.start(names)
    vectors = [k for k, v in wide.items() if v.shape == (6,) and k != "owners"]
    call = quick(method)
    for step in range(4):
        losses = losses_of(6) / (step + 1)
        kwargs = {"step": step, "epoch": step, "seed": (3, step), "call": call}
        before = wide
        weights, wide = weigh(
            method,
            full * np.outer(there, there),
            np.where(there, losses, 0),
            there,
            state=wide,
            **kwargs,
        )
        alone, narrow = weigh(method, few, losses[there], state=narrow, **kwargs)
        np.testing.assert_allclose(weights[there], alone, 1e-5)
        assert not weights[~there].any()
        for key in vectors:
            np.testing.assert_allclose(wide[key][there], narrow[key], 1e-4, 1e-7)
            if step:  # Step 0 rolls DWA's first epoch.
                np.testing.assert_array_equal(wide[key][~there], before[key][~there])


@pytest.mark.parametrize("method", [w.PCGrad(), w.GradVac()], ids=name)
def test_absent_tasks_are_not_met(method, weigh, jacobian):
    """Two tasks have one order only, so the weights are those of the pair."""
    rows = jacobian(5, 4, 1.0, 3.0)
    there = np.array([False, True, False, False, True])
    gram = rows @ rows.T
    alone, _ = weigh(method, gram[there][:, there])
    for seed in range(5):
        weights, state = weigh(
            method, gram * np.outer(there, there), present=there, seed=(seed, 0)
        )
        np.testing.assert_allclose(weights[there], alone, 1e-9)
        assert not weights[~there].any()
        for value in state.values():
            assert not value[~there].any() and not value[:, ~there].any()


@every(ALL)
def test_one_task_has_weight_1(method, weigh):
    expected = 0.5 if isinstance(method, w.UncertaintyWeighting) else 1
    if isinstance(method, w.CAGrad) and method.rescale == "none":
        expected = (1 + method.c) / (1 + method.c)
    if isinstance(method, w.FairGrad) and method.rescale == "none":
        expected = 9.0 ** (-1 / (1 + 1 / method.alpha))
    found, _ = weigh(method, np.array([[9.0]]))
    np.testing.assert_allclose(found, [expected], 1e-6)


CASES = {
    "zero row": np.array([[1.0, 0], [0, 0], [-1, 2]]),
    "zero rows": np.zeros((3, 2)),
    "duplicates": np.array([[1.0, 2], [1, 2], [-2, 1]]),
    "all alike": np.ones((3, 2)),
    "opposite": np.array([[1.0, 2], [-1, -2], [3, 1]]),
    "opposite pair": np.array([[1.0, 2], [-2, -4]]),
    "near opposite": np.array([[1.0, 2], [-1, -2.0000001], [3, 1]]),
    "tiny": 1e-12 * np.array([[1.0, 2], [-1, 2], [1, 1]]),
    "huge": 1e12 * np.array([[1.0, 2], [-1, 2], [1, 1]]),
    "more tasks than parameters": np.array([[1.0], [-2], [3]]),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@every(GRAM)
def test_degenerate_gradients_give_finite_weights(method, dtype, weigh, quick):
    call = quick(method)
    for case, rows in CASES.items():
        weights, state = weigh(method, (rows @ rows.T).astype(dtype), call=call)
        assert weights.dtype == dtype, case
        assert np.isfinite(weights).all(), case
        assert all(np.isfinite(v).all() for v in state.values()), case
        if method.rescale == "tasks":
            total = np.abs(weights).sum()
            np.testing.assert_allclose(total, len(rows), 1e-5, err_msg=case)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("count", [2, 40])
@every(GRAM)
def test_any_number_of_tasks_with_norms_over_six_decades(
    method, count, dtype, weigh, jacobian
):
    rows = jacobian(count, 60, spread=3.0, conflict=0.9)
    weights, _ = weigh(method, (rows @ rows.T).astype(dtype), losses_of(count))
    assert np.isfinite(weights).all() and weights.any()


@every(LOSS)
def test_losses_that_are_0_or_huge_give_finite_weights(method, weigh):
    state = None
    for step in range(6):
        losses = [0.0, 1e8, 1e-8, 1.0] if step % 2 else [1.0, 0.0, 1.0, 1e8]
        weights, state = weigh(
            method, losses=losses, state=state, step=step, epoch=step
        )
        assert np.isfinite(weights).all()
        assert all(np.isfinite(v).all() for v in state.values())


@every(GRAM)
def test_a_gradient_that_is_not_finite_does_not_reach_the_others(method, weigh):
    gram = np.array([[1.0, np.nan, 0.2], [np.nan, np.inf, np.nan], [0.2, np.nan, 1]])
    weights, _ = weigh(method, gram)
    assert np.isfinite(weights).all()


@every([m for m in ALL if m.ignores_scale])
def test_scale_of_the_losses_is_ignored_where_that_is_claimed(
    method, weigh, quick, jacobian
):
    rows, scale = jacobian(6, 9, 0.5, 0.5), 10 ** np.linspace(-2, 2, 6)
    state = again = None
    for step in range(3):
        losses = losses_of(6) * (1.0 + np.arange(6)) ** -step
        kwargs = {"step": step, "epoch": step, "call": quick(method)}
        weights, state = weigh(method, rows @ rows.T, losses, state=state, **kwargs)
        scaled = rows * scale[:, None]
        other, again = weigh(
            method, scaled @ scaled.T, losses * scale, state=again, **kwargs
        )
        np.testing.assert_allclose(
            direction(other, scaled), direction(weights, rows), 1e-4, 1e-5
        )


@pytest.mark.parametrize("spread", [0.0, 3.0])
@pytest.mark.parametrize(
    ("count", "size"),
    [(2, 5), (3, 6), pytest.param(11, 30, marks=pytest.mark.slow), (40, 90)],
)
@every(PEACEFUL)
def test_no_loss_increases(method, count, size, spread, weigh, quick, jacobian):
    call = quick(method)
    for seed in range(3):
        rows = jacobian(count, size, spread, 0.9, seed)
        weights, _ = weigh(method, rows @ rows.T, call=call)
        update = weights @ rows
        gains = rows @ update / np.linalg.norm(rows, axis=1)
        assert gains.min() >= -1e-6 * np.abs(gains).max()


def test_what_is_not_peaceful_may_increase_a_loss(weigh):
    """So the property above is one of those methods alone."""
    gram = np.array([[1.0, -9], [-9, 100]])
    weights, _ = weigh(w.AlignedMTL(), gram)
    assert (gram @ weights).min() < 0


@every([m for m in GRAM if getattr(m, "form", "") != "cosine"])
def test_orthonormal_gradients_are_weighed_alike(method, weigh):
    weights, _ = weigh(method, np.eye(4))
    np.testing.assert_allclose(weights / weights[0], 1, 1e-6)


@every([m for m in GRAM if isinstance(m, (w.NashMTL, w.UPGrad, w.ConFIG, w.MGDA))])
def test_two_tasks_alike_pull_as_one(method, weigh):
    """The third is orthogonal to both; the update is the bisector or near MGDA's."""
    rows = np.array([[1.0, 0], [1, 0], [0, 1]])
    weights, _ = weigh(method, rows @ rows.T)
    update = direction(weights, rows)
    expected = [1, 1]
    if isinstance(method, w.NashMTL):  # It bargains for both: d maximises x² y.
        expected = [np.sqrt(2), 1]
    if isinstance(method, w.UPGrad):  # The sum.
        expected = [2, 1]
    np.testing.assert_allclose(update, expected / np.linalg.norm(expected), 1e-5)


# No loss and no gradient, however large, small or undefined, breaks a weighting.
EXTREME = [1e30, 1e-30, 0.0, -1e30, 3e38, np.inf, np.nan]
ORDINARY = np.array([0.7, 1.3], "float32")


def step(function, losses, gradients, present):
    gram = (gradients @ gradients.T).astype("float64")
    present = np.array(present)
    gram[~present] = gram[:, ~present] = 0
    weights = function(np.where(present, losses, 0).astype("float32"), gram, present)
    return weights.numpy()


@pytest.mark.slow
@pytest.mark.parametrize("method", ALL, ids=name)
def test_a_step_that_cannot_be_counted_leaves_all_as_it_was(method):
    engine = Engine(method, ["t0", "t1"])
    grams = method in GRAM
    weigh = tf.function(
        lambda losses, gram, present: engine.weigh(
            losses, present, gram if grams else None
        ),
        input_signature=[
            tf.TensorSpec([2], tf.float32),
            tf.TensorSpec([2, 2], tf.float64),
            tf.TensorSpec([2], tf.bool),
        ],
    )
    usual = np.array([[1.0, 0.5], [-0.2, 1.0]])
    both, one = (True, True), (True, False)
    start = engine.get_state()
    cases = [(np.array([a, 1.0]), usual, both) for a in EXTREME]
    cases += [(np.array([a, a]), usual, both) for a in EXTREME]
    cases += [(ORDINARY, usual * [[a], [1.0]], both) for a in EXTREME]
    cases += [(ORDINARY, usual * a, both) for a in EXTREME]
    cases += [(np.array([a, 1.0]), usual, one) for a in EXTREME]
    cases += [(ORDINARY, usual, (False, False))]
    with np.errstate(all="ignore"):
        for (losses, gradients, present), fresh in itertools.product(cases, (1, 0)):
            if fresh:
                engine.set_state(start)
            weights = step(weigh, losses, gradients, present)
            told = (losses, gradients, present)
            assert np.isfinite(weights).all(), told
            # Afterwards it goes on, whatever came before.
            after = step(weigh, ORDINARY, usual, both)
            assert np.isfinite(after).all(), told
            for value in engine.get_state():
                assert np.isfinite(np.array(value, "float64")).all(), told


def test_one_that_is_not_finite_is_not_remembered():
    engine = Engine(w.Normalized(), ["t0", "t1"])
    engine.weigh(tf.constant(ORDINARY), tf.constant([True, True]))
    before = engine.get_state()
    engine.weigh(tf.constant([np.inf, 1.0]), tf.constant([True, True]))
    state = {n: v.numpy() for n, v in engine.state.items()}
    np.testing.assert_array_equal(engine.weights.numpy(), [1, 1])
    now = engine.get_state()
    assert now[4 : 4 + len(state)] == before[4 : 4 + len(state)]
