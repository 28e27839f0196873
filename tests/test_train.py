import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import flagsaver

import p5_keras as p5

ROOT = pathlib.Path(__file__).parents[1]
TINY = str(ROOT / "tests" / "tiny_recipe.py")

_spec = importlib.util.spec_from_file_location("p5_train", ROOT / "train.py")
train = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(train)


@pytest.fixture(scope="session", autouse=True)
def prepared_data(tmp_path_factory):
    """Folder in which TFDS prepares data sets, for this process and its children."""
    from tensorflow_datasets.core import constants

    folder = str(tmp_path_factory.mktemp("tfds"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", folder)
        patch.setattr(constants, "DATA_DIR", folder)
        yield folder


def command(*arguments):
    """Runs the command in this process; returns what it exits with."""
    before = keras.config.dtype_policy()
    with flagsaver.flagsaver(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
        try:
            train.run()
        except SystemExit as end:
            return end.code
        finally:
            keras.config.set_dtype_policy(before)
    return None


def process(*arguments, cwd):
    """Runs the command as a user does."""
    return subprocess.run(
        [sys.executable, ROOT / "train.py", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def assert_complete(workdir):
    """Checks what every finished run leaves."""
    found = {path.name for path in workdir.iterdir()}
    assert found - {"data.json", "dropped.txt"} == {
        ".lock",
        "checkpoints",
        "config.json",
        "export",
        "logs",
        "reading.json",
        "report.html",
        "results.json",
        "scores.npz",
    }
    for part in (
        "checkpoints/best.keras",
        "export/saved_model.pb",
        "logs/history.csv",
        "logs/train",
        "logs/validation",
    ):
        assert (workdir / part).exists(), part
    results = json.loads((workdir / "results.json").read_text())
    recipe = p5.recipe.load(results["recipe"])
    assert ("data.json" in found) == hasattr(recipe, "about")
    data_dir = json.loads((workdir / "config.json").read_text())["data_dir"]
    tasks = recipe.tasks(recipe.Config(data_dir=data_dir))
    assert list(results["tasks"]) == [task.name for task in tasks]
    for task in tasks:
        metrics = results["tasks"][task.name]["metrics"]
        assert set(metrics) == set(task.better)
        for metric in metrics.values():
            if metric["test"] is None:
                assert metric["reason"]
    assert "<html" in (workdir / "report.html").read_text()[:200].lower()
    return results


SMOKE = ("--recipe", TINY, "--smoke", "--set=trunk.width=3", "--batch_size=2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Workdir of a finished smoke run."""
    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    assert command(*SMOKE, f"--workdir={workdir}") is None
    return workdir


def test_a_smoke_run_leaves_all_its_files(finished):
    results = assert_complete(finished)
    assert results["train"]["epochs"] == 1
    assert results["train"]["steps"] == 2
    assert results["train"]["examples_per_second"] > 0
    assert 0 < results["train"]["wall_seconds"] < 600
    assert results["tasks"]["mask"]["score"]["examples"] == 4  # two batches
    config = json.loads((finished / "config.json").read_text())
    assert config["smoke"] is True
    assert (config["seed"], config["batch_size"], config["epochs"]) == (0, 2, 1)
    assert config["learning_rate"] == 1e-2
    assert config["trunk"].startswith("Conv(width=3, ")


def test_a_finished_run_prints_its_results_and_trains_no_more(finished, capsys):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert command(*SMOKE, f"--workdir={finished}") is None
    out = capsys.readouterr().out
    for name in ("half", "side", "mask", "accuracy", "miou"):
        assert name in out
    assert {p: p.stat().st_mtime_ns for p in finished.rglob("*")} == before


def test_other_decisions_in_the_same_workdir_are_refused(finished):
    found = command(*SMOKE, f"--workdir={finished}", "--seed=1", "--learning_rate=0.5")
    assert found.startswith("error: The run in ")
    assert "seed: 0 there, 1 now" in found
    assert "learning_rate: 0.01 there, 0.5 now" in found
    assert "\n" not in found


def test_eval_prints_the_metrics_of_the_test_split(finished, capsys):
    arguments = ("--recipe", TINY, f"--workdir={finished}", "--mode=eval")
    assert command(*arguments) is None
    lines = capsys.readouterr().out.strip().splitlines()
    logs = {name: float(value) for name, value in (line.split() for line in lines)}
    assert {"half_accuracy", "side_mae", "side_rmse", "mask_miou"} < set(logs)
    recipe = p5.recipe.load(TINY)
    model = p5.Workdir(finished).best_model()
    test = recipe.data(recipe.Config(), model.tasks, "test")
    expected = model.evaluate(
        p5.data.evaluation(test, model.tasks, 5), return_dict=True, verbose=0
    )
    assert logs["side_mae"] == pytest.approx(expected["side_mae"], abs=1e-4)


def test_export_and_predict_use_the_best_model(finished, tmp_path, capsys):
    workdir = p5.Workdir(tmp_path / "copy")
    (workdir / "checkpoints").mkdir(parents=True)
    best = (finished / "checkpoints" / "best.keras").read_bytes()
    (workdir / "checkpoints" / "best.keras").write_bytes(best)
    common = ("--recipe", TINY, f"--workdir={workdir.path}")

    assert command(*common, "--mode=export") is None
    exported = tf.saved_model.load(str(workdir / "export")).signatures
    x = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(
        exported["raw"](image=x)["side"],
        workdir.best_model()(x)["side"],
        rtol=1e-4,
        atol=1e-5,
    )

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    png = tf.io.encode_png(x[0].astype("uint8"))
    tf.io.write_file(str(pictures / "a.png"), png)
    (pictures / "broken.png").write_bytes(b"no picture")
    assert command(*common, "--mode=predict", f"--input={pictures}") is None
    assert "1 predictions" in capsys.readouterr().out
    lines = (workdir / "predictions" / "predictions.jsonl").read_text().splitlines()
    (prediction,) = map(json.loads, lines)
    assert prediction["file"] == "a.png"
    assert set(prediction["predictions"]) == {"half", "side", "mask"}


@pytest.fixture
def foreign(finished, tmp_path):
    """A workdir from elsewhere, whose recipe lies inside of it and does harm."""
    workdir = tmp_path / "foreign"
    (workdir / "checkpoints").mkdir(parents=True)
    best = (finished / "checkpoints" / "best.keras").read_bytes()
    (workdir / "checkpoints" / "best.keras").write_bytes(best)
    harm = f"import pathlib\npathlib.Path({str(workdir / 'harm')!r}).touch()\n"
    (workdir / "evil.py").write_text(harm)
    config = (finished / "config.json").read_text()
    (workdir / "config.json").write_text(config)
    return workdir


def named(workdir, recipe):
    config = json.loads((workdir / "config.json").read_text())
    config.pop("checksum", None)  # one that changes a file changes that too
    (workdir / "config.json").write_text(json.dumps(config | {"recipe": recipe}))


def test_to_predict_and_export_no_recipe_is_loaded(foreign, tmp_path, capsys):
    png = tf.io.encode_png(tf.zeros([16, 16, 3], tf.uint8))
    tf.io.write_file(str(tmp_path / "pictures" / "a.png"), png)
    for recipe in (str(foreign / "evil.py"), "gone", f"../{foreign}/evil"):
        named(foreign, recipe)
        common = f"--workdir={foreign}"
        pictures = f"--input={tmp_path / 'pictures'}"
        assert command(common, "--mode=predict", pictures) is None
    assert command(common, "--mode=export") is None
    out = capsys.readouterr().out
    assert "1 predictions" in out and "at most" in out and "made-up inputs" in out
    found = command(common, "--mode=export", "--export=litert_int8")
    assert found.startswith("error: `--export=litert_int8` is calibrated with data")
    found = command(common, "--mode=export", "--set=examples=2")
    assert found.startswith("error: `--set` needs --recipe in --mode=export")
    assert not (foreign / "harm").exists()


def test_eval_runs_a_recipe_of_the_package_or_of_the_command(foreign):
    deep = "../" * 30
    for recipe in (str(foreign / "evil.py"), "evil.py", deep + str(foreign / "evil")):
        named(foreign, recipe)
        found = command(f"--workdir={foreign}", "--mode=eval")
        assert found.startswith(f"error: The recipe of {foreign} is none of models/")
        assert "--recipe=FILE" in found and "\n" not in found
    assert not (foreign / "harm").exists()
    assert command(f"--workdir={foreign}", "--mode=eval", "--recipe", TINY) is None


def test_summary_prints_the_model_and_leaves_nothing(tmp_path, capsys):
    workdir = tmp_path / "run"
    arguments = ("--recipe", TINY, f"--workdir={workdir}", "--mode=summary")
    assert command(*arguments, "--smoke") is None
    out = capsys.readouterr().out
    for name in ("trunk_P2", "half", "side", "mask", "Total params"):
        assert name in out
    parts = [line.split()[:-2] for line in out.splitlines()[-5:]]
    heads = [["head:", name] for name in ("half", "side", "mask")]
    assert parts == [["trunk"], *heads, ["all"]]
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe=quikstart"], "Did you mean 'quickstart'?"),
        (["--recipe", TINY, "--set=epoch=3"], "Did you mean 'epochs'?"),
        (["--recipe", TINY, "--set=trunk.widht=3"], "Did you mean 'width'?"),
        (["--recipe", TINY, "--set=epochs=three"], "`epochs` must be of type int"),
        (["--recipe", TINY, "--set=trunk.width=0"], "Received: width=0"),
        (["--recipe", TINY, "--set", "epochs"], "must be name=value"),
        (["--recipe", TINY, "epochs=3"], "Arguments must be --flags"),
        (["--recipe", TINY, "--precision=float31"], "Did you mean 'float32'?"),
        (["--recipe", TINY, "--batch_size=0"], "`batch_size` must be from 1"),
        (["--recipe", TINY, "--set=on_nan=go"], "`on_nan` must be 'stop' or 'skip'"),
        (["--recipe", TINY, "--strategy=mirored"], "Did you mean 'mirrored'?"),
        (["--recipe", TINY, "--strategy=ps"], "`--strategy` must be one of"),
        (["--recipe", TINY, "--strategy=multiworker"], "-m p5_keras.supervise"),
        (["--recipe", TINY, "--mode=eval"], "must hold a trained model"),
        (["--recipe", TINY, "--mode=predict"], "needs --input=FOLDER"),
    ],
    ids=lambda value: " ".join(value[-1:]) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_clear_line(arguments, message, tmp_path):
    found = command(*arguments, f"--workdir={tmp_path / 'run'}")
    assert isinstance(found, str)
    assert found.startswith("error: ") and "\n" not in found
    assert message in found
    # A mistake leaves nothing that would be in the way of the right command.
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--epoch=3", "Did you mean 'epochs'?"),
        ("--epochs=three", "Received: --epochs=three"),
        ("--mode=trian", "Did you mean 'trial'?"),
    ],
)
def test_a_mistyped_flag_is_named(flag, message):
    assert message in command(flag)


def test_predict_without_a_folder_says_so(finished):
    common = ("--recipe", TINY, f"--workdir={finished}", "--mode=predict")
    assert "--input=FOLDER" in command(*common)
    assert "`input`" in command(*common, "--input=/no/such/folder")


def test_a_workdir_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    found = command("--recipe", TINY, f"--workdir={tmp_path / 'file' / 'run'}")
    assert found.startswith("error: `workdir` must be a folder that can be written")


def test_a_batch_must_divide_by_the_replicas(two_replicas, tmp_path, monkeypatch):
    monkeypatch.setattr(p5.strategy, "_make", lambda name, tpu: two_replicas)
    flags = [f"--workdir={tmp_path}", "--batch_size=3", "--strategy=mirrored"]
    found = command("--recipe", TINY, *flags)
    assert found.startswith("error: `batch_size` is global")
    assert "batch_size=3 for 2 replicas" in found


def test_an_empty_workdir_has_the_name_of_the_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = command("--recipe", TINY, "--mode=eval")
    assert repr(os.path.join("runs", "tiny_recipe")) in found


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A user's own data, a folder or file for each loader, one picture unreadable."""
    root = tmp_path_factory.mktemp("own")
    for i in range(30):
        pixels = np.full((24, 32, 3), 40, "uint8")
        pixels[4 + i % 8 : 16 + i % 8, 4:20] = 250 if i % 2 else 120
        png = tf.io.encode_png(pixels)
        name = ["cat", "dog"][i % 2]
        for picture in (f"folder/{name}/{i}.png", f"voc/JPEGImages/{i}.png"):
            (root / picture).parent.mkdir(parents=True, exist_ok=True)
            tf.io.write_file(str(root / picture), png)
        (root / "voc" / "Annotations").mkdir(exist_ok=True)
        (root / "voc" / "Annotations" / f"{i}.xml").write_text(
            f"<annotation><filename>{i}.png</filename><size><width>32</width><height>24"
            f"</height><depth>3</depth></size><object><name>{name}</name><bndbox><xmin>5"
            f"</xmin><ymin>{5 + i % 8}</ymin><xmax>20</xmax><ymax>{16 + i % 8}</ymax>"
            "</bndbox></object></annotation>"
        )
    shutil.copytree(root / "voc" / "JPEGImages", root / "coco" / "images")
    names = [path.name for path in sorted((root / "coco" / "images").iterdir())]
    boxes = [[4, 4 + i % 8, 16, 12] for i in range(30)]
    ids = range(1, 31)
    instances = {
        "images": [
            {"id": i, "file_name": name, "width": 32, "height": 24}
            for i, name in zip(ids, names, strict=True)
        ],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": box, "area": 192}
            for i, box in zip(ids, boxes, strict=True)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    (root / "coco" / "annotations").mkdir()
    (root / "coco" / "annotations" / "instances.json").write_text(json.dumps(instances))
    rows = [f"{i},{i % 7},{'yes' if i % 2 else 'no'},{i / 4}" for i in range(60)]
    (root / "rows.csv").write_text("\n".join(["age,days,ill,fever %", *rows]))
    (root / "folder" / "cat" / "broken.png").write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def own_run(own):
    """Workdir of a short run on a folder; the unreadable picture is left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(own / "cache"))
        patch.chdir(own)
        assert (
            command("--dataset=folder:folder", "--on_bad_example=skip", *QUICK) is None
        )
    return own / "runs" / "folder"


QUICK = ("--smoke", "--batch_size=4", "--set=trunk.width=4")


def test_a_folder_is_trained_on_without_code(own_run, own):
    results = json.loads((own_run / "results.json").read_text())
    assert results["recipe"] == "your_data"
    assert list(results["tasks"]) == ["class"]
    config = json.loads((own_run / "config.json").read_text())
    assert config["image_size"] == "(24, 32)"
    data = json.loads((own_run / "data.json").read_text())
    assert data["examples"] == {"train": 25, "validation": 2, "test": 3}
    dropped = (own_run / "dropped.txt").read_text()
    assert dropped == f"{own / 'folder' / 'cat' / 'broken.png'}\tit is empty\n"
    assert "<h2>The data</h2>" in (own_run / "report.html").read_text()


def test_a_run_on_own_data_is_evaluated_exported_and_used(own_run, own, capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(own / "cache"))
        patch.chdir(own)
        # The workdir knows recipe, data, options and what to do with bad examples.
        assert command(f"--workdir={own_run}", "--mode=eval") is None
        assert "class_accuracy" in capsys.readouterr().out
        assert command("--dataset=folder:folder", "--mode=export") is None
        input_folder = f"--input={own / 'folder' / 'dog'}"
        assert command(f"--workdir={own_run}", "--mode=predict", input_folder) is None
        assert "15 predictions" in capsys.readouterr().out
        again = ("--dataset=folder:folder", "--on_bad_example=skip", *QUICK)
        assert command(*again) is None
        assert "Left out" not in capsys.readouterr().out  # it has finished


def test_the_data_are_shown_before_training(own, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(own / "cache"))
    flags = ("--dataset=folder:folder", "--on_bad_example=skip", "--mode=summary")
    monkeypatch.chdir(own)
    assert command(*flags, "--dataset_options=label=pet", "--workdir=none") is None
    out = capsys.readouterr().out
    assert "  pet   classification  25/25         2/2   3/3\n" in out
    assert "Left out: 1 examples" in out and "1 x it is empty" in out
    assert "Total params" in out
    assert not (own / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--dataset=foldr:folder"],
            "error: `dataset` must be folder:PATH, voc:PATH, coco:PATH, table:PATH, or "
            "the name of a public set. Did you mean 'folder'? "
            "Received: dataset='foldr:folder'",
        ),
        (
            ["--dataset=folder:foldr"],
            "error: `path` must be a folder. Did you mean 'folder'? "
            "Received: path='{own}/foldr'",
        ),
        (
            ["--dataset=folder:folder", "--dataset_options=spilt=0.5"],
            "error: Unknown option of this data set. Did you mean 'split'? "
            "Received: 'spilt'; ['split', 'label', 'classes', 'rate', 'seconds', "
            "'max_sound_bytes', 'encoding', 'ignore', 'kind.FIELD', 'image_range', "
            "'image_background', 'max_pixels']",
        ),
        (
            ["--dataset=folder:folder", "--dataset_options=split=0.5"],
            "error: `split` must be of type tuple[float, float, float]. "
            "Received: split=0.5",
        ),
        (
            ["--dataset=folder:folder"],
            "error: {own}/folder/cat/broken.png: it is empty. Put it right, or leave "
            "such examples out with --on_bad_example=skip",
        ),
        (
            ["--dataset=folder:folder", "--recipe=blood_cells"],
            "error: `dataset` needs a recipe with that in its Config, such as "
            "your_data. Received: dataset='folder:folder', recipe='blood_cells'",
        ),
        (
            ["--recipe=your_data"],
            "error: `dataset` must be folder:PATH, voc:PATH, coco:PATH, table:PATH, or "
            "the name of a public set. Received: dataset=''",
        ),
    ],
)
def test_a_mistake_in_own_data_is_one_clear_line(arguments, message, own, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(own / "cache"))
    monkeypatch.chdir(own)
    found = command(*arguments, "--workdir=mistake")
    assert found == message.format(own=own)


def test_a_table_is_trained_on_without_code(own, monkeypatch):
    monkeypatch.chdir(own)
    options = ["--dataset_options=targets=ill,fever %", "--dataset_options=ignore=age"]
    assert command("--dataset=table:rows.csv", *options, "--smoke") is None
    results = json.loads((own / "runs" / "rows" / "results.json").read_text())
    kinds = {name: task["kind"] for name, task in results["tasks"].items()}
    assert kinds == {"ill": "classification", "fever": "regression"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["voc", "coco"])
def test_boxes_are_trained_on_without_code(kind, own, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(own / "cache"))
    monkeypatch.chdir(own)
    assert command(f"--dataset={kind}:{kind}", *QUICK) is None
    results = json.loads((own / "runs" / kind / "results.json").read_text())
    (task,) = results["tasks"].values()
    assert task["kind"] == "detection"
    assert command(f"--workdir=runs/{kind}", "--mode=eval") is None


@pytest.mark.slow
def test_a_public_set_is_trained_on_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert command("--dataset=digit_scenes", *QUICK) is None
    results = json.loads(pathlib.Path("runs/digit_scenes/results.json").read_text())
    tasks = ["digit", "count", "ink", "mask", "objects"]
    assert list(results["tasks"]) == tasks


@pytest.mark.slow
def test_the_real_pets_have_four_tasks(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pets = f"--dataset=voc:{real_data / 'oxford_pets_3breeds'}"
    size = "--set=image_size=(64, 96)"
    assert command(pets, *QUICK, size, f"--workdir={tmp_path / 'pets'}") is None
    data = json.loads((tmp_path / "pets" / "data.json").read_text())
    labelled = {name: task["labelled"] for name, task in data["tasks"].items()}
    assert set(labelled) == {"breed", "species", "head", "mask"}
    assert labelled["head"]["train"] + labelled["head"]["validation"] == 296
    assert labelled["head"]["test"] == 0 and labelled["mask"]["test"] == 116
    results = json.loads((tmp_path / "pets" / "results.json").read_text())
    for metric in results["tasks"]["head"]["metrics"].values():
        assert metric["test"] is None
        assert metric["reason"].startswith("no label to measure it on in test")


@pytest.mark.slow
def test_two_replicas_end_to_end(two_replicas, tmp_path, monkeypatch):
    monkeypatch.setattr(p5.strategy, "_make", lambda name, tpu: two_replicas)
    workdir = tmp_path / "run"
    assert command(*SMOKE, f"--workdir={workdir}", "--strategy=mirrored") is None
    assert_complete(workdir)


@pytest.mark.slow
@pytest.mark.parametrize(
    "flag",
    [
        "--precision=mixed_bfloat16",
        "--jit",
        pytest.param("--steps_per_execution=2", marks=pytest.mark.heavy),
        pytest.param("--debug", marks=pytest.mark.heavy),
    ],
)
def test_ways_of_training_end_to_end(flag, tmp_path):
    workdir = tmp_path / "run"
    try:
        assert command(*SMOKE, f"--workdir={workdir}", flag) is None
    finally:
        tf.debugging.disable_check_numerics()
    assert_complete(workdir)


#: Real data of recipes whose data set has no dummies.
REAL = {
    "p5_resnet50": "oxford_pets_3breeds",
    "shared_dense": "multi_target_regression",
    "census": "adult",
    "digit_strings": "fsdd",
    "myocardial": "myocardial",
    "parkinsons": "parkinsons_telemonitoring",
    "restaurants": "restaurant_consumer",
    "snips": "snips",
    "spoken_digits": "fsdd",
    "tox21": "tox21",
}
#: Data sets of recipes that are not called like them.
DATASETS = {"simple_mlp": "multi_mnist", "two_head_conv": "multi_mnist"}


#: What others of the slow tests, or the README's first command, train as well.
HEAVY = ("quickstart", "blood_cells", "two_head_conv")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.heavy if name in HEAVY else ())
        for name in sorted(p.stem for p in (ROOT / "models").glob("*.py"))
    ],
)
def test_every_recipe_runs_from_the_command_line(name, tmp_path, request, monkeypatch):
    flags = [f"--recipe={name}", "--smoke"]
    if name == "quickstart":
        flags = flags[1:]  # It is the default.
    if name in ("your_data", "pretrain", "pretrain_text"):
        pytest.skip("it has no data of its own")
    dummy = ROOT / "datasets" / DATASETS.get(name, name) / "dummy_data"
    if name in REAL:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.with_name("cache")))
        folder = request.getfixturevalue("real_data") / REAL[name]
        if not folder.is_dir():
            pytest.skip(f"no real data at {folder}")
        flags.append(f"--data_dir={folder}")
    elif dummy.is_dir():
        flags.append(f"--data_dir={dummy}")
    done = process(*flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = assert_complete(tmp_path / "runs" / name)
    for task, found in results["tasks"].items():
        assert task in done.stdout
        # Of a few patients or molecules none may have what is rare.
        if name not in ("myocardial", "tox21"):
            assert all(m["test"] is not None for m in found["metrics"].values())
    assert list(tmp_path.iterdir()) == [tmp_path / "runs"]


@pytest.mark.slow
def test_a_finished_run_is_shown_again_and_no_other_takes_its_place(tmp_path):
    dummy = ROOT / "datasets" / DATASETS["simple_mlp"] / "dummy_data"
    flags = ["--recipe=simple_mlp", "--smoke", f"--data_dir={dummy}"]
    done = process(*flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    again = process(*flags, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.strip() in done.stdout

    mistake = process(*flags, "--seed=7", cwd=tmp_path)
    assert mistake.returncode == 1
    assert "Traceback" not in mistake.stderr
    lines = [line for line in mistake.stderr.splitlines() if "error: " in line]
    assert len(lines) == 1 and "seed: 0 there, 7 now" in lines[0]


@pytest.mark.slow
def test_sharing_and_stopping_of_tasks(tmp_path):
    flags = [f"--workdir={tmp_path}", "--sharing=CGC", "--set=sharing.own=2"]
    flags += ["--set=task_patience=1", "--set=trunk.dropout=0.0"]
    assert command("--recipe", TINY, *flags) is None
    decided = p5.Workdir(tmp_path).read("config.json")
    assert decided["sharing"] == "CGC(levels=1, shared=1, own=2, units=())"
    header = (tmp_path / "logs" / "history.csv").read_text().splitlines()[0]
    assert "gate/half/half1" in header
    results = p5.Workdir(tmp_path).read("results.json")
    assert results["flops"]["sharing"] > 0 and results["parameters"]["sharing"] > 0
    assert command("--recipe", TINY, f"--workdir={tmp_path}", "--mode=eval") is None


def test_a_trial_measures_on_its_fold_and_on_nothing_else(tmp_path, monkeypatch):
    """Neither the validation nor the test split is read."""
    read, found = [], []

    def noted(sources, *arguments):
        found.extend(sources)
        raise ValueError("that is enough")

    load = p5.recipe.load

    def recipe(name):
        module = load(name)
        data = module.data
        module.data = lambda *given: read.append(given[-1]) or data(*given)
        return module

    monkeypatch.setattr(p5.recipe, "load", recipe)
    monkeypatch.setattr(p5.data, "prepare", noted)
    flags = [f"--recipe={TINY}", f"--workdir={tmp_path}", "--mode=trial", "--export="]
    assert command(*flags, "--folds=4", "--fold=1") == "error: that is enough"
    assert read == ["train"]
    # 18 examples in 4 folds.
    assert [source.size for source in found] == [13, 5, 5]
    assert found[1] is found[2]
    assert json.loads((tmp_path / "config.json").read_text())["fold"] == [1, 4]
