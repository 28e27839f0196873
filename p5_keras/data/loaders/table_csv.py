"""Reads a table from text with delimiters, cell by cell as it stands."""

import csv
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from p5_keras.data.loaders import table_arff
from p5_keras.data.records import Problems

_DELIMITERS = ",;\t|"
_SAMPLE = 1 << 16  # bytes that are enough to tell the delimiter


def read_text(
    file: pathlib.Path, problems: Problems, delimiter: str | None, header: bool
) -> tuple[list[str], list[pa.Array], np.ndarray]:
    """Reads a table of text; rows with a wrong number of cells are left out.

    Args:
        file: A text in UTF-8.
        problems: Takes what is wrong with it.
        delimiter: What stands between cells, or `None` to find it.
        header: Whether the first row holds the names of columns.

    Returns:
        The names, for each column `(n,)` strings, and the number of each row.

    Raises:
        ValueError: The text or the delimiter cannot be used.
    """
    if delimiter in ("\\t", "tab"):
        delimiter = "\t"
    if delimiter is not None and (len(delimiter) != 1 or ord(delimiter) > 127):
        raise ValueError(
            "`delimiter` must be one character, or 'tab'. "
            f"Received: delimiter={delimiter!r}"
        )
    content = utf8(file)
    given: list[str] = []
    if file.suffix.lower() == ".arff":
        given, content = table_arff.parts(content, file)
        delimiter, header = ",", False
    sample = content[: max(_SAMPLE, content.find(b"\n") + 1)].decode("utf-8", "ignore")
    delimiter = delimiter or _delimiter(sample)
    rows, ragged = _parse(content, delimiter, sample.count(delimiter) + 1, file)
    first = len(content) - len(content.lstrip(b"\r\n"))
    skipped = len(content[:first].splitlines())
    numbers = np.delete(
        np.arange(len(rows) + len(ragged)), [row.number - 1 for row in ragged]
    )
    for row in ragged:
        if row.text.strip():
            problems.bad(
                f"{file}, row {row.number + skipped}",
                f"it has {row.actual_columns} cells, and the first row has "
                f"{row.expected_columns}",
            )
    columns = [pc.utf8_trim_whitespace(whole(column)) for column in rows.columns]
    names = given or [f"column_{i}" for i in range(len(columns))]
    if len(names) != len(columns):
        raise ValueError(
            f"An ARFF table must have a value for each attribute. Received: {file}, "
            f"with {len(names)} attributes and {len(columns)} values in the first row"
        )
    if header:
        names = [column[0].as_py() for column in columns]
        if 2 * sum(_is_number(name) for name in names) > len(names):
            problems.note(
                "names of columns are numbers; give header=False if the first row "
                "is data"
            )
    # Rows without any text are blank lines, and the tails that spreadsheets write.
    blank = np.logical_and.reduce([pc.equal(c, "").to_numpy(False) for c in columns])
    keep = ~blank
    keep[0] &= not header
    columns = [pc.filter(column, pa.array(keep)) for column in columns]
    return names, columns, (numbers + skipped + 1)[keep]


def utf8(file: pathlib.Path) -> bytes:
    """Returns the bytes of a text in UTF-8, without a byte order mark."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(
            f"A table must be readable ({error.strerror}). Received: {file}"
        ) from error
    content = content.removeprefix(b"\xef\xbb\xbf")
    at = -1
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start
    if at < 0:  # UTF-16 without a mark passes as UTF-8
        at = content.find(b"\0")
    if at >= 0:
        line = content[:at].count(b"\n") + 1
        raise ValueError(
            "A table must be text in UTF-8; save it so. "
            f"Received: {file}, with byte 0x{content[at]:02x} in line {line}"
        )
    if not content.strip():
        raise ValueError(f"A table must have a row. Received: {file}, which is empty")
    return content


def _parse(
    content: bytes, delimiter: str, most: int, file: pathlib.Path
) -> tuple[pa.Table, list[Any]]:
    """Returns all rows as texts, and those with a wrong number of cells."""
    ragged = []

    def set_aside(row: Any) -> str:
        ragged.append(row)
        return "skip"

    content = content.lstrip(b"\r\n")
    try:
        rows = pa.csv.read_csv(
            pa.BufferReader(content),
            # One thread and one block, else rows have no numbers.
            pa.csv.ReadOptions(
                use_threads=False,
                block_size=min(len(content) + 1, 2**31 - 1),
                autogenerate_column_names=True,
            ),
            pa.csv.ParseOptions(
                delimiter=delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=set_aside,
            ),
            pa.csv.ConvertOptions(
                column_types={f"f{i}": pa.string() for i in range(most)},
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"A table must be readable ({reason}). Received: {file}"
        ) from error
    last = [str(column[-1]) for column in rows.columns] if len(rows) else []
    last += [row.text.strip() for row in ragged[-1:]]
    if content.count(b'"') % 2 and any("\n" in cell for cell in last):
        raise ValueError(
            "A quotation mark must be closed. "
            f"Received: {file}, where one reaches to the end of the file"
        )
    return rows, ragged


def _delimiter(sample: str) -> str:
    """Returns the delimiter that cuts most lines into equally many cells."""
    lines = sample.splitlines()[:50]

    def merit(delimiter: str) -> tuple[float, int]:
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            return 0.0, 0
        if not counts or counts[0] < 2:
            return 0.0, 0
        usual = max(set(counts), key=counts.count)
        return (counts.count(usual) / len(counts), usual) if usual > 1 else (0.0, 0)

    return max(_DELIMITERS, key=merit)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def whole(chunks: pa.ChunkedArray) -> pa.Array:
    """Returns a column in one piece."""
    if not chunks.num_chunks:
        return pa.array([], chunks.type)
    return pa.concat_arrays(chunks.chunks)
