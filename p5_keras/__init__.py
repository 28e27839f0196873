"""p5_keras: one shared trunk, many named heads, one joint objective."""

from typing import Any

from p5_keras.cli.command import is_command

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Loads all public names, when the command asks for one of them.

    The command looks at its flags first, without Keras and TensorFlow.
    """
    global _loaded
    if _loaded or name.startswith("__"):
        raise AttributeError(f"module 'p5_keras' has no attribute {name!r}")
    _loaded = True
    from p5_keras import _api

    globals().update({n: getattr(_api, n) for n in _api.__all__})
    globals()["__all__"] = _api.__all__
    return __getattr__(name) if name not in globals() else globals()[name]


_loaded = not is_command()
if _loaded:
    from p5_keras._api import *  # noqa: F403
    from p5_keras._api import __all__ as __all__
