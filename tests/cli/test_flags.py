"""Command lines: wrong ones end in a line that says what is right, before all else."""

import os
import pathlib
import subprocess
import sys

import pytest
from absl.testing import flagsaver

import p5_keras as p5
from p5_keras import limits, recipe
from p5_keras.cli import flags, modes, values
from p5_keras.data.user_data import LOADERS, UNLABELLED
from p5_keras.strategy import NAMES

ROOT = pathlib.Path(__file__).parents[2]


def failure(*arguments, capsys=None):
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as end:
        flags.checked(["train.py", *arguments])
    message = end.value.code
    assert isinstance(message, str) and message.startswith("error: ")
    assert "\n" not in message
    return message


WRONG = [
    ("--epochs=0", "`epochs` must be from 1"),
    ("--epochs=-3", "`epochs` must be from 1"),
    ("--epochs=1.5", "`--epochs` must be a whole number. Received: --epochs=1.5"),
    ("--epochs=1e3", "`--epochs` must be a whole number"),
    ("--epochs=many", "`--epochs` must be a whole number"),
    ("--epochs=", "`--epochs` must be a whole number"),
    ("--epochs", "Missing value"),
    ("--epoch=3", "Did you mean 'epochs'?"),
    ("--steps_per_epoch=-1", "`steps_per_epoch` must be from 1"),
    ("--steps_per_execution=0", "`steps_per_execution` must be from 1"),
    ("--batch_size=0", "`batch_size` must be from 1"),
    ("--batch_size=1000000000000", "`batch_size` must be from 1"),
    ("--learning_rate=-1", "finite number above 0"),
    ("--learning_rate=0", "finite number above 0"),
    ("--learning_rate=nan", "finite number above 0"),
    ("--learning_rate=inf", "finite number above 0"),
    ("--learning_rate=1e400", "finite number above 0"),
    ("--learning_rate=fast", "`--learning_rate` must be a number"),
    ("--seed=-1", "`seed` must be from 0"),
    ("--seed=99999999999", "`seed` must be from 0"),
    ("--jit=maybe", "`--jit` must be true or false"),
    ("--mode=evl", "Did you mean 'eval'?"),
    ("--mode=", "`--mode` must be one of"),
    ("--export=onx", "Did you mean 'onnx'?"),
    ("--export=onnx,,litert", "names with commas"),
    ("--tasks=", "names with commas"),
    ("--tasks=a,,b", "names with commas"),
    ("--precision=float64", "`--precision` must be one of"),
    ("--strategy=foo", "`--strategy` must be one of"),
    ("--strategy=mirrored --tpu=local", "`--tpu` is the address"),
    ("--trunk=Conf", "Did you mean 'Conv'?"),
    ("--trunk=none", "`trunk` must be a class"),
    ("--weighting=NashMLT", "Did you mean 'NashMTL'?"),
    ("--sharing=MMOE", "Did you mean 'MMoE'?"),
    ("--freeze=stage", "`freeze` must be trunk"),
    ("--recipe=quickstrat", "Did you mean 'quickstart'?"),
    ("--recipe=nothing.py", "`recipe` must be a name"),
    ("--dataset=fodler:/tmp", "Did you mean 'folder'?"),
    ("--dataset=folder:", "folder:PATH"),
    ("--dataset=", "must have a value"),
    ("--data_dir=/nowhere/at/all", "a folder that is there"),
    ("--init_from=run:/nowhere", "no such folder"),
    ("--init_from=nothing.keras", "`init_from` must be"),
    ("--set=epochs", "name=value"),
    ("--set==3", "name=value"),
    ("--dataset_options=targets", "name=value"),
    ("--workdir --seed=1", "`--workdir` must have a value"),
    ("--workdir=" + "a" * 300, "255 bytes"),
    ("--workdir=" + "ä" * 200, "255 bytes"),
    ("--workdir=/etc/passwd/run", "`workdir` must be a folder that can be written"),
    ("--workdir=", "must have a value"),
    ("--epochs=3 --epochs=4", "must be given once"),
    ("--mode=eval --epochs=3", "not read by --mode=eval"),
    ("--mode=export --learning_rate=1", "not read by --mode=export"),
    ("--input=/tmp", "not read by --mode=train"),
    ("--jobs=2", "not read by --mode=train"),
    ("--mode=summary --export=onnx", "not read by --mode=summary"),
    ("--mode=predict", "needs --input"),
    ("--mode=predict --input=/nowhere", "a folder or file that is there"),
    ("--mode=compare --jobs=0", "`jobs` must be from 1"),
    ("--mode=compare --seeds=0", "`seeds` must be"),
    ("--mode=compare --seeds=1", "`seeds` must be 2 or more"),
    ("--mode=compare --trials=-1", "`trials` must be"),
    ("--mode=compare --trials=1", "`trials` must be 2 or more"),
    ("--mode=compare --folds=1.5", "`--folds` must be a whole number"),
    ("--mode=compare --folds=0", "`folds` must be from 1"),
    ("--mode=compare --budget_minutes=-2", "finite number above 0"),
    ("--mode=compare --compare=NashMTL,,FAMO", "names with commas"),
    ("--mode=trial --folds=2 --fold=2", "`fold` must be one of"),
    ("--mode=trial --fold=0", "`fold` must be one of"),
    ("--mode=tpu_check --tpu_topology=big", "v5e:2x2"),
    ("--größe=3", "There is no flag"),
    ("eval", "Arguments must be --flags"),
]


@pytest.mark.parametrize("line, message", WRONG, ids=[w[0][:40] for w in WRONG])
def test_a_wrong_line(line, message):
    assert message in failure(*line.split(" "))


def test_an_empty_input(tmp_path):
    told = failure("--mode=predict", f"--input={tmp_path}")
    assert "`input` must hold files" in told


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--mode=eval --workdir=runs/x --batch_size=8",
        "--export= --seed=0 --nojit --debug",
        "--recipe=quickstart --set trunk.width=4 --set epochs=2",
        "--mode=compare --compare=NashMTL,groups=2 --trials=0 --seeds=2",
        "--mode=trial --folds=3 --fold=2",
        "--weighting=none --sharing=none --trunk=Conv --freeze=stage:2",
        "--dataset=mnist --dataset_options=a=b,c --on_bad_example=skip",
        "--mode=export --export=onnx,litert --tasks=a",
        "--workdir=läufe/雪 --epochs=3 --epochs=3",
        "--verbosity=0",
    ],
)
def test_a_right_line(line):
    with flagsaver.flagsaver():
        flags.checked(["train.py", *line.split()])
        assert not flags.given()  # the program reads them anew


def test_what_is_said_here_is_what_is_so():
    assert tuple(p5.export.FILES) == values.EXPORTS
    assert values.STRATEGIES == NAMES
    assert set(values.LOADERS) == {*LOADERS, *UNLABELLED}
    for module in ("trunks", "sharing", "weighting"):
        assert values._public(module) == list(getattr(p5, module).__all__)
    own = {f.name for f in flags.FLAGS.flags_by_module_dict()["p5_keras.cli.flags"]}
    assert own == set(modes.READ)
    assert {m for read in modes.READ.values() for m in read} == set(modes.MODES)


@pytest.mark.parametrize(
    "setting, message",
    [
        ("epochs=0", "`epochs` must be from 1"),
        ("learning_rate=-1", "finite number above 0"),
        ("batch_size=1000000000000", "`batch_size` must be from 1"),
        ("trunk.levels=100", "`levels`"),
    ],
)
def test_settings_have_the_same_limits(setting, message):
    with pytest.raises(ValueError, match=message):
        recipe.configure(recipe.Config(p5.trunks.Conv()), [setting])
    assert limits.RANGES["epochs"][0] == 1


def test_the_flags_of_a_run_that_belongs_to_another():
    argv = ["--mode=compare", "--seeds", "3", "--nojit", "--set", "a=1", "--epochs=9"]
    argv += ["--verbosity=1", "--export=onnx", "--compare=NashMTL"]
    own = ["--mode=train", "--export=", "--epochs=2", "--set=b=2", "--set=c=3"]
    assert flags.again(argv, "train", own) == [
        *("--nojit", "--set", "a=1", "--verbosity=1"),
        *("--mode=train", "--export=", "--epochs=2", "--set=b=2", "--set=c=3"),
    ]


def run(*arguments, **options):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert "| tensorflow" not in done.stderr and " keras" not in done.stderr
    return done


def test_help_is_there_without_tensorflow():
    done = run(ROOT / "train.py", "--help", cwd=ROOT)
    assert done.returncode == 0
    for mode in modes.MODES:
        assert mode in done.stdout
    for name in modes.READ:
        assert f"--{name} " in done.stdout


def test_the_installed_command(tmp_path):
    """`python -m p5_keras` of a wheel, in which train.py is its `__main__`."""
    package = tmp_path / "p5_keras"
    package.mkdir()
    for entry in (ROOT / "p5_keras").iterdir():
        (package / entry.name).symlink_to(entry)
    (package / "__main__.py").symlink_to(ROOT / "train.py")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = run("-m", "p5_keras", "--epochs=0", cwd=tmp_path, env=environment)
    assert done.returncode == 1
    assert "error: `epochs` must be from 1" in done.stderr
