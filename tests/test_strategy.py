import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras import replicas


@pytest.mark.parametrize("name", ["none", "auto"])
def test_without_accelerators_it_is_one_device(name):
    strategy = p5.strategy.get(name)
    assert strategy is tf.distribute.get_strategy()
    assert strategy.num_replicas_in_sync == 1


def test_mirrored_is_a_strategy_even_for_one_device():
    strategy = p5.strategy.get("mirrored")
    assert isinstance(strategy, tf.distribute.MirroredStrategy)


@pytest.mark.parametrize(("gpus", "kind"), [(1, "none"), (2, "mirrored")])
def test_auto_takes_all_gpus_where_there_are_several(gpus, kind, monkeypatch):
    made = []
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["GPU"] * gpus)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: made.append(1))
    p5.strategy._make("auto", None)
    assert bool(made) == (kind == "mirrored")


def test_auto_takes_the_tpu_whose_address_is_given(monkeypatch):
    asked = []

    def resolver(address):
        asked.append(address)
        raise InterruptedError

    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", resolver)
    for name, tpu in (("auto", "grpc://1.2.3.4"), ("tpu", None)):
        with pytest.raises(InterruptedError):
            p5.strategy.get(name, tpu)
    assert asked == ["grpc://1.2.3.4", "local"]


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"`strategy` must be .*'mirored'"):
        p5.strategy.get("mirored")


@pytest.mark.parametrize("batch_size", [0, -2, 3])
def test_the_batch_must_divide_by_the_replicas(batch_size, two_replicas, monkeypatch):
    monkeypatch.setattr(p5.strategy, "_make", lambda name, tpu: two_replicas)
    assert p5.strategy.get("mirrored", None, 4) is two_replicas
    message = f"multiple of the number of replicas.*={batch_size} for 2 replicas"
    with pytest.raises(ValueError, match=message):
        p5.strategy.get("mirrored", None, batch_size)


CLUSTER = {
    "cluster": {"worker": ["a:1", "b:1"]},
    "task": {"type": "worker", "index": 1},
}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "must be JSON"),
        ("[]", "must be JSON"),
        (json.dumps({**CLUSTER, "task": {}}), "the task one of the cluster"),
        (
            json.dumps({**CLUSTER, "task": {"type": "worker", "index": 2}}),
            "the task one of the cluster",
        ),
        (
            json.dumps(
                {**CLUSTER, "cluster": {"worker": ["a:1", "b:1"], "ps": ["c:1"]}}
            ),
            r"no parameter servers.*\['ps'\]",
        ),
    ],
)
def test_a_wrong_cluster_is_refused(config, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match=message):
        p5.strategy.get("multiworker")
    assert not p5.strategy.in_cluster()


@pytest.mark.parametrize("name", ["auto", "multiworker"])
def test_a_cluster_makes_several_workers(name, monkeypatch):
    made = []
    monkeypatch.setenv("TF_CONFIG", json.dumps(CLUSTER))
    monkeypatch.setattr(
        tf.distribute, "MultiWorkerMirroredStrategy", lambda: made.append(1)
    )
    p5.strategy._make(name, None)
    assert made and p5.strategy.in_cluster()


def test_a_cluster_of_one_waits_for_no_one(monkeypatch):
    one = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(one))
    assert type(p5.strategy.get("multiworker")) is tf.distribute.MirroredStrategy
    assert p5.strategy.get("auto") is tf.distribute.get_strategy()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("parameter_server", "Use strategy='multiworker'"),
        ("multiworker", "needs the addresses of the workers in TF_CONFIG"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_can(name, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match=message):
        p5.strategy.get(name)


def small():
    task = p5.tasks.Regression("y", mean=[0.0], std=[1.0])
    return p5.build_model(p5.trunks.Dense([2], dropout=0.5), [task], (1,))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"optimizer": keras.optimizers.SGD(gradient_accumulation_steps=2)},
            "cannot be accumulated.*gradient_accumulation_steps=2 for 2 replicas",
        ),
        (
            {"steps_per_execution": 2},
            "must be 1 with several workers, or several CPU.*=2 for 2",
        ),
    ],
)
def test_combinations_that_fail_later_are_refused(kwargs, message, two_replicas):
    with two_replicas.scope():
        model = small()
        with pytest.raises(ValueError, match=message):
            model.compile(**kwargs)
    small().compile(**kwargs)  # one device can


def test_a_model_of_another_scope_is_refused(two_replicas):
    model = small()
    with (
        two_replicas.scope(),
        pytest.raises(ValueError, match="built outside of a MirroredStrategy"),
    ):
        model.compile("sgd")


def test_one_worker_needs_no_one(two_replicas):
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        assert p5.strategy.shard(strategy) == (0, 1)
        assert p5.strategy.is_chief(strategy)
        assert p5.strategy.others(strategy) == []
        np.testing.assert_array_equal(p5.strategy.total(strategy, [1, 2]), [1, 2])
        with p5.strategy.chief_first(strategy):
            pass


def test_dropout_draws_differently_on_each_replica(two_replicas):
    with two_replicas.scope():
        generator = keras.layers.Dropout(0.5)
        model = small()
        model.compile("sgd")
    del generator
    (state,) = [v for v in model.variables if v.name == "seed_generator_state"]

    def seeds():
        return [
            v.numpy()[0] for v in two_replicas.experimental_local_results(state.value)
        ]

    before = seeds()
    assert before[0] == before[1]
    with replicas.own_seeds(model):
        inside = seeds()
    assert inside[0] == before[0]
    assert inside[1] == before[1] + replicas.SEED_STRIDE
    assert seeds() == before
