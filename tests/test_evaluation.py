import math

import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras import evaluation

NAN = np.nan


def tasks():
    return [
        p5.tasks.Classification("kind", num_classes=3),
        p5.tasks.Regression("size"),
    ]


def dataset(kinds, sizes, batch_size=2):
    """Evaluation batches whose input is the number of the example."""
    fields = {
        "input": tf.range(len(kinds), dtype=tf.float32)[:, None],
        "kind": tf.constant(kinds),
        "size": tf.constant(sizes, tf.float32),
    }

    def read(indices, epochs):
        return {key: tf.gather(value, indices) for key, value in fields.items()}

    return lambda which: p5.data.evaluation(
        p5.data.Source(len(kinds), read), which, batch_size
    )


TRAIN = dataset([0, 2, 2, 2, -1], [1.0, 3.0, NAN, 5.0, NAN])
TEST = dataset([2, 0, -1, 2, 1], [3.0, 4.0, 0.0, NAN, NAN])


def prepared():
    which = tasks()
    labels = p5.data.adapt(which, TRAIN(which))
    return which, evaluation.priors(which, labels)


def test_priors_are_class_frequencies_and_the_mean():
    which, priors = prepared()
    np.testing.assert_allclose(np.exp(priors["kind"]), [0.25, 0.0, 0.75], atol=2e-3)
    assert which[1].mean == [3.0]
    np.testing.assert_allclose(priors["size"], [0.0], atol=1e-6)


def test_metrics_of_a_constant_predictor():
    which, priors = prepared()
    found = evaluation.trivial_metrics(which, TEST(which), priors)
    assert found == pytest.approx(
        {
            "kind_accuracy": 2 / 4,  # class 2 for 2, 0, 2, 1
            "size_mae": (0 + 1 + 3) / 3,  # 3.0 for 3, 4, 0
            "size_rmse": math.sqrt((0 + 1 + 9) / 3),
        },
        rel=1e-6,
    )


def test_its_metrics_are_those_of_a_model_that_answers_with_it():
    which, priors = prepared()
    model = p5.build_model(p5.trunks.Dense([2]), which, (1,))
    model.compile()
    for task in which:
        kernel, bias = model.get_layer(task.name).weights
        kernel.assign(np.zeros(kernel.shape))
        bias.assign(priors[task.name])
    logs = model.evaluate(TEST(which), return_dict=True, verbose=0)
    found = evaluation.trivial_metrics(which, TEST(which), priors)
    assert {key: logs[key] for key in found} == pytest.approx(found, rel=1e-6)


def test_a_metric_without_any_label_is_nan():
    which, priors = prepared()
    batches = dataset([1, 2], [NAN, NAN])(which)
    found = evaluation.trivial_metrics(which, batches, priors)
    assert found["kind_accuracy"] == 0.5
    assert math.isnan(found["size_mae"])


@pytest.mark.parametrize(
    ("logs", "trivial", "value"),
    [
        # (0.8 - 0.5) / (1 - 0.5) and 1 - 2 / 4.
        ((0.8, 2.0), (0.5, 4.0), (0.6 + 0.5) / 2),
        ((0.5, 4.0), (0.5, 4.0), 0.0),
        ((1.0, 0.0), (0.5, 4.0), 1.0),
        ((0.25, 8.0), (0.5, 4.0), (-0.5 - 1.0) / 2),
        ((NAN, 2.0), (0.5, 4.0), 0.5),
        ((0.8, 2.0), (0.5, NAN), 0.6),
        # A trivial predictor that is perfect leaves no way to go.
        ((0.9, 2.0), (1.0, 4.0), 0.5),
        ((0.8, 2.0), (0.5, 0.0), 0.6),
        ((NAN, NAN), (0.5, 4.0), NAN),
    ],
)
def test_skill(logs, trivial, value):
    keys = ("kind_accuracy", "size_mae")
    logs = {**dict(zip(keys, logs, strict=True)), "size_rmse": 99.0, "loss": 1.0}
    trivial = dict(zip(keys, trivial, strict=True))
    assert evaluation.skill(tasks(), logs, trivial) == pytest.approx(value, nan_ok=True)


def test_skill_without_logs_is_nan():
    assert math.isnan(evaluation.skill(tasks(), {}, {}))


@pytest.mark.parametrize("skewed", [False, True])
def test_the_interval_covers_the_true_mean_about_95_times_in_100(skewed):
    rng = np.random.default_rng(1)
    if skewed:  # as for accuracies: −1, 0 or 1, with a mean of 0.2
        draws = rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.6, 0.3], size=(300, 60))
    else:
        draws = rng.normal(0.2, 1.0, size=(300, 60))
    low, high = np.transpose(
        [evaluation.paired_interval(d, i, resamples=300) for i, d in enumerate(draws)]
    )
    assert 0.91 <= np.mean((low <= 0.2) & (high >= 0.2)) <= 0.98
    # Both ends miss about as often.
    assert np.mean(low > 0.2) < 0.06
    assert np.mean(high < 0.2) < 0.06


def test_the_interval_has_the_width_of_the_standard_error():
    draws = np.random.default_rng(0).normal(5.0, 2.0, size=400)
    low, high = evaluation.paired_interval(draws)
    error = draws.std() / math.sqrt(400)
    assert (low, high) == pytest.approx(
        (draws.mean() - 1.96 * error, draws.mean() + 1.96 * error), abs=0.15 * error
    )
    assert (low, high) == evaluation.paired_interval(draws)
    assert (low, high) != evaluation.paired_interval(draws, seed=1)
    assert evaluation.paired_interval(np.full(7, 0.5)) == (0.5, 0.5)


def exact_model(which):
    """Answers class 2 and, for the example i, the value 2 + i."""
    model = p5.build_model(p5.trunks.Dense([1]), which, (1,))
    model.compile()
    kernel, bias = model.layers[1].weights
    kernel.assign([[1.0]])
    bias.assign([0.0])
    kernel, bias = model.get_layer("kind").weights
    kernel.assign(np.zeros((1, 3)))
    bias.assign([0.0, 0.0, 1.0])
    kernel, bias = model.get_layer("size").weights
    mean, std = which[1].mean[0], which[1].std[0]
    kernel.assign([[1 / std]])
    bias.assign([(2 - mean) / std])
    return model


def test_assess_counts_labelled_examples_alone():
    which, priors = prepared()
    model = exact_model(which)
    scores, confusions, examples, _ = evaluation.assess(model, TEST(which), priors)
    kind, size = scores["kind"], scores["size"]
    assert (kind["name"], kind["examples"]) == ("accuracy", 4)
    assert (kind["mean"], kind["trivial"], kind["difference"]) == (0.5, 0.5, 0.0)
    assert kind["interval"] == [0.0, 0.0]
    # The model says 2, 3, 4 and the trivial predictor 3 for 3, 4, 0.
    assert size["examples"] == 3
    assert size["mean"] == pytest.approx(-(1 + 1 + 4) / 3, rel=1e-5)
    assert size["trivial"] == pytest.approx(-(0 + 1 + 3) / 3, rel=1e-5)
    assert size["difference"] == pytest.approx(-2 / 3, rel=1e-5)
    low, high = size["interval"]
    assert low < -2 / 3 < high
    assert list(confusions) == ["kind"]
    np.testing.assert_array_equal(confusions["kind"], [[0, 0, 1], [0, 0, 1], [0, 0, 2]])
    # Every example that has a label, and no padding.
    assert [float(e["image"][0]) for e in examples] == [0, 1, 2, 3, 4]
    assert float(examples[1]["prediction"]["size"]["value"][0]) == pytest.approx(3)
    assert int(examples[1]["truth"]["kind"]["label"]) == 0
    labelled = [set(e["truth"]) for e in examples]
    both = {"kind", "size"}
    assert labelled == [both, both, {"size"}, {"kind"}, {"kind"}]
    assert all(set(e["prediction"]) == both for e in examples)
    assert evaluation.assess(model, TEST(which), priors)[0] == scores


def test_assess_takes_as_many_pictures_as_asked():
    which, priors = prepared()
    model = exact_model(which)
    *_, examples, _ = evaluation.assess(model, TEST(which), priors, pictures=3)
    assert [float(e["image"][0]) for e in examples] == [0, 1, 2]


def test_assess_of_a_task_without_a_label_is_none():
    which, priors = prepared()
    unlabelled = dataset([-1, -1, -1], [1.0, 2.0, 3.0])
    scores, confusions, *_ = evaluation.assess(
        exact_model(which), unlabelled(which), priors
    )
    assert scores["kind"] is None
    assert scores["size"]["examples"] == 3
    assert confusions["kind"].sum() == 0
