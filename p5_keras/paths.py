"""Paths that a user gave, in the form in which a run keeps them."""

import ast
import contextlib
import os
from collections.abc import Mapping
from typing import Any


def absolute(name: str, value: Any) -> Any:
    """Returns an option that names a file or folder so that it does everywhere.

    Args:
        name: The option: "dataset" ("kind:PATH"), "init_from" ("run:PATH" or a file),
            "recipe" (the path of a .py file) or "data_dir"; another is left as it is.
        value: Its value, or `None`.
    """
    if not isinstance(value, str) or not value:
        return value
    kind, colon, path = value.partition(":")
    if (name == "dataset" and colon) or (name == "init_from" and kind == "run"):
        return f"{kind}:{_absolute(path)}" if path else value
    if name in ("data_dir", "init_from") or (name == "recipe" and value[-3:] == ".py"):
        return _absolute(value)
    return value


def everywhere(decided: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options, all of which name files and folders as they do everywhere.

    Args:
        decided: The options by name, as `absolute` takes them. `dataset_options` is a
            tuple, or its `repr` as in a `config.json`; a folder in it that is found
            beside the data stays as it is, as it goes with them.
    """
    found = {name: absolute(name, value) for name, value in decided.items()}
    options, text = found.get("dataset_options"), None
    with contextlib.suppress(ValueError, SyntaxError, TypeError):
        if isinstance(options, str):
            text, options = options, ast.literal_eval(options)
    if isinstance(options, (list, tuple)):
        beside = os.path.dirname(str(found.get("dataset")).partition(":")[2])
        made = tuple(_option(str(one), beside) for one in options)
        found["dataset_options"] = made if text is None else repr(made)
    return found


def _option(option: str, beside: str) -> str:
    name, _, path = option.partition("=")
    near = name in ("image_dir", "sound_dir")
    if not path or not (near or name == "cache_dir"):
        return option
    whole = _absolute(path)
    if near and (
        not os.path.isdir(whole)
        or os.path.isdir(os.path.join(beside, os.path.expanduser(path)))
    ):
        return option
    return f"{name}={whole}"


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
