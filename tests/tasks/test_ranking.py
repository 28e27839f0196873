"""Ranking: losses, metrics and the order of examples, by hand."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.data.grouped import group_order
from p5_keras.losses import ListLoss, PairLoss
from p5_keras.metrics.ranking import GroupOrder
from p5_keras.tasks import Ranking

NAN = np.nan
TASK = Ranking("stars", group="user")
#: Relevance and user; the last example has no label.
STARS = [2.0, 0.0, 1.0, 1.0, 0.0, 3.0, -1.0]
USER = ["ann", "ann", "ann", "bob", "bob", "cid", "ann"]
SCORE = np.array([1.0, 0.5, 2.0, -1.0, 0.0, 9.0, 7.0], "float32")


def read(task=TASK, stars=STARS, user=USER):
    label, weight = task.target(
        {"stars": tf.constant(stars), "user": tf.constant(user)}
    )
    return label.numpy(), weight.numpy()


def loss_and_gradient(loss, label, score, weight):
    score = tf.Variable(score[:, None])
    with tf.GradientTape() as tape:
        value = loss(label, score, weight)
    return float(value), tape.gradient(value, score).numpy()[:, 0]


def test_groups_are_told_apart_exactly():
    numbers = [5, 5, 2**24, 2**24 + 1, 2**43, 2**43 + 1]
    label, _ = read(stars=[0.0] * 6, user=numbers)
    same = (label[:, None, 1:] == label[None, :, 1:]).all(-1)
    np.testing.assert_array_equal(same, np.equal.outer(numbers, numbers))
    label, weight = read()
    same = (label[:, None, 1:] == label[None, :, 1:]).all(-1)
    np.testing.assert_array_equal(same, np.equal.outer(USER, USER))
    np.testing.assert_array_equal(weight, [1, 1, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(label[:, 0], [2, 0, 1, 1, 0, 3, NAN])


def pair(higher, lower):
    return np.log1p(np.exp(lower - higher))


def test_the_mean_over_pairs():
    label, weight = read()
    # ann: 2 over 0, 2 over 1, 1 over 0; bob: 1 over 0; cid is alone.
    each = [pair(1, 0.5), pair(1, 2), pair(2, 0.5), pair(-1, 0)]
    numerator, denominator = PairLoss().terms(label, SCORE[:, None], weight)
    assert float(denominator) == 4
    assert float(numerator) == pytest.approx(np.sum(each))
    value, gradient = loss_and_gradient(PairLoss(), label, SCORE, weight)
    assert value == pytest.approx(np.mean(each))
    # Each pair pulls both of its examples alike, and those without one are let be.
    assert gradient.sum() == pytest.approx(0, abs=1e-7)
    assert gradient[5] == gradient[6] == 0 and (gradient[:5] != 0).all()
    # A pair weighs what its more relevant example does.
    weight[3] = 3.0
    numerator, denominator = PairLoss().terms(label, SCORE[:, None], weight)
    assert float(denominator) == 6
    assert float(numerator) == pytest.approx(np.sum(each) + 2 * each[3])


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def test_the_mean_over_lists():
    label, weight = read()
    groups = [slice(0, 3), slice(3, 5)]
    each = [
        -(softmax(np.array(STARS[g])) * np.log(softmax(SCORE[g]))).sum() for g in groups
    ]
    numerator, denominator = ListLoss().terms(label, SCORE[:, None], weight)
    assert float(denominator) == pytest.approx(2)
    assert float(numerator) == pytest.approx(np.sum(each), rel=1e-5)
    _, gradient = loss_and_gradient(ListLoss(), label, SCORE, weight)
    found = [(softmax(SCORE[g]) - softmax(np.array(STARS[g]))) / 2 for g in groups]
    np.testing.assert_allclose(gradient, [*found[0], *found[1], 0, 0], atol=1e-6)


@pytest.mark.parametrize("loss", [PairLoss(), ListLoss()])
def test_far_scores_and_what_is_missing_leave_no_nan(loss):
    label, weight = read(stars=[2.0, 0.0, 1.0, 1.0, 0.0, np.inf, NAN])
    weight[5] = 0
    score = np.array([1e4, -1e4, 0, 300, -300, np.nan, np.inf], "float32")
    value, gradient = loss_and_gradient(loss, label, score, weight)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    nothing = [x.numpy() for x in loss.terms(label, score[:, None], 0 * weight)]
    assert nothing == [0, 0]


def test_metrics_by_hand():
    label, weight = read()
    evaluator = GroupOrder(k=2)
    for part in (slice(0, 2), slice(2, 7)):  # ann's examples are in two batches
        evaluator.update(label[part], weight[part], {"score": SCORE[part]})
    found = evaluator.result()
    # ann: order 1, 2, 0 by score; bob: 0, 1. cid's only example has nothing to be
    # before or behind.
    ann = (1 + 2 / np.log2(3)) / (2 + 1 / np.log2(3))
    bob = (1 / np.log2(3)) / 1
    assert found["ndcg"] == pytest.approx((ann + bob) / 2)
    assert found["auc"] == pytest.approx((2 / 3 + 0) / 2)
    empty = GroupOrder(k=2)
    empty.update(label, np.zeros(7), {"score": SCORE})
    assert empty.result() == {"ndcg": None, "auc": None}


def test_all_ties_are_as_good_as_chance():
    """The trivial predictor's NDCG is the mean over all orders."""
    label, weight = read()
    evaluator = GroupOrder(k=10)
    evaluator.update(label, weight, {"score": np.zeros(7)})
    found = evaluator.result()
    gains = 1 / np.log2([2, 3, 4])
    orders = [np.dot(p, gains) for p in itertools.permutations([2, 1, 0])]
    ann = np.mean(orders) / orders[0]
    bob = np.mean([1, gains[1]])
    assert found["ndcg"] == pytest.approx((ann + bob) / 2)
    assert found["auc"] == 0.5


def test_scores_of_examples():
    label, _ = read()
    # 2 is before 0 and behind 1; 0 is behind both; 1 is before both, wrongly once.
    found = TASK.example_scores(label, {"score": SCORE})
    np.testing.assert_allclose(found, [1 / 2, 1, 1 / 2, 0, 0, 1, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": "triple"}, r"`order` must be one of \['pair', 'list'\].*'triple'"),
        ({"k": 0}, "`k` 1 or more.*k=0"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Ranking("stars", group="user", **arguments)


def test_wrong_groups_are_named():
    with pytest.raises(ValueError, match=r"an integer or a string.*float32.*'user'"):
        read(user=[0.5] * 7)
    with pytest.raises(ValueError, match=r"'user', which the examples lack.*'usr'"):
        TASK.target({"stars": tf.zeros(3), "usr": tf.zeros(3)})
    label, weight = read(user=[2**44] * 7)
    with pytest.raises(ValueError, match=r"of groups below 17592186044416.*example 0"):
        TASK.check(label, weight)


# In training.


@pytest.mark.parametrize(
    "order", ["pair", pytest.param("list", marks=pytest.mark.slow)]
)
def test_it_learns_what_differs_within_groups(order):
    """Between groups relevances differ by more, which says nothing of an order."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 4)).astype("float32")
    user = np.repeat(np.arange(40), 6)
    signal = x @ [1.0, -1.0, 0.5, 0.0]
    stars = np.round(2 + 0.5 * signal).clip(0) + 3 * (user % 3)
    task = Ranking("stars", group="user", order=order)
    label, _ = read(task, stars.astype("float32"), user)
    model = p5.build_model(p5.trunks.Dense([8]), [task], (4,))
    model.compile(keras.optimizers.Adam(0.02))
    before = model.evaluate(x, {"stars": label}, return_dict=True, verbose=0)
    batches = tf.data.Dataset.from_tensor_slices((x, {"stars": label})).batch(48)
    model.fit(batches.repeat(12), verbose=0)
    found = model.evaluate(x, {"stars": label}, return_dict=True, verbose=0)
    assert found["stars_auc"] > 0.9 > before["stars_auc"]
    assert found["stars_ndcg"] > before["stars_ndcg"]


def test_two_replicas_train_as_one_device_where_no_group_is_parted(two_replicas):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3)).astype("float32")
    # A replica has three pairs, and the other one.
    label, _ = read(stars=[1.0, 0, 2, 1, 1, 0, 0, 0, 3, 1, 1, 1],
                    user=[1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6])  # fmt: skip
    found = []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = p5.build_model(p5.trunks.Dense([4]), [TASK], (3,))
            model.compile(keras.optimizers.SGD(0.1))
        batch = tf.data.Dataset.from_tensors((x, {"stars": label}))
        batches = batch.unbatch().batch(12)
        logs = model.fit(batches, verbose=0).history
        found.append(([v.numpy() for v in model.variables], logs["stars_loss"]))
    for a, b in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-5)


# Groups that come together.


def epochs(groups, count, seed=0):
    size = len(groups)
    source = p5.data.Source(size, lambda i, e: {}, groups=groups, together=True)
    position = tf.range(count * size, dtype=tf.int64)
    seed = tf.constant(seed, tf.int64)
    found = group_order(source)(position % size, position // size, seed)
    return found.numpy().reshape(count, size)


def test_groups_come_together_in_another_order_each_epoch():
    groups = np.array(["b", "a", "c", "a", "b", "a", "d", "c", "a", "e"])
    found = epochs(groups, 5)
    orders = set()
    for one in found:
        assert sorted(one) == list(range(10))
        blocks = [(g, list(r)) for g, r in itertools.groupby(one, lambda i: groups[i])]
        assert sorted(g for g, _ in blocks) == list("abcde")  # each in one place
        assert all(rows == sorted(rows) for _, rows in blocks)
        orders.add("".join(g for g, _ in blocks))
    assert len(orders) > 1
    np.testing.assert_array_equal(epochs(groups, 5), found)
    assert (epochs(groups, 5, seed=1) != found).any()


def test_batches_whose_groups_come_together_have_more_pairs():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 100, 400)
    stars = rng.integers(0, 5, 400).astype("float32")
    columns = {"input": tf.zeros((400, 1)), "stars": stars, "user": groups}
    columns = {name: tf.constant(column) for name, column in columns.items()}
    whole = p5.data.Source(
        400, lambda i, e: {n: tf.gather(c, i) for n, c in columns.items()}
    )
    together = dataclasses.replace(whole, groups=groups, together=True)

    def pairs(source, steps=10):
        batches = p5.data.training(source, [TASK], 40).take(steps)
        loss, score = PairLoss(), tf.zeros((40, 1))
        found = [loss.terms(y["stars"], score, w["stars"])[1] for _, y, w in batches]
        return float(sum(found))

    every = (np.equal.outer(groups, groups) & np.greater.outer(stars, stars)).sum()
    assert pairs(whole) < 0.2 * every
    assert 0.8 * every < pairs(together) <= every
    # So are the parts of folds, which keep groups whole.
    rest, own = p5.data.fold(together, 0, 4)
    assert not {*rest.groups} & {*own.groups}
    assert rest.size + own.size == 400
    _, labels, _ = next(iter(p5.data.training(rest, [TASK], rest.size)))
    assert {*labels["stars"][:, 2].numpy().astype(int)} == {*rest.groups}


def test_groups_must_be_as_many_as_examples():
    source = p5.data.Source(4, lambda i, e: {}, together=True)
    with pytest.raises(ValueError, match=r"one group an example.*\(0,\) for 4"):
        p5.data.training(source, [TASK], 2)
