"""Loads a .keras file, of which nothing is executed and nothing is imported."""

import json
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import keras

#: Packages whose classes a file may name; all others must be registered with Keras.
PACKAGES = ("builtins", "keras", "keras_hub", "p5_keras")

#: Bytes of the largest part that is text, and deepest nesting of the configuration.
MAX_TEXT, MAX_DEPTH = 64 << 20, 500
#: How many times its bytes in the file a part may unpack to; Keras packs none.
MAX_RATIO = 100


def load(path: str | os.PathLike[str], compile: bool = True) -> Any:
    """Loads a model by Keras, in its safe mode, once its configuration was looked at.

    Args:
        path: The file.
        compile: Whether to compile it as it was.

    Raises:
        ValueError: It holds code, asks for a class that is neither of Keras nor of this
            package nor registered, reads another file, or is not whole.
    """
    try:
        check(path)
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"it is not whole: {error}") from error
    try:
        return keras.saving.load_model(path, compile=compile, safe_mode=True)
    except Exception as error:  # Keras tells the whole configuration, and then why
        reason = str(error).rpartition("Exception encountered: ")[2].strip()
        raise ValueError(reason[:300].partition("\n")[0]) from error


def check(path: str | os.PathLike[str]) -> None:
    """Looks at the configuration of a .keras file, without making anything of it.

    Raises:
        ValueError: As `load` says.
    """
    with zipfile.ZipFile(path) as file:
        for part in file.infolist():
            text = part.filename.endswith(".json")
            limit = MAX_TEXT if text else MAX_TEXT + MAX_RATIO * part.compress_size
            if part.file_size > limit:
                raise ValueError(f"its part {part.filename} unpacks to too much")
        try:
            config = json.loads(file.read("config.json"))
        except RecursionError:
            raise ValueError("config.json is nested too deep") from None
        except json.JSONDecodeError as error:
            raise ValueError(f"config.json is no JSON: {error}") from error
    for one in _objects(config):
        name, module = one["class_name"], one.get("module")
        own = one.get("config")
        if name == "__lambda__":
            raise ValueError("it holds Python code (a lambda), which is not executed")
        if isinstance(own, dict) and isinstance(own.get("vocabulary"), str):
            raise ValueError(f"its {name} reads the file {own['vocabulary']!r}")
        package = str(module or "keras").partition(".")[0]
        registered = one.get("registered_name") or name
        if package not in PACKAGES and not _registered(registered):
            raise ValueError(
                f"it asks for {name!r} of the module {module!r}, which is neither of "
                "Keras nor of this package, and not registered"
            )


def _registered(name: Any) -> bool:
    return isinstance(name, str) and bool(keras.saving.get_registered_object(name))


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yields all that names a class, at whatever depth."""
    level, depth = [config], 0
    while level:
        if depth > MAX_DEPTH:
            raise ValueError(f"config.json is nested deeper than {MAX_DEPTH}")
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                if "class_name" in value:
                    yield value
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        level, depth = inner, depth + 1
