"""How samples become 16-bit numbers: one rule, decided by the training sounds.

Samples are shares of full scale, which the format says for whole numbers and which is
1 for floats. Some tools write floats up to 32768, or 24 bits into the lower part of 32;
then the set says what full scale is, and another sound is later read in the same way:

    {"gains": {"float": 32768.0}}
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from p5_keras.data.records import Problems

Rule = Mapping[str, Any]

#: How sounds were read before there was a rule: what is beyond full scale is cut off.
EARLIER: Rule = {"gains": {"float": 1.0}}

# Peaks, as shares of full scale, between which floats and 32 bits are as they should
# be; from which a sample is at full scale; and below which there is nearly nothing.
_LOW, _HIGH, _FULL, _QUIET = 1 / 64, 1.5, 0.999, 1e-3
# Share of samples at full scale that music may have, and of sounds that may be odd.
_LOUD, _ODD = 0.01, 0.1
# Multiple of its standard deviation from which a sound's mean is odd.
_CONSTANT = 10.0


@dataclass(frozen=True)
class Sound:
    """What is known of a sound.

    Attributes:
        rate: Samples a second.
        seconds: Its length.
        kind: "uint8", "int16", "int32" or "float".
        peak: Largest sample, as a share of full scale.
        loud: Share of the samples that are at the peak, if that is full scale or more.
        offset: The mean sample, as a multiple of their standard deviation.
    """

    rate: int
    seconds: float
    kind: str
    peak: float
    loud: float
    offset: float


def measure(rate: int, samples: np.ndarray, kind: str) -> Sound:
    """Measures a sound.

    Args:
        rate: Samples a second.
        samples: Shares of full scale, `(samples,)` or with channels.
        kind: As in `Sound`.
    """
    size = np.abs(samples)
    peak = float(size.max())
    loud = float((size >= _FULL * peak).mean()) if peak >= _FULL else 0.0
    mean, spread = abs(float(samples.mean())), float(samples.std())
    offset = mean / max(spread, 1e-9) if mean else 0.0
    return Sound(rate, len(samples) / rate, kind, peak, loud, offset)


def decide(sounds: Sequence[Sound], problems: Problems) -> dict[str, Any]:
    """Decides what full scale is.

    Args:
        sounds: The training sounds.
        problems: Takes what was decided.

    Returns:
        The rule, as JSON can hold it.
    """
    gains = {}
    for kind in ("float", "int32"):
        peaks = np.array([s.peak for s in sounds if s.kind == kind and s.peak > 0])
        if not len(peaks):
            continue
        usual = peaks <= 8 * np.median(peaks)
        if usual.mean() >= 1 - _ODD:
            peaks = peaks[usual]  # without a few that would silence all others
        top = float(peaks.max())
        if _LOW <= top <= _HIGH:
            continue
        gains[kind] = 2.0 ** math.ceil(math.log2(top))
        full = gains[kind] * (1 if kind == "float" else 2**31)
        problems.guess(f"sounds of {kind} samples: {full:g} is full scale")
    return {"gains": gains}


def apply(samples: np.ndarray, kind: str, rule: Rule) -> np.ndarray:
    """Brings samples to shares of the set's full scale.

    Args:
        samples: Shares of the format's full scale.
        kind: As in `Sound`.
        rule: What `decide` returned.

    Raises:
        ValueError: Full scale of such a sound is not known.
    """
    gain = rule.get("gains", {}).get(kind)
    if gain is None and kind == "float" and (peak := np.abs(samples).max()) > 8:
        raise ValueError(
            f"it holds floats up to {peak:g}, as no sound of the training did, so what "
            "is full scale in it is not known; save it with 16 bits"
        )
    return samples if gain is None else samples / gain


def mixed(samples: np.ndarray, note: Callable[[str], None]) -> np.ndarray:
    """Makes one channel of several, their mean.

    A silent channel is left out, and where channels cancel one another the loudest one
    is taken.

    Args:
        samples: `(samples, channels)`.
        note: Takes what was done.
    """
    count = samples.shape[1]
    power = np.square(samples).mean(axis=0)
    heard = power > 1e-6 * power.max()
    if count > 1 and not heard.all() and power.max() > 0:
        note("sounds with a silent channel, which is left out")
        samples, power = samples[:, heard], power[heard]
    elif count > 1:
        note(f"sounds with {count} channels, which are averaged")
    mean: np.ndarray = samples.mean(axis=1)
    if np.square(mean).mean() < 0.01 * power.max():
        note("sounds whose channels cancel one another: the loudest one is read")
        mean = samples[:, int(power.argmax())]
    return mean


def note(sounds: Sequence[Sound], rule: Rule, problems: Problems) -> None:
    """Notes sounds in which little can be heard.

    Args:
        sounds: Those that can be read.
        rule: How they are read.
        problems: Takes the notes.

    Raises:
        ValueError: All are silent.
    """
    gains = rule.get("gains", {})
    peaks = np.array([s.peak / gains.get(s.kind, 1) for s in sounds])
    silent = int((peaks == 0).sum())
    if silent == len(sounds):
        raise ValueError(
            f"Sounds must be heard. Received: {silent} sounds, all of them silent"
        )
    cut = sum(
        s.loud > _LOUD and peak >= _FULL for s, peak in zip(sounds, peaks, strict=True)
    )
    for what, count in (
        ("sounds that are silent", silent),
        ("sounds that are nearly silent", int(((peaks > 0) & (peaks < _QUIET)).sum())),
        (
            "sounds that are a constant, or nearly: what is heard is less than a tenth "
            "of how far it lies from 0",
            sum(s.offset > _CONSTANT for s in sounds),
        ),
        ("sounds cut off at full scale, for more than 1 % of their samples", cut),
    ):
        severity = "high" if 2 * count > len(sounds) else "medium"
        problems.note(what, count, severity)
    rates = sorted({s.rate for s in sounds})
    if rates[-1] >= 3 * rates[0]:
        problems.note(
            f"sounds of {rates[0]} to {rates[-1]} samples a second: what is high in "
            "some cannot be in others",
            severity="low",
        )
