import sys

import numpy as np
import pytest

import p5_keras as p5

TASKS = [
    p5.tasks.Classification("kind", num_classes=3),
    p5.tasks.Regression("a_long_name", mean=[0.0], std=[1.0]),
]


def fit(epochs):
    model = p5.build_model(p5.trunks.Dense([2]), TASKS, (3,))
    model.compile()
    y = {"kind": np.arange(8) % 3, "a_long_name": np.ones((8, 1), "float32")}
    x = np.ones((8, 3), "float32")
    table = p5.EpochTable(TASKS, epochs)
    model.fit(x, y, validation_data=(x, y), epochs=epochs, callbacks=[table], verbose=0)
    return model.history.history


def test_a_line_an_epoch_under_one_header(capsys):
    history = fit(2)
    out = capsys.readouterr().out
    assert "━" not in out  # No bar where nobody watches.
    header, *lines = out.splitlines()
    assert header.split() == [
        "epoch", "loss", "kind", "accuracy", "a_long_name", "mae", "skill",
    ]  # fmt: skip
    assert len(lines) == 2
    for i, line in enumerate(lines):
        assert len(line) == len(header)
        epoch, loss, kind, size, skill = line.split()
        assert epoch == f"{i + 1}/2"
        assert float(loss) == pytest.approx(history["loss"][i], abs=1e-4)
        assert float(kind) == pytest.approx(history["val_kind_accuracy"][i], abs=1e-4)
        assert float(size) == pytest.approx(history["val_a_long_name_mae"][i], abs=1e-4)
        assert skill == "nan"  # `Checkpoints` adds it, where there is one.


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    fit(1)
    out = capsys.readouterr().out
    assert "━" in out and "1/1" in out
    assert out.splitlines()[-1].lstrip("\r\033[K").startswith("  1/1")
