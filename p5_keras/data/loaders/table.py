"""Tables: labels of pictures, or numbers and texts from which others are told."""

import os
import pathlib
from dataclasses import dataclass

import numpy as np

from p5_keras.data.loaders import (
    table_columns,
    table_file,
    table_inputs,
    table_pictures,
)
from p5_keras.data.loaders import table_splits as splitting
from p5_keras.data.loaders.table_file import Table
from p5_keras.data.records import Field, Problems, Records
from p5_keras.naming import did_you_mean


@dataclass(frozen=True)
class _Roles:
    """What each column is for."""

    image: str | None
    split: str | None
    group: str | None
    targets: list[str]
    inputs: list[str]
    forms: dict[str, str]  # of targets and inputs: "number", "truth" or "text"
    texts: list[str]  # inputs that are read word by word


def load(
    path: str,
    problems: Problems,
    *,
    image: str | None = None,
    image_dir: str | None = None,
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
    missing: tuple[str, ...] = ("", "NA", "NaN", "nan", "null", "None", "?", "-"),
    separator: str = "|",
) -> Records:
    """Reads a table, as CSV, ARFF or Parquet.

    A column that names pictures is found by itself; every other column is then a
    target, unless `targets` says which. So it is with `texts`. Without either,
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
        delimiter: What stands between cells, "tab" for a tab; found by itself.
        header: Whether the first row holds names; if not, they are column_0, …
        missing: Cells that stand for a missing value.
        separator: What stands between several labels in one cell; "" for none.

    Returns:
        The rows, with pictures or with inputs.

    Raises:
        ValueError: The path, the table or an option is wrong.
    """
    file = table_file.find(path)
    table = table_file.read(file, problems, delimiter, header, missing)
    names = list(table.columns)
    one = {"image": image, "split_column": split_column, "group": group}
    _check_options(names, {"targets": targets, "ignore": ignore}, one)
    of_a_kind = {"classes": classes, "numbers": numbers, "texts": texts}
    _check_options(names, of_a_kind, {})
    _check_options(names, {"targets": targets, "texts": texts}, {})
    roles = _roles(table, one, targets, ignore, classes, numbers, texts)
    if image_dir is not None and roles.image is None:
        raise ValueError(
            "`image_dir` needs a column that names pictures; give `image`. "
            f"Received: image_dir={image_dir!r}, columns={names}"
        )

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

    splits = _split(table, roles, paths, root, fields, columns, split)
    _note_unseen(fields, columns, splits == "train", problems)
    told_from = {name: roles.forms[name] for name in roles.inputs}
    raw, encoders = table_inputs.make(
        table, told_from, classes, roles.texts, splits == "train", problems
    )
    if not roles.image and not encoders:
        raise ValueError(
            "A column must be left to tell the targets from. "
            f"Received: targets={targets}, columns={names}"
        )
    return Records(
        name=file.stem,
        splits=splits,
        fields=fields,
        columns=columns,
        images=paths.astype(str) if roles.image else None,
        inputs=raw or None,
        encoders=encoders,
        groups=splitting.groups(table, roles.group),
        problems=problems,
    )


def _check_options(
    columns: list[str],
    several: dict[str, tuple[str, ...]],
    one: dict[str, str | None],
) -> None:
    """Checks that options name columns, and none of them in two roles."""
    named = {o: () if name is None else (name,) for o, name in one.items()} | several
    first: dict[str, str] = {}
    for option, names in named.items():
        for name in dict.fromkeys(names):
            if name not in columns:
                raise ValueError(
                    f"`{option}` must name columns of the table."
                    f"{did_you_mean(name, columns)} Received: {name!r}, "
                    f"columns={columns}"
                )
            if name in first:
                raise ValueError(
                    f"A column must not stand in `{first[name]}` and in `{option}`. "
                    f"Received: {name!r} in both"
                )
            first[name] = option


def _roles(
    table: Table,
    one: dict[str, str | None],
    targets: tuple[str, ...],
    ignore: tuple[str, ...],
    classes: tuple[str, ...],
    numbers: tuple[str, ...],
    texts: tuple[str, ...],
) -> _Roles:
    """Decides what each column is for."""
    names = list(table.columns)
    free = [n for n in names if n not in (*targets, *ignore, *one.values())]
    image = one["image"] or table_pictures.find_column(table, free)
    split, group = one["split_column"], one["group"]
    if group is None:
        split = split or splitting.find_column(table, free)
    elif split is not None:
        raise ValueError(
            "Of `split_column` and `group` only one can say how rows are split. "
            f"Received: split_column={split!r}, group={group!r}"
        )
    free = [n for n in free if n not in (image, split)]
    if not image and not targets and not texts:
        raise ValueError(
            "`targets` must name the columns to learn, or `image` the one that names "
            f"pictures. Received: targets=(), image=None, columns={names}"
        )
    chosen = list(dict.fromkeys(targets)) or [n for n in free if n not in texts]
    for name in chosen:
        if name in ("image", "input"):  # the keys of an example's own pictures
            raise ValueError(
                "A target must not be called 'image' or 'input'; rename the column, or "
                f"put it into `ignore`. Received: targets={chosen}"
            )
    told_from = free if targets else list(texts)
    told_from = [] if image else told_from
    forms = {
        name: table_columns.form(table.columns[name], name, classes, numbers)
        for name in (*chosen, *told_from)
    }
    read = [
        name
        for name in told_from
        if name in texts
        or (
            forms[name] == "text"
            and name not in classes
            and table_columns.is_prose(table.columns[name])
        )
    ]
    return _Roles(image, split, group, chosen, told_from, forms, read)


def _without_faults(
    table: Table, roles: _Roles, root: str, problems: Problems
) -> tuple[Table, np.ndarray]:
    """Returns the rows that can be used, and the paths of their pictures."""
    paths = np.full(len(table), "", object)
    bad: dict[int, tuple[str, str]] = {}  # the first fault of each row
    if roles.image:
        paths, bad = table_pictures.resolve(table, roles.image, root)
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
    roles: _Roles,
    paths: np.ndarray,
    root: str,
    fields: dict[str, Field],
    columns: dict[str, np.ndarray],
    ratios: tuple[float, float, float],
) -> np.ndarray:
    """Splits the rows; by ratios, each class of the first target by itself."""
    names = [str(row) for row in table.rows]
    if roles.image:
        names = [pathlib.Path(os.path.relpath(p, root)).as_posix() for p in paths]
    of_classes = [columns[n].tolist() for n, f in fields.items() if f.kind == "class"]
    strata = of_classes[0] if of_classes else None
    return splitting.split_rows(table, names, roles.split, roles.group, strata, ratios)


def _note_unseen(
    fields: dict[str, Field],
    columns: dict[str, np.ndarray],
    training: np.ndarray,
    problems: Problems,
) -> None:
    """Notes classes that training has no example of."""
    for name, field in fields.items():
        seen = columns[name][training]
        for i, class_name in enumerate(field.class_names):
            of_class = seen == i if field.kind == "class" else seen[:, i] == 1
            if not of_class.any():
                problems.note(
                    f"class {class_name!r} of {name!r} has no row in training"
                )
