import subprocess
import sys

import pytest

from p5_keras import atomic
from p5_keras.atomic import whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_and_a_folder_replace_what_was_there(tmp_path):
    for content in ("old", "new"):
        with whole(tmp_path / "file") as partial:
            partial.write_text(content)
        with whole(tmp_path / "in" / "folder") as partial:
            partial.mkdir()
            (partial / content).write_text(content)
    assert (tmp_path / "file").read_text() == "new"
    assert names(tmp_path / "in" / "folder") == ["new"]
    assert names(tmp_path) == ["file", "in"] and names(tmp_path / "in") == ["folder"]


def test_what_fails_leaves_what_was_there(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "file") as partial:
        partial.write_text("ne")
        raise KeyboardInterrupt
    with pytest.raises(OSError, match="full"), whole(tmp_path / "folder") as partial:
        partial.mkdir()
        (partial / "half").touch()
        raise OSError("full")
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_killed_writer_leaves_nothing_that_looks_whole(tmp_path):
    # Not the package, whose import takes seconds.
    code = f"""
import os, runpy, signal
whole = runpy.run_path({atomic.__file__!r})["whole"]
with whole("export") as partial:
    partial.mkdir()
    (partial / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert names(tmp_path) == ["partial_export"]
    with whole(tmp_path / "export") as partial:
        assert not partial.exists()
        partial.mkdir()
    assert names(tmp_path) == ["export"] and not names(tmp_path / "export")


def test_a_link_stays_one(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    with whole(tmp_path / "link") as partial:
        partial.mkdir()
        (partial / "a").touch()
    assert (tmp_path / "link").is_symlink() and names(tmp_path / "there") == ["a"]
