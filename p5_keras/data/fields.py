"""Fields of an example by their path, with "/" between levels."""

from typing import Any

Example = dict[str, Any]


def read(example: Any, path: str) -> Any:
    """Returns a field, or `None` where there is none."""
    for part in path.split("/"):
        if not isinstance(example, dict) or part not in example:
            return None
        example = example[part]
    return example


def replace(example: Example, path: str, value: Any) -> Example:
    """Returns the example with another value of a field."""
    first, _, rest = path.partition("/")
    return {**example, first: replace(example[first], rest, value) if rest else value}
