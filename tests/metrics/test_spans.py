import pytest

from p5_keras.metrics.spans import SpanF1, spans


@pytest.mark.parametrize(
    "tags, wanted",
    [
        ("O O", []),
        ("B-a I-a O", [("a", 0, 2)]),
        ("B-a B-a", [("a", 0, 1), ("a", 1, 2)]),
        ("I-a I-a I-b", [("a", 0, 2), ("b", 2, 3)]),  # no beginning: one all the same
        ("B-a O I-a", [("a", 0, 1), ("a", 2, 3)]),
        ("noun O noun", [("noun", 0, 1), ("noun", 2, 3)]),
        ("B-x-y I-x-y", [("x-y", 0, 2)]),
        ("", []),
    ],
)
def test_spans(tags, wanted):
    assert spans(tags.split()) == wanted


NAMES = ["O", "B-a", "I-a", "B-b"]


def test_f1_by_hand():
    f1 = SpanF1(NAMES)
    # True: a at 0-2 and b at 3. Found: a at 0-1, which ends too early, and b at 3; what
    # stands at padding does not count.
    f1.update([1, 2, 0, 3, -1, -1], [1, 0, 0, 3, 1, 1])
    f1.update([0, 0], [0, 1])
    assert f1.result() == {"precision": 1 / 3, "recall": 1 / 2, "f1": 2 / 5}


def test_f1_without_spans():
    assert SpanF1(NAMES).result() == {"precision": None, "recall": None, "f1": None}
    f1 = SpanF1(NAMES)
    f1.update([1], [0])
    assert f1.result() == {"precision": None, "recall": 0.0, "f1": 0.0}


def test_f1_is_that_of_seqeval():
    metrics = pytest.importorskip("seqeval.metrics", reason="seqeval is not installed")
    import numpy as np

    rng = np.random.default_rng(0)
    true, guess = rng.integers(0, 4, (2, 50, 12))
    f1 = SpanF1(NAMES)
    for t, g in zip(true, guess, strict=True):
        f1.update(t.tolist(), g.tolist())
    named = [[[NAMES[i] for i in row] for row in part] for part in (true, guess)]
    assert f1.result()["f1"] == pytest.approx(metrics.f1_score(*named))
