"""Settings of a machine that are none of a run's: Keras' file, home, encoding."""

import json
import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import p5_keras as p5
from p5_keras import keras_settings, plan
from p5_keras.data import cache
from p5_keras.paths import absolute
from p5_keras.workdir import Workdir

ROOT = pathlib.Path(__file__).parents[1]
OTHERS = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 0.5}


def python(*arguments, cwd=ROOT, **environment):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


@pytest.fixture
def other_setting(request):
    name, before = request.param, getattr(keras.config, request.param)()
    getattr(keras.config, f"set_{name}")(OTHERS[name])
    yield name
    getattr(keras.config, f"set_{name}")(before)


@pytest.mark.parametrize("other_setting", OTHERS, indirect=True)
def test_other_settings_of_keras_are_refused(other_setting):
    told = f"keras.config.set_{other_setting}"
    with pytest.raises(ImportError, match=told):
        keras_settings.check_import()
    tasks = [p5.tasks.Regression("size", mean=[0.0], std=[1.0])]
    with pytest.raises(ValueError, match=f"{told}.*Received: "):
        p5.build_model(p5.trunks.Dense([2]), tasks, (2,))


@pytest.mark.parametrize("other_setting", OTHERS, indirect=True)
def test_the_command_sets_them_again(other_setting):
    keras_settings.reset()
    keras_settings.check()


def test_a_file_of_keras_ends_an_import_in_one_line(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps(OTHERS))
    done = python("-c", "import p5_keras", KERAS_HOME=str(tmp_path))
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith(
        "ImportError: p5_keras needs `keras.config.image_data_format"
    )
    assert f"{tmp_path}/keras.json" in last


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("café", "雪"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 255, (16, 16, 3), "uint8")
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{i}.png")
    return tmp_path


@pytest.mark.slow
def test_a_hostile_machine_changes_nothing(folder, tmp_path):
    """No home, another order of axes, and a terminal of ASCII, all at once."""
    (tmp_path / "keras.json").write_text(json.dumps(OTHERS))
    flags = ["--dataset=folder:pets", "--mode=summary"]
    hostile = python(
        *(ROOT / "train.py", *flags),
        cwd=folder,
        KERAS_HOME=str(tmp_path),
        HOME="/proc/none",
        PYTHONIOENCODING="ascii",
        LC_ALL="C",
        KERAS_MAX_EPOCHS="1",
        XDG_CACHE_HOME="",
    )
    kind = python(ROOT / "train.py", *flags, cwd=folder, PYTHONIOENCODING="utf-8")
    assert hostile.returncode == kind.returncode == 0
    lines = hostile.stdout.splitlines()
    note = [line for line in lines if line.startswith("Note: ")]
    assert len(note) == 1 and "set XDG_CACHE_HOME" in note[0]
    escaped = [
        line.encode("ascii", "backslashreplace").decode()
        for line in kind.stdout.splitlines()
    ]
    assert [x for x in lines if x not in note][:20] == escaped[:20]
    shapes = [re.findall(r"\(None[^)]*\)", d.stdout) for d in (hostile, kind)]
    assert shapes[0] == shapes[1] and len(shapes[0]) > 5


def test_where_there_is_no_home_the_cache_ends_with_the_process(monkeypatch, capsys):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/none")
    cache._temporary.cache_clear()
    first = cache.cache_folder()
    assert first.is_dir() and cache.cache_folder() == first
    assert capsys.readouterr().out.count("set XDG_CACHE_HOME") == 1
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # no such user
    assert cache.cache_folder().is_dir()
    assert not pathlib.Path("~").exists()
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    with pytest.raises(ValueError, match="XDG_CACHE_HOME must be a folder"):
        cache.cache_folder()


def test_a_folder_of_prepared_data_that_cannot_be_written():
    with pytest.raises(ValueError, match=r"TFDS_DATA_DIR.*'/proc/none/digit_scenes"):
        p5.data.builder("digit_scenes", data_dir="/proc/none")


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("dataset", "folder:pets", "folder:{here}/pets"),
        ("dataset", "folder:/pets", "folder:/pets"),
        ("dataset", "mnist", "mnist"),
        ("dataset", "", ""),
        ("init_from", "run:a", "run:{here}/a"),
        ("init_from", "a.keras", "{here}/a.keras"),
        ("init_from", None, None),
        ("recipe", "own.py", "{here}/own.py"),
        ("recipe", "quickstart", "quickstart"),
        ("data_dir", "../x", "{above}/x"),
        ("weighting", "a", "a"),
    ],
)
def test_paths_of_a_run(tmp_path, monkeypatch, name, value, expected):
    monkeypatch.chdir(tmp_path)
    places = {"here": tmp_path, "above": tmp_path.parent}
    assert absolute(name, value) == (expected and expected.format(**places))


def test_a_run_is_known_by_where_its_data_are(tmp_path, monkeypatch):
    """From another folder, and where an earlier version kept what was typed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    run = Workdir(tmp_path / "run")
    run.begin({"dataset": "folder:pets", "epochs": 1})
    (tmp_path / "run" / "checkpoints").mkdir()
    run.begin({"dataset": f"folder:{tmp_path}/pets", "epochs": 1})
    with pytest.raises(ValueError, match="started differently"):
        run.begin({"dataset": "folder:other", "epochs": 1})


def test_data_that_moved_are_said(tmp_path):
    gone = f"folder:{tmp_path}/pets"
    with pytest.raises(
        ValueError, match=r"no longer there; say.*--dataset=folder:PATH"
    ):
        plan._still_there(gone, Workdir(tmp_path))
    plan._still_there(f"folder:{tmp_path}", Workdir(tmp_path))
    plan._still_there("mnist", Workdir(tmp_path))
    plan._still_there(None, Workdir(tmp_path))
