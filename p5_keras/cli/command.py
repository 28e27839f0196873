"""Whether this process is the command, `train.py` or `python -m p5_keras`."""

import os
import pathlib
import sys


def is_command() -> bool:
    """Whether the process is the command, and not a program that uses the package."""
    program = sys.argv[0] if getattr(sys, "argv", None) else ""
    if program == "-m":  # what is run as a module is being looked for
        names = sys.orig_argv[sys.orig_argv.index("-m") + 1 :]
        return bool(names) and names[0] == "p5_keras"
    package = pathlib.Path(__file__).resolve().parents[1]
    known = (package.parent / "train.py", package / "__main__.py")
    path = pathlib.Path(os.path.realpath(program))
    return path in known or path.stem == "p5_keras"  # the script that pip makes
