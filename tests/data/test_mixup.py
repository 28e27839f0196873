import dataclasses
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.data import CutMix, MixUp
from p5_keras.tasks import (
    Binary,
    Classification,
    DenseRegression,
    MultiLabel,
    Regression,
    Segmentation,
)

NAN = np.nan
SEEDS = [tf.constant([2, i], tf.int64) for i in range(20)]
KIND = Classification("kind", num_classes=3)
TAGS = MultiLabel("tags", num_classes=2)
AGE = Regression("age", size=1)
SCENE = Segmentation("scene", num_classes=8)
DEPTH = DenseRegression("depth")
SIDE = 10


def batch(size=4):
    """Example i is an image of the number i, of class i % 3, of age 10 i."""
    numbers = np.arange(size, dtype="float32")
    x = np.broadcast_to(numbers[:, None, None, None], (size, SIDE, SIDE, 1))
    labels = {
        "kind": np.arange(size) % 3,
        "tags": np.stack([numbers % 2, numbers >= 2], -1).astype("float32"),
        "age": 10 * numbers[:, None],
        "scene": x[..., 0].astype("int32"),
        "depth": 1 + x[..., 0],
    }
    weights = {name: np.ones(size, "float32") for name in labels}
    return tf.nest.map_structure(tf.constant, (x, labels, weights))


def with_weights(made, **given):
    x, labels, weights = made
    return x, labels, {**weights, **{n: tf.constant(w) for n, w in given.items()}}


def test_a_mixture_of_two_has_the_mixture_of_their_labels():
    # Of two examples each is the other's partner.
    mix = MixUp([KIND, TAGS, AGE], alpha=1.0)
    shares = []
    for seed in SEEDS:
        x, labels, weights = mix(batch(2), seed)
        other = x.numpy()[:, 0, 0, 0]  # 0 and 1 themselves
        np.testing.assert_allclose(x, np.broadcast_to(x[:, :1, :1], x.shape))
        share = np.array([1 - other[0], other[1]])
        own = np.stack([share, 1 - share], -1)
        own[1] = own[1][::-1]
        np.testing.assert_allclose(labels["kind"][:, :2], own, atol=1e-6)
        np.testing.assert_array_equal(labels["kind"][:, 2], 0)
        np.testing.assert_allclose(labels["tags"][:, 0], other, atol=1e-6)
        np.testing.assert_array_equal(labels["tags"][:, 1], 0)
        np.testing.assert_allclose(labels["age"][:, 0], 10 * other, atol=1e-5)
        for weight in weights.values():
            np.testing.assert_allclose(weight, 1, atol=1e-6)
        shares += list(share)
    # Beta(1, 1) is even.
    assert min(shares) < 0.15 and max(shares) > 0.85
    assert 0.35 < np.mean(shares) < 0.65


def test_small_alphas_leave_examples_nearly_pure():
    def purity(alpha):
        mix = MixUp([AGE], alpha=alpha)
        found = [mix(batch(2), seed)[0].numpy()[:, 0, 0, 0] for seed in SEEDS]
        return np.mean(np.maximum(found, 1 - np.array(found)))

    assert purity(0.1) > 0.9 > purity(1.0) > 0.7 > purity(8.0)


def test_partners_are_all_others_in_turn():
    cut = CutMix([SCENE], alpha=1.0)
    partners = set()
    for seed in SEEDS:
        pasted = [set(np.unique(image)) for image in cut(batch(4), seed)[0]]
        for i, numbers in enumerate(pasted):
            assert len(numbers) <= 2
            partners |= {(i, int(n)) for n in numbers - {i}}
    assert partners == {(i, j) for i in range(4) for j in range(4) if i != j}


def test_cutmix_pastes_one_rectangle_into_image_and_labels():
    tasks = [KIND, TAGS, SCENE, DEPTH]
    cut = CutMix(tasks)
    areas = []
    for seed in SEEDS:
        x, labels, weights = cut(batch(2), seed)
        image = x.numpy()[..., 0]
        np.testing.assert_array_equal(labels["scene"], image.astype("int32"))
        np.testing.assert_array_equal(labels["depth"], 1 + image)
        share = image.mean(axis=(1, 2))  # of example 1
        np.testing.assert_allclose(labels["kind"][:, 1], share, atol=1e-6)
        np.testing.assert_allclose(labels["kind"][:, 0], 1 - share, atol=1e-6)
        np.testing.assert_allclose(labels["tags"][:, 0], share, atol=1e-6)
        for i in (0, 1):
            pasted = image[i] != i
            rows, columns = pasted.any(1), pasted.any(0)
            np.testing.assert_array_equal(pasted, rows[:, None] & columns)
            for line in (rows, columns):
                assert np.abs(np.diff(np.pad(line.astype(int), 1))).sum() in (0, 2)
            areas.append(pasted.mean())
        for task in tasks:
            np.testing.assert_allclose(weights[task.name], 1, atol=1e-6)
    assert min(areas) < 0.1 and max(areas) > 0.5


@pytest.mark.parametrize("make", [MixUp, CutMix])
def test_a_mixed_label_is_there_where_both_are(make):
    made = with_weights(batch(2), kind=[1.0, 0.5], tags=[1.0, 0.0])
    for seed in SEEDS:
        x, _, weights = make([KIND, TAGS], alpha=1.0)(made, seed)
        share = x.numpy().mean(axis=(1, 2, 3))  # of example 1
        np.testing.assert_allclose(weights["kind"], 1 - share / 2, atol=1e-6)
        mixed = (share > 0) & (share < 1)
        np.testing.assert_array_equal(weights["tags"].numpy()[mixed], 0)
        whole = np.array([1.0, 0.0])[share == [0, 1]]
        np.testing.assert_array_equal(weights["tags"].numpy()[share == [0, 1]], whole)


def test_values_that_are_missing_one_by_one_stay_missing():
    x, labels, weights = batch(2)
    labels["tags"] = tf.constant([[1.0, NAN], [0.0, 1.0]])
    labels["age"] = tf.constant([[NAN], [10.0]])
    for seed in SEEDS[:5]:
        _, mixed, _ = MixUp([TAGS, AGE], alpha=1.0)((x, labels, weights), seed)
        assert np.isfinite(mixed["tags"][:, 0]).all()
        assert np.isnan(mixed["tags"][:, 1]).all()
        assert np.isnan(mixed["age"]).all()


@pytest.mark.parametrize("make", [MixUp, CutMix])
def test_rate_leaves_the_others_as_they_are(make):
    x, labels, weights = with_weights(batch(4), tags=[1.0, 0.0, 1.0, 0.5])
    labels["tags"] = tf.constant([[1.0, NAN], [NAN, NAN], [0.0, 1.0], [1.0, 0.0]])
    mix, plain = make([TAGS], alpha=8.0, rate=0.25), 0
    for seed in SEEDS:
        mixed, found, present = mix((x, labels, weights), seed)
        for i in range(4):
            if (mixed[i].numpy() == x[i].numpy()).all():
                plain += 1
                np.testing.assert_array_equal(found["tags"][i], labels["tags"][i])
                assert present["tags"][i] == weights["tags"][i]
    assert 0.65 < plain / 80 < 0.85


def test_inputs_of_any_rank_are_mixed():
    _, labels, weights = batch(3)
    vectors = tf.constant([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    mixed, found, _ = MixUp([AGE], alpha=1.0)((vectors, labels, weights), SEEDS[0])
    # Ages are 10 times 0, 1, 2, and the first column 2 times.
    np.testing.assert_allclose(mixed[:, 0], found["age"][:, 0] / 5, atol=1e-5)
    np.testing.assert_allclose(mixed[:, 1] - mixed[:, 0], 1, atol=1e-5)
    with pytest.raises(ValueError, match=r"for images. Received: inputs \(3, 2\)"):
        CutMix([KIND])((vectors, labels, weights), SEEDS[0])


BOTH = [Classification, Binary, MultiLabel, p5.tasks.Conversion, p5.tasks.Clustering]
FOLLOWING = {
    MixUp: [*BOTH, Regression],
    CutMix: [*BOTH, Segmentation, DenseRegression],
}


#: What a kind must be given.
NEEDS = {
    "num_classes": 2,
    "num_clusters": 2,
    "length": 4,
    "click": "clicked",
    "group": "user",
}
#: Not the bases, and not what needs no label to follow with.
KINDS = sorted(
    set(p5.tasks.__all__) - {"MapTask", "SequenceTask", "Unlabelled", "Kept"}
)


@pytest.mark.parametrize("make", [MixUp, CutMix])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_that_cannot_follow_say_so(make, kind):
    kind = getattr(p5.tasks, kind)
    given = {
        name: value
        for own in kind.__mro__
        if own is not object
        for name, value in NEEDS.items()
        if name in inspect.signature(own).parameters
    }
    if issubclass(kind, Binary):  # of one class
        given.pop("num_classes", None)
    task = kind("answer", **given)
    if kind in FOLLOWING[make]:
        make([task])
        told = kind("answer", changes_under=[make.__name__.lower()], **given)
        reason = "its label would change, as its `changes_under` says"
    else:
        told, reason = task, task.refuses[make.__name__.lower()]
    name = make.__name__.lower()
    with pytest.raises(ValueError) as error:
        make([told])
    assert str(error.value).startswith(
        f"Task 'answer' cannot follow `{name}`: {reason}. Received: {name}="
    )


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"`alpha` must be above 0. Received: alpha=0"):
        MixUp([KIND], alpha=0)
    with pytest.raises(ValueError, match=r"`rate` must be above 0, up to 1.*rate=2"):
        CutMix([KIND], rate=2)
    with pytest.raises(ValueError, match=r"`MixUp` needs batches.*at least 2.*: 1"):
        MixUp([KIND])(batch(1), SEEDS[0])


def source(size=12, **kwargs):
    made = batch(size)

    def read(indices, epochs):
        fields = {name: tf.gather(label, indices) for name, label in made[1].items()}
        return {"image": tf.gather(made[0], indices), **fields}

    return p5.data.Source(size, read, **kwargs)


def same(one, two):
    tf.nest.map_structure(np.testing.assert_array_equal, one, two)


@pytest.mark.parametrize("make", [MixUp, CutMix])
def test_training_resumes_with_the_very_same_mixtures(make):
    mixed = source(augment_batch=make([KIND, TAGS]))
    whole = list(p5.data.training(mixed, [KIND, TAGS], 4, seed=3).take(6))
    rest = list(p5.data.training(mixed, [KIND, TAGS], 4, seed=3, start=4).take(2))
    same(whole[4:], rest)
    other = p5.data.training(mixed, [KIND, TAGS], 4, seed=4).take(1)
    assert not np.array_equal(next(iter(other))[0], whole[0][0])
    plain = list(p5.data.evaluation(mixed, [KIND, TAGS], 4))
    assert [y["kind"].dtype for _, y, _ in plain] == [tf.int32] * 3
    np.testing.assert_array_equal(plain[0][0], batch(12)[0][:4])


def test_batches_are_static_and_epochs_differ():
    mixed = source(augment_batch=MixUp([KIND, AGE]))
    dataset = p5.data.training(mixed, [KIND, AGE], 4, start=None)
    x, labels, weights = dataset.element_spec
    assert x == tf.TensorSpec((4, SIDE, SIDE, 1), tf.float32)
    assert labels["kind"] == tf.TensorSpec((4, 3), tf.float32)
    assert labels["age"] == tf.TensorSpec((4, 1), tf.float32)
    assert weights["kind"] == tf.TensorSpec((4,), tf.float32)
    assert dataset.cardinality() == 3
    one, two = (list(dataset) for _ in "ab")
    assert not np.array_equal(one[0][0], two[0][0])


def test_partners_are_in_the_workers_own_share():
    plain, cut = source(), source(augment_batch=CutMix([SCENE]))
    for worker in (0, 1):
        shard = {"shard": (worker, 2)}
        shares = p5.data.training(plain, [SCENE], 4, **shard).take(4)
        mixtures = p5.data.training(cut, [SCENE], 4, **shard).take(4)
        for (x, *_), (mixed, *_) in zip(shares, mixtures, strict=True):
            assert set(np.unique(mixed)) <= set(np.unique(x))


def test_the_batches_of_a_mixture_of_sources_are_mixed_as_a_whole():
    parts = {"a": source(6), "b": source(6)}
    with pytest.raises(ValueError, match=r"must be given to the mixture.*source 'b'"):
        p5.data.mix({**parts, "b": source(6, augment_batch=MixUp([KIND]))}, [KIND])
    whole = dataclasses.replace(p5.data.mix(parts, [KIND]), augment_batch=MixUp([KIND]))
    _, labels, _ = next(iter(p5.data.training(whole, [KIND], 4)))
    assert labels["kind"].shape == (4, 3)


@pytest.mark.slow
def test_a_model_learns_from_mixtures():
    tasks = [
        Classification("kind", num_classes=3, class_weights=[1, 2, 1], gamma=1.0),
        TAGS,
        Regression("age", mean=[55.0], std=[30.0]),
    ]
    mixed = source(12, augment_batch=MixUp(tasks))
    model = p5.build_model(p5.trunks.Conv(4, depth=1, levels=2), tasks, (SIDE, SIDE, 1))
    model.compile(keras.optimizers.Adam(0.01))
    data = p5.data.training(mixed, tasks, 4, start=None)
    history = model.fit(data, epochs=2, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert {"kind_accuracy", "tags_auc", "age_mae"} <= set(history)
