"""Tables in attribute-relation form."""

import numpy as np
import pytest

from p5_keras.data.loaders import table, table_arff, table_file
from p5_keras.data.records import Field, Problems

TEXT = r"""% A comment, with @data in it.
@RELATION 'birds'
@attribute 'wing span' numeric
@Attribute name string
@attribute "it's \"big\"" {yes, no}

@DATA
1.5, 'blue, or red', yes
% 9, left out, yes
?,  "a tit, 'two'", no
2, 'it\'s "odd"', yes
"""


def read(tmp_path, text):
    path = tmp_path / "table.arff"
    path.write_text(text)
    found = table_file.find(str(path))
    return table_file.read(found, Problems())


def test_names_rows_and_quotes(tmp_path):
    found = read(tmp_path, TEXT)
    columns = {name: column.to_pylist() for name, column in found.columns.items()}
    assert columns == {
        "wing span": ["1.5", "?", "2"],
        "name": ["blue, or red", "a tit, 'two'", 'it\'s "odd"'],
        'it\'s "big"': ["yes", "no", "yes"],
    }
    assert found.rows.tolist() == [8, 10, 11]  # as an editor counts lines


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@DATA", "", "a line @data"),
        ("1.5, 'blue, or red', yes", "{0 1.5, 2 yes}", "convert sparse rows"),
        ("@Attribute name string\n", "", "2 attributes and 3 values"),
    ],
)
def test_what_cannot_be_read(tmp_path, old, new, message):
    assert TEXT.count(old) == 1
    with pytest.raises(ValueError, match=message):
        read(tmp_path, TEXT.replace(old, new))


def test_river_flow(real_data):
    path = real_data / "multi_target_regression" / "rf1.arff"
    if not path.is_file():
        pytest.skip(f"no {path}")
    names, _ = table_arff.parts(path.read_bytes(), path)
    assert len(names) == 72
    records = table.load(str(path), Problems(), targets=tuple(names[-8:]))
    assert len(records) == 9125
    assert records.fields == dict.fromkeys(names[-8:], Field("number"))
    assert np.isfinite(records.columns[names[-1]]).all()
