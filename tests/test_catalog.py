from pathlib import Path

import pytest

from p5_keras import catalog

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("kind", ["models", "datasets"])
def test_a_checkout_has_the_folders_beside_the_package(kind):
    assert catalog.folder(kind) == ROOT / kind


def test_a_wheel_has_them_inside(tmp_path, monkeypatch):
    (tmp_path / "p5_keras" / "models").mkdir(parents=True)
    monkeypatch.setattr(catalog, "__file__", str(tmp_path / "p5_keras" / "catalog.py"))
    assert catalog.folder("models") == tmp_path / "p5_keras" / "models"
    assert catalog.folder("datasets") == tmp_path / "datasets"


def test_names_are_those_of_recipes_and_data_sets(tmp_path, monkeypatch):
    assert {"quickstart", "blood_cells"} <= set(catalog.names("models"))
    assert {"digit_scenes", "blood_cells"} <= set(catalog.names("datasets"))
    for name in ("b.py", "a.py", "_hidden.py", "notes.md", ".DS_Store"):
        (tmp_path / name).write_text("")
    for name in ("c", "__pycache__"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(catalog, "folder", lambda kind: tmp_path)
    assert catalog.names("models") == ["a", "b", "c"]
