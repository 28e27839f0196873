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


@pytest.mark.parametrize(
    ("names", "tasks", "message"),
    [
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
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        compare.Options(**options)
