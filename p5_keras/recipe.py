"""Recipes: files that say which tasks, data, model and schedule make a run."""

import dataclasses
import importlib.util
import inspect
import pathlib
import sys
import typing
from typing import Any, TypeVar

from p5_keras import catalog, sharing, trunks, weighting
from p5_keras.build import build_model
from p5_keras.default_optimizer import default_optimizer
from p5_keras.limits import PRECISIONS, check_number
from p5_keras.model import MultiTaskModel
from p5_keras.naming import did_you_mean
from p5_keras.sharing import Sharing
from p5_keras.task import Task
from p5_keras.trunk import Trunk
from p5_keras.values import typed, unknown
from p5_keras.weighting import Weighting


@dataclasses.dataclass(frozen=True)
class Config:
    """What every recipe decides. A recipe's own `Config` adds to it.

    Attributes:
        trunk: The shared trunk; `--set trunk.width=16` changes its arguments.
        init_from: Where the trunk's first weights come from, see `transfer.init_from`.
        freeze: What is not trained, "trunk", "stage:N" or "none".
        data_dir: Folder with a local copy of the data, or `None`.
        epochs: Number of epochs.
        steps_per_epoch: Steps an epoch; `None` sees every example once.
        batch_size: Global batch size.
        learning_rate: Highest learning rate of the schedule.
        trunk_rate: The trunk's learning rate, as a share of that of the heads.
        unfreeze_every: Epochs from which on one more stage of the trunk is trained,
            the deepest first; `None` trains all from the start.
        weight_decay: Decoupled weight decay of AdamW, on kernels.
        clip_norm: Largest global norm of the gradient, or `None`.
        ema: Momentum of the moving average of the weights that is evaluated and
            exported, or `None`.
        trunk_l2: λ of the joint objective.
        head_l2: γ of the joint objective.
        sharing: What lies between trunk and heads, or `None` for nothing;
            `--set sharing.experts=8` changes its arguments.
        weighting: What the tasks' losses count beside each other, or `None` for their
            plain sum; `--set weighting.update_every=10` changes its arguments.
        loss_weights: Weights of tasks in the joint objective, "task=weight", in place
            of the tasks' own.
        affinity_batches: Batches after each epoch on which the tasks' affinities are
            measured, or `None`; see `p5_keras.Affinity`.
        precision: Keras dtype policy.
        patience: Epochs without a better `val_skill` before stopping, or `None`.
        task_patience: Epochs without a better primary metric of a task before that
            task stops, or `None`.
        save_seconds: Seconds between two saves of the state in mid-epoch.
        on_nan: What to do where a loss is not finite, "stop" or "skip".
        reading: The run whose data are read again, as `user_data` takes it: this one's
            own folder where it goes on or is used. Set by the plan.
    """

    trunk: Trunk
    init_from: str | None = None
    freeze: str | None = None
    data_dir: str | None = None
    epochs: int = 10
    steps_per_epoch: int | None = None
    batch_size: int = 32
    learning_rate: float = 1e-3
    trunk_rate: float | None = None
    unfreeze_every: int | None = None
    weight_decay: float = 0.0
    clip_norm: float | None = None
    ema: float | None = None
    trunk_l2: float = 0.0
    head_l2: float = 0.0
    sharing: Sharing | None = None
    weighting: Weighting | None = None
    loss_weights: tuple[str, ...] = ()
    affinity_batches: int | None = None
    precision: str = "float32"
    patience: int | None = None
    task_patience: int | None = None
    save_seconds: float = 60.0
    on_nan: str = "stop"
    reading: str | None = None


@dataclasses.dataclass(frozen=True)
class Kept:
    """What of a configuration is of use to predict and export, without the recipe.

    Attributes:
        batch_size: Global batch size.
        precision: Keras dtype policy.
        dataset_options: How the data were read.
    """

    batch_size: int = 32
    precision: str = "float32"
    dataset_options: tuple[str, ...] = ()


AnyConfig = TypeVar("AnyConfig", Config, Kept)


def load(name: str) -> Any:
    """Loads a recipe by its name in `models/`, or by the path of a file.

    Raises:
        ValueError: There is no such recipe, or it is incomplete.
    """
    path = pathlib.Path(name)
    if path.suffix != ".py":
        path = catalog.folder("models") / f"{name}.py"
    if not path.is_file():
        known = catalog.names("models")
        raise ValueError(
            "`recipe` must be a name in models/ or the path of a .py file."
            f"{did_you_mean(name, known)} Received: recipe={name!r}; known: {known}"
        )
    spec = importlib.util.spec_from_file_location(f"p5_recipe_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"`recipe` could not be loaded. Received: recipe={name!r}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    needed = ("Config", "tasks", "data", "model")
    missing = [part for part in needed if not hasattr(module, part)]
    if missing:
        raise ValueError(
            f"A recipe must define {', '.join(needed)}. Missing: {missing}; "
            f"received: recipe={name!r}"
        )
    if not hasattr(module, "optimizer"):
        vars(module)["optimizer"] = default_optimizer
    return module


def configure(
    config: AnyConfig, settings: list[str], given: dict[str, Any] | None = None
) -> AnyConfig:
    """Changes a recipe's configuration by `name=value` settings and by flags.

    A name is a field of the configuration, or `field.argument` for a constructor's
    argument of an object in it. Values are typed by the field or the signature.

    Args:
        config: The recipe's configuration.
        settings: Settings, later ones winning.
        given: Values by name that win over the settings; what is `None`, or is no
            field of the configuration, is left alone. The name of a trunk, a sharing
            or a weighting stands for one with its default arguments, which the
            settings then change.

    Raises:
        ValueError: A name is unknown or a value has the wrong type.
    """
    given = dict(given or {})
    kinds = {
        "trunk": (trunks, Trunk),
        "sharing": (sharing, Sharing),
        "weighting": (weighting, Weighting),
    }
    for field, (module, base) in kinds.items():
        if name := given.pop(field, None):
            found = named(field, name, module, base)
            made = found and _made(field, found, settings)
            config = dataclasses.replace(config, **{field: made})
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"A setting must be name=value. Received: {setting!r}")
        field, _, argument = name.partition(".")
        hints = typing.get_type_hints(type(config))
        if field not in hints:
            raise ValueError(unknown("setting", field, hints))
        if argument:
            part = getattr(config, field)
            if not hasattr(part, "get_config"):
                hint = f" Give --{field} first." if part is None else ""
                raise ValueError(
                    f"The setting `{field}` has no arguments.{hint} "
                    f"Received: {setting!r}"
                )
            hints = typing.get_type_hints(type(part).__init__)
            known = list(inspect.signature(type(part).__init__).parameters)[1:]
            if argument not in known:
                raise ValueError(unknown(f"argument of {part!r}", argument, known))
            value = typed(name, text, hints.get(argument, Any))
            arguments = {**part.get_config(), argument: value}
            config = dataclasses.replace(config, **{field: type(part)(**arguments)})
        else:
            value = typed(name, text, hints[field])
            config = dataclasses.replace(config, **{field: value})
    fields = {field.name for field in dataclasses.fields(config)}
    flags: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in given.items()
        if name in fields and value is not None
    }
    config = dataclasses.replace(config, **flags)
    for name in fields:
        check_number(name, getattr(config, name))
    if config.precision not in PRECISIONS:
        raise ValueError(
            f"`precision` must be one of {PRECISIONS}."
            f"{did_you_mean(config.precision, PRECISIONS)} "
            f"Received: precision={config.precision!r}"
        )
    return config


def named(what: str, name: str, module: Any, base: type) -> Any:
    """Returns a class of a module by its name, or `None` for "none".

    Args:
        what: The argument, as the user knows it: `"weighting"`.
        name: Name of the class.
        module: Where the classes are; it is their catalogue.
        base: What they derive from.

    Raises:
        ValueError: There is no such class.
    """
    if name.lower() == "none" and base is not Trunk:
        return None
    classes = {
        n: c
        for n in module.__all__
        if isinstance(c := getattr(module, n), type)
        and issubclass(c, base)
        and c.__module__ != base.__module__  # base classes are no choice
        and not (base is Trunk and _needed(c))  # nor what is made of trunks or models
    }
    if name not in classes:
        none = "" if base is Trunk else "'none' or "
        raise ValueError(
            f"`{what}` must be {none}one of {', '.join(classes)}."
            f"{did_you_mean(name, classes)} Received: {what}={name!r}"
        )
    return classes[name]


def _needed(kind: type) -> list[str]:
    """Returns the names of the arguments that a class cannot be made without."""
    arguments = inspect.signature(kind).parameters.values()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        a.name
        for a in arguments
        if a.default is inspect.Parameter.empty and a.kind not in variable
    ]


def _made(field: str, kind: Any, settings: list[str]) -> Any:
    """Makes a part of a configuration, with what the settings must say of it."""
    hints = typing.get_type_hints(kind.__init__)
    texts = dict(setting.partition("=")[::2] for setting in settings)
    arguments = {}
    for argument in _needed(kind):
        name = f"{field}.{argument}"
        if name not in texts:
            raise ValueError(
                f"`{field}={kind.__name__}` needs --set {name}=VALUE. "
                f"Received: set={settings}"
            )
        arguments[argument] = typed(name, texts[name], hints[argument])
    return kind(**arguments)


def describe(config: Config | Kept) -> dict[str, Any]:
    """Returns a configuration as JSON can hold it."""
    fields = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    fields.pop("reading", None)  # where the folder is decides nothing
    plain = (str, int, float, bool, type(None))
    return {k: v if isinstance(v, plain) else repr(v) for k, v in fields.items()}


def settings(config: Config | Kept, described: dict[str, Any] | None) -> list[str]:
    """Returns the settings that make a described configuration again.

    Objects such as the trunk are left out: they are in the saved model.

    Args:
        config: The recipe's configuration.
        described: What `describe` gave, among other things, or `None`.
    """
    fields = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    objects = ("trunk", "sharing", "weighting")
    names = [
        name
        for name, value in fields.items()
        if name not in objects and not hasattr(value, "get_config")
    ]
    return [f"{k}={v}" for k, v in (described or {}).items() if k in names]


def build(config: Config, tasks: list[Task], input_shape: Any) -> MultiTaskModel:
    """Builds the model that a configuration describes; see `build_model`.

    Args:
        config: The run's configuration.
        tasks: The tasks.
        input_shape: Shape of one input, or the inputs by name.
    """
    return build_model(
        config.trunk,
        tasks,
        input_shape,
        trunk_l2=config.trunk_l2,
        head_l2=config.head_l2,
        sharing=config.sharing,
    )
