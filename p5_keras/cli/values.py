"""What the value of a flag must be, as far as it can be said without TensorFlow."""

import ast
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

from p5_keras.catalog import names as catalog_names
from p5_keras.limits import check_number
from p5_keras.naming import did_you_mean

EXPORTS = ("saved_model", "litert", "litert_dynamic", "litert_int8", "onnx")
STRATEGIES = ("auto", "none", "cpu", "mirrored", "multiworker", "tpu")
LOADERS = ("folder", "voc", "coco", "table", "pictures", "lines")


def check(name: str, value: Any) -> None:
    """Checks the value of one flag.

    Raises:
        ValueError: It is wrong.
    """
    check_number(name, value)
    if isinstance(value, str):
        _check_text(name, value)
    if name in CHECKS:
        CHECKS[name](value)


def _check_text(name: str, value: str) -> None:
    if not value.strip():
        raise ValueError(
            f"`--{name}` must have a value, or be left out. "
            f"Received: --{name}={value!r}"
        )
    if value.startswith("--"):
        raise ValueError(
            f"`--{name}` must have a value. Received: --{name} and then {value}"
        )
    if "\0" in value:
        raise ValueError(f"`--{name}` must be text. Received: --{name}={value!r}")


def _workdir(value: str) -> None:
    path = pathlib.Path(value)
    if long := [p for p in path.parts if len(os.fsencode(p)) > 255]:
        raise ValueError(
            "Each part of `workdir` must be 255 bytes or shorter. "
            f"Received: one of {len(os.fsencode(long[0]))}, {long[0][:40]!r}..."
        )
    if len(os.fsencode(os.path.abspath(value))) > 4000:
        raise ValueError("`workdir` must be 4000 bytes or shorter. Received: a longer")
    around = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if not around.is_dir():
        raise ValueError(
            "`workdir` must be a folder that can be written. "
            f"Received: workdir={value!r}; {around} is a file"
        )


def _recipe(value: str) -> None:
    known = catalog_names("models")
    path = pathlib.Path(value)
    if (path.suffix == ".py" and path.is_file()) or value in known:
        return
    raise ValueError(
        "`recipe` must be a name in models/ or the path of a .py file."
        f"{did_you_mean(value, known)} Received: recipe={value!r}; known: {known}"
    )


def _dataset(value: str) -> None:
    kind, colon, path = value.partition(":")
    if not colon:
        return
    if kind not in LOADERS:
        raise ValueError(
            "`dataset` must be folder:PATH, voc:PATH, coco:PATH, table:PATH, or the "
            f"name of a public set.{did_you_mean(kind, LOADERS)} "
            f"Received: dataset={value!r}"
        )
    if not path:
        raise ValueError(
            f"`dataset` must name where the data are, {kind}:PATH. "
            f"Received: dataset={value!r}"
        )


def _pairs(what: str) -> Callable[[list[str]], None]:
    def pairs(value: list[str]) -> None:
        for one in value:
            name, equals, _ = one.partition("=")
            if not (equals and name.strip()):
                raise ValueError(f"{what} must be name=value. Received: {one!r}")

    return pairs


def _names(name: str, none: bool) -> Callable[[list[str]], None]:
    def names(value: list[str]) -> None:
        if none and value in ([], [""]):
            return
        if not value or not all(one.strip() for one in value):
            raise ValueError(
                f"`--{name}` must be names with commas between them. "
                f"Received: --{name}={','.join(value)}"
            )

    return names


def _export(value: list[str]) -> None:
    _names("export", none=True)(value)
    for form in value:
        if form and form not in EXPORTS:
            raise ValueError(
                f"`--export` must be of {list(EXPORTS)}.{did_you_mean(form, EXPORTS)} "
                f"Received: {form!r}"
            )


def _class_of(module: str, none: bool) -> Callable[[str], None]:
    def class_of(value: str) -> None:
        known = _public(module)
        if value in known or (none and value.lower() == "none"):
            return
        name = module.removesuffix("s")
        raise ValueError(
            f"`{name}` must be {'none or ' if none else ''}a class of "
            f"p5_keras.{module}.{did_you_mean(value, known)} Received: {name}={value!r}"
        )

    return class_of


def _public(module: str) -> list[str]:
    """Returns the public names of a module of this package, without importing it."""
    file = pathlib.Path(__file__).resolve().parents[1] / module / "__init__.py"
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def _freeze(value: str) -> None:
    if not re.fullmatch(r"trunk|none|stage:\d+", value):
        raise ValueError(
            f"`freeze` must be trunk, stage:N or none. Received: freeze={value!r}"
        )


def _init_from(value: str) -> None:
    kind, _, path = value.partition(":")
    if kind == "run" and path:
        if not os.path.isdir(os.path.expanduser(path)):
            raise ValueError(
                "`init_from` must be run:PATH with the workdir of a run. "
                f"Received: init_from={value!r}; there is no such folder"
            )
    elif value.lower() != "none" and not os.path.isfile(os.path.expanduser(value)):
        raise ValueError(
            "`init_from` must be run:PATH with the workdir of a run, or the path of a "
            f".keras or .weights.h5 file. Received: init_from={value!r}"
        )


def _there(name: str, folder: bool) -> Callable[[str], None]:
    def there(value: str) -> None:
        path = os.path.expanduser(value)
        if os.path.isdir(path):
            if name == "input" and not os.listdir(path):
                raise ValueError(f"`input` must hold files. Received: input={value!r}")
            return
        if folder or not os.path.exists(path):
            kind = "folder" if folder else "folder or file"
            raise ValueError(
                f"`{name}` must be a {kind} that is there. Received: {name}={value!r}"
            )

    return there


def _topology(value: str) -> None:
    if not re.fullmatch(r"v\d+[a-z]*:\d+(x\d+){1,2}", value):
        raise ValueError(
            "`tpu_topology` must be a kind of TPU and how many there are in each "
            f"direction, such as v5e:2x2. Received: tpu_topology={value!r}"
        )


CHECKS: dict[str, Callable[[Any], None]] = {
    "workdir": _workdir,
    "recipe": _recipe,
    "dataset": _dataset,
    "set": _pairs("A setting"),
    "dataset_options": _pairs("Each of `dataset_options`"),
    "export": _export,
    "tasks": _names("tasks", none=False),
    "compare": _names("compare", none=True),
    "trunk": _class_of("trunks", none=False),
    "sharing": _class_of("sharing", none=True),
    "weighting": _class_of("weighting", none=True),
    "freeze": _freeze,
    "init_from": _init_from,
    "input": _there("input", folder=False),
    "data_dir": _there("data_dir", folder=True),
    "tpu_topology": _topology,
}
