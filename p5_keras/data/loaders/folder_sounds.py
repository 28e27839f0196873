"""Sounds of a folder, read into memory at one rate and one length."""

import collections
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from p5_keras.data.records import Problems, Records
from p5_keras.data.sound_file import read_sound, sound_shape
from p5_keras.inputs import Waveform

#: Highest rate that is chosen, the share of sounds that is not cut off, and the
#: shortest and longest input in seconds.
_RATE, _WHOLE, _SECONDS = 16_000, 0.95, (0.5, 10.0)
#: Most bytes of all samples.
_LIMIT = 4 * 2**30


def heard(
    records: Records, files: Sequence[str], rate: int | None, seconds: float | None
) -> Records:
    """Returns records of sounds, without those that are at fault.

    Args:
        records: Their labels.
        files: Their paths.
        rate: See `read`.
        seconds: See `read`.
    """
    training = records.splits == "train"
    sounds, encoder, good = read(files, training, records.problems, rate, seconds)
    return replace(
        records.take(good),
        images=None,
        inputs={"waveform": sounds},
        encoders={"sound": encoder},
        names=np.array(files)[good],
    )


def read(
    files: Sequence[str],
    training: np.ndarray,
    problems: Problems,
    rate: int | None,
    seconds: float | None,
) -> tuple[np.ndarray, Waveform, np.ndarray]:
    """Reads sounds; those at fault are left out.

    Args:
        files: Paths of WAV files.
        training: `(n,)` booleans; the length is chosen by these.
        problems: Takes what is wrong, and what was changed.
        rate: Samples a second; the most frequent one by default, at most 16,000.
        seconds: Length of the input; by default that of the longest but 5 %.

    Returns:
        `(kept, samples)` int16, the input that reads them, and `(n,)` booleans that
        say which were kept.

    Raises:
        ValueError: They take too much memory, or none is left.
    """
    shapes = []
    for file in files:
        try:
            shapes.append(sound_shape(file))
        except ValueError as error:
            problems.bad(file, str(error))
            shapes.append((0, 0.0))
    good = np.array([own > 0 for own, _ in shapes], bool)
    if not (good & training).any():
        raise ValueError(
            "Sounds that can be read must be left to train on. "
            f"Received: {len(files)} files, none in training"
        )
    if rate is None:
        rates = collections.Counter(own for own, _ in shapes if own)
        rate = min(rates.most_common(1)[0][0], _RATE)
    lengths = np.array([length for _, length in shapes])
    if seconds is None:
        whole = float(np.quantile(lengths[good & training], _WHOLE))
        seconds = round(float(np.clip(whole, *_SECONDS)), 1)
    encoder = Waveform("waveform", rate, seconds)
    samples = encoder.shape[0]
    if 2 * samples * good.sum() > _LIMIT:
        raise ValueError(
            f"Sounds must fit into {_LIMIT / 2**30:g} GiB of memory; give a lower "
            f"`rate` or `seconds`. Received: {good.sum()} sounds of {samples} samples"
        )
    out = np.zeros((int(good.sum()), samples), "int16")
    for row, i in zip(out, np.flatnonzero(good), strict=True):
        x = read_sound(files[int(i)], rate, seconds, problems.note)
        row[: len(x)] = x
    problems.note(
        f"sounds longer than {seconds:g} s, cut off", int((lengths > seconds).sum())
    )
    return out, encoder, good
