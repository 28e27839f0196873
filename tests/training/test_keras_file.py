"""A .keras file from elsewhere: nothing in it is executed or imported."""

import json
import sys
import zipfile

import keras
import pytest

import p5_keras as p5
from p5_keras.training import keras_file


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    task = p5.tasks.Regression("size", mean=[0.0], std=[1.0])
    model = p5.build_model(p5.trunks.Dense([2]), [task], (3,))
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    return path


def changed(path, folder, change, text=None, kind=zipfile.ZIP_STORED):
    """A copy with another configuration."""
    new = folder / "changed.keras"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(new, "w", kind) as out:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = text or json.dumps(config)
            out.writestr(name, content)
    return new


def put(**values):
    return lambda config: config["config"]["tasks"].append({"config": {}, **values})


CODE = {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}
LAMBDA = put(class_name="Lambda", module="keras.layers", config={"function": CODE})
EVIL = {"module": "this", "class_name": "system", "registered_name": None}


def loader(config):
    config.update(module="os", class_name="system", registered_name="system")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put(**EVIL), "it asks for 'system' of the module 'this'"),
        (put(**EVIL | {"module": "p5_keras_evil"}), "of the module 'p5_keras_evil'"),
        (put(**EVIL | {"registered_name": "x>y"}), "of the module 'this'"),
        (loader, "it asks for 'system' of the module 'os'"),
        (LAMBDA, "it holds Python code"),
        (
            put(
                class_name="StringLookup",
                module="keras.layers",
                config={"vocabulary": "/etc/passwd"},
            ),
            "its StringLookup reads the file '/etc/passwd'",
        ),
        (put(module="keras.utils", class_name="get_file"), "."),
        (put(module="p5_keras.torch_file", class_name="read"), "."),
    ],
)
def test_what_would_run_code_is_refused(change, reason, path, tmp_path):
    new = changed(path, tmp_path, change)
    with pytest.raises(ValueError, match=reason):
        keras_file.load(new)
    assert "this" not in sys.modules
    with pytest.raises(ValueError, match="`init_from` must be a model of Keras") as no:
        p5.transfer.init_from(small(), str(new))
    assert "\n" not in str(no.value)


def small():
    task = p5.tasks.Regression("size", mean=[0.0], std=[1.0])
    return p5.build_model(p5.trunks.Dense([2]), [task], (3,))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 10**5 + "]" * 10**5, "nested"),
        ("[" * 600 + "]" * 600, "nested deeper than 500"),
        ("{", "no JSON"),
    ],
)
def test_a_configuration_that_is_none_is_refused(text, reason, path, tmp_path):
    new = changed(path, tmp_path, lambda config: None, text)
    with pytest.raises(ValueError, match=reason):
        keras_file.load(new)


def test_a_part_that_unpacks_to_much_is_not_read(path, tmp_path, monkeypatch):
    monkeypatch.setattr(keras_file, "MAX_TEXT", 10_000)
    pack = zipfile.ZIP_DEFLATED
    new = changed(path, tmp_path, lambda config: None, " " * 10**6, pack)
    with pytest.raises(ValueError, match=r"its part config\.json unpacks to too much"):
        keras_file.load(new)


def test_own_models_and_registered_classes_are_loaded(path, tmp_path):
    assert keras_file.load(path).task_names == ["size"]

    @keras.saving.register_keras_serializable("elsewhere")
    class Wide(keras.layers.Dense):
        pass

    Wide.__module__ = "no.such.module"
    inputs = keras.Input((3,))
    keras.Model(inputs, Wide(2)(inputs)).save(tmp_path / "own.keras")
    assert keras_file.load(tmp_path / "own.keras").layers[-1].units == 2
