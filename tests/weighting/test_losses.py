"""Each loss method against its formula."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from p5_keras import weighting as w

LOSSES = np.array([0.5, 2.0, 8.0], "float32")


def gradient(joint, losses):
    """Derivative of a joint loss in each loss."""
    losses = tf.constant(losses, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(losses)
        value = joint(losses)
    return tape.gradient(value, losses).numpy()


def test_fixed(weigh):
    weights, _ = weigh(w.Fixed(), losses=LOSSES, present=[True, False, True])
    np.testing.assert_array_equal(weights, [1, 0, 1])


def test_normalized_divides_by_the_running_mean(weigh):
    method = w.Normalized(decay=0.75)
    _, state = weigh(method, losses=[1.0, 4.0])
    weights, state = weigh(method, losses=[5.0, 4.0], state=state)
    # Means 2 and 4: weights 1/2 and 1/4, times 8/3.
    np.testing.assert_allclose(state["mean"], [2, 4])
    np.testing.assert_allclose(weights, [4 / 3, 2 / 3], 1e-6)


@pytest.mark.parametrize(("decay", "expected"), [(1.0, [1.6, 0.4]), (0.0, [1, 1])])
def test_normalized_by_the_first_loss_or_by_itself(weigh, decay, expected):
    method = w.Normalized(decay=decay)
    _, state = weigh(method, losses=[1.0, 4.0])
    weights, _ = weigh(method, losses=[3.0, 3.0], state=state)
    np.testing.assert_allclose(weights, expected, 1e-6)


@pytest.mark.parametrize("form", ["kendall", "liebel"])
def test_uncertainty_is_adam_on_the_joint_loss(weigh, form):
    method, state = w.UncertaintyWeighting(form=form, learning_rate=0.1), None
    variable, adam = keras.Variable(np.zeros(3, "float32")), keras.optimizers.Adam(0.1)
    for step in range(5):
        losses = LOSSES / (step + 1)
        s = variable.value
        with tf.GradientTape() as tape:
            cost = s / 2 if form == "kendall" else tf.math.log1p(tf.exp(s))
            joint = tf.reduce_sum(0.5 * tf.exp(-s) * losses + cost)
        expected = 0.5 * np.exp(-s.numpy())
        weights, state = weigh(method, losses=losses, state=state)
        np.testing.assert_allclose(weights, expected, 1e-5)
        adam.apply([tape.gradient(joint, s)], [variable])
        np.testing.assert_allclose(state["log_variance"], variable, 1e-4, 1e-6)


def test_imtl_l_is_adam_on_the_joint_loss(weigh):
    method, state = w.IMTLL(learning_rate=0.1), None
    variable, adam = keras.Variable(np.zeros(3, "float32")), keras.optimizers.Adam(0.1)
    for step in range(5):
        losses = LOSSES / (step + 1)
        s = variable.value
        with tf.GradientTape() as tape:
            joint = tf.reduce_sum(tf.exp(s) * losses - s)
        expected = np.exp(s.numpy())
        weights, state = weigh(method, losses=losses, state=state)
        np.testing.assert_allclose(weights, expected, 1e-5)
        adam.apply([tape.gradient(joint, s)], [variable])
        np.testing.assert_allclose(state["log_scale"], variable, 1e-4, 1e-6)


def test_imtl_l_brings_all_losses_to_1(weigh):
    method, state = w.IMTLL(learning_rate=0.05), None
    call = tf.function(method.step)
    for _ in range(400):
        weights, state = weigh(method, losses=LOSSES, state=state, call=call)
    np.testing.assert_allclose(weights * LOSSES, 1, 0.02)


def test_dwa_by_hand(weigh):
    method, state = w.DWA(temperature=2.0), None
    epochs = [[(2.0, 4.0), (4.0, 4.0)], [(1.0, 3.0), (2.0, 3.0)], [(9.0, 9.0)]]
    for epoch, steps in enumerate(epochs):
        for losses in steps:
            weights, state = weigh(method, losses=losses, state=state, epoch=epoch)
            if epoch < 2:
                np.testing.assert_allclose(weights, [1, 1])
    # Means 3, 4 and then 1.5, 3: ratios 1/2 and 3/4.
    powers = np.exp([0.25, 0.375])
    np.testing.assert_allclose(weights, 2 * powers / powers.sum(), 1e-6)


def test_dwa_takes_means_over_the_steps_with_the_task(weigh):
    method, state = w.DWA(), None
    for epoch in range(3):
        for present, losses in ([1, 1], [2.0, 4.0]), ([1, 0], [2.0, 0.0]):
            _, state = weigh(
                method,
                losses=losses,
                present=np.array(present, bool),
                state=state,
                epoch=epoch,
            )
    np.testing.assert_allclose(state["last"], [2, 4])


def test_gls_is_the_gradient_of_the_geometric_mean(weigh):
    weights, _ = weigh(w.GLS(), losses=LOSSES)
    expected = gradient(lambda x: tf.reduce_prod(x) ** (1 / 3), LOSSES)
    np.testing.assert_allclose(weights, expected, 1e-5)
    # (0.5 · 2 · 8)^(1/3) = 2.
    np.testing.assert_allclose(weights, 2 / (3 * LOSSES), 1e-5)


def test_gls_of_present_tasks_alone(weigh):
    present = np.array([True, False, True])
    weights, _ = weigh(w.GLS(), losses=[0.5, 0.0, 8.0], present=present)
    np.testing.assert_allclose(weights, [2 / 1, 0, 2 / 16], 1e-5)


@pytest.mark.parametrize("smoothness", [0.3, 1.0])
def test_stch_is_the_gradient_of_its_loss(weigh, smoothness):
    method, state = w.STCH(warmup=2, smoothness=smoothness), None
    nadir = np.array([1.0, 5.0, 6.0])
    warm = [(0, [9.0, 9.0, 9.0]), (1, nadir - 0.5), (1, nadir + 0.5)]
    for epoch, losses in warm:
        weights, state = weigh(method, losses=losses, state=state, epoch=epoch)
        np.testing.assert_allclose(weights, 1 / np.array(losses), 1e-5)

    def joint(x):
        logs = tf.math.log(x / nadir.astype("float32"))
        return 3 * smoothness * tf.reduce_logsumexp(logs / smoothness)

    weights, _ = weigh(method, losses=LOSSES, state=state, epoch=2)
    np.testing.assert_allclose(weights, gradient(joint, LOSSES), 1e-4)


def test_rlw_sums_to_the_present_tasks(weigh):
    present = np.array([True, False, True])
    for distribution in ("normal", "dirichlet"):
        method = w.RLW(distribution=distribution)
        weights, _ = weigh(method, losses=LOSSES, present=present)
        other, _ = weigh(method, losses=LOSSES, present=present, seed=(5, 6))
        assert weights[1] == 0 and weights.sum() == pytest.approx(2)
        assert not np.allclose(weights, other)


def test_rlw_is_a_flat_dirichlet(weigh):
    method = w.RLW(distribution="dirichlet")
    call = tf.function(method.step)
    draws = [
        weigh(method, losses=LOSSES, seed=(i, 0), call=call)[0][0] / 3
        for i in range(500)
    ]
    # A share of three is Beta(1, 2): mean 1/3 and variance 1/18.
    assert np.mean(draws) == pytest.approx(1 / 3, abs=0.04)
    assert np.var(draws) == pytest.approx(1 / 18, rel=0.25)


@pytest.mark.parametrize("same_batch", [False, True])
def test_famo_is_adam_on_what_the_last_step_did(weigh, same_batch):
    method = w.FAMO(
        learning_rate=0.1,
        weight_decay=0.01,
        least={"t1": 0.5},
        same_batch=same_batch,
    )
    least, state, before = np.array([0, 0.5, 0]), None, None
    variable, adam = keras.Variable(np.zeros(3, "float32")), keras.optimizers.Adam(0.1)
    for step in range(4):
        losses = LOSSES / np.array([1.0, 1 + 0.1 * step, 1 + step])
        after = losses * np.array([0.9, 1.0, 0.5])
        z = tf.nn.softmax(variable.value).numpy()
        if not same_batch and step:
            update(adam, variable, before, losses - least)
            z = tf.nn.softmax(variable.value).numpy()
        weights, state = weigh(method, losses=losses, state=state)
        expected = z / (losses - least)
        np.testing.assert_allclose(weights, 3 * expected / expected.sum(), 1e-4)
        if same_batch:
            state = method.look_again(
                tf.constant(after, tf.float32),
                tf.fill(3, True),
                {k: tf.constant(v) for k, v in state.items()},
            )
            state = {k: v.numpy() for k, v in state.items()}
            update(adam, variable, losses - least, after - least)
        np.testing.assert_allclose(state["logits"], variable, 1e-4, 1e-6)
        before = losses - least


def update(adam, variable, before, now):
    """The paper's step of ξ, by autodiff."""
    fall = tf.constant(np.log(before) - np.log(now), tf.float32)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(tf.nn.softmax(variable.value) * fall)
        value += 0.005 * tf.reduce_sum(variable.value**2)
    adam.apply([tape.gradient(value, variable.value)], [variable])


def test_famo_refuses_a_task_that_is_not_there():
    with pytest.raises(ValueError, match=r"`least` must name tasks of \['a'\]"):
        w.FAMO(least={"b": 1.0}).start(["a"])


def test_difficulty_by_loss(weigh):
    method = w.Difficulty(decay=0.0)
    _, state = weigh(method, losses=[4.0, 4.0])
    weights, _ = weigh(method, losses=[1.0, 3.0], state=state)
    np.testing.assert_allclose(weights, [0.5, 1.5], 1e-6)


def test_difficulty_by_metric(weigh):
    method = w.Difficulty(targets={"t0_accuracy": 0.8}, limits={"t1_mae": 2.0})
    state = method.start(["t0", "t1"])
    weights, state = weigh(method, losses=[1.0, 1.0], state=state)
    np.testing.assert_allclose(weights, [1, 1])
    logs = {"t0_accuracy": 0.1, "val_t0_accuracy": 0.6, "t1_mae": 8.0}
    state = method.epoch_end(logs, state)
    # 1 − 0.6 / 0.8 and 1 − 2 / 8.
    np.testing.assert_allclose(state["gap"], [0.25, 0.75], 1e-6)
    weights, _ = weigh(method, losses=[1.0, 1.0], state=state)
    np.testing.assert_allclose(weights, [0.5, 1.5], 1e-6)
    state = method.epoch_end({"t0_accuracy": 0.9, "t1_mae": 1.0}, state)
    np.testing.assert_array_equal(state["gap"], [0, 0])


def test_difficulty_takes_the_longest_task_name():
    state = w.Difficulty(targets={"head_left_iou": 1.0}).start(["head", "head_left"])
    np.testing.assert_array_equal(state["owners"], [1])


def test_difficulty_refuses_what_it_cannot_read():
    method = w.Difficulty(targets={"a_accuracy": 0.9})
    with pytest.raises(ValueError, match=r"must name metrics as <task>_<metric>"):
        method.start(["b"])
    with pytest.raises(ValueError, match=r"must name metrics that are logged"):
        method.epoch_end({"a_mae": 1.0}, method.start(["a"]))
    with pytest.raises(ValueError, match=r"`limits` must be greater than 0"):
        w.Difficulty(limits={"a_mae": 0.0})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: w.Normalized(decay=2.0), "`decay` must be from 0 to 1. Received: "),
        (lambda: w.UncertaintyWeighting(form="x"), "`form` must be one of "),
        (lambda: w.RLW(distribution="x"), "`distribution` must be one of "),
        (lambda: w.STCH(warmup=0), "`warmup` must be 1 or more. Received: warmup=0"),
        (lambda: w.STCH(smoothness=0.0), "`smoothness` must be greater than 0. "),
        (lambda: w.MGDA(normalize="x"), "`normalize` must be one of "),
        (lambda: w.NashMTL(max_norm=0.0), "`max_norm` must be greater than 0. "),
        (lambda: w.FairGrad(alpha=0.0), "`alpha` must be greater than 0. "),
        (lambda: w.AlignedMTL(scale="x"), "`scale` must be one of "),
        (lambda: w.CAGrad(c=-1.0), "`c` must be 0 or more. Received: c=-1.0"),
        (lambda: w.CAGrad(divisor=3), "`divisor` must be one of (0, 1, 2). "),
        (lambda: w.CosineGate(primary="a", form="x"), "`form` must be one of "),
        (lambda: w.CosineGate(primary="a").start(["b"]), "`primary` must name tasks"),
        (lambda: w.GradDrop(leak=2.0), "`leak` must be from 0 to 1. "),
        (lambda: w.GradDrop(leak=(0.1,)).start(["a", "b"]), "`leak` must have one "),
        (lambda: w.PCGrad(rescale="x"), "`rescale` must be one of "),
    ],
)
def test_refused_parameters(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value).startswith(message)
    assert "Received: " in str(error.value)
