"""What earlier runs found of pictures, so that whole ones are not read again."""

import dataclasses
import json
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

from p5_keras.data.cache import content_key, file_key
from p5_keras.data.importers.image_values import Values
from p5_keras.data.picture_check import Look

# To be raised when what is checked changes.
_VERSION = 2

#: What a file raises that is cut off, nested without end, or of another version.
_BROKEN = (ValueError, TypeError, AttributeError, KeyError, RecursionError)


class Seen:
    """Looks by file, in one JSON file.

    A look holds for as long as path, time and size of the picture stay the same, and
    its copy is there. Faults are not kept: they are found again.

    Args:
        path: The JSON file; it need not be there yet.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._new: dict[str, Look] = {}
        try:
            with path.open(encoding="utf-8") as file:
                found = json.load(file)
            self._old = {key: _look(value) for key, value in found.items()}
        except (OSError, *_BROKEN):
            self._old = {}  # not there yet, cut off, or of another version

    def look(self, look: Callable[..., Look], path: str, *args: Any) -> Look:
        """Returns what is known of a picture, or looks at it.

        Args:
            look: Function from a path and what follows to a look.
            path: The picture.
            *args: What else the look depends on.

        Raises:
            ValueError: The picture cannot be used.
        """
        try:
            key = content_key(_VERSION, look.__name__, file_key(path), args)
        except OSError:
            return look(path, *args)  # which says what is wrong
        found = self._old.get(key)
        if found is None or (found.converted and not os.path.exists(found.path)):
            found = look(path, *args)
        self._new[key] = found
        return found

    def save(self) -> None:
        """Writes what this run has seen, if it is not what was there."""
        if self._new == self._old:
            return
        looks = {key: dataclasses.asdict(look) for key, look in self._new.items()}
        handle, name = tempfile.mkstemp(suffix=".tmp", dir=self.path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(looks, file)
        os.replace(name, self.path)


def _look(value: dict[str, Any]) -> Look:
    height, width = value.pop("size")
    values = value.pop("values")
    values["contrasts"] = tuple(values["contrasts"])
    return Look(
        size=(height, width),
        unknown=tuple(value.pop("unknown")),
        values=Values(**values),
        **value,
    )
