import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5

SHAPE = (24, 32, 3)

# What a server does: TensorFlow and a folder, no Keras and nothing of this package.
SERVER = """
import sys
sys.modules["keras"] = sys.modules["p5_keras"] = None  # to import them is an error
import numpy as np
import tensorflow as tf
folder, inputs, outputs = sys.argv[1:]
signatures = tf.saved_model.load(folder).signatures
found = {}
for key, x in np.load(inputs).items():
    for name in ("serving_default", "raw"):
        for output, value in signatures[name](image=tf.constant(x)).items():
            found[f"{key} {name} {output}"] = value.numpy()
np.savez(outputs, **found)
print(*sorted(signatures))
"""


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    tasks = [
        p5.tasks.Classification("kind", num_classes=3),
        p5.tasks.MultiLabel("marks", class_names=["a", "b"]),
        p5.tasks.Regression("size", size=2, mean=[10.0, -5.0], std=[2.0, 0.5]),
        p5.tasks.Segmentation("mask", num_classes=4, width=4),
        p5.tasks.Detection("cells", class_names=["a", "b"], max_boxes=4),
    ]
    trunk = p5.trunks.Conv(width=4, depth=1, levels=4)
    return p5.build_model(trunk, tasks, SHAPE)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    one, three = (rng.uniform(0, 255, (n, *SHAPE)).astype("float32") for n in (1, 3))
    return {"one": one, "three": three}


def outputs(model, x):
    """Raw and decoded outputs, keyed as the signatures key them."""
    raw = model(x, training=False)
    fields = tf.function(model.decode)(raw)  # slow outside of a graph
    decoded = {f"{t}_{f}": v for t in fields for f, v in fields[t].items()}
    return {"raw": raw, "serving_default": decoded}


def test_tensorflow_alone_serves_the_same_numbers(model, images, tmp_path):
    p5.export.saved_model(model, tmp_path / "export")
    np.savez(tmp_path / "inputs.npz", **images)
    done = subprocess.run(
        [sys.executable, "-c", SERVER, "export", "inputs.npz", "outputs.npz"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "raw serve_image_bytes serving_default"
    found = dict(np.load(tmp_path / "outputs.npz"))
    expected = {}
    for key, x in images.items():
        for name, values in outputs(model, x).items():
            for output, value in values.items():
                expected[f"{key} {name} {output}"] = value.numpy()
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype, key
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-4, err_msg=key)
    assert {k.split()[2] for k in found if "serving_default" in k} >= {
        "kind_label",
        "kind_probabilities",
        "size_value",
        "mask_classes",
        "cells_boxes",
    }
    # The values are in the user's units, not standardised.
    sizes = found["three serving_default size_value"]
    np.testing.assert_allclose(
        sizes, found["three raw size"] * [2.0, 0.5] + [10.0, -5.0], rtol=1e-4
    )


def test_a_second_export_replaces_the_first(tmp_path):
    def vector_model(bias):
        task = p5.tasks.Regression("size", mean=[0.0], std=[1.0])
        built = p5.build_model(p5.trunks.Dense([2]), [task], (3,))
        built.get_layer("size").weights[-1].assign([bias])
        return built

    for bias in (1.0, 2.0):
        p5.export.saved_model(vector_model(bias), tmp_path)
    told = json.loads((tmp_path / "assets.extra" / "tasks.json").read_text())
    assert told == {"size": {"kind": "regression", "class_names": []}}
    serve = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    # The input of vectors is called "input".
    value = serve(input=tf.zeros([5, 3]))["size_value"]
    np.testing.assert_allclose(value, np.full((5, 1), 2.0))


def test_the_averages_of_the_weights_are_exported_with_a_best_model(tmp_path):
    task = p5.tasks.Regression("size", mean=[0.0], std=[1.0])
    built = p5.build_model(p5.trunks.Dense([2]), [task], (3,))
    config = p5.recipe.Config(trunk=p5.trunks.Dense(), ema=0.5, learning_rate=0.1)
    built.compile(p5.recipe.default_optimizer(config, 10))
    data = tf.data.Dataset.from_tensors(
        (tf.ones([4, 3]), {"size": tf.ones([4, 1])}, {"size": tf.ones([4])})
    )
    # As at the end of an epoch: the weights are ahead of their averages.
    for batch in data.repeat(3):
        built.train_step(batch)
    workdir = p5.Workdir(tmp_path)
    (workdir / "checkpoints").mkdir()
    x = tf.ones([1, 3])
    ahead = built(x)["size"].numpy()
    with p5.averaged_weights(built):
        built.save(workdir / "checkpoints" / "best.keras")
        averaged = built(x)["size"].numpy()
    p5.export.saved_model(workdir.best_model(), workdir / "export")
    raw = tf.saved_model.load(str(workdir / "export")).signatures["raw"]
    np.testing.assert_allclose(raw(input=x)["size"], averaged, rtol=1e-5)
    assert abs(ahead - averaged) > 1e-3


class Shy(p5.tasks.Regression):
    """Decodes to a field whose name holds an underscore."""

    def decode(self, output):
        return {"b_value": output}


def test_two_tasks_with_the_same_output_are_refused(tmp_path):
    scale = {"mean": [0.0], "std": [1.0]}
    tasks = [Shy("a", **scale), p5.tasks.Regression("a_b", **scale)]
    model = p5.build_model(p5.trunks.Dense([2]), tasks, (3,))
    with pytest.raises(ValueError, match=r"rename a task.*\['a_b_value'\]"):
        p5.export.saved_model(model, tmp_path / "export")
    assert not (tmp_path / "export").exists()
