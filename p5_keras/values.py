"""Values that a user writes as text, typed by a field or a signature."""

import ast
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from p5_keras.naming import did_you_mean


def typed(name: str, text: str, hint: Any) -> Any:
    """Reads a value and checks it against a type hint.

    Args:
        name: What the value is for, as the user wrote it.
        text: The value. Where several texts are wanted, "a,b" stands for them.
        hint: A type, or a union of types.

    Raises:
        ValueError: The value has another type.
    """
    options = typing.get_args(hint)
    if not isinstance(hint, types.UnionType) and typing.get_origin(hint) is not (
        typing.Union
    ):
        options = (hint,)
    if text.lower() == "none" and type(None) in options:
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        value = {"true": True, "false": False}.get(text.lower(), text)
    if str in options and not isinstance(value, str):
        value = text
    if text[:1] not in ("(", "["):
        for option in options:
            kind = typing.get_origin(option)
            if kind in (list, tuple) and typing.get_args(option)[:1] == (str,):
                return kind(part.strip() for part in text.split(",") if part.strip())
    for option in options:
        try:
            return _converted(value, option)
        except TypeError:
            continue
    wanted = " or ".join(
        "None" if o is type(None) else str(o) if typing.get_args(o) else o.__name__
        for o in options
    )
    shown = text if len(text) <= 100 else f"{text[:100]}…"
    raise ValueError(f"`{name}` must be of type {wanted}. Received: {name}={shown}")


def keywords(
    function: Callable[..., Any],
    given: dict[str, str],
    known: Iterable[str] = (),
    but: Iterable[str] = (),
) -> dict[str, Any]:
    """Reads options as a function's arguments that can only be given by name.

    Args:
        function: The function.
        given: The options as texts, by name.
        known: Names of options that others take, for the message.
        but: Names of arguments that are no options.

    Raises:
        ValueError: The function has no such argument, or a value has the wrong type.
    """
    hints = typing.get_type_hints(function)
    names = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in but
    ]
    for name in given:
        if name not in names:
            raise ValueError(unknown("option of this data set", name, [*names, *known]))
    return {name: typed(name, text, hints[name]) for name, text in given.items()}


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Returns the message for a name that is not among those known."""
    known = list(known)
    return f"Unknown {what}.{did_you_mean(name, known)} Received: {name!r}; {known}"


def _converted(value: Any, hint: Any) -> Any:
    """Returns a value as a type hint wants it, or raises `TypeError`."""
    kind, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if kind in (list, tuple) and isinstance(value, (list, tuple)):
        if kind is list or not inner or inner[-1] is ...:
            inner = (inner[:1] or (Any,)) * len(value)
        if len(inner) == len(value):
            return kind(map(_converted, value, inner))
    elif type(value) is float and not math.isfinite(value):
        raise TypeError  # as 1e400 is
    elif kind is Any or type(value) is kind:
        return value
    elif kind is Mapping and isinstance(value, dict):
        keys, values = inner or (Any, Any)
        return {_converted(k, keys): _converted(v, values) for k, v in value.items()}
    elif kind is float and type(value) is int:
        return float(value)
    raise TypeError
