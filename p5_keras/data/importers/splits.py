"""Which split each example is in: by its own name, and by nothing else."""

import hashlib
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from p5_keras.data.records import Problems, missing_splits, split_examples

#: In the order of the places of their examples.
_ORDER = ("test", "validation")


def cut(
    names: Sequence[str],
    given: Sequence[str] | None,
    strata: Sequence[str] | None,
    ratios: tuple[float, float, float],
    problems: Problems,
    reading: Mapping[str, Any] | None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Completes the splits of a data set.

    Each example has a place in 0..1, the hash of its name, and each class has two
    bounds: what is below the first is a test example, what is below the second one of
    validation. The bounds are chosen such that each class is cut in the wanted shares.
    With the stored bounds an example stays in its split whatever comes or goes.

    Args:
        names: A name for each example, such as its path within the set.
        given: "train", "validation" or "test" for each, or `None`; see
            `split_examples` for what is cut then.
        strata: The class of each example, or `None`.
        ratios: Shares of training, validation and test examples.
        problems: Keeps what was cut.
        reading: How a model's data were read; its bounds hold, or else the rule of
            earlier versions. `None` before training.

    Returns:
        `(n,)` strings: "train", "validation" or "test"; and what `reading` holds as
        "splits".

    Raises:
        ValueError: The ratios are no shares, or a split would be empty.
    """
    stored = (reading or {}).get("splits")
    if stored is not None and stored["rule"] == "rank":
        return split_examples(names, given, strata, ratios, problems), dict(stored)
    out = np.array(given if given is not None else ["train"] * len(names), dtype="U16")
    wanted, as_test = missing_splits(out, ratios, problems)
    rule: dict[str, Any] = {"rule": "hash", "wanted": wanted, "as_test": as_test}
    if stored is not None:
        rule = {key: stored[key] for key in rule}
        wanted = rule["wanted"]
    if rule["as_test"]:
        out[out == "validation"] = "test"
    rows = np.flatnonzero(out == "train").tolist()
    places = np.array([place(names[i]) for i in rows])
    classes = np.array(["" if strata is None else str(strata[i]) for i in rows])
    own = {name: places[classes == name] for name in np.unique(classes).tolist()}
    shares = [wanted.get(split, 0.0) for split in _ORDER]
    known = _bounds(own, shares) if stored is None else dict(stored["bounds"])
    nominal = np.cumsum(shares).tolist()
    for name in own:
        first, second = known.get(name, nominal)
        here = np.array(rows)[classes == name]
        out[here[own[name] < second]] = "validation"
        out[here[own[name] < first]] = "test"
    for split in ("train", "validation", "test"):
        if stored is None and not (out == split).any():
            raise ValueError(
                f"Every split must have an example. Received: {len(names)} examples, "
                f"none for {split!r}"
            )
    return out, {**rule, "bounds": known}


def place(name: str) -> float:
    """Returns a number in 0..1 that a name always has, on any file system."""
    # One writes é as two characters, another as one.
    text = unicodedata.normalize("NFC", str(name)).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(text).digest()[:8]) / 2**64


def _bounds(
    places: Mapping[str, np.ndarray], shares: Sequence[float]
) -> dict[str, list[float]]:
    """Returns the bounds of each class that cut it in the wanted shares."""
    counts: dict[str, list[int]] = {}
    for i, (name, own) in enumerate(places.items()):
        # Multiples of the golden ratio fall evenly into 0..1: what is no whole number
        # is rounded up for some classes and down for others.
        turn = (0.5 + i * (5**0.5 - 1) / 2) % 1.0
        upto = [math.floor(len(own) * s + turn + 1e-9) for s in np.cumsum(shares)]
        upto[0] = upto[0] if shares[0] else 0
        counts[name] = [max(0, min(n, len(own) - 1)) for n in upto]
    if counts:  # each wanted split has an example, if there are enough
        first, second = map(sum, zip(*counts.values(), strict=True))
        name = max(places, key=lambda name: len(places[name]))
        low, high = counts[name]
        if shares[0] and not first:
            low, high = low + 1, high + (second == 0)
            first, second = 1, max(second, 1)
        if shares[1] and second == first:
            high += 1
        counts[name] = [low, min(high, len(places[name]))]
    found = {}
    for name, own in places.items():
        edges = [0.0, *np.sort(own).tolist(), 1.0]
        found[name] = [(edges[n] + edges[n + 1]) / 2 for n in counts[name]]
        if not shares[0]:
            found[name][0] = 0.0
    return found
