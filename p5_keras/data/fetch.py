"""Downloads the files of a data set once."""

import os
import pathlib
import tarfile
import zipfile
import zlib
from collections.abc import Mapping

from p5_keras.data.cache import cache_folder
from p5_keras.data.download import alone, digest, download

#: How many times its own size an archive may unpack to, and bytes beside that.
MAX_RATIO, MAX_MORE = 100, 1 << 30


def fetch(
    name: str,
    urls: Mapping[str, str | None],
    cache_dir: str | os.PathLike[str] | None = None,
) -> str:
    """Downloads files into one folder, and unpacks archives, `.tar.gz` and `.zip`.

    What is there already is not downloaded again. A file counts as there when
    `<name>.complete` is, which is written last. The SHA-256 of a file of which it is
    unknown is kept in `<name>.sha256`, and must be the same when the file is had anew.

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
    with alone(folder / ".lock", f"the download of {name!r}"):
        for url, sha256 in urls.items():
            file = folder / url.rpartition("/")[2]
            try:
                _have(url, file, sha256)
            except (ValueError, OSError) as error:
                raise ValueError(
                    f"The data set {name!r} could not be downloaded; --data_dir=FOLDER "
                    f"takes a local copy. Received: {url} ({error})"
                ) from error
    return str(folder)


def _have(url: str, file: pathlib.Path, sha256: str | None) -> None:
    """Downloads and unpacks a file that is not there."""
    complete = file.with_name(f"{file.name}.complete")
    archive = file.name.endswith((".tar.gz", ".zip"))
    if complete.exists() and (archive or file.exists()):
        return
    complete.unlink(missing_ok=True)
    noted = file.with_name(f"{file.name}.sha256")
    first = noted.read_text().strip() if noted.exists() else None
    # One under its final name may be of before names told what is whole.
    if not (sha256 and file.exists() and digest(file) == sha256):
        found = download(url, file, sha256)
        if sha256 is None and first not in (None, found):
            file.unlink()
            raise ValueError(
                f"it is another file than at first, which had the SHA-256 {first}; "
                f"if that is right delete {noted}"
            )
        if sha256 is None:
            sha256 = found
    try:
        unpack(file)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        file.unlink()
        raise ValueError(
            f"the archive is damaged and was deleted, give the command again: {error}"
        ) from error
    noted.write_text(f"{sha256}\n")
    complete.touch()
    if archive:
        file.unlink()


def unpack(file: pathlib.Path) -> None:
    """Puts what an archive holds in its place; leaves any other file alone.

    Raises:
        ValueError: It would become much larger than it is.
    """
    limit = MAX_MORE + MAX_RATIO * file.stat().st_size

    def check(size: int) -> None:
        if size > limit:
            raise ValueError(
                f"the archive unpacks to more than {limit:,} bytes, {MAX_RATIO} times "
                f"its size and {MAX_MORE:,}; delete {file}"
            )

    if file.name.endswith(".tar.gz"):
        size = 0
        with tarfile.open(file) as tar:
            for member in tar:
                size += member.size
                check(size)
                tar.extract(member, file.parent, filter="data")
    elif file.name.endswith(".zip"):
        with zipfile.ZipFile(file) as archive:
            check(sum(part.file_size for part in archive.infolist()))
            archive.extractall(file.parent)
