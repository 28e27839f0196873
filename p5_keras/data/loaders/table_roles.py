"""What each column of a table is for."""

from dataclasses import dataclass

from p5_keras.data.loaders import table_pictures
from p5_keras.data.loaders import table_splits as splitting
from p5_keras.data.loaders.table_file import Table


@dataclass(frozen=True)
class Roles:
    """What each column is for."""

    file: str | None  # names pictures, or sounds
    what: str  # "picture" or "sound"
    split: str | None
    group: str | None
    targets: tuple[str, ...]
    inputs: tuple[str, ...]

    @property
    def named(self) -> list[str]:
        """The columns that other data must have too; they may lack a target."""
        one = [name for name in (self.file, self.split, self.group) if name]
        return [*one, *self.inputs]


def decide(
    table: Table,
    one: dict[str, str | None],
    targets: tuple[str, ...],
    ignore: tuple[str, ...],
    texts: tuple[str, ...],
) -> Roles:
    """Decides what each column is for."""
    names = list(table.columns)
    free = [n for n in names if n not in (*targets, *ignore, *one.values())]
    what = "sound" if one["sound"] else "picture"
    file = one["image"] or one["sound"] or table_pictures.find_column(table, free)
    if not file and (file := table_pictures.find_column(table, free, "sound")):
        what = "sound"
    split = one["split_column"] or splitting.find_column(table, free)
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
    return Roles(file, what, split, one["group"], tuple(chosen), tuple(told_from))
