"""Where the folders `models/` and `datasets/` are: in the wheel, or in a checkout."""

import pathlib


def folder(kind: str) -> pathlib.Path:
    """Returns the folder "models" or "datasets".

    Both are loaded by path: as packages they would shadow, or be shadowed by, others
    of these names.
    """
    package = pathlib.Path(__file__).resolve().parent
    inside = package / kind
    return inside if inside.is_dir() else package.parent / kind


def names(kind: str) -> list[str]:
    """Returns the names of what a folder holds."""
    entries = folder(kind).iterdir()
    return sorted(
        e.stem for e in entries if e.suffix in ("", ".py") and e.name[0] > "_"
    )
