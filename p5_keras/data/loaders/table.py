"""Tables: labels of pictures, or numbers and texts from which others are told."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from p5_keras.data.loaders import (
    folder_sounds,
    table_columns,
    table_file,
    table_inputs,
    table_pictures,
)
from p5_keras.data.loaders import table_splits as splitting
from p5_keras.data.loaders.table_file import Table
from p5_keras.data.loaders.table_options import check
from p5_keras.data.loaders.table_roles import Roles, decide
from p5_keras.data.records import Field, Problems, Records

#: Of so many rows an input that counts them does so by no chance.
_MANY = 10


def load(
    path: str,
    problems: Problems,
    *,
    image: str | None = None,
    image_dir: str | None = None,
    sound: str | None = None,
    sound_dir: str | None = None,
    rate: int | None = None,
    seconds: float | None = None,
    targets: tuple[str, ...] = (),
    ignore: tuple[str, ...] = (),
    classes: tuple[str, ...] = (),
    numbers: tuple[str, ...] = (),
    texts: tuple[str, ...] = (),
    split: tuple[float, float, float] = (0.8, 0.1, 0.1),
    split_column: str | None = None,
    group: str | None = None,
    delimiter: str | None = None,
    header: bool = True,
    missing: tuple[str, ...] = table_file.MISSING,
    encoding: str = "utf-8",
    separator: str = "|",
    reading: Mapping[str, Any] | None = None,
) -> Records:
    """Reads a table, as CSV, ARFF or Parquet.

    A column that names pictures, or WAV files, is found by itself; every other column
    is then a target, unless `targets` says which. So it is with `texts`. Without them,
    `targets` are told from all other columns; texts that are neither classes nor short
    are then read word by word.

    What a target is follows from its values. Texts are classes if at most 50 of them
    differ, or a tenth of the rows; several labels in a cell are told by `separator`;
    integers are classes if they are 0..k-1, 1..k (k up to 20) or any two; other numbers
    are numbers. A target that cannot be learned is left out with a note.

    Args:
        path: The table, or a folder with one.
        problems: Takes what is wrong with the set.
        image: The column that names the files of pictures.
        image_dir: The folder that these names start from; by default the table's. If
            relative, it is looked for beside the table first.
        sound: The column that names WAV files.
        sound_dir: The folder that these are looked for in, at any depth; by default
            the table's, or the one around it that holds a folder called audio.
        rate: Samples a second that sounds are brought to; see `folder_sounds.read`.
        seconds: Length of a sound; see there.
        targets: The columns to learn.
        ignore: Columns that are not used at all.
        classes: Columns that hold classes, whatever they look like.
        numbers: Columns that hold numbers, whatever they look like.
        texts: Columns that hold texts to be read, whatever they look like.
        split: Shares of training, validation and test rows, where the table does not
            say.
        split_column: The column that says the split of each row; one called split,
            set, subset or fold with such words is found by itself.
        group: A column whose rows of one value, such as a person or a day, all go
            into one split. It is no input.
        delimiter: What stands between cells, "tab" for a tab, "space" for any number
            of spaces and tabs; found by itself.
        header: Whether the first row holds names; if not, they are column_0, …
        missing: Cells that stand for a missing value.
        encoding: Of the text, such as cp1252 or latin-1.
        separator: What stands between several labels in one cell; "" for none.
        reading: How a model's training data were read, where these are others; see
            `Records`.

    Returns:
        The rows, with pictures or with inputs.

    Raises:
        ValueError: The path, the table or an option is wrong.
    """
    file = table_file.find(path)
    table = table_file.read(
        file,
        problems,
        delimiter=delimiter,
        header=header,
        missing=missing,
        encoding=encoding,
    )
    if separator != ",":
        table = table_file.plain(table, problems, (*classes, *texts))
    names = list(table.columns)
    one = {"image": image, "sound": sound, "split_column": split_column, "group": group}
    check(names, {"targets": targets, "ignore": ignore}, one)
    of_a_kind = {"classes": classes, "numbers": numbers, "texts": texts}
    check(names, of_a_kind, {})
    check(names, {"targets": targets, "texts": texts}, {})
    roles = decide(table, one, targets, ignore, classes, numbers, texts)
    pictures = roles.file is not None and roles.what == "picture"
    sounds = roles.file is not None and roles.what == "sound"
    if image_dir is not None and not pictures:
        raise ValueError(
            "`image_dir` needs a column that names pictures; give `image`. "
            f"Received: image_dir={image_dir!r}, columns={names}"
        )

    if sound_dir is not None and not sounds:
        raise ValueError(
            "`sound_dir` needs a column that names WAV files; give `sound`. "
            f"Received: sound_dir={sound_dir!r}, columns={names}"
        )
    if sounds:
        root = table_pictures.sounds_folder(file, sound_dir)
    else:
        root = table_pictures.folder(file, image_dir)
    table, paths = _without_faults(table, roles, root, problems)
    fields, columns = {}, {}
    for name in roles.targets:
        form, values = roles.forms[name], table.columns[name]
        found: tuple[Field, np.ndarray] | str = "it only numbers the rows"
        asked_for = name in (*targets, *classes, *numbers)
        if asked_for or not table_columns.count_up(values, form, table.rows):
            found = table_columns.target(
                values, form, name in classes, name in numbers, separator
            )
        if isinstance(found, str):
            problems.note(f"column {name!r} ignored: {found}")
        else:
            fields[name], columns[name] = found
    if not fields:
        raise ValueError(
            "A table must have a column that can be learned. "
            f"Received: {file}, with {'; '.join(problems.notes) or 'none'}"
        )

    splits = _split(table, roles, paths, root, fields, columns, split, problems)
    told_from = {name: roles.forms[name] for name in roles.inputs}
    for name, form in roles.forms.items():
        if name not in (*classes, *roles.texts):
            problems.note(table_columns.doubts(table.columns[name], form, name))
    numbering = [
        name
        for name, form in told_from.items()
        if len(table) >= _MANY
        and name not in (*classes, *numbers)
        and table_columns.count_up(table.columns[name], form, table.rows)
    ]
    training = splits == "train"
    raw, encoders = table_inputs.make(
        table, told_from, classes, roles.texts, training, problems, numbering
    )
    if not roles.file and not encoders:
        raise ValueError(
            "A column must be left to tell the targets from. "
            f"Received: targets={targets}, columns={names}; "
            f"{'; '.join(problems.notes) or 'all are targets'}"
        )
    records = Records(
        name=file.stem,
        splits=splits,
        fields=fields,
        columns=columns,
        images=paths.astype(str) if pictures else None,
        inputs=raw or None,
        encoders=encoders,
        names=paths.astype(str) if roles.file else None,
        aside=_aside(table, roles, {*fields, *raw}),
        groups=splitting.groups(table, roles.group),
        reading=dict(reading or {}),
        problems=problems,
    )
    if not sounds:
        return records
    return folder_sounds.heard(records, paths.tolist(), rate, seconds)


def _without_faults(
    table: Table, roles: Roles, root: str, problems: Problems
) -> tuple[Table, np.ndarray]:
    """Returns the rows that can be used, and the paths of their pictures."""
    paths = np.full(len(table), "", object)
    bad: dict[int, tuple[str, str]] = {}  # the first fault of each row
    if roles.file:
        paths, bad = table_pictures.resolve(table, roles.file, root, roles.what)
    for row, reason in splitting.faults(table, roles.split, roles.group).items():
        bad.setdefault(row, (table.where(row), reason))
    for name, form in roles.forms.items():
        if form == "number":
            for row, reason in table_columns.faults(table.columns[name], name).items():
                bad.setdefault(row, (table.where(row), reason))
        if [name] == roles.inputs and name in roles.texts:
            absent = table.columns[name].is_null().to_numpy(False)
            for row in map(int, np.flatnonzero(absent)):
                reason = f"column {name!r} holds no text"
                bad.setdefault(row, (table.where(row), reason))
    for row in sorted(bad):
        problems.bad(*bad[row])
    keep = np.ones(len(table), bool)
    keep[list(bad)] = False
    if not keep.any():
        raise ValueError(
            "A table must have a row that can be used. "
            f"Received: {table.file}, with {len(bad)} rows at fault"
        )
    return table.take(keep), paths[keep]


def _split(
    table: Table,
    roles: Roles,
    paths: np.ndarray,
    root: str,
    fields: dict[str, Field],
    columns: dict[str, np.ndarray],
    ratios: tuple[float, float, float],
    problems: Problems,
) -> np.ndarray:
    """Splits the rows; by ratios, each class of the first target by itself."""
    names = [str(row) for row in table.rows]
    if roles.file:
        names = [pathlib.Path(os.path.relpath(p, root)).as_posix() for p in paths]
    of_classes = [columns[n].tolist() for n, f in fields.items() if f.kind == "class"]
    strata = of_classes[0] if of_classes else None
    return splitting.split_rows(
        table, names, roles.split, roles.group, strata, ratios, problems
    )


def _aside(table: Table, roles: Roles, used: set[str]) -> dict[str, np.ndarray]:
    """Returns the columns that nothing reads, as strings."""
    used |= {name for name in (roles.file, roles.split, roles.group) if name}
    return {
        name: values.cast(pa.string()).fill_null("").to_numpy(zero_copy_only=False)
        for name, values in table.columns.items()
        if name not in used
    }
