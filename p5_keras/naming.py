"""Names: of tasks, the nearest right one to a wrong one, and how others are shown."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

# What moves a cursor, ends a line, turns the direction of writing, or is no character.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
# What a spreadsheet takes for the beginning of a formula.
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def printable(text: object, keep: str = "") -> str:
    """Returns a text that comes from data as a terminal or a page may show it.

    Control characters, such as those that begin an escape sequence, line ends, marks
    that turn the direction of writing, and bytes that are no UTF-8 are shown as
    escapes, as by `repr`. All other characters of all scripts stay.

    Args:
        text: The text, such as the name of a file, a class or a column.
        keep: Control characters that are meant, such as the line ends of a table.
    """

    def escaped(match: re.Match[str]) -> str:
        found = match.group()
        return found if found in keep else found.encode("unicode_escape").decode()

    return _CONTROL.sub(escaped, str(text))


def spreadsheet_cell(value: object) -> object:
    """Returns the value of a cell of a CSV file, so that no text runs as a formula.

    A text that begins with =, +, - or @ (of any width), a tab or a line end and is no
    number gets an apostrophe before it, which spreadsheets read as the mark of a text.
    Numbers stay as they are, and so do several with "|" between.

    Args:
        value: A text, or what is none.
    """
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    try:
        for part in value.split("|"):
            float(part)
    except ValueError:
        return f"'{value}"
    return value


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns `" Did you mean 'x'?"`, or nothing when no known name is near."""
    near = difflib.get_close_matches(str(name), [str(k) for k in known], 1, 0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def check_keys(what: str, received: Iterable[str], known: Iterable[str]) -> None:
    """Checks that the keys of a dict are exactly the names of the tasks.

    Keras pairs a mistyped key with whatever name sorts beside it, so every dict that
    is keyed by task passes through here first.

    Args:
        what: The argument, as the user knows it: `"loss_weights"`.
        received: The keys that were given.
        known: The names of all tasks.

    Raises:
        ValueError: A key is unknown or missing.
    """
    received, known = list(received), list(known)
    for key in received:
        if key not in known:
            raise ValueError(
                f"Every key of `{what}` must be the name of a task."
                f"{did_you_mean(key, known)} Received: {key!r}; tasks: {known}"
            )
    missing = [name for name in known if name not in received]
    if missing:
        raise ValueError(
            f"`{what}` must have a key for every task. Missing: {missing}; "
            f"received: {received}"
        )


def check_argument(
    what: str, given: Any, tasks: list[str], partial: bool = False
) -> None:
    """Checks an argument of `compile` that is keyed by task; `None` is left alone.

    Args:
        what: Name of the argument.
        given: Its value.
        tasks: Names of the tasks.
        partial: Whether tasks may be left out.

    Raises:
        ValueError: It is not a dict, or a key is unknown or missing.
    """
    if given is None:
        return
    if not isinstance(given, dict):
        raise ValueError(
            f"`{what}` must be a dict keyed by task, {tasks}. "
            f"Received: {what}={given!r}"
        )
    check_keys(what, {**(dict.fromkeys(tasks) if partial else {}), **given}, tasks)


def check_names(tasks: Iterable[str], taken: Iterable[str]) -> None:
    """Checks that task names are unique, usable, and not a trunk layer's.

    Raises:
        ValueError: A name is empty, holds a character that cannot be in a layer's or
            a signature's name, is repeated, or clashes with another name.
    """
    seen: set[str] = set()
    taken = set(taken)
    for name in tasks:
        if not name.replace("_", "a").isalnum() or not name[0].isalpha():
            raise ValueError(
                "A task's `name` must be letters, digits and underscores, beginning "
                f"with a letter. Received: name={name!r}"
            )
        if name in seen:
            raise ValueError(f"Each task must have its own `name`. Received: {name!r}")
        if name in taken or name in ("loss", "l2"):
            raise ValueError(
                "A task's `name` must differ from the trunk's layers, from 'loss' and "
                f"from 'l2'. Received: name={name!r}"
            )
        seen.add(name)
    for name in seen:
        for other in seen:
            # "a" with the metric "b_loss" and "a_b" with "loss" log the same key, and
            # so does "a" in validation and "val_a" in training.
            if name != other and other in (f"{name}_loss", f"val_{name}"):
                raise ValueError(
                    f"The logs of task {name!r} would hide those of task {other!r}. "
                    "Rename one of them."
                )
