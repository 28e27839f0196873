import math

import pytest

import p5_keras as p5


def numbers(**changed):
    """`results.json` of a model of two tasks, from logs."""
    tasks = [
        p5.tasks.Classification("kind", num_classes=3),
        p5.tasks.Regression("size", mean=[0.0], std=[1.0]),
    ]
    model = p5.build_model(p5.trunks.Dense([4]), tasks, (2,), 1e-3, 2e-3)
    model.compile(loss_weights={"kind": 1.0, "size": 0.5})
    logs = {"kind_accuracy": 0.5, "size_mae": 1.0, "size_rmse": 2.0, "loss": 3.0}
    parts = {
        "val": {**logs, "kind_accuracy": 0.25},
        "test": logs,
        "trivial": {**logs, "size_mae": 4.0},
        "scores": {"kind": {"mean": 0.5}, "size": None},
        "train": {"epochs": 2},
    }
    return p5.results.results(model, {"recipe": "r", "seed": 3}, **{**parts, **changed})


def test_results_hold_every_metric_of_every_task():
    found = numbers()
    assert (found["recipe"], found["seed"]) == ("r", 3)
    assert list(found["tasks"]) == ["kind", "size"]
    assert found["tasks"]["kind"] == {
        "kind": "classification",
        "primary": "accuracy",
        "metrics": {
            "accuracy": {
                "test": 0.5,
                "val": 0.25,
                "trivial": 0.5,
                "better": "higher",
                "smallest_difference": 0.01,
            }
        },
        "score": {"mean": 0.5},
        "verdict": "not shown",
    }
    sizes = found["tasks"]["size"]["metrics"]
    assert (sizes["mae"]["test"], sizes["mae"]["trivial"]) == (1.0, 4.0)
    assert sizes["mae"]["better"] == "lower"
    assert sizes["mae"]["smallest_difference"] == pytest.approx(0.08)
    assert found["tasks"]["size"]["score"] is None
    # Dense: 2 -> 4 in the trunk, 4 -> 3 and 4 -> 1 in the heads.
    sizes = {"trunk": 12, "sharing": 0, "heads": {"kind": 15, "size": 5}}
    assert found["parameters"] == sizes
    # Twice the kernel's weights, and the biases; a ReLU counts for none.
    work = {"trunk": 20, "sharing": 0, "heads": {"kind": 27, "size": 9}}
    assert found["flops"] == work
    assert found["objective"] == {
        "loss_weights": {"kind": 1.0, "size": 0.5},
        "trunk_l2": 1e-3,
        "head_l2": 2e-3,
    }
    assert found["train"] == {"epochs": 2}
    assert set(found["versions"]) >= {"tensorflow", "keras", "p5_keras"}


def test_a_metric_that_was_not_measured_is_null_with_a_reason(tmp_path):
    logs = {"kind_accuracy": math.nan, "size_mae": 1.0}
    found = numbers(test=logs, val={**logs, "size_rmse": 1.0})
    workdir = p5.Workdir(tmp_path)
    workdir.write("results.json", found)
    tasks = workdir.read("results.json")["tasks"]
    accuracy = tasks["kind"]["metrics"]["accuracy"]
    assert accuracy["test"] is None and accuracy["val"] is None
    assert accuracy["reason"] == "no label to measure it on in test and val"
    rmse = tasks["size"]["metrics"]["rmse"]
    assert rmse["test"] is None and rmse["val"] == 1.0
    assert rmse["reason"] == "no label to measure it on in test"
    assert "reason" not in tasks["size"]["metrics"]["mae"]
