"""Reads the file of a table: its delimiter, its names, its cells as they stand."""

import collections
import json
import os
import pathlib
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from p5_keras.data.importers.table import json_rows
from p5_keras.data.loaders.table_csv import (
    SPREADSHEET,
    Text,
    read_text,
    utf8,
    whole,
)
from p5_keras.data.records import Problems
from p5_keras.naming import did_you_mean

_PARQUET = (".parquet", ".pq")
#: Extensions of tables; in a folder the first group with a file counts, so that a
#: README.txt beside a labels.csv is no second table.
EXTENSIONS = (
    (".csv", ".tsv", *_PARQUET, *json_rows.LINES),
    *((".arff",), (".data",), (".txt",)),
)
_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods")


@dataclass(frozen=True)
class Table:
    """The columns of a table.

    Attributes:
        file: Where it was read.
        columns: By name, `(n,)` strings without space around them, or float64 where
            a Parquet file says so; null where the file says that there is none.
        rows: `(n,)` the number of each row, as a person counts: the names of columns
            are row 1 of a text, and in a Parquet file row 1 is the first.
        delimiter: What stands between cells of a text.
    """

    file: pathlib.Path
    columns: dict[str, pa.Array]
    rows: np.ndarray
    delimiter: str = ""

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.rows)

    def where(self, row: int) -> str:
        """Names a row, given by its place in `rows`, for a person."""
        return f"{self.file}, row {self.rows[row]}"

    def take(self, keep: np.ndarray) -> "Table":
        """Returns some of the rows, by a mask of booleans."""
        mask = pa.array(keep)
        columns = {name: pc.filter(c, mask) for name, c in self.columns.items()}
        return replace(self, columns=columns, rows=self.rows[keep])


def find(path: str) -> pathlib.Path:
    """Returns the file of a table: the one that is named, or the only one in a folder.

    Raises:
        ValueError: There is none, or there are several.
    """
    file = pathlib.Path(os.path.abspath(os.path.expanduser(path)))
    known = [extension for group in EXTENSIONS for extension in group]
    if path and file.is_dir():
        for group in EXTENSIONS:
            tables = sorted(
                p
                for p in file.iterdir()
                if suffix(p) in group and p.name[0] != "." and p.is_file()
            )
            if len(tables) > 1:
                raise ValueError(
                    "`path` must be a table, or a folder with one. Received: "
                    f"path={path!r}, with {[p.name for p in tables]}; name the file"
                )
            if tables:
                return tables[0]
        raise ValueError(
            "`path` must be a table, or a folder with one. "
            f"Received: path={path!r}, without any {' '.join(known)}"
        )
    if not path or not file.is_file():
        near = []
        if path and file.parent.is_dir():
            near = [p.name for p in file.parent.iterdir()]
        raise ValueError(
            "`path` must be a table, or a folder with one."
            f"{did_you_mean(file.name, near)} Received: path={path!r}"
        )
    if suffix(file) in _SPREADSHEETS:
        raise ValueError(f"{SPREADSHEET}. Received: path={path!r}")
    if suffix(file) not in (*known, json_rows.LIST):
        raise ValueError(
            f"`path` must end in {' '.join(known)}, packed by gzip or not; unpack "
            f"another archive first. Received: path={path!r}"
        )
    return file


def suffix(file: pathlib.Path) -> str:
    """Returns the extension of a table in lower case, without that of gzip."""
    return pathlib.Path(file.name.lower().removesuffix(".gz")).suffix


def read(
    file: pathlib.Path,
    problems: Problems,
    *,
    delimiter: str | None = None,
    header: bool = True,
    encoding: str = "utf-8",
) -> Table:
    """Reads a table, its cells as they stand.

    Args:
        file: A text, or a Parquet file.
        problems: Takes rows with too many or too few cells.
        delimiter: What stands between cells; if left out, it is found.
        header: Whether the first row holds the names of columns.
        encoding: Of a text; one with a byte order mark says its own.

    Raises:
        ValueError: The file cannot be read, is empty, or names a column twice.
    """
    if file.suffix.lower() in _PARQUET:
        table = _read_parquet(file, problems)
    else:
        if suffix(file) in (*json_rows.LINES, json_rows.LIST):
            text = Text(*json_rows.read(utf8(file, encoding), file), "")
        else:
            text = read_text(file, problems, delimiter, header, encoding)
        _check_names([name for name in text.names if name], file)
        problems.note("columns without a name, ignored", text.names.count(""))
        cells = zip(text.names, text.columns, strict=True)
        table = Table(file, {n: c for n, c in cells if n}, text.rows, text.delimiter)
    if not len(table):
        raise ValueError(f"A table must have a row. Received: {file}, which has none")
    return table


def _read_parquet(file: pathlib.Path, problems: Problems) -> Table:
    try:
        with pa.parquet.ParquetFile(file) as parquet:
            table = parquet.read()
    except (pa.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"A Parquet file must be readable ({reason}). Received: {file}"
        ) from error
    _check_names(table.column_names, file)
    columns: dict[str, pa.Array] = {}
    for name, chunks in zip(table.column_names, table.columns, strict=True):
        kind = chunks.type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            columns[name] = whole(chunks.cast(pa.float64()))
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            columns[name] = pc.utf8_trim_whitespace(whole(chunks.cast(pa.string())))
        elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
            columns[name] = whole(chunks.cast(pa.string()))
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            cells = [None if c is None else json.dumps(c) for c in _lists(chunks)]
            columns[name] = pa.array(cells, pa.string())
        else:
            problems.note(f"column {name!r} ignored: it is of type {kind}")
    return Table(file, columns, np.arange(1, len(table) + 1))


def _lists(chunks: pa.ChunkedArray) -> list[list[str] | None]:
    rows = chunks.to_pylist()
    return [None if row is None else [str(part) for part in row] for row in rows]


def _check_names(names: list[str], file: pathlib.Path) -> None:
    counts = collections.Counter(names)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise ValueError(
            f"Each column must have a name of its own. Received: {file}, with {twice} "
            "more than once"
        )
