import pytest

from p5_keras import compare


def test_single_and_joint_are_always_there():
    single, joint, both, gates = compare.arms(
        ["NashMTL", "MMoE+PCGrad", "joint"], ["a", "b"]
    )
    assert [m.name for m in single.models] == ["a", "b"]
    assert single.models[0].tasks == ("a",)
    assert single.models[0].flags == (
        "--tasks=a",
        "--weighting=none",
        "--sharing=none",
    )
    assert joint.models[0].flags == ("--weighting=none",)
    assert both.models[0].flags == ("--weighting=NashMTL",)
    assert gates.models[0].flags == ("--weighting=PCGrad", "--sharing=MMoE")
    assert all(len(arm.models) == 1 for arm in (joint, both, gates))


def test_a_search_brings_the_tuned_baseline():
    names = [arm.name for arm in compare.arms(["weights"], ["a", "b"], trials=4)]
    assert names == ["single", "joint", "tuned", "weights"]
    by_name = {arm.name: arm for arm in compare.arms(["weights"], ["a", "b"], 4)}
    assert [a for a, arm in by_name.items() if arm.chooses] == ["tuned", "weights"]
    with pytest.raises(ValueError, match="needs trials"):
        compare.arms(["weights"], ["a", "b"])


def test_networks_for_groups_of_tasks():
    *_, arm, proposed = compare.arms(["a+c|b", "groups=2"], ["a", "b", "c"])
    assert [m.tasks for m in arm.models] == [("a", "c"), ("b",)]
    assert arm.models[0].flags == ("--tasks=a,c", "--weighting=none")
    assert not arm.chooses and proposed.chooses and proposed.networks == 2


@pytest.mark.parametrize(
    ("names", "tasks", "message"),
    [
        (["a|c"], ["a", "b"], "Unknown task. Received: 'c'"),
        (["a|b"], ["a", "b", "c"], "every task once"),
        (["a+b|b"], ["a", "b"], "every task once"),
        (["groups=3"], ["a", "b"], "from 1 to 2. Received: 'groups=3'"),
        (["groups="], ["a", "b"], "from 1 to 2"),
        (["NashMLT"], ["a", "b"], "Did you mean 'NashMTL'"),
        (["MMoE+Nothing"], ["a", "b"], "Received: weighting='Nothing'"),
        ([], ["a"], "two tasks or more"),
    ],
)
def test_mistakes(names, tasks, message):
    with pytest.raises(ValueError, match=message):
        compare.arms(names, tasks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 1}, "seeds=1"),
        ({"minutes": 0.0}, "budget_minutes=0.0"),
        ({"minutes": -1.0}, "budget_minutes=-1.0"),
        ({"jobs": 0}, "jobs=0"),
        ({"folds": 0}, "folds=0"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        compare.Options(**options)
