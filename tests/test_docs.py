"""The examples of the documentation, as they are written."""

import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5

ROOT = pathlib.Path(__file__).parents[1]


def example(page):
    text = (ROOT / page).read_text()
    return re.search(r"<!-- example -->\n```python\n(.*?)```", text, re.S)[1]


@pytest.mark.slow
def test_readme_example(tmp_path, monkeypatch):
    code = example("README.md")
    assert len(code.splitlines()) <= 22
    monkeypatch.chdir(tmp_path)
    one_epoch = code.replace("epochs=10", "epochs=1, steps_per_epoch=2")
    assert one_epoch != code
    names = {}
    exec(compile(one_epoch, "README.md", "exec"), names)
    assert set(names["fields"]) == {"digit", "ink", "mask", "digits"}
    served = tf.saved_model.load("export").signatures["serving_default"]
    assert "digits_boxes" in served.structured_outputs


def test_augmentation_example():
    names = {}
    exec(compile(example("docs/augmentation.md"), "augmentation.md", "exec"), names)
    picture = {"image": tf.zeros((32, 48, 3), tf.uint8), "mask": tf.ones((32, 48))}
    changed = names["augment"](picture, tf.constant([0, 1]))
    assert set(np.unique(changed["mask"])) <= {1, 255}
    with pytest.raises(ValueError, match="Task 'side' cannot follow"):
        p5.data.Augment(names["tasks"], flip_horizontal=True)


def test_own_task(tmp_path):
    names = {}
    exec(compile(example("docs/your_own_task.md"), "your_own_task.md", "exec"), names)
    levels = np.arange(64) % 4
    x = keras.utils.to_categorical(levels).astype("float32")

    def read(indices, epochs):
        return {"input": tf.gather(x, indices), "level": tf.gather(levels, indices)}

    source = p5.data.Source(64, read)
    tasks = [names["Ordinal"]("level", classes=4)]
    labels, batches, _ = p5.data.prepare([source] * 3, tasks, 32)
    model = p5.build_model(p5.trunks.Dense([16]), tasks, (4,))
    model.compile(keras.optimizers.Adam(0.05))
    model.fit(batches, epochs=40, verbose=0)
    assert model.evaluate(batches, return_dict=True, verbose=0)["level_mae"] == 0
    priors = p5.evaluation.priors(tasks, labels)
    trivial = p5.evaluation.trivial_metrics(tasks, batches, priors)
    assert trivial["level_mae"] == pytest.approx(1.0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    fields = loaded.decode(loaded.predict(batches, verbose=0))
    np.testing.assert_array_equal(fields["level"]["label"], levels)


def test_a_loss_of_keras_learns_the_age_in_years():
    page = (ROOT / "docs" / "your_own_task.md").read_text()
    code = re.search(r"```python\n(age = .*?)```", page, re.S)[1]
    names = {"keras": keras, "p5": p5}
    exec(compile(code, "your_own_task.md", "exec"), names)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 3)).astype("float32")
    years = (40 + 12 * x[:, 0]).astype("float32")

    def read(indices, epochs):
        return {
            "input": tf.gather(x, indices),
            "person": {"age": tf.gather(years, indices)},
        }

    tasks = [names["age"]]
    _, batches, _ = p5.data.prepare([p5.data.Source(256, read)] * 3, tasks, 64)
    model = p5.build_model(p5.trunks.Dense([16]), tasks, (3,))
    model.compile(keras.optimizers.Adam(0.02))
    model.fit(batches, epochs=60, verbose=0)
    found = np.array(model.decode(model.predict(x, verbose=0))["age"]["value"])[:, 0]
    assert np.abs(found - years).mean() < 0.5
    logs = model.evaluate(batches, return_dict=True, verbose=0)
    spread = ((years - years.mean()) ** 2).sum()
    r2 = 1 - ((found - years) ** 2).sum() / spread
    assert logs["age_r2_score"] == pytest.approx(r2, abs=1e-4)


def test_own_data_of_several_sources(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for i in range(24):
        folder = tmp_path / ("breeds", "colours")[i % 2] / "ab"[i // 2 % 2]
        folder.mkdir(parents=True, exist_ok=True)
        png = tf.io.encode_png(np.full((16, 16, 3), i, "uint8"))
        tf.io.write_file(str(folder / f"{i}.png"), png)
    names = {}
    exec(compile(example("docs/your_own_data.md"), "your_own_data.md", "exec"), names)
    assert [task.name for task in names["tasks"]] == ["breed", "colour"]
    x, _, weights = next(iter(names["train"]))
    assert x.shape == (8, 64, 64, 3)
    np.testing.assert_array_equal(weights["breed"], [1, 0] * 4)
    np.testing.assert_array_equal(weights["colour"], [0, 1] * 4)


def test_own_sharing(tmp_path):
    names = {}
    code = example("docs/sharing.md")
    assert len(code.splitlines()) < 150
    exec(compile(code, "sharing.md", "exec"), names)
    tasks = [
        p5.tasks.Segmentation("mask", num_classes=2, width=4),
        p5.tasks.Regression("size", mean=[0.0], std=[1.0]),
    ]
    x = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 1)).astype("float32")
    y = {"mask": np.zeros((4, 16, 16), "int32"), "size": np.ones((4, 1), "float32")}
    trunk, sharing = p5.trunks.Conv(4, 1, levels=3), names["Adapters"](start=0.1)
    model = p5.build_model(trunk, tasks, (16, 16, 1), sharing=sharing)
    shapes = sorted(x.shape[1:] for x in model.bottleneck)
    assert shapes == [(2, 2, 16), (4, 4, 8)]
    own = {id(v) for v in model.variables_of("size")}
    assert id(model.get_layer("adapter_size_P3").kernel) in own
    model.compile("adam", weighting=p5.weighting.MGDA(gradients="features"))
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for name, value in model.predict(x, verbose=0).items():
        np.testing.assert_allclose(loaded.predict(x, verbose=0)[name], value, rtol=1e-4)
    with pytest.raises(ValueError, match="Adapters need a trunk with maps"):
        p5.build_model(p5.trunks.Dense([4]), tasks, (16, 16, 1), sharing=sharing)


def test_inputs_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(example("docs/inputs.md"), "inputs.md", "exec"), names)
    served = tf.saved_model.load("export").signatures["serving_default"]
    raw = {"review": ["good food"], "price": [15.0], "city": ["Oslo"]}
    found = served(**{name: tf.constant(value) for name, value in raw.items()})
    assert found["liked_probability"].shape == (1, 1)
