import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import p5_keras as p5

ROOT = Path(__file__).parents[1]
HEAVY = ["matplotlib", "tensorflow_datasets", "sklearn", "faster_coco_eval", "PIL"]

# What `import p5_keras` costs and brings on top of `import keras`.
MEASURE = """
import json, sys, time
start = time.process_time()
import keras
before, middle = set(sys.modules), time.process_time()
import p5_keras
share = (time.process_time() - middle) / (middle - start)
print(json.dumps([share, sorted(set(sys.modules) - before)]))
"""


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_import_adds_little_to_that_of_keras():
    # An eighth of Keras' own time at most: a busy machine is slow for both.
    for _ in range(3):
        share, modules = json.loads(python(MEASURE).stdout)
        roots = {name.partition(".")[0] for name in modules}
        assert "p5_keras" in roots
        assert roots.isdisjoint(HEAVY)
        if share < 1 / 8:
            return
    pytest.fail(f"import p5_keras took {share:.2f} of the time of import keras")


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_is_refused_in_one_line(backend):
    done = python("import p5_keras", KERAS_BACKEND=backend)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: p5_keras needs Keras on TensorFlow")
    assert last.endswith(f"Received: KERAS_BACKEND={backend}")
    assert "During handling" not in done.stderr
    assert "No module named" not in done.stderr


def test_every_public_name_is_there():
    assert len(set(p5.__all__)) == len(p5.__all__)
    for module in (
        p5,
        p5.data,
        p5.losses,
        p5.metrics,
        p5.tasks,
        p5.trunks,
        p5.weighting,
    ):
        for name in module.__all__:
            assert getattr(module, name).__doc__, name
