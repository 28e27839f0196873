"""The Colab notebook: as its source says, and running as far as a CPU goes."""

import contextlib
import importlib.util
import io
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def maker():
    spec = importlib.util.spec_from_file_location("notebook", ROOT / "docs/notebook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_notebook_is_made_of_its_source():
    assert (ROOT / "docs/colab.ipynb").read_text("utf-8") == maker().notebook()


def test_cells():
    text, code, skipped = maker().cells(
        "# A\n\nb\n\n```python\nx = 1\n```\n\n```python skip\n!y\n```\n"
    )
    assert (text["cell_type"], "".join(text["source"])) == ("markdown", "# A\n\nb")
    assert (code["cell_type"], code["source"], code["metadata"]) == (
        "code",
        ["x = 1"],
        {},
    )
    assert skipped["metadata"] == {"tags": ["skip"]}


@pytest.mark.slow
def test_its_cells_run_on_a_cpu(tmp_path):
    book = json.loads((ROOT / "docs/colab.ipynb").read_text("utf-8"))
    codes = [
        "".join(cell["source"])
        for cell in book["cells"]
        if cell["cell_type"] == "code" and "tags" not in cell["metadata"]
    ]
    assert len(codes) == 4
    programs = pathlib.Path(sys.executable).parent
    where = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    names, printed = {}, io.StringIO()
    with contextlib.chdir(tmp_path), contextlib.redirect_stdout(printed):
        for code in codes:
            if code.startswith("!"):
                program = code[1:].replace("train.py", str(ROOT / "train.py"))
                subprocess.run(program, shell=True, env=where, check=True)
            else:
                exec(code, names)
    lines = printed.getvalue().splitlines()
    assert lines[0].endswith(names["device"])
    for name in ("digit", "count", "ink", "mask", "digits"):
        assert any(line.startswith(f"{name} ") for line in lines)
    assert any(line.startswith("digits_boxes float32 (1, 10, 4)") for line in lines)
