"""JSON files, read with checks that name the file, and written whole."""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

#: Deepest nesting that is read.
MAX_DEPTH = 64
#: Name of the key that holds the checksum of all others.
CHECKSUM = "checksum"

_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    None: "null",
}


def loads(text: str | bytes) -> Any:
    """Parses JSON as its standard has it: no NaN, no Infinity, no endless nesting.

    Raises:
        ValueError: It is none; in one line.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        found = json.loads(text, parse_constant=_not_finite, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no UTF-8 text from byte {error.start} on") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"it is no JSON at {where}: {error.msg}") from error
    except RecursionError:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH}") from None
    level, depth = [found], 0
    while level:
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH}")
        parts = [_items(value) for value in level]
        level, depth = [item for part in parts for item in part], depth + 1
    return found


def read(path: str | os.PathLike[str], schema: Any = dict, advice: str = "") -> Any:
    """Reads a JSON file and checks what is used of it.

    Args:
        path: The file. A checksum in it, as `write` leaves one, is checked and removed.
        schema: What it must hold: a type, of which `float` takes whole numbers too;
            a tuple of schemas, of which one must fit, `None` for null; a dict of
            schemas by key, a "?" at the end of those that may be absent; `{str: s}`
            for an object with any keys; `[s]` for a list.
        advice: What to do about a file that is damaged, as a sentence.

    Raises:
        ValueError: It cannot be read, or holds something else; in one line with its
            path.
    """
    try:
        with open(path, "rb") as file:
            found = loads(file.read())
        if isinstance(found, dict) and CHECKSUM in found:
            given = found.pop(CHECKSUM)
            if given != checksum(found):
                raise ValueError("it is not as it was written, by its checksum")
        check(found, schema)
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise ValueError(f"{path} cannot be read: {what}. {advice}".strip()) from error
    return found


def dumps(value: Mapping[str, Any]) -> str:
    """Returns an object as JSON with its checksum; NaN and Infinity become null."""
    plain = _plain(value)
    return json.dumps({**plain, CHECKSUM: checksum(plain)}, indent=1) + "\n"


def checksum(value: Any) -> str:
    """Returns a checksum of what JSON holds, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check(value: Any, schema: Any, where: str = "") -> None:
    """Checks a value against a schema of `read`.

    Raises:
        ValueError: It does not fit; says where.
    """
    if problem := _problem(value, schema, where):
        raise ValueError(problem)


def _problem(value: Any, schema: Any, where: str) -> str:
    options = schema if isinstance(schema, tuple) else (schema,)
    problems = [_one(value, option, where) for option in options]
    if "" in problems:
        return ""
    # What is wrong inside says more than that nothing fits.
    inside = [p for p, o in zip(problems, options, strict=True) if _is(value, o)]
    if inside:
        return inside[0]
    names = " or ".join(_NAMES[_kind(option)] for option in options)
    shown = repr(value) if len(repr(value)) < 40 else f"{repr(value)[:40]}…"
    return f"{f'`{where}`' if where else 'it'} must be {names}, not {shown}"


def _one(value: Any, schema: Any, where: str) -> str:
    if not _is(value, schema):
        return "another type"
    parts: list[tuple[Any, Any, str]] = []
    if isinstance(schema, list):
        parts = [(item, schema[0], f"{where}[{i}]") for i, item in enumerate(value)]
    elif isinstance(schema, dict):
        dot = f"{where}." if where else ""
        for key, own in schema.items():
            if key is str:
                parts += [(v, own, f"{dot}{k}") for k, v in value.items()]
            elif key.rstrip("?") in value:
                name = key.rstrip("?")
                parts.append((value[name], own, dot + name))
            elif not key.endswith("?"):
                return f"`{dot}{key}` is missing"
    found = (_problem(*part) for part in parts)
    return next((problem for problem in found if problem), "")


def _kind(schema: Any) -> Any:
    return type(schema) if isinstance(schema, (dict, list)) else schema


def _is(value: Any, schema: Any) -> bool:
    kind = _kind(schema)
    if kind is None:
        return value is None
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _items(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _not_finite(text: str) -> None:
    raise ValueError(f"it holds {text}, which JSON does not have")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"it holds {text}, which is too large for a number")
    return value


def _plain(value: Any) -> Any:
    """Replaces NaN, which JSON does not have, by None."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
