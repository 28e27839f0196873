import csv
import io
import json

import numpy as np
import pytest

from p5_keras import predict_raw, report_data
from p5_keras.data import infer, summary
from p5_keras.data.records import Field, Problems, Records
from p5_keras.data.user_data import UserData
from p5_keras.naming import printable, spreadsheet_cell

# Clears the screen, sets a title, goes back over the line, turns what follows.
EVIL = "a\x1b[2J\x1b]0;t\x07\r\x9b1A\u202eb\n\u2066\udcff"
CONTROL = {*map(chr, range(32)), *map(chr, range(127, 160)), *EVIL} - set("a[2J]0;t1Ab")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain: ä 猫 کتاب\u200cها 👩\u200d🔬", None),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\tb\n", "a\\tb\\n"),
        ("\u202eevil", "\\u202eevil"),
        ("\udcff", "\\udcff"),
        ("back\\slash", None),
    ],
)
def test_printable(text, shown):
    assert printable(text) == (text if shown is None else shown)
    assert printable(printable(text)) == printable(text)
    printable(text).encode()  # no lone surrogate


def test_line_ends_that_are_meant():
    assert printable("a\n\x1bb\n", keep="\n") == "a\n\\x1bb\n"


def test_no_name_of_a_data_set_moves_the_cursor():
    """Whichever name it is, in the table, the list of files and the report."""
    problems = Problems("skip")
    problems.bad(EVIL, f"it is {EVIL}")
    problems.note(f"folder {EVIL}")
    problems.note(f"file {EVIL}", severity="high")
    problems.guess(f"kind of {EVIL}", f"kind={EVIL}")
    records = Records(
        EVIL,
        np.array(["train"] * 3 + ["validation", "test"]),
        {"y": Field("class", (EVIL, "b"))},
        {"y": np.array([0, 1, 0, 1, 0])},
        inputs={EVIL: np.arange(5.0)},
        problems=problems,
    )
    data = UserData(records, "", f"folder:{EVIL}", lambda *_: None)
    found = summary.describe(data, infer.make_tasks(records))
    found["inputs"] = {EVIL: EVIL}
    text = summary.text(found)
    assert not set(text.replace("\n", "")) & CONTROL
    assert text.count("\\x1b[2J") >= 8
    lines = summary.dropped_lines(found)
    assert lines.count("\n") == lines.count("\t") == 1
    assert not set(lines[:-1].replace("\t", "")) & CONTROL
    page = printable(report_data.table(found), keep="\n\t")
    assert not set(page.replace("\n", "")) & CONTROL


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("-", "'-"),
        # Numbers, and texts that begin with anything else.
        ("-1", "-1"),
        ("+1.5e-3", "+1.5e-3"),
        (-1.5, -1.5),
        (3, 3),
        (None, None),
        ("a=1", "a=1"),
        ("'=1", "'=1"),
        ("", ""),
    ],
)
def test_no_text_is_a_formula(value, cell):
    assert spreadsheet_cell(value) == cell


def test_the_rows_of_predictions(tmp_path):
    """What a text is made of does not matter: several names are one cell."""
    found = predict_raw._short(
        {
            "one": {"name": "=1"},
            "several": {"names": ["@a", "b"]},
            "number": {"value": -2.0},
            "numbers": {"value": [-2.0, 1.0]},
        }
    )
    file = io.StringIO()
    csv.writer(file).writerow(map(spreadsheet_cell, found.values()))
    assert file.getvalue() == "'=1,'@a|b,-2.0,-2.0|1.0\r\n"
    assert json.loads(json.dumps(EVIL)) == EVIL
