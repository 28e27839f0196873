"""Paths that a user gave, in the form in which a run keeps them."""

import os
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


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
