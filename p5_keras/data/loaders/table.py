"""Tables: labels of pictures, or numbers and texts from which others are told."""

import os
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from p5_keras.data.importers import digest
from p5_keras.data.importers.table import labels as label
from p5_keras.data.importers.table import reading as reader
from p5_keras.data.importers.table.labels import Labels
from p5_keras.data.importers.table.missing import MISSING, note_stand_ins
from p5_keras.data.importers.table.reading import Reading, is_whole
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
from p5_keras.data.sound_file import MAX_BYTES


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
    max_sound_bytes: int = MAX_BYTES,
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
    missing: tuple[str, ...] = MISSING,
    encoding: str = "utf-8",
    separator: str | None = None,
    decimal: str | None = None,
    reading: Mapping[str, Any] | None = None,
) -> Records:
    """Reads a table, as CSV, JSON lines, ARFF or Parquet.

    A column that names pictures, or WAV files, is found by itself; every other column
    is then a target, unless `targets` says which. So it is with `texts`. Without them,
    `targets` are told from all other columns; texts that are neither classes nor short
    are then read word by word.

    What a target is follows from its values. Texts are classes if at most 50 of them
    differ, or a tenth of the rows; several labels in a cell are told by `separator`;
    integers are classes if they are 0..k-1, 1..k (k up to 20) or any two, and so are
    numbers such as 1.0 if all are whole and some are missing; other numbers are
    numbers. A target that cannot be learned is left out with a note.

    How each column is read is decided once, for all its cells, and kept in `reading`
    of the records. Other data are read by that: a cell that does not fit is a fault of
    its row, and so is a class that was not there.

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
        max_sound_bytes: A WAV file with more bytes of samples is a bad example.
        targets: The columns to learn.
        ignore: Columns that are not used at all.
        classes: Columns that hold classes, whatever they look like.
        numbers: Columns that hold numbers, whatever they look like.
        texts: Columns that hold texts to be read, whatever they look like.
        split: Shares of training, validation and test rows, where the table does not
            say; of groups, where there is a `group`.
        split_column: The column that says the split of each row; one called split,
            set, subset or fold with such words is found by itself.
        group: A column whose rows of one value, such as a person or a day, all go
            into one split, where no column says the split. It is no input.
        delimiter: What stands between cells, "tab" for a tab, "space" for any number
            of spaces and tabs; found by itself.
        header: Whether the first row holds names; if not, they are column_0, …
        missing: Cells that stand for a missing value, besides empty ones; numbers such
            as -999 too. By default words such as NA and None, unless they are labels.
        encoding: Of the text, such as cp1252 or latin-1.
        separator: What stands between several labels in one cell, "space" for a space,
            "list" for lists in brackets; "" for none. By default it is found.
        decimal: What stands before decimals, "." or ","; found by itself.
        reading: How the training data of a model were read, by which these are to be;
            see `Records`.

    Returns:
        The rows, with pictures or with inputs.

    Raises:
        ValueError: The path, the table or an option is wrong.
    """
    file = table_file.find(path)
    one = {"image": image, "sound": sound, "split_column": split_column, "group": group}
    stored = reader.reading(reading)
    if stored is not None:
        table = stored.read(file, stored.roles.named, problems)
        known = stored.of_targets(table.columns)
    else:
        if decimal not in (None, ".", ","):
            raise ValueError(
                f"`decimal` must be '.' or ','. Received: decimal={decimal!r}"
            )
        table = table_file.read(
            file, problems, delimiter=delimiter, header=header, encoding=encoding
        )
        names = list(table.columns)
        check(names, {"targets": targets, "ignore": ignore}, one)
        of_a_kind = {"classes": classes, "numbers": numbers, "texts": texts}
        check(names, of_a_kind, {})
        check(names, {"targets": targets, "texts": texts}, {})
        given = {"header": header, "encoding": encoding, "missing": missing}
        given |= of_a_kind
        # A run of an earlier version wrote down nothing; its labels stay as they were.
        earlier = reading is not None
        given |= {"decimal": decimal, "earlier": earlier}
        given["separator"] = "|" if earlier and separator is None else separator
        roles = decide(table, one, targets, ignore, texts)
        known = reader.decide(table, roles, given, problems)
        table = known.without_missing(table)
    roles = known.roles
    pictures = roles.file is not None and roles.what == "picture"
    sounds = roles.file is not None and roles.what == "sound"
    for option, there, what in (
        ("image_dir", pictures, "pictures; give `image`"),
        ("sound_dir", sounds, "WAV files; give `sound`"),
    ):
        folder = {"image_dir": image_dir, "sound_dir": sound_dir}[option]
        if folder is not None and not there:
            raise ValueError(
                f"`{option}` needs a column that names {what}. "
                f"Received: {option}={folder!r}, columns={list(table.columns)}"
            )
    if sounds:
        root = table_pictures.sounds_folder(file, sound_dir)
    else:
        root = table_pictures.folder(file, image_dir)
    prose = table_inputs.prose(table, known, classes, texts)
    table, paths, values = _without_faults(table, known, prose, root, problems)
    if stored is None:
        known = _learn(table, known, values, given, bool(targets), problems)
    fields, columns = {}, {}
    for name, own in known.labels.items():
        fields[name], columns[name], _ = label.apply(own, values[name], name)
    if not fields:
        raise ValueError(
            "A table must have a column that can be learned. "
            f"Received: {file}, with {'; '.join(problems.notes) or 'none'}"
        )

    def cut(names: list[str], problems: Problems) -> tuple[np.ndarray, dict[str, Any]]:
        strata = _strata(fields, columns)
        own = roles.split, roles.group, strata, split, problems, reading
        return splitting.split_rows(table, names, *own)

    if roles.file:
        names = [pathlib.Path(os.path.relpath(p, root)).as_posix() for p in paths]
    elif reading is not None and reading.get("splits", {}).get("rule") == "rank":
        names = [str(row) for row in table.rows]
    elif stored is None and roles.group is None:
        options = (classes, numbers, prose)
        names = _names(values, [*fields, *_inputs(cut, values, fields, known, options)])
    else:
        names = _names(values, list(values))
    splits, rule = cut(names, problems)
    if stored is None:
        raw, encoders = table_inputs.make(
            values, known, classes, numbers, prose, splits == "train", problems
        )
        known = known.used(encoders)
    else:
        raw, encoders = table_inputs.stored(values, stored.inputs, problems)
    if not roles.file and not encoders:
        raise ValueError(
            "A column must be left to tell the targets from. "
            f"Received: targets={targets}, columns={list(table.columns)}; "
            f"{'; '.join(problems.notes) or 'all are targets'}"
        )
    records = Records(
        name=file.name.partition(".")[0] or file.stem,
        splits=splits,
        fields=fields,
        columns=columns,
        images=paths.astype(str) if pictures else None,
        inputs=raw or None,
        encoders=encoders,
        names=paths.astype(str) if roles.file else None,
        aside=_aside(table, roles, {*fields, *raw}),
        groups=splitting.groups(table, roles.group),
        reading={**(reading or {}), **known.config(), "splits": rule},
        problems=problems,
    )
    if not sounds:
        return records
    return folder_sounds.heard(records, paths.tolist(), rate, seconds, max_sound_bytes)


def _without_faults(
    table: Table, known: Reading, prose: list[str], root: str, problems: Problems
) -> tuple[Table, np.ndarray, dict[str, np.ndarray]]:
    """Returns the rows that can be used, the paths of their pictures, and values."""
    roles = known.roles
    paths = np.full(len(table), "", object)
    bad: dict[int, tuple[str, str]] = {}  # the first fault of each row
    if roles.file:
        paths, bad = table_pictures.resolve(
            table, roles.file, root, roles.what, problems
        )
    found = [splitting.faults(table, roles.split, roles.group)]
    values: dict[str, np.ndarray] = {}
    read = table_columns.apply_stored if known.labels else table_columns.apply
    for name, rule in known.rules.items():
        column = table.columns[name]
        values[name], faults = read(rule, column, name, known.missing)
        found.append(faults)
        if name in known.labels:
            found.append(label.apply(known.labels[name], values[name], name)[2])
        if [name] == [*roles.inputs] and name in prose:
            absent = map(int, np.flatnonzero(values[name] == ""))
            found.append(dict.fromkeys(absent, f"column {name!r} holds no text"))
    for faults in found:
        for row, reason in faults.items():
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
    values = {name: own[keep] for name, own in values.items()}
    return table.take(keep), paths[keep], values


def _learn(
    table: Table,
    known: Reading,
    values: dict[str, np.ndarray],
    given: dict[str, Any],
    asked: bool,
    problems: Problems,
) -> Reading:
    """Decides what the targets are, and notes what is odd about any column."""
    found = {}
    classes, numbers = given["classes"], given["numbers"]
    for name in known.roles.targets:
        own: Labels | str = "it only numbers the rows"
        whole = is_whole(table.columns[name])
        meant = asked or name in (*classes, *numbers)
        if meant or not table_columns.count_up(values[name]):
            own = label.decide(
                values[name],
                known.rules[name],
                name,
                name in classes,
                name in numbers or (given["earlier"] and not whole),
                given["separator"],
                whole,
                problems,
            )
            label.note_commas(table.columns[name], known.rules[name], name, problems)
        if isinstance(own, str):
            severity = "medium" if asked else "info"
            problems.note(f"column {name!r} ignored: {own}", severity=severity)
        else:
            found[name] = own
    for name, rule in known.rules.items():
        if rule.form == "number":
            note_stand_ins(name, values[name], problems)
        elif rule.form == "text" and name not in classes:
            several = name in found and found[name].kind == "labels"
            if not several:
                doubt = table_columns.doubts(
                    table.columns[name], name, target=name in found
                )
                problems.note(doubt, severity="medium")
    return replace(known, labels=found)


def _names(values: Mapping[str, np.ndarray], columns: list[str]) -> list[str]:
    """Returns a name for each row by what it holds, wherever it stands.

    Args:
        values: Values of the columns, of the rows that are used.
        columns: The columns that count.
    """
    own = {name: values[name] for name in columns}
    rows = digest.of_columns(own, len(next(iter(values.values()))))
    return digest.numbered([f"{row:016x}" for row in rows.tolist()])


def _inputs(
    cut: Callable[[list[str], Problems], tuple[np.ndarray, dict[str, Any]]],
    values: dict[str, np.ndarray],
    fields: Mapping[str, Field],
    known: Reading,
    options: tuple[tuple[str, ...], tuple[str, ...], list[str]],
) -> list[str]:
    """Returns the inputs that will be used, since other tables have only these.

    Which are left out may depend on the training rows, and these on the inputs.
    """
    columns = [name for name in values if name not in fields]
    for _ in range(3):
        aside = Problems("skip")
        splits, _ = cut(_names(values, [*fields, *columns]), aside)
        made = table_inputs.make(values, known, *options, splits == "train", aside)
        used = known.used(made[1]).roles.inputs
        if set(used) == set(columns):
            break
        columns = list(used)
    return columns


def _strata(
    fields: Mapping[str, Field], columns: Mapping[str, np.ndarray]
) -> list[str] | None:
    """Returns the class of each row of the first target that has classes."""
    for name, field in fields.items():
        if field.kind == "class":
            return list(np.array([*field.class_names, ""])[columns[name]].tolist())
    return None


def _aside(table: Table, roles: Roles, used: set[str]) -> dict[str, np.ndarray]:
    """Returns the columns that nothing reads, as strings."""
    used |= {name for name in (roles.file, roles.split, roles.group) if name}
    return {
        name: values.cast(pa.string()).fill_null("").to_numpy(zero_copy_only=False)
        for name, values in table.columns.items()
        if name not in used
    }
