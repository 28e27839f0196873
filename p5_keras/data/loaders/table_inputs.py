"""The columns that targets are told from, as inputs of a model."""

import re
from collections.abc import Sequence

import numpy as np

from p5_keras.data.loaders import table_columns
from p5_keras.data.loaders.table_file import Table as TableFile
from p5_keras.data.records import Problems
from p5_keras.inputs import Input, Table, Text

#: Shortest and longest text in tokens, and the share of texts that are not cut off.
_LENGTHS, _WHOLE = (8, 256), 0.95

Raw = dict[str, np.ndarray]


def make(
    table: TableFile,
    forms: dict[str, str],
    classes: Sequence[str],
    texts: Sequence[str],
    training: np.ndarray,
    problems: Problems,
    numbering: Sequence[str] = (),
) -> tuple[Raw, dict[str, Input]]:
    """Returns raw values by column, and what makes the model's inputs of them.

    Args:
        table: The table, without faults.
        forms: What the columns hold that are inputs; see `table_columns.form`.
        classes: Columns that are classes whatever they look like.
        texts: Columns that are text.
        training: `(n,)` booleans.
        problems: Takes notes of what is left out.
        numbering: Columns that only number the rows, and are left out.

    Returns:
        Both are empty where no column tells anything.
    """
    raw: Raw = {}
    kinds: dict[str, str] = {}
    for name, form in forms.items():
        if name in numbering:
            problems.note(
                f"input column {name!r} left out: it only numbers the rows; to use it, "
                "name it in `numbers`"
            )
            continue
        found = table_columns.raw_input(
            table.columns[name], form, name, name in classes, name in texts, problems
        )
        if found is not None:
            kinds[name], raw[name] = found
    seen = {name: values[training] for name, values in raw.items()}
    encoders: dict[str, Input] = {}
    plain = {name: kind for name, kind in kinds.items() if kind != "text"}
    if plain:
        made = Table(plain)
        made.adapt(seen)
        learned = made.learned or {}
        for name, own in learned.items():
            if own == {"missing": False}:
                problems.note(
                    f"input column {name!r} left out: one value in all training rows"
                )
                del raw[name], plain[name]
            elif "categories" in own:
                known = np.isin(raw[name], ["", *own["categories"]])
                problems.note(
                    f"values of input column {name!r} that no training row has",
                    int((~known).sum()),
                )
        if plain:
            encoders["table"] = Table(plain, {name: learned[name] for name in plain})
    written = [name for name, kind in kinds.items() if kind == "text"]
    for column in written:
        suffix = re.sub(r"[^A-Za-z0-9]", "_", column)
        made_of = text(column, seen[column])
        encoders["text" if len(written) == 1 else f"text_{suffix}"] = made_of
        note_cut_off(raw[column], made_of, problems)
    return raw, encoders


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
