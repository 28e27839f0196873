"""Two replicas, and two processes, end as one device does."""

import importlib.util
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras import supervise

RUN = pathlib.Path(__file__).with_name("replica_run.py")
_spec = importlib.util.spec_from_file_location("replica_run", RUN)
replica_run = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(replica_run)


@pytest.fixture(scope="module")
def one_device():
    return replica_run.all_of(tf.distribute.get_strategy())


def assert_equal(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        if value.dtype.kind not in "US":
            np.testing.assert_allclose(found[name], value, 1e-5, 1e-5, err_msg=name)


@pytest.mark.slow
def test_the_run_has_what_it_is_to_test(one_device):
    steps = replica_run.EPOCHS * replica_run.STEPS
    assert steps == 20
    assert one_device["boxes/boxes_map"] > 0.1
    for split, size in replica_run.SIZE.items():
        assert size % replica_run.BATCH, split
    # Examples that fill up the last batch are seen, and count for nothing.
    weights = one_device["none/weight/1/size"]
    assert len(weights) == replica_run.BATCH
    assert not weights[13 - replica_run.BATCH :].any()
    losses = {one_device[f"{name}/log/loss"][-1] for name in replica_run.WEIGHTINGS}
    assert len(losses) == 3


@pytest.mark.slow
def test_two_replicas(one_device, two_replicas):
    assert_equal(replica_run.all_of(two_replicas), one_device)


@pytest.mark.slow
def test_two_workers(one_device, tmp_path):
    logs = [tmp_path / f"{i}.log" for i in range(2)]
    processes = []
    for i, environment in enumerate(supervise._environments(2)):
        with logs[i].open("w") as log:
            process = subprocess.Popen(
                [sys.executable, str(RUN), str(tmp_path / f"{i}.npz")],
                env={**environment, "PYTHONPATH": str(RUN.parents[1])},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        processes.append(process)
    try:
        for process, log in zip(processes, logs, strict=True):
            assert process.wait(500) == 0, log.read_text()[-3000:]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for i in range(2):
        with np.load(tmp_path / f"{i}.npz") as file:
            assert_equal(dict(file), one_device)


def test_a_worker_reads_its_share_and_keeps_tensorflow_from_sharing_again():
    data, batch = replica_run.source("train"), replica_run.BATCH
    _, tasks = replica_run.build()
    off = tf.data.experimental.AutoShardPolicy.OFF
    parts = []
    for worker in range(2):
        dataset = p5.data.training(data, tasks, batch, 3, shard=(worker, 2))
        policy = dataset.options().experimental_distribute.auto_shard_policy
        assert policy == off
        parts.append(next(iter(dataset))[0])
    whole = p5.data.training(data, tasks, batch, 3)
    assert whole.options().experimental_distribute.auto_shard_policy != off
    np.testing.assert_array_equal(tf.concat(parts, 0), next(iter(whole))[0])
