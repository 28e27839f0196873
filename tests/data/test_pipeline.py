import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.data.source import shuffled

TASKS = [p5.tasks.Classification("number", num_classes=1000)]


def source(size=10, **kwargs):
    """Examples that say which one they are and in which epoch they were read."""

    def read(indices, epochs):
        values = tf.cast(tf.stack([indices, epochs], axis=1), tf.float32)
        return {"input": values, "number": indices}

    return p5.data.Source(size, read, **kwargs)


def noise(example, seed):
    draw = tf.random.stateless_uniform([2], seed)
    return {**example, "input": example["input"] + draw}


def batches(dataset, count):
    return [tf.nest.map_structure(np.asarray, b) for b in dataset.take(count)]


def assert_equal(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize(
    ("size", "batch_size", "steps"), [(10, 4, 3), (8, 4, 2), (3, 8, 1), (9, 1, 9)]
)
def test_steps_per_epoch_counts_the_last_partial_batch(size, batch_size, steps):
    assert p5.data.steps_per_epoch(source(size), batch_size) == steps


@pytest.mark.parametrize("augment", [None, noise], ids=["plain", "augmented"])
@pytest.mark.parametrize("start", [1, 3, 7])
def test_training_from_a_step_is_the_tail_of_training_from_the_first(start, augment):
    def training(k):
        return p5.data.training(source(augment=augment), TASKS, 4, seed=5, start=k)

    whole = batches(training(0), 10)
    assert_equal(batches(training(start), 10 - start), whole[start:])


def positions(size, batch_size, epochs, seed=0):
    """Indices and epochs of the first examples that training sees."""
    dataset = p5.data.training(source(size), TASKS, batch_size, seed)
    steps = -(-size * epochs // batch_size)
    seen = np.concatenate([x for x, _, _ in batches(dataset, steps)])
    return seen[: size * epochs].reshape(epochs, size, 2).astype(int)


@pytest.mark.parametrize(("size", "batch_size"), [(10, 4), (12, 4), (3, 8)])
def test_every_epoch_holds_every_example_once(size, batch_size):
    seen = positions(size, batch_size, epochs=4)
    for epoch in range(4):
        assert sorted(seen[epoch, :, 0]) == list(range(size))
        assert set(seen[epoch, :, 1]) == {epoch}


def test_every_epoch_and_every_seed_has_an_order_of_its_own():
    orders = [
        tuple(epoch[:, 0]) for seed in (0, 1) for epoch in positions(20, 4, 5, seed)
    ]
    assert len({tuple(range(20)), *orders}) == 11


def test_the_last_batch_wraps_round_into_the_next_epoch():
    dataset = p5.data.training(source(10), TASKS, 4, seed=2)
    x = [x for x, _, _ in batches(dataset, 4)]
    np.testing.assert_array_equal(x[2][:, 1], [0, 0, 1, 1])
    np.testing.assert_array_equal(x[3][:, 1], [1, 1, 1, 1])
    first = set(np.concatenate([x[0], x[1], x[2][:2]])[:, 0])
    assert first == set(range(10))


def test_without_a_start_there_is_one_epoch_and_another_each_time():
    dataset = p5.data.training(source(20), TASKS, 8, seed=3, start=None)
    assert int(dataset.cardinality()) == 3
    orders = []
    for _ in range(3):
        seen = np.concatenate([x for x, _, _ in batches(dataset, -1)])
        assert seen.shape == (24, 2)
        assert sorted(seen[:20, 0]) == list(range(20))
        orders.append(tuple(seen[:, 0]))
    assert len(set(orders)) == 3


def test_without_a_start_it_fits_as_any_dataset():
    dataset = p5.data.training(source(20), TASKS, 8, start=None)
    model = p5.build_model(p5.trunks.Dense([2]), TASKS, (2,))
    model.compile()
    history = model.fit(dataset, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2
    assert int(model.optimizer.iterations) == 6


def test_augmentation_gets_a_seed_for_each_example_and_epoch():
    def only_seed(example, seed):
        return {**example, "input": tf.cast(seed, tf.float32)}

    dataset = p5.data.training(source(10, augment=only_seed), TASKS, 5, seed=7)
    seeds = np.concatenate([x for x, _, _ in batches(dataset, 6)])
    assert len({tuple(row) for row in seeds}) == 30
    assert set(seeds[:, 0]) == {7}


def test_the_transform_sees_whole_batches_after_the_augmentation():
    def transform(example):
        assert example["input"].shape == (4, 2)
        return {**example, "number": tf.cast(example["input"][:, 0], tf.int64) + 100}

    def augment(example, seed):
        return {**example, "input": example["input"] + 50}

    made = source(10, transform=transform, augment=augment)
    for x, y, _ in batches(p5.data.training(made, TASKS, 4), 3):
        np.testing.assert_array_equal(y["number"], x[:, 0] + 100)
        assert x[:, 0].min() >= 50
    x, y, _ = batches(p5.data.evaluation(made, TASKS, 4), 1)[0]
    np.testing.assert_array_equal(y["number"], [100, 101, 102, 103])
    np.testing.assert_array_equal(x[:, 0], [0, 1, 2, 3])


def test_evaluation_is_in_order_and_pads_with_weight_0():
    dataset = p5.data.evaluation(source(10), TASKS, 4)
    found = batches(dataset, -1)
    x, y, weight = (np.concatenate(parts) for parts in zip(*flat(found), strict=True))
    np.testing.assert_array_equal(x[:, 0], [*range(10), 9, 9])
    np.testing.assert_array_equal(x[:, 1], np.zeros(12))
    np.testing.assert_array_equal(y, [*range(10), 9, 9])
    np.testing.assert_array_equal(weight, [1] * 10 + [0] * 2)
    assert_equal(batches(dataset, -1), found)


def flat(found):
    return [(x, y["number"], w["number"]) for x, y, w in found]


def test_missing_labels_have_weight_0_in_training_and_evaluation():
    def hide_odd(example):
        number = tf.cast(example["number"], tf.int32)
        return {**example, "number": tf.where(number % 2 == 1, -1, number)}

    made = source(8, transform=hide_odd)
    for dataset in (
        p5.data.training(made, TASKS, 4).take(2),
        p5.data.evaluation(made, TASKS, 4),
    ):
        for x, _, weight in batches(dataset, -1):
            np.testing.assert_array_equal(weight["number"], 1 - x[:, 0] % 2)


@pytest.mark.parametrize("augment", [None, noise], ids=["plain", "augmented"])
@pytest.mark.parametrize("size", [3, 10])
def test_shapes_are_static(size, augment):
    made = source(size, augment=augment)
    expected = (
        tf.TensorSpec((4, 2), tf.float32),
        {"number": tf.TensorSpec((4,), tf.int32)},
        {"number": tf.TensorSpec((4,), tf.float32)},
    )
    for start in (0, None):
        spec = p5.data.training(made, TASKS, 4, start=start).element_spec
        assert spec == expected
    assert p5.data.evaluation(made, TASKS, 4).element_spec == expected


def test_a_source_can_make_new_examples_each_epoch():
    def read(indices, epochs):
        return {"input": tf.cast((indices + 10 * epochs)[:, None], tf.float32)}

    numbers = p5.data.Source(10, lambda i, e: {**read(i, e), "number": i})
    dataset = p5.data.training(numbers, TASKS, 5)
    seen = np.concatenate([x for x, _, _ in batches(dataset, 6)])
    assert sorted(seen[:, 0]) == list(range(30))


def test_an_image_is_the_input_where_there_is_one():
    def read(indices, epochs):
        image = tf.zeros([len(indices), 2, 2, 1], tf.uint8) + 3
        return {"image": image, "input": tf.zeros([1]), "number": indices}

    made = p5.data.Source(4, read)
    x, _, _ = batches(p5.data.evaluation(made, TASKS, 2), 1)[0]
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, np.full((2, 2, 2, 1), 3))


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_see_disjoint_shares_of_each_global_batch(workers):
    def training(shard):
        return batches(p5.data.training(source(10), TASKS, 4, 5, shard=shard), 6)

    whole = training((0, 1))
    shares = [training((worker, workers)) for worker in range(workers)]
    for step, (x, _, _) in enumerate(whole):
        together = np.concatenate([share[step][0] for share in shares])
        np.testing.assert_array_equal(together, x)


def test_workers_evaluate_every_example_once():
    parts = [p5.data.evaluation(source(10), TASKS, 4, (w, 2)) for w in range(2)]
    seen = [
        int(x[i, 0])
        for part in parts
        for x, _, weights in part
        for i in np.flatnonzero(weights["number"])
    ]
    assert sorted(seen) == list(range(10))


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 3), (0, 0)])
def test_shards_must_be_equal(shard):
    with pytest.raises(ValueError, match=r"^`shard` must be \(worker, workers\), with"):
        p5.data.training(source(), TASKS, 4, shard=shard)


def test_files_are_loaded_before_augmentation_and_for_evaluation():
    def load(example):
        assert example["number"].shape == ()
        return {**example, "input": example["input"] * 2}

    loaded = source(8, load=load)
    for make in (p5.data.training, p5.data.evaluation):
        for x, y, _ in batches(make(loaded, TASKS, 4), 2):
            np.testing.assert_array_equal(x[:, 0], 2 * y["number"])
    both = p5.data.training(source(8, load=load, augment=noise), TASKS, 4)
    ((x, y, _),) = batches(both, 1)
    assert ((x[:, 0] > 2 * y["number"]) & (x[:, 0] < 2 * y["number"] + 1)).all()


def test_without_determinism_an_epoch_still_has_every_example():
    dataset = p5.data.training(source(8, augment=noise), TASKS, 4, deterministic=False)
    seen = np.concatenate([y["number"] for _, y, _ in batches(dataset, 2)])
    assert sorted(seen) == list(range(8))


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_orders_are_those_of_index_shuffle_for_each_epoch(size):
    index = tf.range(size, dtype=tf.int64)
    for seed, epoch in ((0, 0), (3, 5)):
        found = shuffled(index, size, seed, tf.fill([size], epoch))
        wanted = [
            tf.random.experimental.index_shuffle(
                i, seed=tf.constant([seed, epoch], tf.int64), max_index=size - 1
            )
            for i in index[:20]
        ]
        np.testing.assert_array_equal(found[:20], wanted)
        assert sorted(found.numpy()) == list(range(size))
        np.testing.assert_array_equal(shuffled(index[0], size, seed, epoch), found[0])


@pytest.mark.parametrize("deterministic", [True, False])
def test_slow_examples_keep_their_place_unless_it_is_given_up(deterministic):
    def load(example):
        # The first of each batch is slow to read.
        work = tf.linalg.matmul(tf.ones([300, 300]), tf.ones([300, 300]))
        slow = example["number"] % 4 == 0
        extra = tf.cond(slow, lambda: tf.reduce_sum(work) * 0, lambda: 0.0)
        return {**example, "input": example["input"] + extra}

    dataset = p5.data.training(
        source(16, load=load), TASKS, 4, deterministic=deterministic
    )
    seen = [y["number"] for _, y, _ in batches(dataset, 4)]
    assert sorted(np.concatenate(seen)) == list(range(16))
    if deterministic:
        plain = batches(p5.data.training(source(16), TASKS, 4), 4)
        np.testing.assert_array_equal(seen, [y["number"] for _, y, _ in plain])
