"""Downloads the files of a data set once."""

import os
import pathlib
import tarfile
import zipfile
from collections.abc import Mapping

import keras

from p5_keras.data.cache import cache_folder


def fetch(
    name: str,
    urls: Mapping[str, str | None],
    cache_dir: str | os.PathLike[str] | None = None,
) -> str:
    """Downloads files into one folder, and unpacks archives, `.tar.gz` and `.zip`.

    What is there already is not downloaded again.

    Args:
        name: Name of the data set, and of the folder.
        urls: SHA-256 of each file by its address, or `None` where it is unknown.
        cache_dir: Folder of all folders; see `inspect`.

    Returns:
        The folder.

    Raises:
        ValueError: A file cannot be had, or is another one.

    Example:
        >>> folder = config.data_dir or p5.data.fetch("pets", {URL: SHA256})
    """
    folder = cache_folder(cache_dir) / "downloads" / name
    folder.mkdir(parents=True, exist_ok=True)
    for url, sha256 in urls.items():
        file = folder / url.rpartition("/")[2]
        complete = folder / f"{file.name}.complete"
        if complete.exists():
            continue
        try:
            keras.utils.get_file(
                file.name, url, file_hash=sha256, cache_dir=folder, cache_subdir=""
            )
            _unpack(file)
        # Keras raises a bare Exception where there is no connection.
        except Exception as error:
            raise ValueError(
                f"The data set {name!r} could not be downloaded; --data_dir=FOLDER "
                f"takes a local copy. Received: {url} ({error})"
            ) from error
        complete.touch()
    return str(folder)


def _unpack(file: pathlib.Path) -> None:
    """Puts what an archive holds in its place; leaves any other file alone."""
    if file.name.endswith(".tar.gz"):
        with tarfile.open(file) as tar:
            tar.extractall(file.parent, filter="data")
    elif file.name.endswith(".zip"):
        with zipfile.ZipFile(file) as archive:
            archive.extractall(file.parent)
    else:
        return
    file.unlink()
