"""Makes the notebook colab.ipynb of colab.md, by `python docs/notebook.py`.

A block of Python is a cell; `skip` says that it needs Colab, and tests leave it out.
"""

import json
import pathlib
import re

HERE = pathlib.Path(__file__).parent


def cells(source: str) -> list[dict]:
    """Returns the cells of a Markdown text as a notebook holds them."""
    found = []
    parts = re.split(r"^```python( skip)?\n(.*?)^```\n", source, flags=re.S | re.M)
    for i, part in enumerate(parts):
        if not part or not part.strip() or i % 3 == 1:
            continue
        is_code = i % 3 == 2
        cell = {
            "cell_type": "code" if is_code else "markdown",
            "id": f"cell-{len(found)}",
            "metadata": {"tags": ["skip"]} if is_code and parts[i - 1] else {},
            "source": part.strip().splitlines(keepends=True),
        }
        if is_code:
            cell |= {"execution_count": None, "outputs": []}
        found.append(cell)
    return found


def notebook() -> str:
    """Returns the notebook as JSON."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells((HERE / "colab.md").read_text("utf-8")),
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (HERE / "colab.ipynb").write_text(notebook(), encoding="utf-8")
