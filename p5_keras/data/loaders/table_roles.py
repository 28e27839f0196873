"""What each column of a table is for."""

from dataclasses import dataclass

from p5_keras.data.loaders import table_columns, table_pictures
from p5_keras.data.loaders import table_splits as splitting
from p5_keras.data.loaders.table_file import Table


@dataclass(frozen=True)
class Roles:
    """What each column is for."""

    file: str | None  # names pictures, or sounds
    what: str  # "picture" or "sound"
    split: str | None
    group: str | None
    targets: list[str]
    inputs: list[str]
    forms: dict[str, str]  # of targets and inputs: "number", "truth" or "text"
    texts: list[str]  # inputs that are read word by word


def decide(
    table: Table,
    one: dict[str, str | None],
    targets: tuple[str, ...],
    ignore: tuple[str, ...],
    classes: tuple[str, ...],
    numbers: tuple[str, ...],
    texts: tuple[str, ...],
) -> Roles:
    """Decides what each column is for."""
    names = list(table.columns)
    free = [n for n in names if n not in (*targets, *ignore, *one.values())]
    what = "sound" if one["sound"] else "picture"
    file = one["image"] or one["sound"] or table_pictures.find_column(table, free)
    if not file and (file := table_pictures.find_column(table, free, "sound")):
        what = "sound"
    split, group = one["split_column"], one["group"]
    if group is None:
        split = split or splitting.find_column(table, free)
    elif split is not None:
        raise ValueError(
            "Of `split_column` and `group` only one can say how rows are split. "
            f"Received: split_column={split!r}, group={group!r}"
        )
    free = [n for n in free if n not in (file, split)]
    if not file and not targets and not texts:
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
    told_from = [] if file else told_from
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
    return Roles(file, what, split, group, chosen, told_from, forms, read)
