"""Keras' settings of the process, which files and other code may have changed.

`~/.keras/keras.json` and `keras.config` say the order of an image's axes, the type of
numbers and the smallest of them for everything in a process. Models here are made for
Keras' own defaults, so others are refused; the command, whose process is its own, sets
the defaults again.
"""

import os

import keras

#: What Keras does unless told otherwise.
DEFAULTS = {"image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7}


def check() -> None:
    """Checks that Keras is as it is by default.

    Raises:
        ValueError: A setting is another one.
    """
    for name, default in DEFAULTS.items():
        value = getattr(keras.config, name)()
        if value != default:
            raise ValueError(
                f"p5_keras needs `keras.config.{name}()` to be {default!r}; call "
                f"keras.config.set_{name}({default!r}) before, or mend "
                f"{_file()}. Received: {value!r}"
            )


def check_import() -> None:
    """Checks that Keras is as it is by default, while the package is imported.

    Raises:
        ImportError: A setting is another one.
    """
    try:
        check()
    except ValueError as error:
        raise ImportError(str(error)) from None


def reset() -> None:
    """Sets the defaults, and takes away limits of epochs and steps for debugging."""
    for name, default in DEFAULTS.items():
        getattr(keras.config, f"set_{name}")(default)
    for name in ("set_max_epochs", "set_max_steps_per_epoch"):
        if hasattr(keras.config, name):  # from Keras 3.13 on
            getattr(keras.config, name)(None)


def _file() -> str:
    home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    return os.path.join(home, "keras.json")
