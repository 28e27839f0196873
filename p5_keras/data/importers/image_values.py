"""How pixel values of images become bytes: one rule, decided by the training images.

Most images hold bytes and need no rule. Others hold 16 bits of which a camera fills
12, counts, or floats in whatever unit; and some hold their drawing in the alpha
channel. What is black and what is white in them only the whole set can say, and
another image must later be read in the same way, so the rule is data:

    {"ranges": {"uint16": [0, 4095]}, "background": 255}
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from p5_keras.data.records import Problems

Rule = Mapping[str, Any]

#: Kinds of numbers that are no bytes, and how people call them.
WIDE = {"uint16": "16-bit", "int32": "32-bit whole", "float32": "float"}

#: How images were read before there was a rule: alpha was dropped.
EARLIER: Rule = {
    "ranges": {"uint16": [0, 65535], "int32": [0, 65535], "float32": [0, 255]},
    "background": None,
}

#: Grey levels that transparency can be laid on, the likeliest first.
BACKGROUNDS = {"white": 255, "black": 0, "grey": 128}

#: Values of an image from its darkest to its brightest that count as one colour.
FLAT = 2

# Share of an image's pixels that may be hot or dead, and of images that may be odd,
# which are as many times as bright as the median image.
_HOT, _ODD, _FAR = 0.001, 0.1, 8
# Pixels of an image that are measured, and that are converted at once.
_LOOKED_AT = 1_000_000
# Ranges of the values between them and one that stands for no measurement.
_FILL = 4


#: What a user can decide.
OPTIONS = ("image_range", "image_background", "max_pixels")


def told(options: dict[str, str]) -> dict[str, Any]:
    """Takes what a user decided out of the options of a data set.

    Args:
        options: Texts by name; those of `OPTIONS` are removed.

    Returns:
        The keys of a rule that are decided.

    Raises:
        ValueError: An option has no such value.
    """
    rule: dict[str, Any] = {}
    if text := options.pop("image_range", ""):
        try:
            low, high = (float(part) for part in text.split(","))
        except ValueError:
            low = high = math.nan
        if not low < high:
            raise ValueError(
                "`image_range` must be two numbers, those of black and of white, the "
                f"lower one first. Received: image_range={text}"
            )
        rule["ranges"] = {kind: [low, high] for kind in ("uint8", *WIDE)}
    if text := options.pop("image_background", ""):
        if text not in BACKGROUNDS:
            raise ValueError(
                f"`image_background` must be one of {', '.join(BACKGROUNDS)}. "
                f"Received: image_background={text!r}"
            )
        rule["background"] = BACKGROUNDS[text]
    if text := options.pop("max_pixels", ""):
        if not text.isdecimal() or int(text) < 1:
            raise ValueError(
                "`max_pixels` must be a whole number above 0, of pixels in an image. "
                f"Received: max_pixels={text!r}"
            )
        rule["max_pixels"] = int(text)
    return rule


@dataclass(frozen=True)
class Values:
    """What is known of an image's values.

    Attributes:
        kind: One of `WIDE`, or "uint8".
        low: Smallest value, but for a thousandth of the pixels where `kind` is wide.
        high: Largest value, likewise.
        top: Largest value of all.
        contrasts: Where pixels are transparent, the contrast of the image on each of
            `BACKGROUNDS`.
    """

    kind: str = "uint8"
    low: float = 0.0
    high: float = 255.0
    top: float = 255.0
    contrasts: tuple[float, ...] = ()

    @property
    def special(self) -> bool:
        """Whether a rule is needed to read it."""
        return self.kind != "uint8" or bool(self.contrasts)


def measure(pixels: np.ndarray, alpha: np.ndarray | None = None) -> Values:
    """Measures an image.

    Args:
        pixels: `(height, width, channels)` of one of `WIDE`, or uint8.
        alpha: `(height, width)` whole numbers, the largest of their type where it is
            opaque, or `None` if nothing is transparent. Of a large image some pixels
            are looked at.

    Raises:
        ValueError: It holds no finite number.
    """
    kind, contrasts = str(pixels.dtype), tuple[float, ...]()
    step = max(1, math.isqrt(pixels.shape[0] * pixels.shape[1] // _LOOKED_AT))
    pixels = pixels[::step, ::step]
    if alpha is not None:
        alpha = _opacity(alpha[::step, ::step])
        # In the image's own range: the set's is not known yet.
        lowest, highest = float(np.nanmin(pixels)), float(np.nanmax(pixels))
        scaled = pixels.astype("float32").mean(axis=-1)
        if kind != "uint8":
            scaled = (scaled - lowest) / max(highest - lowest, 1e-12) * 255
        contrasts = tuple(
            round(float(np.std(scaled * alpha + ground * (1 - alpha))), 3)
            for ground in BACKGROUNDS.values()
        )
    if kind == "uint8":
        low, high = span(pixels)
        return Values(kind, low, high, high, contrasts)
    finite = pixels[np.isfinite(pixels)] if kind == "float32" else pixels.ravel()
    if not finite.size:
        raise ValueError("it holds no number at all")
    finite = _without_fill(_without_fill(finite, -1), 1)
    low, high = (float(v) for v in np.quantile(finite, [_HOT, 1 - _HOT]))
    top = float(finite.max())
    return Values(kind, low, high if high > low else top, top, contrasts)


def _opacity(alpha: np.ndarray) -> np.ndarray:
    """Returns whole numbers as shares of the largest of their type."""
    return alpha.astype("float32") / np.iinfo(alpha.dtype).max


def _without_fill(values: np.ndarray, end: int) -> np.ndarray:
    """Leaves out a value such as -9999 or 65535 that stands for no measurement.

    It is the lowest or the highest, and far away from all others.

    Args:
        values: The values of an image.
        end: -1 for the lowest value, 1 for the highest.
    """
    fill = values.min() if end < 0 else values.max()
    others = values[values != fill].astype("float64")
    if others.size < 16:
        return values
    low, high = others.min(), others.max()
    gap = low - float(fill) if end < 0 else float(fill) - high
    apart = gap > _FILL * (high - low) > 0 and len(np.unique(others[:1000])) > 8
    return others if apart else values


def span(pixels: np.ndarray) -> tuple[float, float]:
    """Returns smallest and largest byte, of some pixels where these differ."""
    step = max(1, min(pixels.shape[:2]) // 64)
    some = pixels[::step, ::step]
    if step > 1 and some.max() - some.min() <= FLAT:
        some = pixels
    return float(some.min()), float(some.max())


def decide(found: Sequence[Values], problems: Problems, told: Rule) -> dict[str, Any]:
    """Decides how the images of a set are read.

    Whole numbers from 0 range to the next power of two; floats to 1 or 255 where they
    fill it; others over what they hold. Transparency is laid on white, unless that
    hides images.

    Args:
        found: What the training images hold.
        problems: Takes what was decided.
        told: What the user decided, with the keys of a rule.

    Returns:
        The rule, as JSON can hold it.
    """
    rule: dict[str, Any] = {"ranges": {}}
    for kind in WIDE:
        values = [v for v in found if v.kind == kind]
        if not values:
            continue
        rule["ranges"][kind] = _range(values, kind)
        if "ranges" not in told:
            low, high = rule["ranges"][kind]
            problems.guess(
                f"images of {WIDE[kind]} numbers: {low:g} is black, {high:g} white",
                "--dataset_options=image_range=LOW,HIGH",
            )
    contrasts = np.array([v.contrasts for v in found if v.contrasts])
    if len(contrasts):
        hidden = (contrasts < 0.2 * contrasts.max(axis=1, keepdims=True)).sum(axis=0)
        names = list(BACKGROUNDS)
        name = names[int(np.argmin(hidden))]
        rule["background"] = BACKGROUNDS[name]
        if "background" not in told:
            problems.guess(
                f"images with transparency: laid on {name}",
                "--dataset_options=image_background=" + "|".join(names),
            )
    return {**rule, **told}


def apply(pixels: np.ndarray, alpha: np.ndarray | None, rule: Rule) -> np.ndarray:
    """Brings an image to bytes.

    Args:
        pixels: As in `measure`.
        alpha: As in `measure`.
        rule: What `decide` returned.

    Returns:
        `(height, width, channels)` uint8, brought there some rows at a time: floats of
        a large image take more memory than there may be.

    Raises:
        ValueError: The rule does not say what black and white are in such an image.
    """
    kind = str(pixels.dtype)
    ends = rule.get("ranges", {}).get(kind)
    if ends is None and kind == "uint16" and pixels.max() >= 2**15:
        ends = (0, 2**16 - 1)  # it fills the range of its format
    if ends is None and kind != "uint8":
        raise ValueError(
            f"it holds {WIDE[kind]} numbers, as no image of the training did, so what "
            "is black and white in it is not known; save it with 8 bits"
        )
    out = np.empty(pixels.shape, "uint8")
    rows = max(1, _LOOKED_AT // pixels.shape[1])
    for start in range(0, len(pixels), rows):
        part = slice(start, start + rows)
        values = pixels[part].astype("float32")
        if ends is not None:
            low, high = ends
            values = (values - low) * (255 / (high - low))
            values = np.nan_to_num(np.clip(values, 0, 255), nan=0.0)
        ground = rule.get("background", BACKGROUNDS["white"])
        if alpha is not None and ground is not None:
            opacity = _opacity(alpha[part])[..., None]
            values = values * opacity + ground * (1 - opacity)
        out[part] = np.rint(values)
    return out


def note(shown: Sequence[Values], problems: Problems, rule: Rule) -> None:
    """Notes images in which there is little or nothing to see.

    Args:
        shown: The bytes that the images became.
        problems: Takes the notes.
        rule: How they were read.
    """
    if not shown:
        return
    flat = sum(v.high - v.low <= FLAT for v in shown)
    share = flat / len(shown)
    problems.note(
        "images of one colour, or nearly",
        flat,
        "high" if share > 0.5 else "medium" if share > 0.05 else "low",
    )
    low, high = min(v.low for v in shown), max(v.high for v in shown)
    if FLAT < high - low < 32 and "uint8" not in rule.get("ranges", {}):
        problems.note(
            f"all images lie between the values {low:g} and {high:g} of 0 to 255; "
            f"--dataset_options=image_range={low:g},{high:g} makes these black and "
            "white",
            severity="high",
        )


def beyond(found: Sequence[Values], rule: Rule) -> int:
    """Returns how many images reach past the range by more than a tenth of it."""
    count = 0
    for values in found:
        if ends := rule.get("ranges", {}).get(values.kind):
            slack = 0.1 * (ends[1] - ends[0])
            count += values.high > ends[1] + slack or values.low < ends[0] - slack
    return count


def _range(values: Sequence[Values], kind: str) -> list[float]:
    usual = float(np.median([v.high for v in values]))
    kept = [v for v in values if v.high <= _FAR * usual]
    if len(kept) >= (1 - _ODD) * len(values):
        values = kept  # without a few that would turn all others black
    low, high, top = (
        min(v.low for v in values),
        max(v.high for v in values),
        max(v.top for v in values),
    )
    top = top if top <= 2 * high else high  # else single hot pixels
    if top <= low:
        return [low, low + 1]
    if low < 0 or low > top / 2:
        full = kind == "float32" and -1 <= low < -0.25 and top <= 1
        return [-1.0, 1.0] if full else [low, top]
    if kind != "float32":
        return [0, 2 ** max(1, math.ceil(math.log2(top + 1))) - 1]
    for end in (1.0, 255.0):
        if end / 4 < top <= end:
            return [0.0, end]
    return [0.0, top]
