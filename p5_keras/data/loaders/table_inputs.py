"""The columns that targets are told from, as inputs of a model."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from p5_keras.data.importers.table.reading import Reading
from p5_keras.data.loaders import table_columns
from p5_keras.data.loaders.table_file import Table as TableFile
from p5_keras.data.records import Problems
from p5_keras.inputs import Input, Table, Text

#: Shortest and longest text in tokens, and the share of texts that are not cut off.
_LENGTHS, _WHOLE = (8, 256), 0.95
#: Of so many rows an input that counts them does so by no chance.
_MANY = 10

Raw = dict[str, np.ndarray]


def prose(
    table: TableFile, known: Reading, classes: Sequence[str], texts: Sequence[str]
) -> list[str]:
    """Returns which inputs are read word by word.

    Args:
        table: The table.
        known: How it is read.
        classes: Columns that are classes whatever they look like.
        texts: Columns that are text whatever they look like.
    """
    if known.inputs:
        read = [e.column for e in known.inputs.values() if isinstance(e, Text)]
        return read
    return [
        name
        for name in known.roles.inputs
        if name in texts
        or (
            known.rules[name].form == "text"
            and name not in classes
            and table_columns.is_prose(table.columns[name])
        )
    ]


def make(
    values: Raw,
    known: Reading,
    classes: Sequence[str],
    numbers: Sequence[str],
    texts: Sequence[str],
    training: np.ndarray,
    problems: Problems,
) -> tuple[Raw, dict[str, Input]]:
    """Returns raw values by column, and what makes the model's inputs of them.

    Args:
        values: The values of each column, without faults.
        known: How they were read.
        classes: Columns that are classes whatever they look like.
        numbers: Columns that are numbers whatever they look like.
        texts: Columns that are text.
        training: `(n,)` booleans.
        problems: Takes notes of what is left out.

    Returns:
        Both are empty where no column tells anything.
    """
    raw: Raw = {}
    kinds: dict[str, str] = {}
    for name in known.roles.inputs:
        rule, own = known.rules[name], values[name]
        kind: str | None = "number"
        if rule.form == "date" and name not in texts:
            problems.note(
                f"input column {name!r} left out: it holds dates or times; "
                f"classes={name} reads them as categories"
            )
            continue
        if own.dtype.kind != "f":
            as_class, as_text = name in classes, name in texts
            kind = table_columns.raw_input(own, name, as_class, as_text, problems)
        elif (
            len(own) >= _MANY
            and rule.form == "number"
            and name not in numbers
            and table_columns.count_up(own)
        ):
            problems.note(
                f"input column {name!r} left out: it only numbers the rows; to use it, "
                "name it in `numbers`"
            )
            continue
        if kind is not None:
            kinds[name], raw[name] = kind, own
    seen = {name: own[training] for name, own in raw.items()}
    encoders: dict[str, Input] = {}
    plain = {name: kind for name, kind in kinds.items() if kind != "text"}
    if plain:
        made = Table(plain)
        made.adapt(seen)
        learned = made.learned or {}
        for name, found in learned.items():
            if found == {"missing": False}:
                problems.note(
                    f"input column {name!r} left out: one value in all training rows"
                )
                del raw[name], plain[name]
        if plain:
            encoders["table"] = Table(plain, {name: learned[name] for name in plain})
    written = [name for name, kind in kinds.items() if kind == "text"]
    for column in written:
        suffix = re.sub(r"[^A-Za-z0-9]", "_", column)
        made_of = text(column, seen[column])
        encoders["text" if len(written) == 1 else f"text_{suffix}"] = made_of
    _note_unknown(raw, encoders, problems)
    return raw, encoders


def stored(
    values: Raw, encoders: Mapping[str, Input], problems: Problems
) -> tuple[Raw, dict[str, Input]]:
    """Returns raw values by column for inputs that were made before; see `make`."""
    raw = {n: values[n] for e in encoders.values() for n in e.specs() if n in values}
    _note_unknown(raw, encoders, problems)
    return raw, dict(encoders)


def _note_unknown(raw: Raw, encoders: Mapping[str, Input], problems: Problems) -> None:
    """Notes categories that training has not seen, and texts that are cut off."""
    for one in encoders.values():
        if isinstance(one, Text):
            note_cut_off(raw[one.column], one, problems)
        elif isinstance(one, Table):
            for name, own in (one.learned or {}).items():
                if "categories" in own:
                    known = np.isin(raw[name], ["", *own["categories"]])
                    problems.note(
                        f"values of input column {name!r} that no training row has",
                        int((~known).sum()),
                    )


def text(column: str, texts: np.ndarray) -> Text:
    """Returns a text input that suits some texts, adapted to them.

    Texts of single long words, such as formulas, and of scripts without spaces between
    words are read by character.

    Args:
        column: Their column.
        texts: Those of the training examples.
    """
    words = np.array([len(t.split()) for t in texts])
    single = words.mean() < 1.5 and np.mean([len(t) for t in texts]) > 8
    single = bool(single or table_columns.is_unspaced(texts))
    split = "character" if single else "whitespace"
    counts = np.array([len(t) for t in texts]) if single else words
    length = 8 * -(-int(np.quantile(counts, _WHOLE)) // 8)
    length = int(np.clip(length, *_LENGTHS))
    standard = "none" if single else "lower_and_strip_punctuation"
    made = Text(column, length, split=split, standardize=standard)
    made.adapt({column: texts})
    return made


def note_cut_off(texts: np.ndarray, encoder: Text, problems: Problems) -> None:
    """Notes how many texts are longer than what is read of them."""
    problems.note(
        f"texts of {encoder.column!r} longer than {encoder.length}, cut off",
        sum(_tokens(value, encoder) > encoder.length for value in texts),
    )


def _tokens(value: str, encoder: Text) -> int:
    return len(value) if encoder.split == "character" else len(value.split())
