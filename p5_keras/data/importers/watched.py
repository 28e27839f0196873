"""Files that change under a run: which it was, in one line, or what is read instead.

What training reads was whole when it was looked at. When it is read, it may be gone,
cut off or another; TensorFlow then says which operation failed, and not which file.
"""

import contextlib
import itertools
import math
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from p5_keras.data.image_file import open_image
from p5_keras.data.records import Field, Problems

_NUMBERS = itertools.count()
_ALL: "weakref.WeakSet[Watched]" = weakref.WeakSet()


def stamp(path: str) -> tuple[int, int]:
    """Returns time and size of a file, which change when it does; (-1, -1) if gone."""
    try:
        found = os.stat(path)
    except OSError:
        return -1, -1
    return found.st_mtime_ns, found.st_size


class Watched:
    """Files as they were when they were looked at.

    Args:
        paths: The files, "" for none.
        stamps: `(n, 2)`, the `stamp` of each.
        sizes: `(n, 2)`, height and width of each as they are stored; `None` for any.
        problems: Takes files that are at fault, or counts them.
    """

    def __init__(
        self,
        paths: Sequence[str],
        stamps: np.ndarray,
        sizes: np.ndarray | None,
        problems: Problems,
    ) -> None:
        self.paths, self.stamps, self.sizes = list(paths), stamps, sizes
        self.problems = problems
        self.lost: dict[str, str] = {}
        self.number = next(_NUMBERS)
        _ALL.add(self)

    def fault(self, i: int) -> str:
        """Returns what is wrong with file i by now, or nothing.

        One that was written anew is read in full: its image must be of the same size.
        """
        path = self.paths[i]
        if not path or stamp(path) == tuple(self.stamps[i]):
            return ""
        try:
            file = open_image(path)
        except ValueError as error:
            return f"{error}, and was whole when it was looked at"
        if self.sizes is None:
            return ""
        height, width = self.sizes[i]
        if (file.image.height, file.image.width) != (height, width):
            return (
                f"it has {file.image.width}x{file.image.height} pixels, and had "
                f"{width}x{height} when it was looked at"
            )
        return ""

    def read(self, i: Any) -> tuple[bytes, bool]:
        """Returns the content of file i and whether it can be used.

        What cannot is reported once, and a small image stands in for it.
        """
        i = int(i)
        path = self.paths[i]
        if not path:
            return b"", True
        reason = self.fault(i)
        if not reason:
            try:
                with open(path, "rb") as file:
                    return file.read(), True
            except OSError as error:
                reason = error.strerror or str(error)
        if path not in self.lost:
            self.lost[path] = reason
            logging.warning(
                "%s: %s; left out, as %d so far", path, reason, len(self.lost)
            )
        return _STAND_IN, False


@contextlib.contextmanager
def named_faults() -> Iterator[None]:
    """Says which file it was, where TensorFlow could not read one.

    Raises:
        ValueError: A file that is watched is not what it was.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if line := first_fault():
            raise ValueError(line) from error
        raise


def first_fault() -> str:
    """Returns a line on the first watched file that is not what it was, or nothing.

    Of several sources the one that was made last comes first. Where bad examples are
    skipped no file is an error.
    """
    for watched in sorted(_ALL, key=lambda w: -w.number):
        if watched.problems.on_bad_example == "skip":
            continue
        for i, path in enumerate(watched.paths):
            if reason := watched.fault(i):
                return (
                    f"{path}: {reason}. Put it back, or leave such examples out with "
                    "--on_bad_example=skip"
                )
    return ""


def fetch(path: tf.Tensor, watched: Watched | None, row: tf.Tensor | None) -> Any:
    """Returns the content of a file, and whether it can be used.

    Args:
        path: The file, "" for none.
        watched: The files that it is one of.
        row: Its number among them. Without one a file that cannot be read is an error,
            and no Python is called.

    Returns:
        Its bytes `()`, those of a small image if it cannot be used, and a boolean `()`.
    """
    if watched is None or row is None:
        nothing = tf.constant("")
        there = tf.strings.length(path) > 0
        content = tf.cond(there, lambda: tf.io.read_file(path), lambda: nothing)
        return content, tf.constant(True)
    content, good = tf.numpy_function(
        watched.read, [row], [tf.string, tf.bool], stateful=True
    )
    return tf.ensure_shape(content, []), tf.ensure_shape(good, [])


def without_labels(
    example: dict[str, Any], fields: Mapping[str, Field], good: tf.Tensor
) -> dict[str, Any]:
    """Returns an example, all its labels missing if its files could not be read.

    Args:
        example: The example, loaded.
        fields: What its labels are.
        good: Whether its files could be read, `()`.
    """
    example = dict(example)
    for name, field in fields.items():
        value = example[name]
        if field.kind == "boxes":
            bbox, label = value["bbox"], value["label"]
            first = tf.range(tf.shape(label)[0]) == 0
            nothing = tf.where(first[:, None], math.nan, tf.zeros_like(bbox))
            none = tf.where(first, tf.zeros_like(label), -1)
            example[name] = {
                "bbox": tf.where(good, bbox, nothing),
                "label": tf.where(good, label, none),
            }
        else:
            missing = {"mask": 255, "class": -1, "tags": -1}.get(field.kind, math.nan)
            example[name] = tf.where(good, value, tf.cast(missing, value.dtype))
    return example


# A PNG of one black pixel.
_STAND_IN = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00"
    b"\x00\x00:~\x9bU\x00\x00\x00\nIDATx\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00"
    b"\x00\x00\x00IEND\xaeB`\x82"
)
