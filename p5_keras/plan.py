"""The plan of a run: what flags, recipe and workdir decide together."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from p5_keras import catalog, transfer
from p5_keras import recipe as recipes
from p5_keras.affinity import Affinity, Batches
from p5_keras.checkpoint import Checkpoints
from p5_keras.cli.modes import NEW_MODES, RUNS
from p5_keras.data import SPLITS, Source, fold, summary
from p5_keras.model import MultiTaskModel
from p5_keras.paths import absolute
from p5_keras.progress import EpochTable
from p5_keras.task import Task
from p5_keras.task_stopping import TaskStopping
from p5_keras.training import data_identity
from p5_keras.values import typed, unknown
from p5_keras.workdir import Workdir


@dataclass(frozen=True)
class Plan:
    """What is to be run, and where.

    Attributes:
        recipe: The module of the recipe; `None` to predict or export without one.
        config: Its configuration, complete.
        workdir: The folder of the run.
        decided: All that was decided, by name, as JSON can hold it.
    """

    recipe: Any
    config: Any
    workdir: Workdir
    decided: dict[str, Any]

    @property
    def options(self) -> tuple[str, ...]:
        """The `dataset_options`, none of a recipe that has no such thing."""
        return getattr(self.config, "dataset_options", ())

    def tasks(self) -> list[Task]:
        """Returns the recipe's tasks, or those of them that the flags ask for.

        Raises:
            ValueError: There is no such task, or a weight of one is no number.
        """
        tasks = {task.name: task for task in self.recipe.tasks(self.config)}
        for given in self.config.loss_weights:
            name, equals, weight = given.partition("=")
            if not equals:
                raise ValueError(
                    f"`loss_weights` must be task=weight,... Received: {given!r}"
                )
            if name not in tasks:
                raise ValueError(unknown("task in `loss_weights`", name, tasks))
            tasks[name].loss_weight = typed("loss_weights", weight, float)
        chosen = self.decided["tasks"]
        for name in chosen or ():
            if name not in tasks:
                raise ValueError(unknown("task", name, tasks))
        kept = [t for t in tasks.values() if chosen is None or t.name in chosen]
        left_out = {*tasks} - {task.name for task in kept}
        for i, task in enumerate(kept):
            if gone := sorted(left_out & {*task.reads}):
                kept[i] = task.apart()
                print(f"{task.name}: {kept[i].kind}, for it lacks {', '.join(gone)}")
        return kept

    def sources(self, tasks: list[Task]) -> list[Source]:
        """Returns the sources of training, validation and test.

        Of a fold these are the training split without it, and it twice.

        Args:
            tasks: The tasks of the run.
        """
        train, val, test = SPLITS
        splits = [train, val, val if self.decided["trial"] else test]
        own_fold = self.decided.get("fold")
        if own_fold:
            splits = [train]
        found = [self.recipe.data(self.config, tasks, split) for split in splits]
        if self.decided["smoke"]:
            found = [source.first(2 * self.config.batch_size) for source in found]
        if own_fold:
            rest, own = fold(found[0], *own_fold)
            found = [rest, own, own]
        return found

    def model(self, tasks: list[Task]) -> MultiTaskModel:
        """Builds the recipe's model, with the weights it starts from."""
        model: MultiTaskModel = self.recipe.model(self.config, tasks)
        if self.config.init_from is not None:
            taken = transfer.init_from(model, self.config.init_from)
            print(f"From {self.config.init_from}: {', '.join(taken)}", flush=True)
        transfer.freeze(model, self.config.freeze)
        return model

    def callbacks(
        self, tasks: list[Task], checkpoints: Checkpoints, batches: Batches
    ) -> list[Any]:
        """Returns what accompanies training, first what adds to an epoch's logs.

        Args:
            tasks: The tasks.
            checkpoints: Saves the run, and writes the logs of its epochs.
            batches: From the number of a step to training batches that start there.
        """
        config, workdir = self.config, self.workdir
        own = getattr(self.recipe, "callbacks", None)
        found = list(own(config, tasks)) if own else []
        found += [Affinity(config.affinity_batches, batches), checkpoints]
        if workdir.writes:
            found.append(EpochTable(tasks, config.epochs))
        if config.unfreeze_every is not None:
            found.append(transfer.Unfreeze(config.unfreeze_every))
        return [*found, TaskStopping(config.task_patience, 0.0, checkpoints)]


def decide(flags: Mapping[str, Any], writes: bool = True) -> Plan:
    """Decides by the flags, then the settings, then the recipe.

    To evaluate, what the workdir's own run has decided comes before the recipe, which
    must be one of `models/` if the flags name none: a folder says what to read, and
    never what to execute. To export or predict, no recipe is loaded that the flags do
    not ask for.

    Args:
        flags: Values of the flags by name, `None` where not given.
        writes: Whether this process writes in the workdir; of several workers one.

    Raises:
        ValueError: The recipe or a setting is wrong, or the recipe has no use for
            `dataset`.
    """
    if flags["mode"] == "predict" and flags["input"] is None:
        raise ValueError(
            "`--mode=predict` needs --input=FOLDER, or a table. Received: no --input"
        )
    own = flags["recipe"] or flags["dataset"]
    name = flags["recipe"] or ("your_data" if flags["dataset"] else "quickstart")
    folder = flags["workdir"] or os.path.join("runs", _name(name, flags["dataset"]))
    if flags["mode"] == "compare" and not flags["workdir"]:
        folder += "_compared"
    number, folds = flags["fold"], flags["folds"]
    may_be = range(folds) if flags["mode"] == "trial" and folds > 1 else ()
    if number is not None and number not in may_be:
        raise ValueError(
            "`fold` must be one of 2 folds or more, from 0 on, in --mode=trial. "
            f"Received: fold={number}, folds={folds}, mode={flags['mode']!r}"
        )
    workdir, new = Workdir(folder, writes), flags["mode"] in NEW_MODES
    before = {} if new else workdir.read("config.json") or {}
    if flags["mode"] in ("predict", "export") and not own:
        return Plan(None, _kept(flags, before), workdir, {})
    if not flags["recipe"] and "recipe" in before:
        name = _known(before["recipe"], flags["mode"], workdir)
    recipe = recipes.load(name)
    config = recipe.Config()
    for flag in ("dataset", "dataset_options", "on_bad_example"):
        if flags[flag] is not None and not hasattr(config, flag):
            raise ValueError(
                f"`{flag}` needs a recipe with that in its Config, such as your_data. "
                f"Received: {flag}={flags[flag]!r}, recipe={name!r}"
            )
    given = dict(flags)
    if flags["smoke"]:
        given |= {"epochs": 1, "steps_per_epoch": 2}
    settings = recipes.settings(config, before) + flags["set"]
    config = recipes.configure(config, settings, given)
    own = ("dataset", "data_dir", "init_from")
    found = {key: getattr(config, key) for key in own if hasattr(config, key)}
    found = {key: absolute(key, value) for key, value in found.items()}
    config = dataclasses.replace(config, **found)
    if not new and not flags["dataset"]:
        _still_there(found.get("dataset"), workdir)
    begun = _begun(workdir, name, config) if flags["mode"] in RUNS else before
    if begun:
        config = dataclasses.replace(config, reading=str(workdir.path))
    if new and hasattr(recipe, "complete"):
        config = _as_before(config, recipe.complete(config), begun)
    decided = {key: flags[key] for key in ("seed", "smoke", "tasks")}
    decided |= {"recipe": absolute("recipe", name), "trial": flags["mode"] == "trial"}
    if number is not None:
        decided["fold"] = [number, folds]
    return Plan(recipe, config, workdir, decided | recipes.describe(config))


def _begun(workdir: Workdir, recipe: str, config: recipes.Config) -> dict[str, Any]:
    """Returns what was decided by a run that has begun, if it is of the same data."""
    if not any((workdir / name).exists() for name in ("checkpoints", "results.json")):
        return {}
    before = workdir.read("config.json") or {}
    now = {"recipe": recipe, **recipes.describe(config)}
    same = ("recipe", "dataset", "dataset_options", "data_dir")
    known = all(absolute(k, before.get(k)) == absolute(k, now.get(k)) for k in same)
    return before if known else {}


def _as_before(
    config: recipes.Config, now: recipes.Config, before: Mapping[str, Any]
) -> recipes.Config:
    """Returns a completed configuration with what a run has made of its data before.

    Args:
        config: The configuration, where that is left open.
        now: The same as it is completed by the data as they are now.
        before: What the run has decided; nothing of a new one.
    """
    names = [f.name for f in dataclasses.fields(config)]
    left = [n for n in names if getattr(config, n) is None]
    made = {n for n in left if getattr(now, n) is not None}
    known = {name: value for name, value in before.items() if name in made}
    return recipes.configure(now, recipes.settings(config, known))


def _still_there(dataset: Any, workdir: Workdir) -> None:
    """Checks that the data of a run are where they were.

    Raises:
        ValueError: They are not.
    """
    kind, colon, path = str(dataset or "").partition(":")
    if colon and not os.path.exists(path):
        raise ValueError(
            "The data of this run are no longer there; say where they are now, with "
            f"--dataset={kind}:PATH. Received: {path!r} in {workdir / 'config.json'}"
        )


def _kept(flags: Mapping[str, Any], before: Mapping[str, Any]) -> recipes.Kept:
    """Returns what of a run's configuration is of use without its recipe.

    Raises:
        ValueError: A setting is given, which a recipe alone could understand.
    """
    if flags["set"]:
        raise ValueError(
            f"`--set` needs --recipe in --mode={flags['mode']}, which loads none by "
            f"itself. Received: set={flags['set']}"
        )
    config = recipes.Kept()
    fields = recipes.describe(config)
    given = {name: flags.get(name) for name in fields}
    return recipes.configure(config, recipes.settings(config, dict(before)), given)


def _known(name: Any, mode: str, workdir: Workdir) -> str:
    """Returns the recipe that a workdir names if it is one of `models/`.

    Raises:
        ValueError: It is none of them.
    """
    known = catalog.names("models")
    if name not in known:
        raise ValueError(
            f"The recipe of {workdir.path} is none of models/, and a recipe is a "
            "program: if you trust it, name it by --recipe=FILE in "
            f"--mode={mode}. Received: recipe={name!r} in config.json"
        )
    return str(name)


def show_data(plan: Plan, tasks: Sequence[Task], keep: bool) -> None:
    """Prints what is known of the data, if the recipe has it (`about`).

    Args:
        plan: The plan of the run.
        tasks: Its tasks.
        keep: Whether to leave data.json, and dropped.txt if examples were left out, in
            the workdir.
    """
    if not hasattr(plan.recipe, "about"):
        return
    found = plan.recipe.about(plan.config, tasks)
    if not plan.workdir.writes:
        return
    print(summary.text(found), flush=True)
    if keep:
        plan.workdir.write("data.json", found)
        if found["dropped"]:
            with plan.workdir.whole("dropped.txt") as path:
                path.write_text(summary.dropped_lines(found), encoding="utf-8")


def show_changes(plan: Plan, tasks: Sequence[Task], source: Source) -> None:
    """Prints in what data are not those of training, and what was left out of them.

    Args:
        plan: The plan.
        tasks: The tasks of the model.
        source: The examples to evaluate on.
    """
    if found := data_identity.changed(plan.workdir, source):
        print(f"Not the data of training: {'; '.join(found)}.")
    if hasattr(plan.recipe, "about"):
        for line in summary.left_out(plan.recipe.about(plan.config, tasks)):
            print(line)


def _name(recipe: str, dataset: str | None) -> str:
    """Returns the name of a run without a workdir: of its data, or its recipe."""
    if dataset and ":" in dataset:
        path = pathlib.Path(os.path.abspath(dataset.partition(":")[2]))
        return path.stem if path.is_file() else path.name
    if dataset:
        return dataset.replace("/", "_")
    return os.path.basename(recipe).removesuffix(".py")
