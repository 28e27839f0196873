import hashlib
import pathlib
import tarfile
import zipfile

import pytest

import p5_keras as p5


def archive(root, name, content):
    """An archive with one file; its address."""
    (root / name).write_text(content)
    path = root / f"{name}.tar.gz"
    with tarfile.open(path, "w:gz") as out:
        out.add(root / name, f"inside/{name}")
    return path.as_uri()


def test_files_come_once_into_one_folder(tmp_path):
    first, second = (archive(tmp_path, name, name * 3) for name in ("a", "b"))
    (tmp_path / "table.csv").write_text("x\n1\n")
    table = (tmp_path / "table.csv").as_uri()
    known = hashlib.sha256((tmp_path / "a.tar.gz").read_bytes()).hexdigest()
    urls = {first: known, second: None, table: None}
    folder = pathlib.Path(p5.data.fetch("pets", urls, tmp_path / "cache"))
    assert folder == tmp_path / "cache" / "downloads" / "pets"
    assert (folder / "inside" / "a").read_text() == "aaa"
    assert (folder / "inside" / "b").read_text() == "bbb"
    assert (folder / "table.csv").read_text() == "x\n1\n"
    assert not (folder / "a.tar.gz").exists()
    # What has come is not asked for again.
    for path in tmp_path.glob("*.*"):
        path.unlink()
    assert p5.data.fetch("pets", urls, tmp_path / "cache") == str(folder)


def test_a_zip_is_unpacked_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("inside/a", "aaa")
    urls = {(tmp_path / "a.zip").as_uri(): None}
    folder = pathlib.Path(p5.data.fetch("places", urls, tmp_path / "cache"))
    assert (folder / "inside" / "a").read_text() == "aaa"
    assert not (folder / "a.zip").exists()


def test_an_archive_that_is_none_is_named(tmp_path):
    (tmp_path / "a.zip").write_text("not one")
    url = (tmp_path / "a.zip").as_uri()
    with pytest.raises(
        ValueError, match=r"not be downloaded.*a\.zip \(the archive is dam"
    ):
        p5.data.fetch("places", {url: None}, tmp_path / "cache")


def test_what_cannot_be_had_is_named(tmp_path):
    missing = (tmp_path / "none.csv").as_uri()
    with pytest.raises(ValueError) as error:
        p5.data.fetch("pets", {missing: None}, tmp_path / "cache")
    message = str(error.value)
    assert message.startswith(
        "The data set 'pets' could not be downloaded; --data_dir=FOLDER takes a local "
        f"copy. Received: {missing} ("
    )


def test_another_file_of_that_name_is_refused(tmp_path):
    url = archive(tmp_path, "a", "another")
    with pytest.raises(ValueError, match=r"not be downloaded.*must have 0000"):
        p5.data.fetch("pets", {url: "0" * 64}, tmp_path / "cache")
    assert not (tmp_path / "cache" / "downloads" / "pets" / "inside").exists()
