import dataclasses

import numpy as np

import p5_keras as p5
from p5_keras import report_data
from p5_keras.data import infer, summary
from p5_keras.data.records import Field, Problems, Records
from p5_keras.data.user_data import UserData

SPLITS = np.array(["train"] * 12 + ["validation"] * 2 + ["test"] * 2)


def pets():
    problems = Problems("skip")
    for i in range(5):
        problems.bad(f"images/{i}.jpg", "it is empty")
    problems.bad("images/x.jpg", "it is no picture")
    problems.note("pictures in no list, left out", 2)
    one = np.array([[0.0, 0.0, 0.5, 0.25]], "float32")
    head = [(one, np.array([0]))] * 10 + [None] * 6
    records = Records(
        name="pets",
        splits=SPLITS,
        fields={
            "breed": Field("class", ("pug", "boxer")),
            "kilos": Field("number"),
            "head": Field("boxes", ("cat", "dog")),
            "mask": Field("mask", ("no", "yes")),
        },
        columns={
            "breed": np.array([0] * 9 + [1] * 3 + [-1, 0, 1, 1]),
            "kilos": np.arange(16, dtype="float32"),
            "head": head,
            "mask": ["m.png"] * 3 + [""] * 13,
        },
        images=np.array(["a.jpg"] * 16),
        shapes=np.tile(np.int32([[48, 64, 3, 1]]), (16, 1)),
        problems=problems,
    )
    return UserData(records, "16 RGB pictures", "voc:pets", lambda *_: None)


def described(data=None, augment=None):
    data = data or pets()
    tasks = infer.make_tasks(data.records, (48, 64))
    return summary.describe(data, tasks, (48, 64), augment)


def test_labels_are_counted_in_each_split():
    assert summary.coverage(described()) == [
        ["task", "kind", "train", "validation", "test"],
        ["breed", "classification", "12/12", "1/2", "2/2"],
        ["kilos", "regression", "12/12", "2/2", "2/2"],
        ["head", "detection", "10/12", "0/2", "0/2"],
        ["mask", "segmentation", "3/12", "0/2", "0/2"],
    ]


def test_the_whole_table():
    augment = p5.data.Augment([], zoom=1.5)
    assert summary.text(described(augment=augment)).splitlines() == [
        "pets: 16 examples (voc:pets)",
        "  16 RGB pictures",
        "  model input 48 x 64 x 3",
        "",
        "Labelled examples of all",
        "  task   kind            train  validation  test",
        "  breed  classification  12/12         1/2   2/2",
        "  kilos  regression      12/12         2/2   2/2",
        "  head   detection       10/12         0/2   0/2",
        "  mask   segmentation     3/12         0/2   0/2",
        "",
        "Training labels",
        "  breed: pug 9, boxer 3",
        "    rare, with less than 10: 2 (boxer, pug)",
        "  kilos: 0 to 11, median 5.5",
        "  head: cat 10, dog 0",
        "    rare, with less than 10: 1 (dog)",
        "    1 to 1 boxes in an example, median 1",
        "    height 24 / 24 / 24, width 16 / 16 / 16 "
        "pixels of the input (5 / 50 / 95 %)",
        "  mask: no, yes",
        "",
        "Augmentation: zoom 1.5",
        "",
        "Left out: 6 examples, all of them in dropped.txt",
        "  5 x it is empty",
        "      images/0.jpg",
        "      images/1.jpg",
        "      images/2.jpg",
        "      and 2 more",
        "  1 x it is no picture",
        "      images/x.jpg",
        "",
        "Notes",
        "  pictures in no list, left out (2 times)",
    ]


def test_every_example_that_was_left_out_is_listed():
    lines = summary.dropped_lines(described()).splitlines()
    assert lines[0] == "images/0.jpg\tit is empty"
    assert lines[5] == "images/x.jpg\tit is no picture"
    assert len(lines) == 6


def test_it_says_why_nothing_moves():
    text = summary.text(described(augment=p5.data.Augment([], contrast=0.2)))
    assert (
        "Augmentation: contrast 0.2\n  no flip and no zoom, since 'kilos' holds "
        "numbers, which may be lengths or positions\n" in text
    )


def test_many_classes_and_long_names_fit_the_screen():
    data = pets()
    names = tuple(f"a class with a rather long name, number {i}" for i in range(500))
    fields = {"x" * 70: Field("class", names)}
    column = {"x" * 70: np.arange(16) * 31}
    records = dataclasses.replace(data.records, fields=fields, columns=column)
    text = summary.text(described(dataclasses.replace(data, records=records)))
    assert max(map(len, text.splitlines())) <= summary.WIDTH
    assert "and 492 more" in text
    assert len(text.splitlines()) < 60


def test_a_table_names_its_inputs():
    records = Records(
        "rows",
        SPLITS,
        {"y": Field("number")},
        {"y": np.arange(16, dtype="float32")},
        inputs={"age": np.arange(16.0), "height": np.arange(16.0)},
        encoders={"table": p5.inputs.Table({"age": "number", "height": "number"})},
    )
    records.encoders["table"].adapt(records.inputs)
    data = UserData(records, "", "table:rows.csv", lambda *_: None)
    found = summary.describe(data, infer.make_tasks(records))
    assert found["inputs"] == {"table": "2 numbers: age, height"}
    assert "  table: 2 numbers: age, height\n" in summary.text(found)


def test_some_of_the_tasks():
    data = pets()
    tasks = [t for t in infer.make_tasks(data.records) if t.name in ("kilos", "head")]
    assert list(summary.describe(data, tasks, (48, 64))["tasks"]) == ["kilos", "head"]


def test_what_is_worth_a_look_is_never_cut_off():
    data = pets()
    for i in range(40):
        data.records.problems.note(f"finding {i} " + "word " * 60, severity="low")
    data.records.problems.note("the worst", 7, severity="high")
    data.records.problems.guess("'y': classes", "kind.y=regression")
    found = described(data)
    lines = summary.text(found).splitlines()
    start = lines.index("Worth a look, worst first")
    assert lines[start + 1] == "  high: the worst (7 times)"
    text = " ".join(" ".join(lines[start:]).split())
    for i in range(40):
        assert text.count(f"low: finding {i} " + ("word " * 60).strip()) == 1
    assert "Guessed 'y': classes; decided by kind.y=regression" in text
    assert max(map(len, lines)) <= summary.WIDTH
    assert found["worth_a_look"][0] == ["high", "the worst", 7]
    assert found["guesses"] == {"'y': classes": "kind.y=regression"}
    page = report_data.table(found)
    assert page.count("finding 39") == 1 and page.index("the worst") < page.index(
        "finding 0"
    )
