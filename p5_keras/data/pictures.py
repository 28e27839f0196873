"""Every picture of a data set, looked at once before training."""

import collections
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from p5_keras.data.cache import cache_folder, content_key
from p5_keras.data.importers import image_values
from p5_keras.data.importers.watched import stamp
from p5_keras.data.picture_check import (
    Look,
    byte_values,
    convert_picture,
    look_at_mask,
    look_at_picture,
)
from p5_keras.data.records import Field, Records
from p5_keras.data.seen import Seen


@dataclass(frozen=True)
class Summary:
    """What the pictures of a data set are like.

    Attributes:
        formats: Number of pictures by format.
        heights: Smallest, median and largest height when upright, in pixels.
        widths: The same of the widths.
        channels: 1 if all are grey, else 3; 0 without pictures.
        turned: Pictures that their EXIF data turn.
        converted: Pictures and masks that are read from a copy as PNG.
    """

    formats: dict[str, int]
    heights: tuple[int, int, int] = (0, 0, 0)
    widths: tuple[int, int, int] = (0, 0, 0)
    channels: int = 0
    turned: int = 0
    converted: int = 0

    def __str__(self) -> str:
        """Returns one line."""
        if not self.formats:
            return "no pictures"
        formats = ", ".join(f"{n} {kind}" for kind, n in self.formats.items())
        sides = [
            f"{name} {low} / {middle} / {high}"
            for name, (low, middle, high) in (
                ("height", self.heights),
                ("width", self.widths),
            )
        ]
        line = (
            f"{sum(self.formats.values())} {'grey' if self.channels == 1 else 'RGB'} "
            f"pictures ({formats}), {', '.join(sides)} pixels (smallest / median / "
            "largest)"
        )
        line += f", {self.turned} turned by EXIF" if self.turned else ""
        return line + (f", {self.converted} converted" if self.converted else "")


def inspect(
    records: Records,
    cache_dir: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    told: Mapping[str, Any] | None = None,
) -> tuple[Records, Summary]:
    """Reads every picture and mask once; what is at fault goes to `records.problems`.

    At fault are files that are missing, empty, cut off, no pictures, too small, too
    large to be one, or that may not be read; masks with colours or of another size than
    their picture. Pictures and masks that training would not read rightly, such as
    WEBP, TIFF, BMP and masks with palettes, are copied once as PNG; the copies serve
    later runs until the original changes. EXIF data turn a picture unless its labels
    were drawn on it as it is stored. What was whole is not read again by a later run
    unless its file changes.

    Args:
        records: The data set.
        cache_dir: Folder for the copies and for what was found; if left out, `p5_keras`
            in the user's folder for caches.
        workers: Threads, two for each core if left out.
        told: What the user decided of how pixels are read; see `image_values.decide`.

    Returns:
        The records that are left, with `shapes` filled in and the rule that pixels
        were read by as `reading["images"]`, and what they are like.

    Raises:
        ValueError: Something is at fault and is not to be skipped, a split has nothing
            left, or the folder cannot be written.
    """
    if records.images is None:
        return records, Summary({})
    folder = cache_folder(cache_dir) / "pictures"
    folder.mkdir(exist_ok=True)
    masks = {name: f for name, f in records.fields.items() if f.kind == "mask"}
    threads = workers or 2 * (os.cpu_count() or 1)
    # One file for each folder with pictures.
    place = os.path.commonpath([os.path.abspath(path) for path in records.images])
    seen = Seen(folder / f"{content_key(place)}.json")
    known = records.reading.get("images") or told or {}
    judge = _Judge(records, masks, folder, seen, known.get("max_pixels"))
    with ThreadPoolExecutor(threads) as pool:
        # In the order of the records, so that the first fault is always the same one.
        verdicts = pool.map(judge.look, range(len(records)))
        found = [judge.decide(i, *verdict) for i, verdict in enumerate(verdicts)]
        rule = records.reading.get("images")
        if rule is None:
            rule = judge.rule(found, told or {})
        found = judge.converted(found, rule, pool)
    seen.save()
    rows = np.array([row is not None for row in found], bool)
    left = records.take(rows)
    kept = [row for row in found if row is not None]
    lost = sorted(set(records.splits.tolist()) - set(left.splits.tolist()))
    if lost:
        raise ValueError(
            "Every split must keep an example whose pictures can be read. Received: "
            f"none in {lost[0]!r}, {len(records)} examples, left out: "
            f"{len(records) - len(left)}"
        )
    judge.note([row.picture for row in kept], rule)
    columns = left.columns | {n: [row.masks[n].path for row in kept] for n in masks}
    looks = [row.picture for row in kept]
    shapes = np.array(
        [(*row.size, row.picture.channels, row.turn) for row in kept], "int32"
    )
    left = replace(
        left,
        images=np.array([look.path for look in looks]),
        names=left.images if left.names is None else left.names,
        columns=columns,
        fields={name: byte_values(f) for name, f in left.fields.items()},
        shapes=shapes,
        stamps={
            "image": np.array([stamp(look.path) for look in looks], "int64"),
            **{n: np.array([stamp(p) for p in columns[n]], "int64") for n in masks},
        },
        reading={**left.reading, "images": rule},
    )
    formats = collections.Counter(look.kind for look in looks)
    every = [*looks, *(mask for row in kept for mask in row.masks.values())]
    low, middle, high = (
        f(shapes[:, :2], axis=0).astype(int) for f in (np.min, np.median, np.max)
    )
    summary = Summary(
        formats=dict(formats.most_common()),
        heights=(int(low[0]), int(middle[0]), int(high[0])),
        widths=(int(low[1]), int(middle[1]), int(high[1])),
        channels=int(shapes[:, 2].max()),
        turned=int((shapes[:, 3] > 1).sum()),
        converted=sum(look.converted for look in every),
    )
    return left, summary


@dataclass(frozen=True)
class _Row:
    """A picture that can be used, and its masks."""

    picture: Look
    turn: int
    size: tuple[int, int]
    masks: dict[str, Look]


_NO_MASK = Look("", (0, 0), 1, "", 1, True, False)


class _Judge:
    """Looks at examples in threads, and decides about each in turn."""

    def __init__(
        self,
        records: Records,
        masks: dict[str, Field],
        folder: pathlib.Path,
        seen: Seen,
        max_pixels: int | None,
    ) -> None:
        self.records, self.masks, self.folder, self.seen = records, masks, folder, seen
        self.max_pixels = max_pixels
        self.extensions: set[str] = set()
        self.unknown: collections.Counter[tuple[str, int]] = collections.Counter()

    def look(self, i: int) -> tuple[Look | str, dict[str, Look | str]]:
        """Returns what picture and masks of an example are, or why they are not."""
        path = str(self.records.images[i])  # type: ignore[index]
        picture = self._try(look_at_picture, path, self.folder, self.max_pixels)
        found: dict[str, Look | str] = {}
        if isinstance(picture, Look):
            for name, field in self.masks.items():
                mask = str(self.records.columns[name][i])
                found[name] = (
                    self._try(look_at_mask, mask, self.folder, field, self.max_pixels)
                    if mask
                    else _NO_MASK
                )
        return picture, found

    def _try(self, look: Callable[..., Look], path: str, *args: Any) -> Look | str:
        try:
            return self.seen.look(look, path, *args)
        except ValueError as error:
            return str(error)

    def decide(
        self, i: int, picture: Look | str, masks: dict[str, Look | str]
    ) -> _Row | None:
        """Returns an example that can be used, or reports it."""

        def bad(file: str, reason: str) -> None:
            self.records.problems.bad(_printable(file), reason)

        path = str(self.records.images[i])  # type: ignore[index]
        if isinstance(picture, str):
            bad(path, picture)
            return None
        good: dict[str, Look] = {}
        for name, mask in masks.items():
            if isinstance(mask, str):
                bad(self.records.columns[name][i], mask)
                return None
            good[name] = mask
        sides = (0, 0) if self.records.sides is None else self.records.sides[i]
        drawn = (int(sides[0]), int(sides[1]))
        sizes = [mask.size for mask in good.values() if mask.path]
        if min(drawn) > 0:
            sizes = [drawn]
        turn, size = _turned(picture, sizes[0] if sizes else None)
        if min(drawn) > 0 and not _alike(drawn, size):
            bad(
                path,
                f"its labels were drawn on {_pixels(drawn)} pixels, and it has "
                f"{_pixels(size)}",
            )
            return None
        for name, mask in good.items():
            if mask.path and not _alike(mask.size, size):
                bad(
                    self.records.columns[name][i],
                    f"it has {_pixels(mask.size)} pixels, and its picture "
                    f"{_printable(path)} has {_pixels(size)}",
                )
                return None
            self.unknown.update((name, value) for value in mask.unknown)
        if not picture.extension:
            self.extensions.add(path)
        return _Row(picture, turn, size, good)

    def rule(
        self, rows: Sequence[_Row | None], told: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Decides by the training pictures how values become bytes."""
        training = self.records.splits == "train"
        used = [row for row, t in zip(rows, training, strict=True) if row and t]
        found = [row.picture.values for row in used]
        rule = image_values.decide(found, self.records.problems, told)
        count = image_values.beyond(found, rule)
        self.records.problems.note(
            "images that reach past the range of their set by more than a tenth, cut "
            "off there",
            count,
            "medium",
        )
        return rule

    def converted(
        self, rows: Sequence[_Row | None], rule: Mapping[str, Any], pool: Executor
    ) -> list[_Row | None]:
        """Brings pictures to bytes by a rule, where they need one."""
        every = "uint8" in rule.get("ranges", {})
        wanted = [
            i for i, r in enumerate(rows) if r and (every or r.picture.values.special)
        ]

        def convert(i: int) -> Look | str:
            grey = rows[i].picture.channels == 1  # type: ignore[union-attr]
            path = str(self.records.images[i])  # type: ignore[index]
            return self._try(convert_picture, path, self.folder, rule, grey)

        out = list(rows)
        for i, look in zip(wanted, pool.map(convert, wanted), strict=True):
            if isinstance(look, str):
                path = _printable(str(self.records.images[i]))  # type: ignore[index]
                self.records.problems.bad(path, look)
                out[i] = None
            else:
                out[i] = replace(rows[i], picture=look)  # type: ignore[type-var]
        return out

    def note(self, looks: Sequence[Look], rule: Mapping[str, Any]) -> None:
        """Counts what was put right, and pictures without content."""
        problems = self.records.problems
        image_values.note([look.values for look in looks], problems, rule)
        problems.note(
            "pictures whose extension is not that of their format",
            len(self.extensions),
        )
        for (name, value), count in sorted(self.unknown.items()):
            problems.note(
                f"masks of {name!r} with pixels of value {value}, which is no class",
                count,
            )


def _turned(
    picture: Look, drawn: tuple[int, int] | None
) -> tuple[int, tuple[int, int]]:
    """Decides whether EXIF turns a picture; returns how, and its size then."""
    stored, turned = picture.size, picture.size
    if picture.turn >= 5:
        turned = stored[::-1]
    # A square, or one upside down, looks the same either way: it is turned.
    if drawn and not _alike(drawn, turned) and _alike(drawn, stored):
        return 1, stored
    return picture.turn, turned


def _alike(drawn: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether two sizes are the same, or one is the other at another scale."""
    (height, width), (rows, columns) = drawn, size
    # As both are rounded to pixels, they may be half a pixel off.
    return abs(height * columns - width * rows) <= max(height, width, rows, columns)


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _printable(path: str) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode()
