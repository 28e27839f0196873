"""The flags of the command, and what can be said of them without TensorFlow."""

import sys
from collections.abc import Iterable
from typing import Any

from absl import flags

from p5_keras.cli import values
from p5_keras.cli.help import text
from p5_keras.cli.modes import GROUPS, MODES, READ
from p5_keras.limits import PRECISIONS
from p5_keras.naming import did_you_mean, printable

FLAGS = flags.FLAGS

flags.DEFINE_string("recipe", None, "A name in models/, or a path; it is executed.")
flags.DEFINE_string("dataset", None, "folder:, voc:, coco: or table:PATH, or a name.")
flags.DEFINE_multi_string("dataset_options", None, "name=value; repeatable.")
flags.DEFINE_enum("on_bad_example", None, ["raise", "skip"], "Default: raise.")
flags.DEFINE_string("workdir", None, "Folder of the run. Default: runs/<name>.")
flags.DEFINE_enum("mode", "train", MODES, "What to do.")
flags.DEFINE_multi_string("set", [], "name=value of the recipe's Config; repeatable.")
flags.DEFINE_string("data_dir", None, "Folder with a local copy of the data.")
flags.DEFINE_integer("batch_size", None, "Global batch size.")
flags.DEFINE_integer("epochs", None, "Number of epochs.")
flags.DEFINE_integer("steps_per_epoch", None, "Steps an epoch. Default: all examples.")
flags.DEFINE_float("learning_rate", None, "Highest learning rate of the schedule.")
flags.DEFINE_string("trunk", None, "A class of p5_keras.trunks.")
flags.DEFINE_string("init_from", None, "run:PATH, .keras or .weights.h5 for the trunk.")
flags.DEFINE_string("freeze", None, "Not trained: trunk, stage:N or none.")
flags.DEFINE_string("sharing", None, "A class of p5_keras.sharing, or none.")
flags.DEFINE_string("weighting", None, "A class of p5_keras.weighting, or none.")
flags.DEFINE_enum("precision", None, PRECISIONS, "Dtype policy of Keras.")
flags.DEFINE_enum("strategy", "auto", values.STRATEGIES, "Devices to train on.")
flags.DEFINE_string("tpu", None, "Address of a TPU; 'local' in Colab.")
flags.DEFINE_string("tpu_topology", "v5e:2x2", "TPU for --mode=tpu_check.")
flags.DEFINE_integer("steps_per_execution", 1, "Training steps in one call.")
flags.DEFINE_bool("jit", None, "Compile with XLA. Default: Keras decides.")
flags.DEFINE_integer("seed", 0, "Seed of weights, order, augmentation and dropout.")
flags.DEFINE_list(
    "export", ["saved_model"], f"Of {', '.join(values.EXPORTS)}; or none."
)
flags.DEFINE_list("tasks", None, "Tasks to train or to export. Default: all.")
flags.DEFINE_list("compare", ["NashMTL"], "Arms; see docs/compare.md.")
flags.DEFINE_integer("seeds", 3, "Runs of each model for --mode=compare.")
flags.DEFINE_float("budget_minutes", None, "Time for --mode=compare. Default: any.")
flags.DEFINE_integer("trials", 8, "Settings that a search tries; 0: no search.")
flags.DEFINE_integer("folds", 1, "Folds that a search is cross-validated by.")
flags.DEFINE_integer("fold", None, "Fold of --mode=trial, from 0 on.")
flags.DEFINE_integer("jobs", None, "Runs at a time for --mode=compare.")
flags.DEFINE_bool("smoke", False, "Two steps on a little data, to see that it runs.")
flags.DEFINE_bool("debug", False, "Run eagerly and show tracebacks.")
flags.DEFINE_string("input", None, "Folder or table for --mode=predict.")


def checked(argv: list[str]) -> None:
    """Checks the arguments of the command, and ends it where they are wrong.

    Args:
        argv: The program and its arguments.

    Raises:
        SystemExit: With 0 after `--help`; with an error in one line otherwise.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name need not be in its encoding
            stream.reconfigure(errors="backslashreplace")
    asked = [arg for arg in argv[1:] if arg.lstrip("-").partition("=")[0] in _HELP]
    if asked and asked[0].startswith("-"):
        print(text(FLAGS, GROUPS))
        raise SystemExit(0)
    try:
        _parse(argv)
        check()
    except ValueError as error:
        sys.exit(f"error: {printable(str(error))}")
    finally:
        for name in FLAGS:  # they are read again when the program begins
            FLAGS[name].unparse()


_HELP = ("help", "h", "helpshort", "helpfull", "?")


def _parse(argv: list[str]) -> None:
    """Reads the arguments.

    Raises:
        ValueError: There is no such flag, it lacks a value, or has a wrong one.
    """
    seen: dict[str, str] = {}
    for arg in argv[1:]:
        name, equals, _ = arg.lstrip("-").partition("=")
        if not arg.startswith("-") or name not in READ or name in _SEVERAL:
            continue
        if seen.setdefault(name, arg) != arg and equals:
            raise ValueError(
                f"`--{name}` must be given once. Received: {seen[name]} {arg}"
            )
    try:
        rest = FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        hint = did_you_mean(error.flagname, READ)
        raise ValueError(
            f"There is no flag --{error.flagname}.{hint} See --help. "
            f"Received: --{error.flagname}"
        ) from None
    except flags.Error as error:
        raise ValueError(_told(str(error))) from None
    if rest[1:]:
        raise ValueError(f"Arguments must be --flags. Received: {rest[1:]}")


_SEVERAL = ("set", "dataset_options")


def _told(error: str) -> str:
    """Returns absl's words for a wrong value in those of the house."""
    name, _, value = error.removeprefix("flag --").partition(":")[0].partition("=")
    if error.startswith("flag --") and name in READ:
        flag = FLAGS[name]
        kind, hint = flag.flag_type(), ""
        if kind == "bool":
            must = f"true or false: --{name}, --no{name} or --{name}=true"
        elif kind == "string enum":
            known = list(getattr(flag.parser, "enum_values", ()))
            hint = did_you_mean(value, known)
            must = f"one of {', '.join(known)}"
        else:
            must = {"int": "a whole number", "float": "a number"}.get(kind, "a value")
        return f"`--{name}` must be {must}.{hint} Received: --{name}={value}"
    return error


def given() -> dict[str, Any]:
    """Returns the values of the flags that are on the command line."""
    return {name: FLAGS[name].value for name in READ if FLAGS[name].present}


def check() -> None:
    """Checks the values of all flags, each by itself and beside the others.

    Raises:
        ValueError: One is wrong, or is not read by the mode.
    """
    found, mode = given(), FLAGS.mode
    for name, value in found.items():
        if mode not in READ[name]:
            raise ValueError(
                f"`--{name}` is not read by --mode={mode}; leave it out. It is for "
                f"{_listed(READ[name])}. Received: --{name} and --mode={mode}"
            )
        values.check(name, value)
    if mode == "predict" and not found.get("input"):
        raise ValueError(
            "`--mode=predict` needs --input=FOLDER, or a table. Received: no --input"
        )
    if found.get("tpu") and FLAGS.strategy not in ("auto", "tpu"):
        raise ValueError(
            "`--tpu` is the address for --strategy=tpu. Received: "
            f"--tpu={FLAGS.tpu} and --strategy={FLAGS.strategy}"
        )
    number, folds = FLAGS.fold, FLAGS.folds
    if number is not None and not (folds > 1 and number < folds):
        raise ValueError(
            "`fold` must be one of 2 folds or more, from 0 on. "
            f"Received: fold={number}, folds={folds}"
        )
    if mode == "compare":
        _check_compare()


def _check_compare() -> None:
    if FLAGS.seeds < 2:
        raise ValueError(
            "`seeds` must be 2 or more: one run says nothing of the spread. "
            f"Received: seeds={FLAGS.seeds}"
        )
    if FLAGS.trials == 1:
        raise ValueError(
            "`trials` must be 2 or more, or 0 for no search. Received: trials=1"
        )


def _listed(modes: Iterable[str]) -> str:
    return ", ".join(f"--mode={mode}" for mode in modes)


def again(argv: list[str], mode: str, own: list[str]) -> list[str]:
    """Returns arguments with those of a run that belongs to this one.

    Args:
        argv: The arguments of this process.
        mode: Mode of the other run; what that does not read is left out.
        own: Arguments that take the place of those of the same name.
    """
    taken = {arg.lstrip("-").partition("=")[0] for arg in own} - {*_SEVERAL}
    kept, skip = [], False
    for i, arg in enumerate(argv):
        if skip:
            skip = False
            continue
        name, equals, _ = arg.lstrip("-").partition("=")
        name = name if name in READ else name.removeprefix("no")
        if not arg.startswith("-") or name not in READ:
            kept.append(arg)
            continue
        alone = not equals and FLAGS[name].boolean
        words = [arg] if equals or alone else argv[i : i + 2]
        skip = len(words) == 2
        if name not in taken and mode in READ[name]:
            kept += words
    last = {arg.partition("=")[0]: arg for arg in own}
    several = [arg for arg in own if arg.partition("=")[0][2:] in _SEVERAL]
    single = [arg for name, arg in last.items() if name[2:] not in _SEVERAL]
    return [*kept, *single, *several]
