"""Tables in Weka's attribute-relation form (ARFF): names above, rows below."""

import re

_ATTRIBUTE = re.compile(
    r"""\s*@attribute\s+(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|(\S+))\s+\S""", re.I
)
_DATA = re.compile(rb"^[ \t]*@data[^\n]*(?:\n|$)", re.I | re.M)


def parts(content: bytes, file: object) -> tuple[list[str], bytes]:
    """Splits a table into the names of its columns and its rows.

    Lines above the rows and comments among them are left empty, so that rows keep
    their numbers; values in single quotes get double ones, as in CSV.

    Args:
        content: A text in UTF-8.
        file: Its name, for a person.

    Raises:
        ValueError: There are no rows, or they are sparse.
    """
    start = _DATA.search(content)
    if start is None:
        raise ValueError(f"An ARFF table must have a line @data. Received: {file}")
    head, rows = content[: start.end()], content[start.end() :]
    names = [
        re.sub(r"\\(.)", r"\1", found[1] or found[2] or found[3])
        for line in head.decode().splitlines()
        if (found := _ATTRIBUTE.match(line))
    ]
    rows = re.sub(rb"^[ \t]*%[^\n]*", b"", rows, flags=re.M)
    if rows.lstrip().startswith(b"{"):
        raise ValueError(
            "An ARFF table must have a value for each column; convert sparse rows, "
            f"such as {{1 5, 3 7}}, first. Received: {file}"
        )
    if b"'" in rows:
        quoted = rb"(^|,)([ \t]*)'((?:[^'\\\n]|\\.)*)'(?=[ \t]*(?:,|\r?$))"
        rows = re.sub(quoted, _double, rows, flags=re.M)
    rows = re.sub(rb'(^|,)[ \t]+"', rb'\1"', rows, flags=re.M)
    return names, b"\n" * head.count(b"\n") + rows


def _double(found: re.Match[bytes]) -> bytes:
    inside = re.sub(rb"\\(.)", rb"\1", found[3]).replace(b'"', b'""')
    return found[1] + b'"' + inside + b'"'
