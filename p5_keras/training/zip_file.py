"""Whether a file that is a zip, as .keras and .npz are, is as it was written."""

import os
import zipfile
import zlib


def damage(path: str | os.PathLike[str]) -> str:
    """Returns what is wrong with a zip file, or ""; reads all of it."""
    try:
        with zipfile.ZipFile(path) as file:
            if not file.namelist():
                return "it is empty"
            bad = file.testzip()
            return f"its part {bad} is not as it was written" if bad else ""
    except OSError as error:
        return error.strerror or str(error)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        return f"it is not whole: {error}"
    except (RuntimeError, NotImplementedError, ValueError, LookupError) as error:
        # A bit that says "encrypted", a method that does not exist, a wrong length.
        return f"it is not as it was written: {error}"
