"""Reads a WAV file, whatever its rate, depth and channels."""

import os
import pathlib
import struct
import warnings
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from p5_keras.data.importers import sound_values

#: Extensions of files that are read.
EXTENSIONS = (".wav", ".wave")

#: Most bytes of samples in a file: about six minutes in the quality of a CD.
MAX_BYTES = 64 * 2**20
# Samples a second that a header may say.
_RATES = (100, 1_000_000)


def read_sound(
    file: str | os.PathLike[str],
    rate: int,
    seconds: float | None = None,
    note: Callable[[str], None] = lambda what: None,
    rule: sound_values.Rule | None = None,
    max_bytes: int = MAX_BYTES,
) -> np.ndarray:
    """Reads a sound as samples of one channel.

    Channels are averaged, but for silent ones; another rate is brought to the one that
    is wanted.

    Args:
        file: A WAV file of whole numbers of 8 to 32 bits, or of floats.
        rate: Samples a second.
        seconds: Length to cut off at, or `None` for all.
        note: Takes what was changed on the way.
        rule: What full scale was in the training, see `sound_values`; by default 1 for
            floats.
        max_bytes: A file with more bytes of samples is not read.

    Returns:
        `(samples,)` int16.

    Raises:
        ValueError: It is no whole WAV file, or holds nothing; the message is a reason.
    """
    own, x, kind = _read(file, max_bytes)
    if rule is not None:
        x = sound_values.apply(x, kind, rule)
    if x.ndim == 2:
        x = sound_values.mixed(x, note)
    if own != rate:
        from scipy.signal import resample_poly

        note(f"sounds at {own} samples a second, brought to {rate}")
        ratio = Fraction(rate, own).limit_denominator(1000)
        x = resample_poly(x, ratio.numerator, ratio.denominator)
    if seconds is not None:
        x = x[: round(rate * seconds)]
    return np.clip(np.rint(x * 32768), -32768, 32767).astype("int16")


def list_sounds(folder: str | os.PathLike[str]) -> list[pathlib.Path]:
    """Lists the WAV files that lie directly in a folder, sorted, hidden ones left out.

    Raises:
        ValueError: The folder is missing or holds no WAV file.
    """
    path = pathlib.Path(folder)
    files = sorted(path.iterdir()) if path.is_dir() else []
    found = [f for f in files if f.suffix.lower() in EXTENSIONS and f.name[0] != "."]
    if not found:
        raise ValueError(
            "`folder` must be a folder that holds WAV files. "
            f"Received: folder={str(folder)!r}, other files: {len(files)}"
        )
    return found


def look_at_sound(
    file: str | os.PathLike[str], max_bytes: int = MAX_BYTES
) -> sound_values.Sound:
    """Returns what a sound is like.

    Raises:
        ValueError: As `read_sound`.
    """
    return sound_values.measure(*_read(file, max_bytes))


def _check_header(file: str | os.PathLike[str], size: int, most: int) -> None:
    """Refuses a file whose header promises more than there is, or than may be read."""
    with open(file, "rb") as content:
        head = content.read(12)
        order = ">" if head[:4] == b"RIFX" else "<"
        place = 12
        while len(chunk := content.read(8)) == 8:
            name, length = struct.unpack(f"{order}4sI", chunk)
            place += 8
            if name == b"data":
                there = size - place
                if length > there and head[:4] in (b"RIFF", b"RIFX"):
                    raise ValueError(
                        "it is cut off, or no WAV file (its header promises "
                        f"{length} bytes of samples, and there are {there})"
                    )
                if min(length, there) > most:
                    raise ValueError(
                        f"it holds {min(length, there)} bytes of samples, more than "
                        f"max_sound_bytes={most}"
                    )
                return
            place += length + length % 2
            content.seek(place)


def _read(file: str | os.PathLike[str], max_bytes: int) -> tuple[int, np.ndarray, str]:
    """Returns the rate, float64 from −1 to 1, `(samples,)` or with channels, a kind."""
    from scipy.io import wavfile

    try:
        size = os.path.getsize(file)
        if not size:
            raise ValueError("it is empty")
        _check_header(file, size, max_bytes)
        with warnings.catch_warnings():
            # It warns of unknown chunks, which are harmless, and of data cut short.
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            warnings.filterwarnings("error", message=".*(prematurely|EOF).*")
            rate, x = wavfile.read(file)
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from error
    except ValueError as error:
        if str(error).startswith("it "):
            raise
        reason = str(error).splitlines()[0] if str(error) else "unknown format"
        raise ValueError(f"it is cut off, or no WAV file ({reason})") from error
    except Exception as error:  # a parser can raise anything on a broken file
        reason = str(error) or type(error).__name__
        raise ValueError(f"it is cut off, or no WAV file ({reason})") from error
    if not x.size:
        raise ValueError("it holds no samples")
    if not _RATES[0] <= rate <= _RATES[1]:
        raise ValueError(f"its header says {rate} samples a second")
    if x.dtype == np.uint8:
        return rate, (x.astype("float64") - 128) / 128, "uint8"
    if x.dtype.kind == "i":  # 24 bits stand in the upper ones of 32
        kind = "int16" if x.dtype.itemsize == 2 else "int32"
        return rate, x / float(2 ** (8 * x.dtype.itemsize - 1)), kind
    if not np.isfinite(x).all():
        raise ValueError("it holds samples that are no numbers")
    return rate, x.astype("float64"), "float"
