"""Splits that follow from names alone."""

import numpy as np
import pytest

from p5_keras.data.importers.splits import cut, place
from p5_keras.data.records import Problems

RATIOS = (0.8, 0.1, 0.1)


def splits(names, classes=None, reading=None, given=None):
    out, rule = cut(names, given, classes, RATIOS, Problems(), reading)
    return dict(zip(names, out.tolist(), strict=True)), rule


def names_of(count, start=0):
    return [f"cat/{i}.png" for i in range(start, start + count)]


@pytest.mark.parametrize("count", [10, 30, 60, 100, 1000])
def test_the_shares_are_exact_where_they_are_whole(count):
    own = names_of(count)
    found, _ = splits(own)
    counts = [list(found.values()).count(s) for s in ("train", "validation", "test")]
    assert counts == [count * 8 // 10, count // 10, count // 10]


def test_each_class_is_cut_and_small_ones_take_turns():
    own = [f"{c}/{i}" for c in range(100) for i in range(4)]
    found, _ = splits(own, [name.split("/")[0] for name in own])
    values = list(found.values())
    assert 25 <= values.count("test") <= 55  # 40 wanted, of 0.4 a class
    assert 25 <= values.count("validation") <= 55
    trained = {name.split("/")[0] for name, split in found.items() if split == "train"}
    assert len(trained) == 100  # no class is lost to the others


def test_the_order_of_the_examples_does_not_matter():
    own = names_of(57)
    shuffled = np.random.default_rng(0).permutation(own).tolist()
    assert splits(own)[0] == splits(shuffled)[0]


@pytest.mark.parametrize("extra", range(0, 40, 7))
def test_one_more_file_moves_no_test_example_into_training(extra):
    before, _ = splits(names_of(40))
    after, _ = splits([*names_of(40), f"new/{extra}.png"])
    moved = [n for n in before if (before[n], after[n]) == ("test", "train")]
    assert not moved
    assert sum(before[n] != after[n] for n in before) <= 2


def test_with_the_stored_bounds_nothing_moves_at_all():
    classes = ["a", "b"] * 30
    before, rule = splits(names_of(60), classes)
    more = [*names_of(60), *names_of(500, 100)]
    after, again = splits(
        more, [*classes, *["a", "b", "new", "b", "a"] * 100], {"splits": rule}
    )
    assert all(after[name] == split for name, split in before.items())
    assert again == rule
    added = [split for name, split in after.items() if name not in before]
    assert 25 <= added.count("test") <= 100  # a tenth, by bounds of 30 examples each


def test_few_and_fewer_examples_with_stored_bounds():
    before, rule = splits(names_of(60))
    few = [name for name, split in before.items() if split == "test"][:2]
    after, _ = splits(few, None, {"splits": rule})
    assert set(after.values()) == {"test"}


def test_what_the_data_say_holds_and_validation_serves_as_test():
    given = ["train"] * 20 + ["validation"] * 5
    found, rule = splits(names_of(25), None, None, given)
    assert [found[n] for n in names_of(25)[20:]] == ["test"] * 5
    assert rule["as_test"] and rule["wanted"] == {"validation": pytest.approx(1 / 9)}
    assert list(found.values()).count("validation") == 2
    after, _ = splits(
        names_of(30), None, {"splits": rule}, [*given, *["validation"] * 5]
    )
    assert all(after[name] == split for name, split in found.items())


def test_earlier_runs_keep_their_rule():
    old = {"splits": {"rule": "rank"}}
    from p5_keras.data.records import split_examples

    found, rule = splits(names_of(57), None, old)
    assert list(found.values()) == split_examples(names_of(57)).tolist()
    assert rule == old["splits"]


def test_a_name_has_one_place_on_every_file_system():
    assert place("caf\u00e9.png") == place("cafe\u0301.png")
    # By hand: the first eight bytes of the hash, as a share of 2^64.
    assert place("a") == pytest.approx(0xCA978112CA1BBDCA / 2**64)
    assert place("\udcff.png") != place("x.png")  # bytes that are no UTF-8


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few(count):
    with pytest.raises(ValueError, match="Every split must have an example"):
        splits(names_of(count))
    assert set(splits(names_of(3))[0].values()) == {"train", "validation", "test"}
