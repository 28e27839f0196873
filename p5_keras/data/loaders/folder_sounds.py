"""Sounds of a folder, read into memory at one rate and one length."""

import collections
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from p5_keras.data.importers import reading as readings
from p5_keras.data.importers import sound_values
from p5_keras.data.importers.sound_values import Sound
from p5_keras.data.records import Problems, Records
from p5_keras.data.sound_file import MAX_BYTES, look_at_sound, read_sound
from p5_keras.inputs import Waveform

#: Highest rate that is chosen, the share of sounds that is not cut off, and the
#: shortest and longest input in seconds.
_RATE, _WHOLE, _SECONDS = 16_000, 0.95, (0.5, 10.0)
#: Most bytes of all samples.
_LIMIT = 4 * 2**30


def heard(
    records: Records,
    files: Sequence[str],
    rate: int | None,
    seconds: float | None,
    max_bytes: int = MAX_BYTES,
) -> Records:
    """Returns records of sounds, without those that are at fault.

    Args:
        records: Their labels; the rate and length in their `reading` hold, if there
            are.
        files: Their paths.
        rate: See `read`.
        seconds: See `read`.
        max_bytes: See `read`.
    """
    training = records.splits == "train"
    rule = records.reading.get("sounds")
    if known := records.reading.get("encoders", {}).get("sound"):
        encoder = readings.as_input(known)
        rate, seconds = encoder.rate, encoder.seconds
    sounds, encoder, good, rule = read(
        files, training, records.problems, rate, seconds, rule, max_bytes
    )
    return replace(
        records.take(good),
        images=None,
        inputs={"waveform": sounds},
        encoders={"sound": encoder},
        reading={**records.reading, "sounds": rule},
        names=np.array(files)[good],
    )


def read(
    files: Sequence[str],
    training: np.ndarray,
    problems: Problems,
    rate: int | None,
    seconds: float | None,
    rule: Mapping[str, Any] | None = None,
    max_bytes: int = MAX_BYTES,
) -> tuple[np.ndarray, Waveform, np.ndarray, Mapping[str, Any]]:
    """Reads sounds; those at fault are left out.

    Args:
        files: Paths of WAV files.
        training: `(n,)` booleans; the length is chosen by these.
        problems: Takes what is wrong, and what was changed.
        rate: Samples a second; the most frequent one by default, at most 16,000.
        seconds: Length of the input; by default that of the longest but 5 %.
        rule: What full scale is, see `sound_values`; by default what the training
            sounds say.
        max_bytes: A file with more bytes of samples is at fault.

    Returns:
        `(kept, samples)` int16, the input that reads them, `(n,)` booleans that say
        which were kept, and the rule.

    Raises:
        ValueError: They take too much memory, or none is left.
    """
    looks: list[Sound | None] = []
    for file in files:
        try:
            looks.append(look_at_sound(file, max_bytes))
        except ValueError as error:
            problems.bad(file, str(error))
            looks.append(None)
    good = np.array([look is not None for look in looks], bool)
    # With a stored rule these may be other sounds, to test on alone.
    if not (good & (training | (rule is not None))).any():
        raise ValueError(
            "Sounds that can be read must be left to train on. "
            f"Received: {len(files)} files, none in training"
        )
    if rate is None:
        rates = collections.Counter(look.rate for look in looks if look)
        rate = min(rates.most_common(1)[0][0], _RATE)
    lengths = np.array([look.seconds if look else 0.0 for look in looks])
    if rule is None:
        trained = [look for look, t in zip(looks, training, strict=True) if look and t]
        rule = sound_values.decide(trained, problems)
    sound_values.note([look for look in looks if look], rule, problems)
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
    kept = good.copy()
    for row, i in zip(out, np.flatnonzero(good), strict=True):
        file = files[int(i)]
        try:
            x = read_sound(file, rate, seconds, problems.note, rule, max_bytes)
        except ValueError as error:  # it has changed, or is of another scale
            problems.bad(file, str(error))
            kept[i] = False
        else:
            row[: len(x)] = x
    problems.note(
        f"sounds longer than {seconds:g} s, cut off", int((lengths > seconds).sum())
    )
    whole = kept[good]
    return out if whole.all() else out[whole], encoder, kept, rule
