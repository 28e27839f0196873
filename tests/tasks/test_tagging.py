import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.tasks import viterbi

NAMES = ["O", "B-a", "I-a", "B-b", "I-b"]


def test_the_rules_of_iob():
    assert viterbi.are_iob(NAMES)
    assert not viterbi.are_iob(["noun", "verb"]) and not viterbi.are_iob(["O", "x"])
    first, after = viterbi.rules(NAMES)
    assert (first < 0).tolist() == [False, False, True, False, True]
    allowed = after == 0
    assert allowed[:, 0].all() and allowed[:, 1].all()
    assert allowed[:, 2].tolist() == [False, True, True, False, False]


def test_the_best_path_is_the_best_of_all():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(6, 4, 5)).astype("float32")
    first, after = viterbi.rules(NAMES)
    found = np.array(viterbi.best_path(tf.constant(scores), first, after))
    every = np.array(np.meshgrid(*[range(5)] * 4)).reshape(4, -1).T
    allowed = first[every[:, 0]] + after[every[:, :-1], every[:, 1:]].sum(axis=1)
    for own, path in zip(scores, found, strict=True):
        sums = own[np.arange(4), every].sum(axis=1) + allowed
        assert path.tolist() == every[sums.argmax()].tolist()


def test_a_tag_that_may_not_stand_there_is_not_decoded():
    task = p5.tasks.Tagging("slot", class_names=NAMES)
    logits = np.zeros((1, 2, 5), "float32")
    logits[0, :, 2] = 3  # I-a twice, the first of which needs a B-a before it
    logits[0, 0, 1] = 2
    fields = task.decode(tf.constant(logits))
    assert fields["label"].numpy().tolist() == [[1, 2]]
    e = np.exp(logits[0])
    wanted = [e[0, 1] / e[0].sum(), e[1, 2] / e[1].sum()]
    np.testing.assert_allclose(fields["probability"][0], wanted, rtol=1e-5)
    assert task.draw(None, {"label": np.array([1, 0, 3])}) == "1: B-a, 3: B-b"
    plain = p5.tasks.Tagging("part", class_names=["noun", "verb", "other"])
    found = plain.decode(tf.constant([[[0.0, 2, 1], [3, 0, 0]]]))
    assert found["label"].numpy().tolist() == [[1, 0]]


def test_padding_is_no_part_of_the_loss_and_the_metrics():
    task = p5.tasks.Tagging("slot", class_names=NAMES)
    label = tf.constant([[1, 2, -1], [0, -1, -1]])
    found, weight = task.target({"slot": label})
    assert weight.numpy().tolist() == [1, 1]
    logits = np.zeros((2, 3, 5), "float32")
    logits[0, 0, 1], logits[0, 1, 0] = 5, 5  # right, wrong; all that follows is equal
    parts = np.log(np.exp(logits).sum(-1)) - logits.max(-1) * [[1, 0, 1], [1, 1, 1]]
    loss = task.default_loss()(found, tf.constant(logits), weight)
    assert float(loss) == pytest.approx(parts[[0, 0, 1], [0, 1, 0]].mean(), rel=1e-5)
    (accuracy,) = task.default_metrics()
    accuracy.update_state(found, tf.constant(logits), weight)
    assert float(accuracy.result()) == pytest.approx(2 / 3)
    evaluator = task.evaluator()
    fields = {"label": np.array([[1, 2, 0], [0, 1, 1]])}
    evaluator.update(label.numpy(), np.array([1, 1]), fields)
    assert evaluator.result() == {"f1": 1.0}
    scores = task.example_scores(label.numpy(), {"label": np.zeros((2, 3), int)})
    assert scores.tolist() == [0, 1]


def test_the_prior_is_the_most_frequent_tag():
    task = p5.tasks.Tagging("slot", class_names=NAMES)
    label = np.array([[0, 0, 1], [0, -1, -1]])
    prior = task.prior(label, np.ones(2))
    np.testing.assert_allclose(np.exp(prior[0, :2]), [0.75, 0.25], atol=1e-3)
    assert prior.shape == (3, 5)


def test_labels_of_a_wrong_form():
    task = p5.tasks.Tagging("slot", num_classes=3)
    with pytest.raises(
        ValueError, match=r"must be \(length,\) class ids.*: \(\) int32"
    ):
        task.target({"slot": tf.constant([1, 2])})
    with pytest.raises(ValueError, match=r"whole numbers from 0 to 2.*Received: 3"):
        task.check(np.array([[3, 0]]), np.ones(1))


def test_a_column_of_tags():
    names, column = p5.data.tag_column([["O", "B-b"], ["B-a"] * 4], 3, [["O", "B-b"]])
    assert names == ("O", "B-b", "B-a")
    assert column.tolist() == [[0, 1, -1], [2, 2, 2]]


def test_a_model_of_tags_learns_and_comes_back(tmp_path):
    said = np.array(["play jazz now", "now play", "play rock"] * 4)
    tags = [["O", "B-a", "O"], ["O", "O"], ["O", "B-a"]] * 4
    names, column = p5.data.tag_column(tags, 4)
    task = p5.tasks.Tagging("slot", class_names=list(names), hidden=8, dropout=0.1)
    encoder = p5.inputs.Text("said", length=4)
    encoder.adapt({"said": said})
    trunk = p5.trunks.TextConv(16, depth=1)
    model = p5.build_model(trunk, [task], {"text": encoder})
    model.compile(keras.optimizers.Adam(0.03))
    x = encoder.encode({"said": tf.constant(said)})
    data = tf.data.Dataset.from_tensors((x, {"slot": tf.constant(column)}))
    model.fit(data.repeat(40), epochs=1, verbose=0)
    assert model.evaluate(data, return_dict=True, verbose=0)["slot_f1"] == 1
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert again.tasks[0].get_config() == task.get_config()
    np.testing.assert_allclose(again(x)["slot"], model(x)["slot"], atol=1e-5)
