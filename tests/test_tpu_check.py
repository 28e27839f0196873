import importlib.util
import pathlib
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.tpu_check import blame, check, chips, compiler, program
from p5_keras.weighting.gradients import for_tpu, solves_in_double

ROOT = pathlib.Path(__file__).parents[1]
SHAPES = {"a": (), "b": (1,), "c": (1,)}


def batches(size=4, width=3):
    """Specification of batches for `joint`."""
    labels = {name: tf.TensorSpec((size, *shape)) for name, shape in SHAPES.items()}
    labels["a"] = tf.TensorSpec((size,), tf.int32)
    weights = {name: tf.TensorSpec((size,)) for name in SHAPES}
    return tf.TensorSpec((size, width)), labels, weights


def joint(weighting=None, **arguments):
    """A small model of three tasks, with arguments for task b."""
    tasks = [
        p5.tasks.Classification("a", num_classes=2),
        p5.tasks.Regression("b", mean=[0.0], std=[1.0], **arguments),
        p5.tasks.Regression("c", mean=[0.0], std=[1.0]),
    ]
    model = p5.build_model(p5.trunks.Dense([4]), tasks, (3,))
    model.compile("adam", weighting=weighting)
    return model


def refusal(model):
    """Returns why the training step is refused; that takes no compiler."""
    step, *_ = program.steps(model, batches(), batches())
    with pytest.raises(ValueError) as error:
        check.measure(model, step, "v5e:2x2", 4)
    assert "\n" not in str(error.value)
    return str(error.value)


def keeps_some(y_true, y_pred):
    return (y_true - y_pred) ** 2 + tf.reduce_sum(tf.boolean_mask(y_pred, y_pred > 0))


def in_python(y_true, y_pred):
    double = tf.py_function(lambda x: 2 * x, [y_pred], tf.float32)
    return (y_true - tf.ensure_shape(double, y_pred.shape)) ** 2


def of_another_rank(y_true, y_pred):
    return tf.matmul(y_true, y_pred[:, 0])


class Positive(keras.metrics.Mean):
    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(tf.boolean_mask(y_pred, y_pred > 0))


def test_a_size_that_depends_on_values():
    message = refusal(joint(loss=keeps_some))
    assert message.startswith(
        "The training step must compile for a TPU. Received: a size that depends on "
        "values, in task 'b', operation b_loss/boolean_mask/Where, test_tpu_check.py, "
    )
    assert ", in keeps_some. Advice: keep the size" in message


def test_an_operation_that_xla_lacks():
    message = refusal(joint(loss=in_python))
    assert "`EagerPyFunc`, which XLA lacks, in task 'b', operation b_loss/" in message


def test_a_loss_that_cannot_even_be_traced():
    message = refusal(joint(loss=of_another_rank))
    assert "Shape must be rank 2 but is rank 1" in message
    assert message.endswith(", in of_another_rank")
    assert ", in task 'b', test_tpu_check.py, line " in message


def test_a_metric_is_its_tasks():
    assert "in task 'b', operation" in refusal(joint(metrics=[Positive()]))


def test_what_all_tasks_share():
    inputs = keras.Input((3,))
    kept = keras.layers.Lambda(
        lambda x: x + tf.reduce_sum(tf.boolean_mask(x, x > 0)), name="sieve"
    )(inputs)
    outputs = {name: keras.layers.Dense(1, name=name)(kept) for name in "bc"}
    tasks = [p5.tasks.Regression(name, mean=[0.0], std=[1.0]) for name in "bc"]
    model = p5.MultiTaskModel(inputs, outputs, tasks=tasks)
    model.compile("adam")
    spec = tuple({n: part[n] for n in "bc"} for part in batches()[1:])
    step, *_ = program.steps(model, (batches()[0], *spec), (batches()[0], *spec))
    with pytest.raises(ValueError, match=r"in what all tasks share, operation .*sieve"):
        check.measure(model, step, "v5e:2x2", 4)


def test_what_is_compiled():
    def names(**arguments):
        model = joint(p5.weighting.NashMTL(**arguments))
        return [step.name for step in program.steps(model, batches(), batches())]

    assert names() == ["training step", "evaluation step"]
    assert names(update_every=2) == [
        "step that solves",
        "step that keeps",
        "evaluation step",
    ]


def test_lowered_for_a_tpu_there_is_no_double_precision():
    assert solves_in_double()
    with for_tpu():
        assert not solves_in_double()
    assert solves_in_double()
    model = joint(p5.weighting.NashMTL())
    step, *_ = program.steps(model, batches(), batches())
    _, graph = program.lower(model, step, 4)
    found = {x.dtype for o in blame.every_operation(graph) for x in o.outputs}
    assert tf.float32 in found and tf.float64 not in found


def test_examples_of_several_shapes_name_the_task():
    x, labels, weights = batches()
    labels = labels | {"c": tf.TensorSpec((4, None))}
    with pytest.raises(ValueError, match=r"labels of task 'c' of shape \(None,\)"):
        program.of_size((x, labels, weights), 2)
    smaller = program.of_size(batches(), 2)
    assert {part.shape[0] for part in tf.nest.flatten(smaller)} == {2}


@pytest.mark.parametrize("topology", ["v5:2x2", "v5e", "v5e:2x", "v5e:two", ""])
def test_a_misspelt_topology(topology):
    with pytest.raises(ValueError) as error:
        chips.find(topology)
    assert str(error.value).startswith(
        "`tpu_topology` must be one of v4, v5e, v5p, v6e"
    )
    assert str(error.value).endswith(f"Received: tpu_topology={topology!r}")


def test_chips_of_a_topology():
    assert chips.find("v4:2x2x4") == (chips.CHIPS["v4"], 16)
    assert chips.find("v5e:1x1")[1] == 1


def test_the_roofline():
    chip = chips.Chip(flops=100.0, bandwidth=10.0, memory=1.0)
    assert chip.seconds(200.0, 10.0) == (2.0, "compute")
    assert chip.seconds(200.0, 30.0) == (3.0, "memory")


@pytest.mark.parametrize("size", [1, 8, 40, 500])
def test_the_largest_batch(size):
    tried = []

    def measured(size):  # 100 bytes, and 3 an example
        tried.append(size)
        fits = 100 + 3 * size <= 1000
        return compiler.Compiled(1, 1, 100 + 3 * size, 0) if fits else None

    most, at = check.largest_batch(size, measured(size), 1000, measured)
    assert most == 300
    assert set(at) <= set(tried) and len(at) == 2


def test_the_largest_batch_of_a_model_that_fills_little_at_first():
    def measured(size):  # temporaries beyond 10 examples are in HBM
        return compiler.Compiled(1, 1, 10 + max(0, size - 10), 0)

    assert check.largest_batch(1, measured(1), 10_000, measured) == (
        10_000,
        [250, 2500],
    )


def test_no_batch_fits():
    assert check.largest_batch(8, None, 1000, lambda size: None) == (0, [])


def test_without_the_compiler(monkeypatch):
    monkeypatch.setattr(compiler.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError) as error:
        p5.tpu_check.run(None, None, None)
    assert str(error.value) == (
        "--mode=tpu_check compiles with libtpu, through JAX: pip install "
        "'p5_keras[tpu_check]'. Missing: jax, libtpu"
    )


def command(*arguments):
    """Runs the check of a recipe that compiles in seconds, as a user does."""
    for name in ("jax", "libtpu"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed; p5_keras[tpu_check] brings it")
    given = ["--recipe=synthetic_mmoe", "--mode=tpu_check", *arguments]
    return subprocess.run(
        [sys.executable, ROOT / "train.py", *given],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("topology", ["v5e:2x2", "v4:2x2x1", "v6e:2x2"])
def test_a_recipe_compiles(topology):
    done = command(f"--tpu_topology={topology}", "--precision=mixed_bfloat16")
    assert done.returncode == 0, done.stderr
    head, columns, training, evaluation, most = done.stdout.splitlines()
    assert head.startswith(f"{topology}: 4 chips with ")
    assert head.endswith(" GiB each, 32 examples of 128 on each; mixed_bfloat16")
    assert columns.split()[-6:] == ["v4,", "ms", "v5e,", "ms", "v6e,", "ms"]
    for line, name in ((training, "training step"), (evaluation, "evaluation step")):
        found = line.removeprefix(name).split()
        assert all(float(x) > 0 for x in found[2:6])
        assert {found[7], found[9], found[11]} <= {"memory", "compute"}
    assert float(training.split()[4]) > 2 * float(evaluation.split()[4])  # FLOP
    assert most.startswith("largest batch that fits: about ")


@pytest.mark.slow
def test_a_topology_that_does_not_exist():
    done = command("--tpu_topology=v5e:1x3", "--batch_size=3")
    assert done.returncode == 1
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("error:")]
    assert "must be one that exists, such as v5e:2x2. Received: tpu_topology=" in line


def test_a_row_of_the_table():
    found = compiler.Compiled(2e9, 1e9, chips.GIB, 3.0)
    row = check.row("training step", found)
    assert row.split()[2:8] == ["3", "s", "2", "1", "2", "1.000"]
    assert row.endswith("1.22 memory    0.611 memory")  # 1 GB at 819, 1638 GB/s
    assert check.row("training step", None).endswith("too large")
