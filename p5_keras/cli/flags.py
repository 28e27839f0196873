"""The flags of the command, and what can be said of them without TensorFlow."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from absl import flags

from p5_keras.cli import values
from p5_keras.cli.help import text
from p5_keras.cli.modes import GROUPS, MODES, READ, SMOKE
from p5_keras.cli.output import shown
from p5_keras.limits import PRECISIONS
from p5_keras.naming import did_you_mean, printable

FLAGS = flags.FLAGS


class _Forms(flags.ListParser):
    """Reads a list of names, of which "none" alone is an empty one."""

    def parse(self, argument: Any) -> list[str]:
        found: list[str] = super().parse(argument)
        return [] if [name.lower() for name in found] == ["none"] else found


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
flags.DEFINE(
    _Forms(),
    "export",
    ["saved_model"],
    f"Of {', '.join(values.EXPORTS)}; or none.",
    serializer=flags.CsvListSerializer(","),
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
        with shown():
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
    seen: dict[str, tuple[str, str]] = {}
    for name, words in _split(argv[1:]):
        if name is None or name in _SEVERAL:
            continue
        value = _value(name, words)
        first, told = seen.setdefault(name, (value, " ".join(words)))
        if first != value:
            raise ValueError(
                f"`--{name}` must be given once. Received: {told} {' '.join(words)}"
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
        raise ValueError(_told(str(error).removeprefix("ERROR:: "))) from None
    if rest[1:]:
        raise ValueError(f"Arguments must be --flags. Received: {rest[1:]}")


_SEVERAL = ("set", "dataset_options")


def _split(argv: Sequence[str]) -> Iterator[tuple[str | None, list[str]]]:
    """Yields each flag's name, `None` of what is no flag of ours, with its words."""
    rest = list(argv)
    while rest:
        name, equals, _ = rest[0].lstrip("-").partition("=")
        name = name if name in READ else name.removeprefix("no")
        if not rest[0].startswith("-") or name not in READ:
            yield None, [rest.pop(0)]
            continue
        count = 1 if equals or FLAGS[name].boolean else 2
        yield name, rest[:count]
        del rest[:count]


def _value(name: str, words: Sequence[str]) -> str:
    """Returns the value in the words of a flag, as text."""
    flag, equals, value = words[0].lstrip("-").partition("=")
    if FLAGS[name].boolean:
        return value.lower() if equals else str(flag == name).lower()
    return value if equals else " ".join(words[1:])


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
    if mode == "export" and not any(FLAGS.export):
        raise ValueError(
            f"`--mode=export` needs --export, of {', '.join(values.EXPORTS)}. "
            f"Received: --export={','.join(FLAGS.export)}"
        )
    _check_steps(found)
    number, folds = FLAGS.fold, FLAGS.folds
    if number is not None and not (folds > 1 and number < folds):
        raise ValueError(
            "`fold` must be one of 2 folds or more, from 0 on. "
            f"Received: fold={number}, folds={folds}"
        )
    if mode == "compare":
        _check_compare()


def _check_steps(found: Mapping[str, Any]) -> None:
    """Checks how long is trained, as far as the flags say it."""
    if found.get("smoke"):
        for name, own in SMOKE.items():
            if found.get(name, own) != own:
                raise ValueError(
                    f"`--smoke` is one epoch of {SMOKE['steps_per_epoch']} steps; "
                    f"leave it or --{name} out. Received: --smoke and "
                    f"--{name}={found[name]}"
                )
    length = SMOKE if found.get("smoke") else found
    steps, at_once = length.get("steps_per_epoch"), FLAGS.steps_per_execution
    if steps and steps % at_once:
        raise ValueError(
            "`steps_per_epoch` must be a multiple of `steps_per_execution`. Received: "
            f"steps_per_epoch={steps}, steps_per_execution={at_once}"
        )


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
    kept = []
    for name, words in _split(argv):
        if name is None or (name not in taken and mode in READ[name]):
            kept += words
    last = {arg.partition("=")[0]: arg for arg in own}
    several = [arg for arg in own if arg.partition("=")[0][2:] in _SEVERAL]
    single = [arg for name, arg in last.items() if name[2:] not in _SEVERAL]
    return [*kept, *single, *several]
