import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5

NAN = np.nan


def dataset(labels, batch_size=2, inputs=None):
    """Evaluation batches of examples with these fields."""
    size = len(next(iter(labels.values())))
    fields = {key: tf.constant(value) for key, value in labels.items()}
    fields["input"] = tf.constant(
        np.zeros((size, 3), "float32") if inputs is None else inputs
    )

    def read(indices, epochs):
        return {key: tf.gather(value, indices) for key, value in fields.items()}

    return lambda tasks: p5.data.evaluation(
        p5.data.Source(size, read), tasks, batch_size
    )


def test_adapt_sets_statistics_from_labelled_examples_alone():
    age = p5.tasks.Regression("age")
    pose = p5.tasks.Regression("pose", size=2)
    kind = p5.tasks.Classification("kind", num_classes=2, class_weights="balanced")
    tasks = [age, pose, kind]
    made = dataset(
        {
            "age": [1.0, NAN, 3.0],
            "pose": [[1.0, 10.0], [3.0, NAN], [NAN, NAN]],
            "kind": [0, 0, 1],
        }
    )
    labels = p5.data.adapt(tasks, made(tasks))
    # The padding of the last batch repeats the last example; it must not count.
    assert (age.mean, age.std) == ([2.0], [1.0])
    assert (pose.mean, pose.std) == ([2.0, 10.0], [1.0, 1.0])
    np.testing.assert_allclose(kind.class_weights, [0.75, 1.5])
    np.testing.assert_array_equal(labels["age"][1], [1, 0, 1, 0])
    np.testing.assert_array_equal(labels["kind"][0], [0, 0, 1, 1])


def test_adapt_leaves_given_statistics_alone():
    age = p5.tasks.Regression("age", mean=[5.0], std=[2.0])
    p5.data.adapt([age], dataset({"age": [1.0, 3.0]})([age]))
    assert (age.mean, age.std) == ([5.0], [2.0])


def test_adapt_names_a_task_without_any_label():
    tasks = [
        p5.tasks.Regression("age"),
        p5.tasks.Classification("kind", num_classes=2),
    ]
    made = dataset({"age": [1.0, 2.0, 3.0], "kind": [-1, -1, -1]})
    with pytest.raises(ValueError, match=r"must have a label.*'kind' with none"):
        p5.data.adapt(tasks, made(tasks))


def test_collect_stops_at_the_first_batch_past_the_limit():
    age = p5.tasks.Regression("age")
    made = dataset({"age": np.arange(10.0)})([age])
    values, weights = p5.data.collect([age], made, limit=5)["age"]
    np.testing.assert_array_equal(values[:, 0], np.arange(6.0))
    assert weights.shape == (6,)


@pytest.mark.parametrize("bad", [NAN, np.inf])
def test_check_refuses_inputs_that_are_not_finite(bad):
    kind = p5.tasks.Classification("kind", num_classes=2)
    inputs = np.zeros((4, 3), "float32")
    made = dataset({"kind": [0, 1, 0, 1]}, inputs=inputs)
    p5.data.check([kind], made([kind]))
    inputs[3, 1] = bad
    made = dataset({"kind": [0, 1, 0, 1]}, inputs=inputs)
    with pytest.raises(ValueError, match=r"inputs must be finite.*NaN or infinity"):
        p5.data.check([kind], made([kind]))


@pytest.mark.parametrize(
    ("task", "good", "bad", "message"),
    [
        (
            p5.tasks.Classification("kind", num_classes=3),
            [0, 2, -1],
            [0, 1, 3],
            "task 'kind' must be whole numbers from 0 to 2.*3 in example 0",
        ),
        (
            p5.tasks.Regression("kind"),
            [0.0, NAN, 1e9],
            [0.0, np.inf, 1.0],
            "task 'kind' must be finite.*or NaN.*inf.*in example 1",
        ),
        (
            p5.tasks.MultiLabel("kind", class_names=["a", "b"]),
            [[0.0, 1.0], [NAN, 1.0], [-1.0, 0.0]],
            [[0.0, 1.0], [0.0, 1.5], [1.0, 1.0]],
            "task 'kind' must be 0, 1 or missing.*1.5 in example 1",
        ),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_check_names_the_task_and_the_example(task, good, bad, message):
    p5.data.check([task], dataset({"kind": good})([task]))
    with pytest.raises(ValueError, match=message):
        p5.data.check([task], dataset({"kind": bad})([task]))


def test_a_missing_field_names_the_nearest():
    task = p5.tasks.Regression("size", label="hight")
    made = dataset({"height": [1.0, 2.0]})
    with pytest.raises(ValueError, match=r"'hight'.*lack\. Did you mean 'height'\?"):
        made([task])
