import numpy as np
import pytest

import p5_keras as p5
from p5_keras.data.loaders import table
from p5_keras.data.records import Field, Problems


def vectors(records):
    return p5.inputs.encode(records.encoders, records.inputs).numpy()


def names(records):
    return tuple(records.encoders["table"].names)


OUT = ". Put it right, or leave such examples out with --on_bad_example=skip"
SPLIT_WORDS = "train, training, val, valid, validation, dev, test, testing, eval"


def write(root, content, name="table.csv"):
    data = content if isinstance(content, bytes) else content.encode()
    (root / name).write_bytes(data)
    return str(root / name)


def pictures(root, header, rows, given=True):
    """A table whose first column names pictures a0.jpg, a1.jpg, …, and the pictures.

    A few rows cannot be cut into three splits, so a last column gives them.
    """
    given = given and "split" not in header
    lines = [",".join(("file", *header, *["split"] * given))]
    for i, row in enumerate(rows):
        split = [("val", "train", "train", "test")[i % 4]] * given
        lines.append(",".join((f"a{i}.jpg", *map(str, row), *split)))
        (root / f"a{i}.jpg").write_bytes(b"")
    return write(root, "\n".join(lines) + "\n")


def one_column(root, values, **options):
    """Field and column that come of one column beside pictures, with the notes."""
    problems = Problems()
    records = table.load(
        pictures(root, ["y"], [[v] for v in values]), problems, **options
    )
    return records.fields["y"], records.columns["y"], dict(problems.notes)


def failure(path, problems=None, **options):
    with pytest.raises(ValueError) as error:
        table.load(path, problems or Problems(), **options)
    return str(error.value)


def parts(count, *head):
    """Splits for `count` rows of which the last two are not training rows."""
    return [*head, *["train"] * (count - len(head) - 2), "val", "test"]


def test_pictures_with_targets_of_each_kind(tmp_path):
    path = pictures(
        tmp_path,
        ["breed", "tags", "age", "weight", "split"],
        [
            ["pug", "big|old", 1, 2.5, "train"],
            ["cat", "old", 2, "NA", "Val"],
            ["?", "", 7, 1e3, "testing"],
            ["pug", "new", 40, 3, "TRAIN"],
        ],
    )
    problems = Problems()
    records = table.load(path, problems)
    assert records.name == "table"
    assert records.splits.tolist() == ["train", "validation", "test", "train"]
    assert records.images.tolist() == [str(tmp_path / f"a{i}.jpg") for i in range(4)]
    assert records.inputs is None
    assert records.fields == {
        "breed": Field("class", ("cat", "pug")),
        "tags": Field("labels", ("big", "new", "old")),
        "age": Field("number"),
        "weight": Field("number"),
    }
    columns = records.columns
    np.testing.assert_array_equal(columns["breed"], [1, 0, -1, 1])
    assert columns["breed"].dtype == np.int64
    nan = np.nan
    wanted = [[1, 0, 1], [0, 0, 1], [nan, nan, nan], [0, 1, 0]]
    np.testing.assert_array_equal(columns["tags"], wanted)
    np.testing.assert_array_equal(columns["age"], [1, 2, 7, 40])
    np.testing.assert_array_equal(columns["weight"], [2.5, nan, 1000, 3])
    kinds = {columns[name].dtype for name in ("tags", "age", "weight")}
    assert kinds == {np.dtype("float32")}
    (note,) = problems.notes
    assert note.startswith("column 'breed' has 1 cells '?', read as missing labels")


@pytest.mark.parametrize(
    ("values", "field", "column"),
    [
        ([0, 2, 1, 0], Field("class", ("0", "1", "2")), [0, 2, 1, 0]),
        ([3, 1, 2, 3], Field("class", ("1", "2", "3")), [2, 0, 1, 2]),
        ([-1, 1, "", 1], Field("class", ("-1", "1")), [0, 1, -1, 1]),
        ([5, 9, 9, 5], Field("class", ("5", "9")), [0, 1, 1, 0]),
        ([0, 1, 3, 1], Field("number"), [0, 1, 3, 1]),
        ([2, 3, 4, 2], Field("number"), [2, 3, 4, 2]),
        ([0.0, 1.0, 0.0, 1.0], Field("class", ("0", "1")), [0, 1, 0, 1]),
        ([1.0, 3.0, "", 2.0], Field("class", ("1", "2", "3")), [0, 2, -1, 1]),
        ([1.0, 3.0, 2.0, 2.0], Field("number"), [1, 3, 2, 2]),
        (["TRUE", "False", "-", "true"], Field("class", ("false", "true")), None),
        (["b", "a", " b ", "ä"], Field("class", ("a", "b", "ä")), [1, 0, 1, 2]),
        (["3|1", "10", "1 | 3", "1|"], Field("labels", ("1", "3", "10")), None),
        ([".5", "+1.", "-2e-1", "nan"], Field("number"), [0.5, 1, -0.2, np.nan]),
    ],
)
def test_kinds(tmp_path, values, field, column):
    found, labels, _ = one_column(tmp_path, values)
    assert found == field
    if column is not None:
        np.testing.assert_array_equal(labels, np.array(column, labels.dtype))


def test_truth_and_labels_in_numbers(tmp_path):
    _, labels, _ = one_column(tmp_path, ["TRUE", "False", "-", "true"])
    np.testing.assert_array_equal(labels, [1, 0, -1, 1])
    _, labels, _ = one_column(tmp_path, ["3|1", "10", "1 | 3", "1|"])
    np.testing.assert_array_equal(labels, [[1, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize(("count", "kind"), [(20, "class"), (21, "number")])
def test_most_integers_that_are_classes(tmp_path, count, kind):
    # Not in the order of the rows, which would be their number.
    values = [*range(count), 0]
    field, column, _ = one_column(tmp_path, values)
    assert field.kind == kind
    np.testing.assert_array_equal(column, values)
    if kind == "class":
        assert field.class_names == tuple(str(i) for i in range(20))


@pytest.mark.parametrize(
    ("texts", "rows", "kind"),
    [(50, 100, "class"), (51, 100, None), (60, 600, "class"), (61, 600, None)],
)
def test_most_texts_that_are_classes(tmp_path, texts, rows, kind):
    values = [[f"t{i % texts}", i % 2] for i in range(rows)]
    problems = Problems()
    records = table.load(pictures(tmp_path, ["y", "z"], values), problems)
    assert getattr(records.fields.get("y"), "kind", None) == kind
    note = f"column 'y' ignored: {texts} different texts in {rows} rows"
    assert (note in problems.notes) == (kind is None)


def test_free_text_with_the_separator_is_no_set_of_labels(tmp_path):
    values = [[f"x{i}|y{i}", i % 2] for i in range(30)]
    problems = Problems()
    records = table.load(pictures(tmp_path, ["y", "z"], values), problems)
    assert list(records.fields) == ["z"]
    assert problems.notes["column 'y' ignored: 60 different texts in 30 rows"] == 1


def test_separator(tmp_path):
    values = ["a;b", "b", "a", "b"]
    field, _, _ = one_column(tmp_path, values, separator=";")
    assert field == Field("labels", ("a", "b"))
    field, _, _ = one_column(tmp_path, values, separator="")
    assert field == Field("class", ("a", "a;b", "b"))


def test_forced_kinds(tmp_path):
    field, column, _ = one_column(tmp_path, [10, 9, 30, 9], classes=("y",))
    assert field == Field("class", ("9", "10", "30"))
    np.testing.assert_array_equal(column, [1, 0, 2, 0])
    field, column, _ = one_column(tmp_path, [0, 1, 2, 0], numbers=("y",))
    assert field == Field("number")
    np.testing.assert_array_equal(column, [0, 1, 2, 0])
    field, _, _ = one_column(tmp_path, ["a|b", "a", "b", "a"], classes=("y",))
    assert field == Field("class", ("a", "a|b", "b"))
    many = [f"t{i:02d}" for i in range(60)]
    field, _, _ = one_column(tmp_path, many, classes=("y",))
    assert field == Field("class", tuple(many))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([1] * 4, "all rows have the same value"),
        ([0.5, "", 0.5, 0.5], "all rows have the same value"),
        (["a"] * 4, "all rows have the same value"),
        (["a|b", "b|a", "a|b", ""], "all rows have the same value"),
        (["true"] * 4, "all rows have the same value"),
        (["", "?", "NA", "-"], "no row has a value"),
        ([2, 3, 4, 5], "it only numbers the rows"),
    ],
)
def test_what_cannot_be_learned(tmp_path, values, why):
    problems = Problems()
    rows = [[value, word] for value, word in zip(values, "abab", strict=True)]
    records = table.load(pictures(tmp_path, ["y", "z"], rows), problems)
    assert list(records.fields) == ["z"]
    assert problems.notes[f"column 'y' ignored: {why}"] == 1
    path = pictures(tmp_path, ["y"], [[value] for value in values])
    message = failure(path)
    assert message.startswith("A table must have a column that can be learned. ")
    assert message.endswith(f"column 'y' ignored: {why}")


def test_targets_and_ignored_columns(tmp_path):
    rows = [[f"{i % 2}", "xy"[i % 2], "pq"[i % 2], i + 2] for i in range(10)]
    path = pictures(tmp_path, ["a", "b", "c", "n"], rows)
    assert list(table.load(path, Problems(), ignore=("b",)).fields) == ["a", "c"]
    records = table.load(path, Problems(), targets=("c", "n", "c"))
    assert list(records.fields) == ["c", "n"]  # numbering the rows, but asked for
    assert records.images is not None


def test_no_split_is_cut_within_the_first_class(tmp_path):
    path = pictures(tmp_path, ["y"], [["ab"[i >= 60]] for i in range(100)], False)
    records = table.load(path, Problems())
    for i, sizes in ((0, (48, 6, 6)), (1, (32, 4, 4))):
        chosen = records.splits[records.columns["y"] == i].tolist()
        found = [chosen.count(s) for s in ("train", "validation", "test")]
        np.testing.assert_allclose(found, sizes, atol=1)
    again = table.load(path, Problems())
    np.testing.assert_array_equal(records.splits, again.splits)
    some = table.load(path, Problems(), split=(0.5, 0.25, 0.25))
    assert np.mean(some.splits == "test") == pytest.approx(0.25, abs=0.03)


def test_the_split_of_a_picture_does_not_depend_on_its_row(tmp_path):
    path = pictures(tmp_path, ["y"], [["ab"[i % 2]] for i in range(40)], False)
    one = table.load(path, Problems())
    head, *lines = (tmp_path / "table.csv").read_text().splitlines()
    two = table.load(write(tmp_path, "\n".join([head, *lines[::-1]])), Problems())
    splits = dict(zip(two.images, two.splits, strict=True))
    assert splits == dict(zip(one.images, one.splits, strict=True))


def test_a_bad_row_leaves_the_splits_of_the_others(tmp_path):
    lines = [f"{i % 2},{i / 7:.3f}" for i in range(40)]
    whole = table.load(
        write(tmp_path, "\n".join(["y,x", *lines])), Problems(), targets=("y",)
    )
    lines[5] += ",1"
    problems = Problems("skip")
    path = write(tmp_path, "\n".join(["y,x", *lines]))
    some = table.load(path, problems, targets=("y",))
    assert len(some) == 39
    assert np.mean(np.delete(whole.splits, 5) == some.splits) > 0.7
    np.testing.assert_array_equal(np.delete(whole.columns["y"], 5), some.columns["y"])


def test_a_given_split_column(tmp_path):
    rows = [["ab"[i % 2], s] for i, s in enumerate(parts(6))]
    path = pictures(tmp_path, ["y", "part"], rows, given=False)
    records = table.load(path, Problems(), split_column="part")
    assert list(records.fields) == ["y"]
    wanted = ["train"] * 4 + ["validation", "test"]
    assert records.splits.tolist() == wanted
    rows = [["ab"[i % 2], i % 5] for i in range(30)]
    path = pictures(
        tmp_path, ["y", "fold"], rows, given=False
    )  # numbers are no split words
    assert list(table.load(path, Problems()).fields) == ["y", "fold"]


def test_rows_of_a_group_stay_together(tmp_path):
    lines = [f"{i % 2},{i % 30},{i / 7:.3f}" for i in range(300)]
    path = write(tmp_path, "\n".join(["y,who,x", *lines]))
    records = table.load(path, Problems(), targets=("y",), group="who")
    assert names(records) == ("x",)
    for who in range(30):
        assert len(set(records.splits[who::30].tolist())) == 1
    found = [np.sum(records.splits == s) for s in ("train", "validation", "test")]
    assert found == [240, 30, 30]
    # So they do in folds of the training rows.
    source = p5.data.of_records(records).source("train")
    assert len(set(source.groups.tolist())) == 24
    for k in range(3):
        rest, own = p5.data.fold(source, k, 3)
        assert (rest.size, own.size) == (160, 80)
    # Inputs are standardised by the training groups.
    training = vectors(records)[records.splits == "train"]
    np.testing.assert_allclose([training.mean(), training.std()], [0, 1], atol=1e-5)
    # The split of a group depends on its name alone, not on where its rows are.
    path = write(tmp_path, "\n".join(["y,who,x", *lines[::-1]]))
    again = table.load(path, Problems(), targets=("y",), group="who")
    np.testing.assert_array_equal(again.splits[::-1], records.splits)


def test_a_row_without_a_group(tmp_path):
    lines = [f"{i % 2},{i % 10},{i / 7:.3f}" for i in range(40)]
    lines[3] = "1,NA,0.5"
    path = write(tmp_path, "\n".join(["y,who,x", *lines]))
    reason = "column 'who', the `group`, holds nothing"
    options = {"targets": ("y",), "group": "who"}
    assert failure(path, **options) == f"{path}, row 5: {reason}{OUT}"
    problems = Problems("skip")
    assert len(table.load(path, problems, **options)) == 39
    assert problems.dropped == [(f"{path}, row 5", reason)]


def test_a_group_within_the_splits_of_a_column(tmp_path):
    # The test is the table's own; validation is cut from training, group by group.
    words = ["test" if i % 10 == 9 else "train" for i in range(200)]
    rows = [f"{i % 2},{i % 10},{i * 0.37:.2f},{word}" for i, word in enumerate(words)]
    path = write(tmp_path, "\n".join(["y,who,x,split", *rows]))
    problems = Problems()
    found = table.load(path, problems, targets=("y",), group="who")
    assert names(found) == ("x",) and list(found.fields) == ["y"]
    assert (found.splits[9::10] == "test").all()
    assert (found.splits == "test").sum() == 20
    whos = [set(found.splits[who::10].tolist()) for who in range(9)]
    assert sorted(map(sorted, whos)) == [["train"]] * 8 + [["validation"]]
    assert not [what for what in problems.notes if "several splits" in what]
    # A group that the table itself divides is said.
    rows[0] = rows[0].replace("train", "test")
    path = write(tmp_path, "\n".join(["y,who,x,split", *rows]))
    again = table.load(path, problems, targets=("y",), group="who")
    assert again.splits[0] == "test"
    (worst, what, count), *_ = problems.findings()
    assert (worst, count) == ("high", 1) and "'who', the `group`" in what
    # All three may be given.
    rows = [f"{i % 2},{i % 10},{i * 0.37:.2f},{s}" for i, s in enumerate(parts(40))]
    path = write(tmp_path, "\n".join(["y,who,x,part", *rows]))
    options = {"targets": ("y",), "group": "who", "split_column": "part"}
    found = table.load(path, Problems(), **options)
    assert found.splits.tolist()[-2:] == ["validation", "test"]
    assert failure(path, **{**options, "split_column": "who"}) == (
        "A column must not stand in `split_column` and in `group`. "
        "Received: 'who' in both"
    )


def test_inputs(tmp_path):
    path = write(
        tmp_path,
        "y,size,colour,old,note,split\n"
        "a,1,red,true,n0,train\n"
        "b,3,blue,false,n1,train\n"
        "a,,red,true,n2,train\n"
        "b,5,,true,n3,train\n"
        "a,9,green,false,n4,val\n"
        "b,,blue,,n5,test\n",
    )
    problems = Problems()
    records = table.load(path, problems, targets=("y",), ignore=("note",))
    assert records.images is None
    assert names(records) == (
        "size",
        "size is missing",
        "colour=blue",
        "colour=red",
        "colour is missing",
        "old",
    )
    assert vectors(records).dtype == np.float32
    # Training sizes 1, 3, 5: mean 3, standard deviation sqrt(8 / 3). Training "old" is
    # 1, 0, 1, 1: mean 3 / 4, standard deviation sqrt(3) / 4.
    d, e = (8 / 3) ** 0.5, 3**0.5 / 4
    wanted = [
        [-2 / d, 0, 0, 1, 0, 0.25 / e],
        [0, 0, 1, 0, 0, -0.75 / e],
        [0, 1, 0, 1, 0, 0.25 / e],
        [2 / d, 0, 0, 0, 1, 0.25 / e],
        [6 / d, 0, 0, 0, 0, -0.75 / e],
        [0, 1, 1, 0, 0, 0],
    ]
    np.testing.assert_allclose(vectors(records), wanted, rtol=1e-6, atol=1e-7)
    assert dict(problems.notes) == {
        "values of input column 'colour' that no training row has": 1
    }
    assert list(records.fields) == ["y"]
    assert records.columns["y"].tolist() == [0, 1, 0, 1, 0, 1]


def test_inputs_that_tell_nothing(tmp_path):
    lines = ["y,same,mark,free,none,x,id,split"]
    for i, split in enumerate(parts(60)):
        mark = "1" if i % 3 else ""
        lines.append(f"{'ab'[i % 2]},7,{mark},w{i},,{i},{i + 5},{split}")
    lines[-1] = lines[-1].replace(",7,", ",8,")  # another value, but in no training row
    problems = Problems()
    path = write(tmp_path, "\n".join(lines))
    records = table.load(path, problems, targets=("y",), numbers=("x",))
    assert names(records) == ("mark is missing", "x")
    np.testing.assert_array_equal(vectors(records)[:4, 0], [1, 0, 0, 1])
    assert dict(problems.notes) == {
        "input column 'same' left out: one value in all training rows": 1,
        "input column 'free' left out: 60 different texts in 60 rows; "
        "to read it as text, name it in `texts`": 1,
        "input column 'none' left out: one value in all training rows": 1,
        "input column 'id' left out: it only numbers the rows; to use it, name it in "
        "`numbers`": 1,
    }


def test_inputs_of_forced_kinds(tmp_path):
    rows = [f"{'ab'[i % 2]},{i % 3},{s}" for i, s in enumerate(parts(8))]
    path = write(tmp_path, "\n".join(["y,code,split", *rows]))
    records = table.load(path, Problems(), targets=("y",), classes=("code",))
    assert names(records) == ("code=0", "code=1", "code=2")
    np.testing.assert_array_equal(vectors(records), np.eye(3)[np.arange(8) % 3])


def test_no_inputs_left(tmp_path):
    path = write(tmp_path, "y,z\n" + "a,1\nb,1\n" * 10)
    assert failure(path, targets=("y",)) == (
        "A column must be left to tell the targets from. "
        "Received: targets=('y',), columns=['y', 'z']; "
        "input column 'z' left out: one value in all training rows"
    )


def test_labels_do_not_pass_for_a_delimiter(tmp_path):
    path = pictures(tmp_path, ["y"], [["p|q"], ["q|p|r"], ["p|q"], ["q|r"]])
    assert table.load(path, Problems()).fields["y"].class_names == ("p", "q", "r")


def test_what_stands_for_missing(tmp_path):
    values = ["NA", "NaN", "nan", "null", "None", "?", "-", "", "x", "y"]
    _, column, _ = one_column(tmp_path, values)
    assert column.tolist() == [-1] * 8 + [0, 1]
    field, column, _ = one_column(tmp_path, values, missing=("x",))
    assert field.class_names[:3] == ("-", "?", "NA")
    assert column[7:9].tolist() == [-1, -1]  # what is empty is missing all the same


def test_names_in_other_letters(tmp_path):
    (tmp_path / "größe").mkdir()
    rows = "".join(f"größe/é {i}.JPG,{'äö'[i % 2]}\n" for i in range(40))
    for i in range(40):
        (tmp_path / "größe" / f"é {i}.JPG").write_bytes(b"")
    records = table.load(write(tmp_path, f"bild,maß\n{rows}"), Problems())
    assert records.fields == {"maß": Field("class", ("ä", "ö"))}
    assert records.images[3] == str(tmp_path / "größe" / "é 3.JPG")


def test_where_pictures_are(tmp_path, monkeypatch):
    for place in ("set/jpgs", "cwd/other"):
        (tmp_path / place).mkdir(parents=True)
        for i in range(40):
            (tmp_path / place / f"{i}.png").write_bytes(b"")
    monkeypatch.chdir(tmp_path / "cwd")
    plain = "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(40))
    path = write(tmp_path / "set", f"f,y\n{plain}")
    beside = table.load(path, Problems(), image_dir="jpgs")
    assert beside.images[1] == str(tmp_path / "set" / "jpgs" / "1.png")
    here = table.load(path, Problems(), image_dir="other")
    assert here.images[1] == str(tmp_path / "cwd" / "other" / "1.png")
    absolute = table.load(path, Problems(), image_dir=str(tmp_path / "cwd" / "other"))
    assert absolute.images.tolist() == here.images.tolist()
    text = (tmp_path / "set" / "table.csv").read_text()
    lines = [line if line == "f,y" else f"jpgs\\{line}" for line in text.split()]
    windows = write(tmp_path / "set", "\n".join(lines))
    assert table.load(windows, Problems()).images.tolist() == beside.images.tolist()
    bare = write(tmp_path / "set", f"f,y\n{plain}".replace(".png", ""))
    found = table.load(bare, Problems(), image="f", image_dir="jpgs")
    assert found.images.tolist() == beside.images.tolist()
    gone = failure(path, image="f", image_dir="jpg")
    assert gone == (
        "`image_dir` must be a folder, beside the table or where the command runs. "
        f"Received: image_dir='jpg'; there is no {tmp_path / 'set' / 'jpg'}"
    )


def test_two_columns_of_pictures(tmp_path):
    path = pictures(tmp_path, ["mask", "y"], [[f"m{i}.png", i % 2] for i in range(9)])
    assert failure(path) == (
        "`image` must say which column names the pictures. Received: image=None, "
        "columns with names of pictures=['file', 'mask']"
    )
    assert list(table.load(path, Problems(), ignore=("mask",)).fields) == ["y"]
    records = table.load(path, Problems(), image="file", targets=("y",))
    assert list(records.fields) == ["y"]


# Faults of single rows: each is one line, or one example less.

ROWS = [["a", 0.5], ["b", 1.5], ["a", 2.5], ["b", 3.5], ["a", 4.5]]


def change(root, old, new, rows=ROWS):
    pictures(root, ["y", "x"], rows)
    text = (root / "table.csv").read_text()
    assert text.count(old) == 1
    return write(root, text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "where", "reason"),
    [
        ("b,1.5", "b", "row 3", "it has 3 cells, and the first row has 4"),
        ("b,1.5", "b,1.5,2", "row 3", "it has 5 cells, and the first row has 4"),
        ("b,1.5", "b,inf", "row 3", None),
        ("b,1.5", "b,-1e39", "row 3", None),
        ("a1.jpg", "", "row 3", "column 'file' names no picture"),
        ("a1.jpg", "a0.jpg", "row 3", "picture 'a0.jpg' stands in row 2 already"),
        ("a1.jpg", "x/../a0.jpg", "row 3", None),
        (
            "a1.jpg",
            "..\\..\\b1.jpg",
            "row 3",
            r"picture '..\\..\\b1.jpg' lies outside {root}, which has none so called",
        ),
        (
            "a1.jpg",
            "/etc/b1.jpg",
            "row 3",
            "picture '/etc/b1.jpg' lies outside {root}, which has none so called",
        ),
        ("a1.jpg", "b1.jpg", "{root}/b1.jpg", "there is no such picture"),
    ],
)
def test_bad_rows(tmp_path, old, new, where, reason):
    path = change(tmp_path, old, new)
    if where.startswith("row"):
        where = f"{path}, {where}"
    where = where.format(root=tmp_path)
    if reason is None:
        value = new.split(",")[-1]
        reason = f"column 'x' holds {value}, which is no number that fits into 32 bits"
        if ".jpg" in new:
            reason = f"picture {new!r} stands in row 2 already"
    reason = reason.format(root=tmp_path)
    assert failure(path) == f"{where}: {reason}{OUT}"
    problems = Problems("skip")
    records = table.load(path, problems)
    assert problems.dropped == [(where, reason)]
    assert [image[-6:] for image in records.images] == [
        f"a{i}.jpg" for i in (0, 2, 3, 4)
    ]
    np.testing.assert_array_equal(records.columns["x"], [0.5, 2.5, 3.5, 4.5])
    np.testing.assert_array_equal(records.columns["y"], [0, 0, 1, 0])


def test_text_in_a_column_of_numbers(tmp_path):
    rows = [["ab"[i % 2], i / 2] for i in range(20)]
    path = change(tmp_path, "b,4.5", "b,4.5 kg", rows)
    reason = (
        "column 'x' holds '4.5 kg', which is no number; if it is one of texts, name "
        "it in `classes`"
    )
    assert failure(path) == f"{path}, row 11: {reason}{OUT}"
    problems = Problems("skip")
    records = table.load(path, problems)
    assert problems.dropped == [(f"{path}, row 11", reason)]
    wanted = [i / 2 for i in range(20) if i != 9]
    np.testing.assert_array_equal(records.columns["x"], wanted)
    records = table.load(path, Problems(), classes=("x",))
    assert len(records.fields["x"].class_names) == 20


def test_text_in_a_column_that_must_be_numbers(tmp_path):
    path = pictures(tmp_path, ["y"], [["two"], ["1"], ["three"], ["4"], ["5"]])
    problems = Problems("skip")
    records = table.load(path, problems, numbers=("y",))
    np.testing.assert_array_equal(records.columns["y"], [1, 4, 5])
    assert [file for file, _ in problems.dropped] == [
        f"{path}, row 2",
        f"{path}, row 4",
    ]
    path = pictures(tmp_path, ["y"], [["one"], ["two"]])
    assert failure(path, numbers=("y",)) == (
        "`numbers` must name columns that hold numbers. Received: 'y', which holds none"
    )


def test_a_fault_in_an_input(tmp_path):
    rows = [f"{'ab'[i % 2]},{i}" for i in range(20)]
    rows[4] = "a,1e999"
    path = write(tmp_path, "\n".join(["y,x", *rows]))
    assert failure(path, targets=("y",)) == (
        f"{path}, row 6: column 'x' holds 1e999, which is no number that fits into "
        f"32 bits{OUT}"
    )
    # What is ignored may hold anything.
    path = write(tmp_path, "\n".join(["y,x,z", *(f"{row},1" for row in rows)]))
    with pytest.raises(ValueError, match="must be left"):
        table.load(path, Problems(), targets=("y",), ignore=("x",))


@pytest.mark.parametrize("word", ["trian", ""])
def test_an_unknown_split(tmp_path, word):
    rows = [["ab"[i % 2], s] for i, s in enumerate(parts(8, "train", word))]
    path = pictures(tmp_path, ["y", "split"], rows)
    reason = f"column 'split' holds {word!r}, and splits are {SPLIT_WORDS}"
    assert failure(path) == f"{path}, row 3: {reason}{OUT}"
    problems = Problems("skip")
    records = table.load(path, problems)
    assert problems.dropped == [(f"{path}, row 3", reason)]
    assert len(records) == 7


def test_no_row_can_be_used(tmp_path):
    path = write(tmp_path, "file,y\na.jpg,1\nb.jpg,2\n")
    assert failure(path, Problems("skip")) == (
        f"A table must have a row that can be used. Received: {path}, with 2 rows at "
        "fault"
    )


# Faults of the whole.


def test_options_that_name_no_column(tmp_path):
    path = pictures(tmp_path, ["colour", "age"], [["r", 1.5], ["b", 2.5]] * 5)
    for option in ("image", "split_column", "group"):
        assert failure(path, **{option: "color"}) == (
            f"`{option}` must name columns of the table. Did you mean 'colour'? "
            "Received: 'color', columns=['file', 'colour', 'age', 'split']"
        )
    for option in ("targets", "ignore", "classes", "numbers"):
        assert failure(path, **{option: ("age", "color")}) == (
            f"`{option}` must name columns of the table. Did you mean 'colour'? "
            "Received: 'color', columns=['file', 'colour', 'age', 'split']"
        )


@pytest.mark.parametrize(
    ("one", "two"),
    [("targets", "ignore"), ("image", "targets"), ("classes", "numbers")],
)
def test_a_column_in_two_roles(tmp_path, one, two):
    path = pictures(tmp_path, ["y"], [[1], [2]] * 5)
    options = {one: ("file",), two: ("file",)}
    if one == "image":
        options["image"] = "file"
    assert failure(path, **options) == (
        f"A column must not stand in `{one}` and in `{two}`. Received: 'file' in both"
    )


def test_no_targets_without_pictures(tmp_path):
    path = write(tmp_path, "y,x\na,1\nb,2\n")
    assert failure(path) == (
        "`targets` must name the columns to learn, or `image` the one that names "
        "pictures. Received: targets=(), image=None, columns=['y', 'x']"
    )
    assert failure(path, image_dir=str(tmp_path), targets=("y",)) == (
        "`image_dir` needs a column that names pictures; give `image`. "
        f"Received: image_dir={str(tmp_path)!r}, columns=['y', 'x']"
    )


def test_a_target_named_as_the_picture_of_an_example(tmp_path):
    path = pictures(tmp_path, ["input"], [[1], [2]] * 5)
    assert failure(path) == (
        "A target must not be called 'image' or 'input'; rename the column, or put it "
        "into `ignore`. Received: targets=['input']"
    )


# Real tables.


LINES = [
    "the film was dull and far too long",
    "a warm and funny story about two old friends",
    "фильм очень длинный и скучный, но красивый",
]


def prose(tmp_path, *more, count=60):
    rows = [f'{"pn"[i % 2]},{i % 7},"{LINES[i % 3]} {i}"' for i in range(count)]
    return write(tmp_path, "\n".join(["mood,stars,review", *rows, *more]))


def test_texts_are_read_word_by_word(tmp_path):
    path = prose(tmp_path)
    records = table.load(path, Problems(), targets=("mood",))
    assert list(records.encoders) == ["table", "text"]
    text = records.encoders["text"]
    assert (text.column, text.length, text.split) == ("review", 16, "whitespace")
    assert {"film", "скучный"} <= set(text.vocabulary)
    assert names(records) == ("stars",)
    records = table.load(path, Problems(), texts=("review",))
    assert list(records.fields) == ["mood", "stars"]
    assert list(records.encoders) == ["text"]


def test_a_long_text_is_cut_off_and_a_missing_one_a_fault(tmp_path):
    path = prose(tmp_path, f"p,1,{'long ' * 200_000}")
    problems = Problems()
    options = {"targets": ("mood",), "ignore": ("stars",)}
    assert len(table.load(path, problems, **options)) == 61
    assert dict(problems.notes) == {"texts of 'review' longer than 16, cut off": 1}
    path = prose(tmp_path, "p,1,", "", "n,2,fine as it is")
    assert (
        failure(path, **options)
        == f"{path}, row 62: column 'review' holds no text{OUT}"
    )
    problems = Problems("skip")
    assert len(table.load(path, problems, **options)) == 61


def test_formulas_are_read_by_character(tmp_path):
    rows = [f"{i % 2},CC(=O)N{'C' * (i % 40)}c1ccccc1" for i in range(60)]
    path = write(tmp_path, "\n".join(["toxic,formula", *rows]))
    records = table.load(path, Problems(), texts=("formula",))
    text = records.encoders["text"]
    assert (text.split, text.standardize) == ("character", "none")
    assert set(text.vocabulary) == set("CcON(=)1")


def test_a_target_that_is_to_be_read(tmp_path):
    assert failure(prose(tmp_path), targets=("mood",), texts=("mood",)) == (
        "A column must not stand in `targets` and in `texts`. Received: 'mood' in both"
    )


def real(folder, name):
    path = folder / name
    if not path.exists():
        pytest.skip(f"no {path}; set P5_TEST_DATA")
    return str(path)


def test_adult(real_data):
    path = real(real_data, "adult/adult/adult.data")
    targets = ("column_14", "column_5")
    records = table.load(path, Problems(), header=False, targets=targets)
    assert len(records) == 32_561
    assert records.fields["column_14"] == Field("class", ("<=50K", ">50K"))
    assert len(records.fields["column_5"].class_names) == 7
    assert np.bincount(records.columns["column_14"]).tolist() == [24_720, 7_841]
    assert {"column_1=Private", "column_1 is missing"} < set(names(records))
    training = vectors(records)[records.splits == "train"]
    age = names(records).index("column_0")
    assert training[:, age].mean() == pytest.approx(0, abs=1e-4)
    assert training[:, age].std() == pytest.approx(1, abs=1e-4)
    assert np.isfinite(vectors(records)).all()
    rows = np.unique(training, axis=1)
    assert rows.shape[1] == training.shape[1]


def test_myocardial(real_data):
    path = real(real_data, "myocardial/MI.csv")
    targets = ("FIBR_PREDS", "LET_IS")
    records = table.load(path, Problems(), targets=targets, ignore=("ID", "SUM"))
    assert len(records) == 1700
    assert records.fields["FIBR_PREDS"] == Field("class", ("0", "1"))
    assert np.bincount(records.columns["FIBR_PREDS"])[1] == 170
    assert len(records.fields["LET_IS"].class_names) == 8


def test_parkinsons(real_data):
    path = real(real_data, "parkinsons_telemonitoring")
    targets = ("motor_UPDRS", "total_UPDRS")
    records = table.load(path, Problems(), targets=targets)
    assert vectors(records).shape == (5875, 20)
    assert {field.kind for field in records.fields.values()} == {"number"}
    np.testing.assert_allclose(records.columns["motor_UPDRS"][:2], [28.199, 28.447])
