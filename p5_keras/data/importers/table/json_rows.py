"""Rows of a table as JSON: an object a line, or one list of objects."""

import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

#: Extensions of files with an object on each line, and with one list.
LINES, LIST = (".jsonl", ".ndjson"), ".json"


def read(
    content: bytes, file: pathlib.Path
) -> tuple[list[str], list[pa.Array], np.ndarray]:
    """Reads rows; a key that an object lacks is a missing value.

    Args:
        content: A text in UTF-8.
        file: Its name, for a person; one in `LIST` holds one list.

    Returns:
        The names, for each column `(n,)` strings, null where missing, and the number
        of each row, which is its line.

    Raises:
        ValueError: Something is no object, or too deep.
    """
    of_lines = file.name.lower().removesuffix(".gz").endswith(LINES)
    rows, numbers = [], []
    for number, row in _lines(content, file) if of_lines else _list(content, file):
        if not isinstance(row, dict):
            raise ValueError(
                'Each row of a JSON table must be an object, as {"name": value}. '
                f"Received: {file}, row {number}, which holds {str(row)[:40]!r}"
            )
        rows.append(row)
        numbers.append(number)
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [
        pa.array([_cell(row.get(n)) for row in rows], pa.string()) for n in names
    ]
    return names, columns, np.array(numbers, int)


def _lines(content: bytes, file: pathlib.Path) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            yield number, _parsed(line, f"{file}, line {number}")


def _list(content: bytes, file: pathlib.Path) -> Iterator[tuple[int, Any]]:
    rows = _parsed(content, str(file))
    if not isinstance(rows, list):
        raise ValueError(
            "A JSON table must be a list of rows, or a .jsonl with a row a line "
            f"(pandas: orient='records'). Received: {file}"
        )
    yield from enumerate(rows, 1)


def _parsed(text: bytes, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError(f"JSON must not be so deep. Received: {where}") from error
    except ValueError as error:
        raise ValueError(
            f"A JSON table must be readable ({error}). Received: {where}"
        ) from error


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _cell(value: Any) -> str | None:
    """Returns a value as CSV would have it; lists and objects stay JSON."""
    if isinstance(value, str) or value is None:
        return value and value.strip()
    return json.dumps(value, ensure_ascii=False)
