"""JSON files that are damaged, each in one line that names the file and what to do."""

import json
import math

import pytest

from p5_keras import json_file

SCHEMA = {"seed": int, "rate?": (float, None), "tasks?": {str: {"names": [str]}}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON at line 1, column 1"),
        ('{"seed": 1', "no JSON at line 1"),
        ('{"seed": 1}}', "Extra data"),
        ("[1]", "it must be an object, not"),
        ("{}", "`seed` is missing"),
        ('{"seed": NaN}', "holds NaN"),
        ('{"seed": 1, "rate": -Infinity}', "holds -Infinity"),
        ('{"seed": 1, "rate": 1e999}', "too large"),
        ('{"seed": 1.5}', "`seed` must be a whole number, not 1.5"),
        ('{"seed": true}', "`seed` must be a whole number, not True"),
        ('{"seed": 1, "rate": "x"}', "`rate` must be a number or null, not 'x'"),
        ('{"seed": 1, "tasks": []}', "`tasks` must be an object"),
        ('{"seed": 1, "tasks": {"a": {}}}', "`tasks.a.names` is missing"),
        (
            '{"seed": 1, "tasks": {"a": {"names": ["b", 2]}}}',
            r"`tasks.a.names\[1\]` must be a text, not 2",
        ),
        ('{"seed": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested deeper"),
        ('{"seed": ' + "[" * 100 + "]" * 100 + "}", "nested deeper"),
        ('{"seed": ' + "9" * 5000 + "}", "digits"),
        (b'{"seed": "\xff"}', "no UTF-8 text from byte 10"),
        ('{"seed": 1, "checksum": "0"}', "not as it was written"),
        (None, "Is a directory"),
    ],
)
def test_a_damaged_file_is_one_line_with_its_path_and_what_to_do(
    text, message, tmp_path
):
    path = tmp_path / "file.json"
    if text is None:
        path.mkdir()
    else:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message) as error:
        json_file.read(path, SCHEMA, "Delete it")
    assert str(path) in str(error.value)
    assert str(error.value).endswith("Delete it")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_every_change_of_what_was_written_is_noticed(tmp_path):
    path = tmp_path / "file.json"
    value = {"seed": 12, "rate": 0.1 + 0.2, "tasks": {"a": {"names": ["x", "é"]}}}
    path.write_text(json_file.dumps(value))
    assert json_file.read(path, SCHEMA) == value
    whole = path.read_bytes()
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        try:
            found = json_file.read(path, SCHEMA)
        except ValueError:
            continue
        # Space for space, or the word "checksum" itself.
        assert found == value or "checksum" not in path.read_text(errors="replace")


def test_what_json_does_not_have_is_null():
    found = json.loads(json_file.dumps({"a": (math.nan, {"b": -math.inf}), "c": 1.5}))
    assert {**found, "checksum": 0} == {
        "a": [None, {"b": None}],
        "c": 1.5,
        "checksum": 0,
    }
