"""The options that name columns of a table."""

import re

from p5_keras.data.loaders.table_numbers import NUMBER
from p5_keras.naming import did_you_mean


def check(
    columns: list[str],
    several: dict[str, tuple[str, ...]],
    one: dict[str, str | None],
) -> None:
    """Checks that options name columns, and none of them in two roles.

    Args:
        columns: Names of the columns.
        several: What each option names.
        one: What each option of one column names, or `None`.

    Raises:
        ValueError: There is no such column, or one is named twice.
    """
    named = {o: () if name is None else (name,) for o, name in one.items()} | several
    first: dict[str, str] = {}
    for option, names in named.items():
        for name in dict.fromkeys(names):
            if name not in columns:
                near = did_you_mean(name, columns)
                if not near and any(map(_is_data, columns)):
                    near = (
                        " If the first row holds no names give header=False; columns "
                        "are then column_0, column_1, …"
                    )
                raise ValueError(
                    f"`{option}` must name columns of the table.{near} "
                    f"Received: {name!r}, columns={columns}"
                )
            if name in first:
                raise ValueError(
                    f"A column must not stand in `{first[name]}` and in `{option}`. "
                    f"Received: {name!r} in both"
                )
            first[name] = option


def _is_data(name: str) -> bool:
    """Whether the name of a column looks like a cell of data."""
    return bool(re.match(NUMBER, name)) or len(name.split()) > 5
