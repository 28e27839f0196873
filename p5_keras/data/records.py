"""A data set as records: labels in columns, pictures still in their files."""

import collections
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from p5_keras.inputs import Input
from p5_keras.values import unknown

KINDS = ("class", "labels", "number", "tags", "boxes", "mask")

#: How much a note matters, worst last. All but "info" are worth a look: "low" may be
#: meant, "medium" makes a result worse, "high" makes it wrong.
SEVERITIES = ("info", "low", "medium", "high")


@dataclass(frozen=True)
class Field:
    """What a column of labels holds, from which the kind of its task follows.

    The column of each kind, for n examples:

    - "class": int64 `(n,)`, negative where missing.
    - "labels": several that may be true at once, float32 `(n, classes)` of 0 and 1,
      NaN where missing.
    - "number": float32 `(n,)` or `(n, size)`, NaN where missing.
    - "tags": a class for each token, int64 `(n, length)`, negative where none.
    - "boxes": a list with, for each example, `None` where missing, or `(boxes, ids)`:
      float32 `(m, 4)` as y1, x1, y2, x2 in 0..1, and int64 `(m,)`.
    - "mask": a list of paths of one-channel pictures of the example's size, "" where
      missing.

    Attributes:
        kind: One of `KINDS`.
        class_names: Names of the classes, for all kinds but "number".
        values: For "mask", the pixel value of each class; a pixel of any other value
            has no label. If left out, value i is class i.
        encoding: For "mask": "exact"; "nearest", where each pixel is of the class whose
            value is nearest; or "colours", where values are 0xRRGGBB.
    """

    kind: str
    class_names: tuple[str, ...] = ()
    values: tuple[int, ...] = ()
    encoding: str = "exact"


class Problems:
    """What is wrong with a data set: raised at once, or skipped and counted.

    Args:
        on_bad_example: "raise" or "skip".
    """

    def __init__(self, on_bad_example: str = "raise") -> None:
        if on_bad_example not in ("raise", "skip"):
            raise ValueError(
                "`on_bad_example` must be 'raise' or 'skip'. "
                f"Received: on_bad_example={on_bad_example!r}"
            )
        self.on_bad_example = on_bad_example
        #: `(file, reason)` of every example that was left out.
        self.dropped: list[tuple[str, str]] = []
        #: How often each thing was noted, by its description.
        self.notes: collections.Counter[str] = collections.Counter()
        #: The severity of each note that is worth a look.
        self.severities: dict[str, str] = {}
        #: What was decided by a guess, and the option that decides it.
        self.guesses: dict[str, str] = {}

    def bad(self, file: Any, reason: str) -> None:
        """Reports an example that cannot be used; the caller leaves it out.

        Args:
            file: The file that is at fault, with a line or an id where it helps.
            reason: What is wrong with it, as in "it is empty".

        Raises:
            ValueError: Bad examples are not to be skipped.
        """
        if self.on_bad_example == "raise":
            raise ValueError(
                f"{file}: {reason}. Put it right, or leave such examples out with "
                "--on_bad_example=skip"
            )
        self.dropped.append((str(file), reason))

    def note(self, what: str, count: int = 1, severity: str = "info") -> None:
        """Counts what was put right, or found, without losing an example.

        Args:
            what: One line on it, with the option that decides it if there is one.
            count: How often it was found; nothing is noted of 0.
            severity: One of `SEVERITIES`. All but "info" are listed as worth a look.
        """
        rank = SEVERITIES.index(severity)
        if what and count:
            self.notes[what] += count
            if rank > SEVERITIES.index(self.severities.get(what, "info")):
                self.severities[what] = severity

    def guess(self, what: str, option: str = "") -> None:
        """Keeps what was decided by a guess, to be shown once.

        Args:
            what: What was decided, in a few words: "'y': classes".
            option: What decides it in place of the guess: "kind.y=regression".
        """
        self.guesses[what] = option

    def findings(self) -> list[tuple[str, str, int]]:
        """Returns what is worth a look, worst first: severity, description, count."""
        found = [(s, what, self.notes[what]) for what, s in self.severities.items()]
        return sorted(found, key=lambda item: -SEVERITIES.index(item[0]))


@dataclass(frozen=True)
class Records:
    """A data set as records.

    Attributes:
        name: Name of the set, for tables and file names.
        splits: `(n,)` strings: "train", "validation" or "test".
        fields: What each column of labels holds.
        columns: The labels by field, as `Field` describes them.
        images: `(n,)` strings, the path of each picture, or `None` for tables.
        inputs: Without pictures, raw values `(n, ...)` by column; else `None`.
        encoders: What a model's inputs make of these, by name; they have seen the
            training examples.
        names: `(n,)` strings, the file that each example came from, as the user knows
            it; `None` for rows of a table without files.
        aside: Columns of a table that are neither inputs nor labels, as strings, "" if
            missing.
        groups: `(n,)`, the group of each example; one that is in several splits or
            folds would tell of itself. `None` where each is by itself.
        sides: For each example `(height, width)` that its boxes or masks were drawn
            on, `(n, 2)` with 0 where unknown; a picture that its EXIF data turn is
            turned only if that agrees. `None` turns all.
        shapes: What `inspect` finds of each picture, `(n, 4)` whole numbers: height
            and width when upright, channels (1 if grey, else 3), and the EXIF
            orientation that is still to be undone, 1 for none. `None` before.
        stamps: Time and size of the files that training reads, `(n, 2)` each, for
            "image" and each mask, as `inspect` found them.
        reading: How the set is read, by what was decided on the training data, as JSON
            can hold it: "fields", the labels; "encoders", the inputs; "images" and
            "sounds", what values mean; "channels"; "splits", the rule that cut them;
            and what else a loader decides. Who decides a thing looks for it here first,
            and else puts it here; so it is the rule for other data.
        problems: What was wrong with the set.
    """

    name: str
    splits: np.ndarray
    fields: dict[str, Field]
    columns: dict[str, Any]
    images: np.ndarray | None = None
    inputs: dict[str, np.ndarray] | None = None
    encoders: Mapping[str, Input] = field(default_factory=dict)
    names: np.ndarray | None = None
    aside: Mapping[str, np.ndarray] = field(default_factory=dict)
    groups: np.ndarray | None = None
    sides: np.ndarray | None = None
    shapes: np.ndarray | None = None
    stamps: Mapping[str, np.ndarray] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)

    def __len__(self) -> int:
        """Returns the number of examples."""
        return len(self.splits)

    def take(self, rows: np.ndarray) -> "Records":
        """Returns some of the examples, by their numbers or by a mask of booleans."""
        rows = np.arange(len(self))[rows]

        def some(column: Any) -> Any:
            if isinstance(column, list):
                return [column[i] for i in rows]
            return None if column is None else column[rows]

        return replace(
            self,
            splits=self.splits[rows],
            columns={name: some(column) for name, column in self.columns.items()},
            images=some(self.images),
            inputs=self.inputs and {n: some(c) for n, c in self.inputs.items()},
            names=some(self.names),
            aside={name: some(column) for name, column in self.aside.items()},
            groups=some(self.groups),
            sides=some(self.sides),
            shapes=some(self.shapes),
            stamps={name: some(column) for name, column in self.stamps.items()},
        )

    def only(self, name: str, classes: Sequence[str]) -> "Records":
        """Returns the examples of some classes, which are numbered in their order.

        Args:
            name: A field of kind "class".
            classes: Names of some of its classes.

        Raises:
            ValueError: There is no such class.
        """
        known = self.fields[name].class_names
        for wanted in classes:
            if wanted not in known:
                raise ValueError(unknown(f"class of {name!r}", wanted, known))
        places = [classes.index(c) if c in classes else -1 for c in known]
        column = np.array([*places, -1])[self.columns[name]]  # -1 stays -1
        found = replace(
            self,
            fields={**self.fields, name: Field("class", tuple(classes))},
            columns={**self.columns, name: column},
        )
        return found.take(column >= 0)


def tag_column(
    tags: Sequence[Sequence[str]],
    length: int,
    training: Sequence[Sequence[str]] | None = None,
) -> tuple[tuple[str, ...], np.ndarray]:
    """Makes a column of kind "tags".

    Args:
        tags: The tags of each example's tokens.
        length: Number of tokens that are kept.
        training: The tags that are known; those of all examples if left out. Others
            are mistakes whatever is predicted, so they stand behind these.

    Returns:
        The names, "O" first, and `(n, length)` int64, −1 where there is no token.
    """
    first = sorted({tag for own in training or tags for tag in own} - {"O"})
    rest = sorted({tag for own in tags for tag in own} - {"O", *first})
    names = ("O", *first, *rest)
    place = {name: i for i, name in enumerate(names)}
    column = np.full((len(tags), length), -1, "int64")
    for i, own in enumerate(tags):
        ids = [place[tag] for tag in own[:length]]
        column[i, : len(ids)] = ids
    return names, column


def text_column(
    texts: Sequence[Sequence[str]],
    length: int | None = None,
    alphabet: Sequence[str] | None = None,
) -> tuple[tuple[str, ...], np.ndarray]:
    """Makes labels of texts, as `Transcription` and `Seq2Seq` take them.

    Args:
        texts: Strings, whose symbols are characters, or lists of words; empty where the
            label is missing.
        length: Most symbols of a text; that of the longest if left out.
        alphabet: The symbols in order; all that there are, sorted, if left out.

    Returns:
        The symbols, and `(n, length)` int64 ids, −1 behind the end.

    Raises:
        ValueError: A text has another symbol or is longer.
    """
    names = tuple(alphabet or sorted({symbol for text in texts for symbol in text}))
    place = {name: i for i, name in enumerate(names)}
    column = np.full((len(texts), length or max(map(len, texts))), -1, "int64")
    for i, text in enumerate(texts):
        strange = next((f"with {x!r}" for x in text if x not in place), "")
        if strange or len(text) > column.shape[1]:
            raise ValueError(
                f"Texts must be of the `alphabet`, and of at most {column.shape[1]} "
                f"symbols. Received: {text!r}, {strange or f'of {len(text)}'}"
            )
        column[i, : len(text)] = [place[symbol] for symbol in text]
    return names, column


def split_examples(
    names: Sequence[str],
    given: Sequence[str] | None = None,
    strata: Sequence[Any] | None = None,
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
    problems: Problems | None = None,
) -> np.ndarray:
    """Completes the splits of a data set, the same way every time.

    A set without any split is cut by `ratios`. One without a validation split gets it
    from its training examples; one with validation and no test examples uses these as
    test examples, and gets validation from training. The order in which examples are
    dealt out is that of a hash of their names, so it depends on nothing else.

    Args:
        names: A name for each example, such as its path within the set.
        given: "train", "validation" or "test" for each, or `None`.
        strata: A class for each example; each class is cut in the same ratios.
        ratios: Shares of training, validation and test examples.
        problems: Keeps what was cut.

    Returns:
        `(n,)` strings: "train", "validation" or "test".

    Raises:
        ValueError: The ratios are no shares, or a split would be empty.
    """
    out = np.array(given if given is not None else ["train"] * len(names), dtype="U16")
    wanted, as_test = missing_splits(out, ratios, problems)
    if as_test:
        out[out == "validation"] = "test"
    rows = [i for i, split in enumerate(out) if split == "train"]
    classes = ["" if strata is None else str(strata[i]) for i in range(len(names))]
    order = sorted(
        rows, key=lambda i: hashlib.sha256(str(names[i]).encode()).hexdigest()
    )
    if wanted:
        # Dealing out class by class from one hashed order keeps classes in proportion.
        order = sorted(order, key=lambda i: classes[i])
        place = np.argsort(np.arange(len(order)) * _GOLDEN % 1.0)
        start = 0
        for split, share in wanted.items():
            end = start + max(1, round(share * len(order)))
            out[np.array(order, int)[place[start:end]]] = split
            start = end
    for split in ("train", "validation", "test"):
        if not (out == split).any():
            raise ValueError(
                f"Every split must have an example. Received: {len(names)} examples, "
                f"none for {split!r}"
            )
    return out


def missing_splits(
    given: np.ndarray,
    ratios: tuple[float, float, float],
    problems: Problems | None = None,
) -> tuple[dict[str, float], bool]:
    """Decides which splits are to be cut from the training examples.

    Args:
        given: "train", "validation" or "test" for each example.
        ratios: Shares of training, validation and test examples.
        problems: Keeps what is decided.

    Returns:
        The share of the training examples for each split that is to be cut, and
        whether validation examples serve as test examples.

    Raises:
        ValueError: The ratios are no shares.
    """
    if len(ratios) != 3 or min(ratios) <= 0 or abs(sum(ratios) - 1) > 1e-6:
        raise ValueError(
            "`split` must be three shares above 0 that add up to 1, of training, "
            f"validation and test examples. Received: split={ratios}"
        )
    has = {split: bool((given == split).any()) for split in ("validation", "test")}
    wanted: dict[str, float] = {}
    if not has["validation"] and not has["test"]:
        wanted = {"validation": ratios[1], "test": ratios[2]}
    elif not has["test"] or not has["validation"]:
        wanted = {"validation": ratios[1] / (ratios[0] + ratios[1])}
    as_test = has["validation"] and not has["test"]
    if problems is not None and as_test:
        problems.guess("splits: validation examples are the test, for it has none")
    if problems is not None and wanted:
        shares = [f"{100 * share:.3g} % {split}" for split, share in wanted.items()]
        problems.guess(_CUT + " and ".join(shares), "--dataset_options=split=A,B,C")
    return wanted, as_test


# Multiples of the golden ratio fall evenly into 0..1, so that every run of examples,
# and with it every class, is cut in the wanted shares.
_GOLDEN = (5**0.5 - 1) / 2

# What is kept of splits that were cut, before the shares.
_CUT = "splits: cut from the training examples by a hash of their names, "


def has_cut_test(problems: Problems) -> bool:
    """Returns whether test examples were drawn from the training examples."""
    return any(w.startswith(_CUT) and " test" in w for w in problems.guesses)
