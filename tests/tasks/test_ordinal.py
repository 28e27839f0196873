import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.tasks.ordinal import OrdinalCrossEntropy

TASK = p5.tasks.Ordinal("stars", num_classes=3)


def test_decoding_by_hand():
    logits = np.array([[3.0, 1.0], [2.0, -2.0], [-1.0, -1.0]], "float32")
    fields = TASK.decode(tf.constant(logits))
    assert fields["label"].numpy().tolist() == [2, 1, 0]
    p = 1 / (1 + np.exp(-logits))
    wanted = np.stack([1 - p[:, 0], p[:, 0] - p[:, 1], p[:, 1]], axis=1)
    np.testing.assert_allclose(fields["probabilities"], wanted, atol=1e-6)


def test_thresholds_out_of_order_give_no_negative_probability():
    p = TASK.decode(tf.constant([[-1.0, 1.0]]))["probabilities"].numpy()
    assert (p >= 0).all() and p.sum() == pytest.approx(1)


def test_the_loss_by_hand():
    # Above class 0 and not above class 1; the last example has no label.
    label, weight = TASK.target({"stars": tf.constant([1, -1])})
    logits = tf.constant([[2.0, 1.0], [9.0, 9.0]])
    loss = OrdinalCrossEntropy()(label, logits, weight)
    wanted = (np.log1p(np.exp(-2.0)) + np.log1p(np.exp(1.0))) / 2
    assert float(loss) == pytest.approx(wanted, rel=1e-6)


def test_the_metrics_by_hand():
    label = tf.constant([0, 2, 1])
    logits = tf.constant([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]])  # 2, thrice
    found = {}
    for metric in TASK.default_metrics():
        metric.update_state(label, logits, tf.ones(3))
        found[metric.name] = float(metric.result())
    assert found == {"mae": 1.0, "accuracy": pytest.approx(1 / 3)}
    fields = {"label": np.array([2, 2, 2])}
    assert TASK.example_scores(label.numpy(), fields).tolist() == [-2, 0, -1]


def test_the_prior_is_the_median():
    prior = TASK.prior(np.array([0, 1, 1, 2, 2]), np.ones(5))
    assert TASK.decode(tf.constant(prior[None]))["label"].numpy() == [1]


def test_it_learns_an_order_and_comes_back(tmp_path):
    x = np.linspace(-1, 1, 60, dtype="float32")[:, None]
    label = np.digitize(x[:, 0], [-0.3, 0.4])
    model = p5.build_model(p5.trunks.Dense([8]), [TASK], (1,))
    model.compile(keras.optimizers.Adam(0.05))
    model.fit(x, {"stars": label}, epochs=60, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    fields = again.decode(again(x))["stars"]
    assert (np.array(fields["label"]) == label).mean() > 0.9
    assert again.tasks[0].get_config() == TASK.get_config()


def test_one_class_has_no_order():
    with pytest.raises(ValueError, match="An order needs two classes at least"):
        p5.tasks.Ordinal("stars", num_classes=1)
