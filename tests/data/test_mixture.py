import re

import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5

TASKS = [
    p5.tasks.Classification("left", num_classes=100),
    p5.tasks.Regression("right"),
]


def source(name, field, size, shape=(2,), **kwargs):
    """Examples that say which source they are of, and their number."""

    def read(indices, epochs):
        del epochs
        number = tf.cast(indices, tf.float32)
        mark = tf.fill(tf.shape(number), float(name))
        x = tf.stack([mark, number, *[number] * (shape[0] - 2)], axis=1)
        return {"input": x, field: number}

    return p5.data.Source(size, read, **kwargs)


def pair(**kwargs):
    return {"a": source(0, "left", 6, **kwargs), "b": source(1, "right", 18, **kwargs)}


def draw(mixture, epochs, batch_size=4, **kwargs):
    """Source and number of each example, epoch by epoch."""
    assert mixture.size % batch_size == 0
    steps = mixture.size // batch_size * epochs
    dataset = p5.data.training(mixture, TASKS, batch_size, seed=3, **kwargs)
    seen = [x.numpy() for x, _, _ in dataset.take(steps)]
    return np.concatenate(seen).reshape(epochs, mixture.size, -1).astype(int)


def test_alpha_one_sees_every_example_once_an_epoch():
    first, second = draw(p5.data.mix(pair(), TASKS), 2)
    for epoch in (first, second):
        assert sorted(epoch[epoch[:, 0] == 0, 1]) == list(range(6))
        assert sorted(epoch[epoch[:, 0] == 1, 1]) == list(range(18))
    assert (first != second).any()
    assert len(set(first[:12, 0])) == 2  # not one source after the other


@pytest.mark.parametrize(
    ("kwargs", "counts"),
    [
        ({"alpha": 0.0}, [12, 12]),
        ({"alpha": 0.5}, [9, 15]),  # √6 : √18 = .366 : .634
        ({"ratio": {"b": 1, "a": 5}}, [20, 4]),
        ({"alpha": 0.0, "size": 8}, [4, 4]),
    ],
)
def test_shares_of_an_epoch(kwargs, counts):
    (epoch,) = draw(p5.data.mix(pair(), TASKS, **kwargs), 1)
    assert np.bincount(epoch[:, 0]).tolist() == counts


def test_alpha_goes_to_its_end_and_stays():
    mixture = p5.data.mix(pair(), TASKS, alpha_end=0.0, anneal_epochs=2)
    epochs = draw(mixture, 5)
    assert [int((e[:, 0] == 0).sum()) for e in epochs] == [6, 9, 12, 12, 12]


@pytest.mark.parametrize("kwargs", [{"alpha": 0.0}, {"alpha_end": 0.0}])
def test_a_source_repeats_no_example_before_all_were_seen(kwargs):
    epochs = draw(p5.data.mix(pair(), TASKS, **kwargs), 8)
    for mark, size in ((0, 6), (1, 18)):
        seen = sorted(np.bincount(epochs[epochs[..., 0] == mark][:, 1]))
        assert len(seen) == size
        # Whole passes differ by one; the unfinished pass of a shuffled epoch too.
        assert seen[-1] - seen[0] <= 1


def test_an_example_has_the_labels_of_its_own_source_only():
    mixture = p5.data.mix(pair(), TASKS)
    for x, y, weights in p5.data.training(mixture, TASKS, 4).take(6):
        own, number = x[:, 0] == 1, x[:, 1]
        np.testing.assert_array_equal(weights["left"], tf.cast(~own, tf.float32))
        np.testing.assert_array_equal(weights["right"], tf.cast(own, tf.float32))
        np.testing.assert_array_equal(
            y["left"], tf.cast(tf.where(own, 0.0, number), tf.int32)
        )
        np.testing.assert_array_equal(y["right"][:, 0], tf.where(own, number, 0.0))
        assert list(y) == list(weights) == ["left", "right"]


def test_evaluation_goes_through_each_source_once():
    mixture = p5.data.mix(pair(), TASKS, alpha=0.0)
    batches = list(p5.data.evaluation(mixture, TASKS, 4))
    assert len(batches) == 2 + 5
    weights = {
        t.name: sum(w[t.name].numpy().sum() for _, _, w in batches) for t in TASKS
    }
    assert weights == {"left": 6, "right": 18}
    part = list(p5.data.evaluation(mixture.parts["b"], TASKS, 4))
    assert sum(w["right"].numpy().sum() for _, _, w in part) == 18
    assert sum(w["left"].numpy().sum() for _, _, w in part) == 0


def noisy(example, seed):
    return {
        **example,
        "input": example["input"] + tf.random.stateless_uniform([2], seed),
    }


def doubled(example):
    return {**example, "input": example["input"] * 2}


@pytest.mark.parametrize("start", [1, 5, 13])
def test_training_from_a_step_is_the_tail(start):
    mixture = p5.data.mix(
        pair(augment=noisy, load=doubled), TASKS, alpha_end=0.0, anneal_epochs=2
    )
    whole = list(p5.data.training(mixture, TASKS, 4, seed=5).take(20))
    tail = p5.data.training(mixture, TASKS, 4, seed=5, start=start).take(20 - start)
    for a, b in zip(whole[start:], tail, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, a, b)


def test_first_keeps_some_of_every_source():
    small = p5.data.mix(pair(), TASKS).first(4)
    assert small.size == 8
    assert np.bincount(draw(small, 1)[0][:, 0]).tolist() == [4, 4]


def test_a_model_trains_on_two_sources():
    mixture = p5.data.mix(pair(), TASKS)
    p5.data.adapt(TASKS, p5.data.evaluation(mixture, TASKS, 4))
    model = p5.build_model(p5.trunks.Dense([8]), TASKS, (2,))
    model.compile("adam")
    logs = model.fit(
        p5.data.training(mixture, TASKS, 4), steps_per_epoch=6, epochs=1, verbose=0
    ).history
    assert (
        np.isfinite(logs["left_loss"]).all() and np.isfinite(logs["right_loss"]).all()
    )


@pytest.mark.parametrize(
    ("sources", "kwargs", "message"),
    [
        ({}, {}, "`sources` must have an entry. Received: sources={}"),
        (
            {"a": source(0, "left", 4)},
            {},
            "Every task must have its label in a source. Received: no field 'right' "
            "for task 'right' in ['a']",
        ),
        (
            {"a": source(0, "left", 4), "b": source(1, "right", 4, (3,))},
            {},
            "Inputs must have one shape. Received: {'a': (2,), 'b': (3,)}",
        ),
        (
            pair(),
            {"ratio": {"a": 1.0}},
            "`ratio` must have a share above 0 for every source. "
            "Received: ratio={'a': 1.0}, sources=['a', 'b']",
        ),
        (
            pair(),
            {"size": 1},
            "`size` must be at least the number of sources. "
            "Received: size=1, sources: 2",
        ),
    ],
)
def test_mistakes(sources, kwargs, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        p5.data.mix(sources, TASKS, **kwargs)


def test_sources_take_turns():
    (even,) = draw(p5.data.mix(pair(), TASKS, alpha=0.0, order="turns"), 1)
    np.testing.assert_array_equal(even[:, 0], [0, 1] * 12)
    first, second = draw(p5.data.mix(pair(), TASKS, order="turns"), 2)
    for epoch in (first, second):  # 6 and 18: a turn of one, and three of the other
        assert (epoch[:, 0].reshape(6, 4).sum(axis=1) == 3).all()
        assert sorted(epoch[epoch[:, 0] == 0, 1]) == list(range(6))
        assert sorted(epoch[epoch[:, 0] == 1, 1]) == list(range(18))
    assert (first[:, 1] != second[:, 1]).any()


def test_turns_go_on_where_they_were():
    mixture = p5.data.mix(pair(), TASKS, order="turns")
    (whole,) = draw(mixture, 1)
    rest = p5.data.training(mixture, TASKS, 4, seed=3, start=4)
    seen = np.concatenate([x.numpy() for x, _, _ in rest.take(2)]).astype(int)
    np.testing.assert_array_equal(seen, whole[16:])
    with pytest.raises(ValueError, match=re.escape("Received: order='robin'")):
        p5.data.mix(pair(), TASKS, order="robin")


def test_each_source_of_a_mixture_is_measured_by_itself():
    mixture = p5.data.mix(pair(), TASKS)
    parts = p5.data.by_source(mixture, TASKS, 4)
    assert list(parts) == ["a", "b"]
    assert p5.data.by_source(source(0, "left", 6), TASKS[:1], 4) == {}
    p5.data.adapt(TASKS, p5.data.evaluation(mixture, TASKS, 4))
    model = p5.build_model(p5.trunks.Dense([4]), TASKS, (2,))
    model.compile()
    found = p5.evaluation.by_source(model, parts)
    assert {name: set(tasks) for name, tasks in found.items()} == {
        "a": {"left"},
        "b": {"right"},
    }
    whole = model.evaluate(
        p5.data.evaluation(mixture, TASKS, 4), return_dict=True, verbose=0
    )
    # Each task has one source, so that the whole is that source.
    assert found["a"]["left"]["accuracy"] == whole["left_accuracy"]
    assert found["b"]["right"]["mae"] == pytest.approx(whole["right_mae"], rel=1e-5)
