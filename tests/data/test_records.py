import re

import numpy as np
import pytest

from p5_keras.data.records import Field, Problems, Records, split_examples

NAMES = [f"{kind}/{i}.jpg" for kind in "ab" for i in range(50)]
KINDS = [name[0] for name in NAMES]


def count(splits, rows=slice(None)):
    return {s: int((splits[rows] == s).sum()) for s in ("train", "validation", "test")}


def test_a_set_without_splits_is_cut_in_proportion_class_by_class():
    splits = split_examples(NAMES, strata=KINDS)
    assert count(splits) == {"train": 80, "validation": 10, "test": 10}
    for part in (slice(50), slice(50, 100)):
        found = count(splits, part)
        assert 39 <= found["train"] <= 41
        assert 4 <= found["validation"] <= 6 and 4 <= found["test"] <= 6


def test_the_cut_depends_on_names_only():
    splits = dict(zip(NAMES, split_examples(NAMES, strata=KINDS), strict=True))
    back = split_examples(NAMES[::-1], strata=KINDS[::-1])
    assert splits == dict(zip(NAMES[::-1], back, strict=True))


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        (["train"] * 90 + ["test"] * 10, {"train": 80, "validation": 10, "test": 10}),
        (
            ["train"] * 90 + ["validation"] * 10,
            {"train": 80, "validation": 10, "test": 10},
        ),
        (
            ["train"] * 50 + ["validation"] * 20 + ["test"] * 30,
            {"train": 50, "validation": 20, "test": 30},
        ),
    ],
)
def test_missing_splits_come_from_training(given, counts):
    splits = split_examples(NAMES, given)
    assert {
        k: abs(v - counts[k]) <= 1 for k, v in count(splits).items()
    } == dict.fromkeys(counts, True)
    kept = np.array([g in ("test",) for g in given])
    assert (splits[kept] == "test").all()


@pytest.mark.parametrize("ratios", [(0.5, 0.5, 0.0), (0.8, 0.1, 0.2), (1.0,)])
def test_ratios_must_be_shares(ratios):
    with pytest.raises(ValueError, match=r"^`split` must be three shares above 0"):
        split_examples(NAMES, ratios=ratios)


def test_every_split_must_have_an_example():
    message = "Every split must have an example. Received: 2 examples, none for 'train'"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        split_examples(["a", "b"])


def test_three_examples_are_one_for_each_split():
    assert sorted(split_examples(["a", "b", "c"])) == ["test", "train", "validation"]


def test_problems_raise_or_count():
    message = (
        "a.jpg: it is empty. Put it right, or leave such examples out with "
        "--on_bad_example=skip"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Problems().bad("a.jpg", "it is empty")
    problems = Problems("skip")
    problems.bad("a.jpg", "it is empty")
    problems.note("boxes clipped", 2)
    problems.note("boxes clipped")
    problems.note("nothing", 0)
    assert problems.dropped == [("a.jpg", "it is empty")]
    assert problems.notes == {"boxes clipped": 3}
    with pytest.raises(
        ValueError, match=r"^`on_bad_example` must be 'raise' or 'skip'"
    ):
        Problems("ignore")


def test_what_is_worth_a_look_comes_worst_first():
    problems = Problems()
    problems.note("put right")
    problems.note("some", 2, severity="low")
    problems.note("a leak", severity="high")
    problems.note("rare", severity="medium")
    problems.note("more", severity="low")
    problems.note("none", 0, severity="high")
    problems.note("rare", 3)  # once worse, always worse
    assert problems.findings() == [
        ("high", "a leak", 1),
        ("medium", "rare", 4),
        ("low", "some", 2),
        ("low", "more", 1),
    ]
    assert problems.notes["some"] == 2 and problems.notes["put right"] == 1


def test_only_some_classes_in_their_order():
    records = Records(
        name="pets",
        splits=np.array(["train"] * 5),
        fields={"kind": Field("class", ("a", "b", "c")), "size": Field("number")},
        columns={"kind": np.array([0, 1, 2, -1, 2]), "size": np.arange(5.0)},
    )
    some = records.only("kind", ["c", "a"])
    assert some.fields == {
        "kind": Field("class", ("c", "a")),
        "size": Field("number"),
    }
    assert some.columns["kind"].tolist() == [1, 0, 0]
    assert some.columns["size"].tolist() == [0, 2, 4]  # without b, and the unlabelled
    with pytest.raises(ValueError) as error:
        records.only("kind", ["a", "d"])
    assert str(error.value) == (
        "Unknown class of 'kind'. Received: 'd'; ['a', 'b', 'c']"
    )


def test_take_keeps_columns_together():
    records = Records(
        "set",
        np.array(["train", "test", "train"]),
        {},
        {"number": np.arange(3.0), "boxes": [None, "b", "c"]},
        images=np.array(["0", "1", "2"]),
    )
    some = records.take(records.splits == "train")
    assert len(some) == 2 and list(some.images) == ["0", "2"]
    assert some.columns["boxes"] == [None, "c"]
    assert some.columns["number"].tolist() == [0, 2] and some.inputs is None
