"""Reads a table from text with delimiters, cell by cell as it stands."""

import codecs
import csv
import gzip
import io
import itertools
import pathlib
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from p5_keras.data.loaders import table_arff
from p5_keras.data.records import Problems

_DELIMITERS = ";,\t|"
_GZIP = b"\x1f\x8b"
#: How a spreadsheet or an archive begins, whatever it is called.
_PACKED = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
SPREADSHEET = (
    "A table must be text or Parquet; open a spreadsheet and save it as CSV (UTF-8), "
    "or by pandas: pd.read_excel(FILE).to_csv('table.csv', index=False); unpack an "
    "archive"
)
#: Most bytes of a packed table.
_LIMIT = 2**31 - 1
_SAMPLE = 1 << 16  # bytes that are enough to tell the delimiter


@dataclass(frozen=True)
class Text:
    """What a table of text holds, as it stands.

    Attributes:
        names: Names of its columns.
        columns: For each `(n,)` strings.
        rows: `(n,)`, the number of each row.
        delimiter: What stands between cells.
    """

    names: list[str]
    columns: list[pa.Array]
    rows: np.ndarray
    delimiter: str


def read_text(
    file: pathlib.Path,
    problems: Problems,
    delimiter: str | None,
    header: bool,
    encoding: str = "utf-8",
) -> Text:
    """Reads a table of text; rows with a wrong number of cells are left out.

    Args:
        file: A text.
        problems: Takes what is wrong with it.
        delimiter: What stands between cells, or `None` to find it.
        header: Whether the first row holds the names of columns.
        encoding: Of a text without a byte order mark.

    Raises:
        ValueError: The text or the delimiter cannot be used.
    """
    if delimiter in ("\\t", "tab"):
        delimiter = "\t"
    if delimiter == "space":
        delimiter = " "
    if delimiter is not None and (len(delimiter) != 1 or ord(delimiter) > 127):
        raise ValueError(
            "`delimiter` must be one character, 'tab' or 'space'. "
            f"Received: delimiter={delimiter!r}"
        )
    content = utf8(file, encoding)
    given: list[str] = []
    if file.suffix.lower() == ".arff":
        given, content = table_arff.parts(content, file)
        delimiter, header = ",", False
    content, said = _without_preamble(content, problems)
    sample = content[: max(_SAMPLE, content.find(b"\n") + 1)].decode("utf-8", "ignore")
    delimiter = delimiter or said or _delimiter(sample)
    if delimiter == " ":  # any number of spaces and tabs between cells
        content = re.sub(rb" +", b" ", content.replace(b"\t", b" "))
        for end in (b"\r\n", b"\n", b"\r"):
            content = content.replace(b" " + end, end)
        content = content.replace(b"\n ", b"\n").strip(b" ")
    elif not given and header:
        content = _with_last_name(content, sample, delimiter)
    most = sample.count(delimiter) + 2
    rows, ragged = _parse(content, delimiter, most, file)
    if delimiter == "\t" and (_has_text(ragged) or _spans_lines(rows)):
        # Between tabs a quotation mark is often one of the text.
        bare = _parse(content, delimiter, most, file, quotes=False)
        if not _has_text(bare[1]):
            rows, ragged = bare
            problems.note("quotation marks are read as part of the text")
    elif _is_open(content, rows, ragged):
        raise ValueError(
            "A quotation mark must be closed. "
            f"Received: {file}, where one reaches to the end of the file"
        )
    first = len(content) - len(content.lstrip(b"\r\n"))
    skipped = len(content[:first].splitlines())
    numbers = np.delete(
        np.arange(len(rows) + len(ragged)), [row.number - 1 for row in ragged]
    )
    for row in ragged:
        if row.text.lstrip().startswith("#"):
            problems.note("lines that begin with # are left out")
        elif row.text.strip():
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
        if _are_data(names):
            problems.note(
                "names of columns are numbers or files; give header=False if the first "
                "row is data",
                severity="high",
            )
    # Rows without any text are blank lines, and the tails that spreadsheets write.
    blank = np.logical_and.reduce([pc.equal(c, "").to_numpy(False) for c in columns])
    keep = ~blank
    keep[0] &= not header
    columns = [pc.filter(column, pa.array(keep)) for column in columns]
    return Text(names, columns, (numbers + skipped + 1)[keep], delimiter)


def _without_preamble(content: bytes, problems: Problems) -> tuple[bytes, str]:
    """Empties lines above the names: "sep=;" of Excel, and comments.

    Returns:
        The text with as many lines, and the delimiter that it says, or "".
    """
    said = re.match(rb'[\r\n]*"?sep=(\\t|[^\r\n])"?[ \t]*(?=\r?\n)', content, re.I)
    delimiter = ""
    if said:
        delimiter = said[1].decode("utf-8", "ignore").replace("\\t", "\t")
        content = b"\n" * said[0].count(b"\n") + content[said.end() :]
    lines = content[:_SAMPLE].splitlines(keepends=True)
    start, count = 0, 0
    for line, after in itertools.pairwise(lines):
        if line.strip() and not line.lstrip().startswith(b"#"):
            break
        # Names may begin with # too: "#id,x,y" above "1,2,3".
        cells = [part.count(s) for part in (line, after) for s in (b",", b"\t", b";")]
        if line.strip() and any(cells[:3]) and cells[:3] == cells[3:]:
            break
        start += len(line)
        count += bool(line.strip())
    problems.note("lines that begin with # are left out", count)
    if count:
        content = b"\n" * len(content[:start].splitlines()) + content[start:]
    return content, delimiter


def _with_last_name(content: bytes, sample: str, delimiter: str) -> bytes:
    """Adds an empty name where all rows but that of the names end in a delimiter."""
    lines = [line for line in sample.splitlines()[:50] if line.strip()]
    if len(sample) >= _SAMPLE:
        lines = lines[:-1]
    with _long_cells():
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        except csv.Error:
            return content
    tails = all(line.rstrip(" \r").endswith(delimiter) for line in lines[1:])
    if len(counts) < 2 or set(counts[1:]) != {counts[0] + 1} or not tails:
        return content
    end = len(lines[0].encode())
    at = content.find(lines[0].encode()) + end
    return content[:at] + delimiter.encode() + content[at:]


def _are_data(names: list[str]) -> bool:
    """Whether names of columns look like a first row of data."""
    files = re.compile(r"\.(jpe?g|png|gif|bmp|tiff?|webp|wav)$", re.I)
    numbers = sum(map(_is_number, names))
    return 2 * numbers > len(names) or any(files.search(name) for name in names)


def utf8(file: pathlib.Path, encoding: str = "utf-8") -> bytes:
    """Returns the bytes of a text as UTF-8, without a byte order mark."""
    try:
        content = file.read_bytes()
        if content.startswith(_GZIP):
            content = _unpacked(content, file)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"A table must be readable ({reason}). Received: {file}"
        ) from error
    if content.startswith(_PACKED):
        raise ValueError(f"{SPREADSHEET}. Received: {file}")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    if content.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    if encoding.lower() not in ("utf-8", "utf8"):
        try:
            content = content.decode(encoding).encode()
        except (LookupError, UnicodeError) as error:
            raise ValueError(
                "`encoding` must be that of the text, such as utf-8, cp1252 or latin-1 "
                f"({error}). Received: encoding={encoding!r} for {file}"
            ) from error
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
            "A table must be text in UTF-8; save it so, or say its `encoding`, such as "
            f"cp1252. Received: {file}, with byte 0x{content[at]:02x} in line {line}"
        )
    if not content.strip():
        raise ValueError(f"A table must have a row. Received: {file}, which is empty")
    return content


def _unpacked(content: bytes, file: pathlib.Path) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
        found = packed.read(_LIMIT)
        if packed.read(1):
            raise ValueError(
                f"A packed table must be smaller than {_LIMIT} bytes. Received: {file}"
            )
    return found


def _parse(
    content: bytes,
    delimiter: str,
    most: int,
    file: pathlib.Path,
    quotes: bool = True,
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
                quote_char='"' if quotes else False,
                newlines_in_values=quotes,
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
    return rows, ragged


def _has_text(ragged: list[Any]) -> bool:
    """Whether a row with a wrong number of cells is more than a blank line."""
    return any(row.text.strip() for row in ragged)


def _spans_lines(rows: pa.Table) -> bool:
    """Whether a cell reaches over the end of a line."""
    return any(pc.any(pc.match_substring(c, "\n")).as_py() for c in rows.columns)


def _is_open(content: bytes, rows: pa.Table, ragged: list[Any]) -> bool:
    """Whether a quotation mark is never closed."""
    last = [str(column[-1]) for column in rows.columns] if len(rows) else []
    last += [row.text.strip() for row in ragged[-1:]]
    return content.count(b'"') % 2 == 1 and any("\n" in cell for cell in last)


def _delimiter(sample: str) -> str:
    """Returns the delimiter that cuts most lines into equally many cells.

    Of several a tab, which is rare within cells, or a semicolon where commas stand
    before decimals, or else what makes the most cells. A space if it makes more,
    equally many in most lines, and half of them are numbers.
    """
    with _long_cells():
        return _best_delimiter(sample.splitlines()[:50])


@contextmanager
def _long_cells() -> Iterator[None]:
    """Lets the csv module read cells of any length."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _best_delimiter(lines: list[str]) -> str:
    cells = [cell.strip() for line in lines for cell in line.split(";")]
    decimals = any(re.fullmatch(r"[+-]?\d+,\d+", cell) for cell in cells)

    def merit(delimiter: str) -> tuple[float, bool, int, int]:
        try:
            counts = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            return 0.0, False, 0, 0
        usual = max(set(counts), key=counts.count, default=0)
        if usual < 2 or counts[0] < 2:
            return 0.0, False, 0, 0
        first = delimiter == "\t" or (delimiter == ";" and decimals)
        place = -_DELIMITERS.index(delimiter)
        # Of lines, not of rows: a quotation mark in a cell can make one row of many.
        return counts.count(usual) / len(spaced), first, usual, place

    spaced = [" ".join(line.split()) for line in lines if line.strip()]
    best = max(_DELIMITERS, key=merit)
    rows = list(csv.reader(spaced, delimiter=" "))
    wide = len(rows[0]) > max(1, merit(best)[2])
    even = sum(len(row) == len(rows[0]) for row in rows) >= 0.9 * len(rows)
    numbers = sum(_is_number(cell) for row in rows for cell in row)
    return " " if wide and even and 2 * numbers >= sum(map(len, rows)) else best


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
