"""Reads a WAV file, whatever its rate, depth and channels."""

import os
import pathlib
import warnings
from collections.abc import Callable
from fractions import Fraction

import numpy as np

#: Extensions of files that are read.
EXTENSIONS = (".wav", ".wave")


def read_sound(
    file: str | os.PathLike[str],
    rate: int,
    seconds: float | None = None,
    note: Callable[[str], None] = lambda what: None,
) -> np.ndarray:
    """Reads a sound as samples of one channel.

    Channels are averaged, another rate is brought to the one that is wanted.

    Args:
        file: A WAV file of whole numbers of 8 to 32 bits, or of floats.
        rate: Samples a second.
        seconds: Length to cut off at, or `None` for all.
        note: Takes what was changed on the way.

    Returns:
        `(samples,)` int16.

    Raises:
        ValueError: It is no whole WAV file, or holds nothing; the message is a reason.
    """
    own, x = _read(file)
    if x.ndim == 2 and x.shape[1] > 1:
        note(f"sounds with {x.shape[1]} channels, which are averaged")
    if x.ndim == 2:
        x = x.mean(axis=1)
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


def sound_shape(file: str | os.PathLike[str]) -> tuple[int, float]:
    """Returns rate and seconds of a sound.

    Raises:
        ValueError: As `read_sound`.
    """
    rate, x = _read(file)
    return rate, len(x) / rate


def _read(file: str | os.PathLike[str]) -> tuple[int, np.ndarray]:
    """Returns the rate, and float64 from −1 to 1, `(samples,)` or with channels."""
    from scipy.io import wavfile

    try:
        size = os.path.getsize(file)
        if not size:
            raise ValueError("it is empty")
        with warnings.catch_warnings():
            # It warns of unknown chunks, which are harmless, and of data cut short.
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            warnings.filterwarnings("error", message=".*(prematurely|EOF).*")
            rate, x = wavfile.read(file)
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from error
    except ValueError as error:
        if str(error) == "it is empty":
            raise
        reason = str(error).splitlines()[0] if str(error) else "unknown format"
        raise ValueError(f"it is cut off, or no WAV file ({reason})") from error
    except Exception as error:  # a parser can raise anything on a broken file
        reason = str(error) or type(error).__name__
        raise ValueError(f"it is cut off, or no WAV file ({reason})") from error
    if not x.size:
        raise ValueError("it holds no samples")
    if rate < 1:
        raise ValueError(f"its header says {rate} samples a second")
    if x.dtype == np.uint8:
        return rate, (x.astype("float64") - 128) / 128
    if x.dtype.kind == "i":  # 24 bits stand in the upper ones of 32
        return rate, x / float(2 ** (8 * x.dtype.itemsize - 1))
    if not np.isfinite(x).all():
        raise ValueError("it holds samples that are no numbers")
    return rate, x.astype("float64")
