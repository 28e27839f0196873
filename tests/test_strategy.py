import pytest
import tensorflow as tf

import p5_keras as p5


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
