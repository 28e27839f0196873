import numpy as np
import pytest

from p5_keras.data.importers.column_names import kind_of_name, note_names
from p5_keras.data.importers.label_checks import note_labels
from p5_keras.data.records import Field, Problems, Records, split_examples

N = 100
SPLITS = np.array(["train"] * 60 + ["validation"] * 20 + ["test"] * 20)
RNG = np.random.default_rng(0)


def found(fields, columns, check=note_labels, splits=SPLITS, **given):
    own = Records("set", splits, fields, columns, **{"problems": Problems(), **given})
    check(own)
    return [(severity, what) for severity, what, _ in own.problems.findings()]


def classes(*counts, names="abcdefgh"):
    """Ids by split: so many of each class in training, then in all others."""
    ids = [
        np.resize(np.repeat(np.arange(len(c)), c), n)
        for c, n in zip(counts, (60, 40), strict=True)
    ]
    return {"y": Field("class", tuple(names[: len(counts[0])]))}, {
        "y": np.concatenate(ids)
    }


def test_good_labels_are_not_noted():
    fields, columns = classes([30, 30], [20, 20])
    fields["n"], columns["n"] = Field("number"), RNG.normal(size=N)
    fields["b"] = Field("boxes", ("x",))
    columns["b"] = [(np.zeros((1, 4)), np.array([0]))] * N
    fields["m"], columns["m"] = Field("mask", ("x", "y")), ["m.png"] * N
    inputs = {"x": RNG.normal(size=N), "c": RNG.choice(["u", "v"], N).astype(object)}
    assert not found(fields, columns, inputs=inputs)


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("cat", "Cat", "dog"), "in case alone, such as 'cat' and 'Cat'"),
        (("caf\u00e9", "cafe\u0301"), r"seen, such as 'caf\xe9' and 'cafe\u0301'"),
        (("tea", "tea\u200b"), r"seen, such as 'tea' and 'tea\u200b'"),
        (("a", "A"), ""),  # letters
        (("-1", "1"), ""),
    ],
)
@pytest.mark.parametrize("kind", ["class", "boxes", "mask"])
def test_names_that_may_be_one_class(names, shown, kind):
    columns = {
        "class": np.arange(N) % len(names),
        "boxes": [(np.zeros((1, 4)), np.array([i % len(names)])) for i in range(N)],
        "mask": ["m.png"] * N,
    }
    notes = found({"y": Field(kind, names)}, {"y": columns[kind]})
    assert [what for _, what in notes if shown and shown in what] == [
        what for _, what in notes
    ]
    assert len(notes) == bool(shown)


def test_classes_that_most_test_labels_are_of_are_worst():
    """One of three classes, which 30 of 40 held-out examples have."""
    ids = np.concatenate([np.arange(60) % 2, np.where(np.arange(40) % 4, 2, 0)])
    notes = found({"y": Field("class", ("a", "b", "c"))}, {"y": ids})
    assert notes[0][0] == "high" and "without a training example: 'c'" in notes[0][1]


def test_classes_of_a_few_examples_each():
    fields = {"y": Field("class", tuple(f"case {i}" for i in range(33)))}
    ids = np.arange(N) % 33
    assert found(fields, {"y": ids}) == [
        (
            "medium",
            "half of the 33 classes of 'y' have 2 training examples or less, such as "
            "'case 0': they may be images, patients or places rather than classes",
        )
    ]
    fields = {"y": Field("class", tuple(f"case {i}" for i in range(10)))}
    assert not found(fields, {"y": np.arange(N) % 10})  # six of each


def test_boxes_that_stand_twice():
    corner, middle = [0, 0, 0.5, 0.5], [0.2, 0.2, 0.5, 0.5]
    once = (np.array([corner, middle]), np.array([0, 0]))
    twice = (np.array([corner, corner, corner]), np.array([0, 0, 1]))
    notes = found(
        {"y": Field("boxes", ("cat", "dog"))}, {"y": [twice] * 4 + [once, None] * 48}
    )
    assert notes == [
        (
            "medium",
            f"4 of 108 boxes of 'y' stand in their image {what}",
        )
        for what in (
            "again with the same place and class: each is learned, and measured, twice",
            "with the place of one of another class: one may be wrong",
        )
    ]


@pytest.mark.parametrize(
    ("counts", "severity", "start"),
    [
        (([60, 0], [20, 20]), "high", "every training example of 'y' is 'a'"),
        (([60, 0, 0], [20, 10, 10]), "high", "classes of 'y' without a training exa"),
        (
            ([30, 30, 0], [20, 0, 20]),
            "medium",
            "classes of 'y' without a training example: 'c';",
        ),
        (([30, 30, 0], [20, 20, 0]), "low", "classes of 'y' without any example: 'c'"),
        (([59, 1], [40, 0]), "low", "classes of 'y' with one example in all: 'b'"),
        (
            ([58, 2], [20, 20]),
            "medium",
            "96.7 % of the training examples of 'y' are 'a'",
        ),
    ],
)
def test_classes(counts, severity, start):
    notes = found(*classes(*counts))
    assert any(s == severity and what.startswith(start) for s, what in notes), notes


def test_classes_of_labels_boxes_and_tags():
    hot = np.zeros((N, 3), "float32")
    hot[:, 0] = 1  # everywhere
    hot[70:, 1] = 1  # not in training
    hot[::2, 2] = 1
    boxes = [(np.zeros((1, 4)), np.array([int(i >= 60)])) for i in range(N)]
    tags = np.full((N, 2), -1)
    tags[:, 0] = np.where(np.arange(N) < 60, 0, 1)
    names = ("a", "b", "c")
    for kind, column in (("labels", hot), ("boxes", boxes), ("tags", tags)):
        notes = found({"y": Field(kind, names)}, {"y": column})
        first = "classes of 'y' without a training example: 'b';"
        assert any(what.startswith(first) for _, what in notes), kind
    notes = found({"y": Field("labels", names)}, {"y": hot})
    assert ("medium", "classes of 'y' that every training example has: 'a'") in notes


def test_many_classes_are_one_finding():
    ids = np.concatenate([np.arange(60) % 2, np.arange(40) + 2])
    field = Field("class", tuple(f"c{i}" for i in range(42)))
    (first,) = [w for _, w in found({"y": field}, {"y": ids}) if "without a tr" in w]
    assert "'c2', " in first and "'c9' and 32 more;" in first


@pytest.mark.parametrize(
    ("missing", "severity", "what"),
    [
        (slice(80, 100), "medium", "'y' has no label in test: not measured there"),
        (
            slice(60, 100),
            "medium",
            "'y' has no label in validation and test: not measured there",
        ),
        (slice(10, 60), "medium", "'y' has 10 training labels: too few to learn from"),
        (slice(85, 100), "low", "'y' has 5 test labels: its score is hardly known"),
    ],
)
def test_few_labels(missing, severity, what):
    for field, column in (
        (Field("number"), RNG.normal(size=N)),
        (Field("class", ("a", "b")), np.arange(N) % 2),
        (Field("mask", ("a", "b")), np.array(["m.png"] * N, object)),
    ):
        column[missing] = {"number": np.nan, "class": -1, "mask": ""}[field.kind]
        column = list(column) if field.kind == "mask" else column
        assert (severity, what) in found({"y": field}, {"y": column})


def test_a_number_far_from_all_others():
    y = RNG.normal(5, 2, size=N)
    y[70] = 1e9  # not in training
    assert not found({"y": Field("number")}, {"y": y})
    y[7] = 205  # 100 deviations
    severity, what = found({"y": Field("number")}, {"y": y})[0]
    assert severity == "medium" and "'y' (205, where most lie in " in what
    x = {"x": RNG.normal(size=N)}
    x["x"][3] = -9999
    severity, what = found(*classes([30, 30], [20, 20]), inputs=x)[0]
    assert severity == "low" and "inputs with" in what and "'x' (-9999" in what
    # A long tail and a column that is nearly always 0 are no outliers.
    for tail in (RNG.exponential(size=N), RNG.lognormal(size=N), np.eye(1, N)[0]):
        assert not found({"y": Field("number")}, {"y": tail})


def test_inputs_that_say_the_target():
    fields, columns = classes([30, 30], [20, 20])
    fields["n"] = Field("number")
    columns["n"] = RNG.normal(size=N).astype("float32")
    inputs = {
        "of y": np.array(["no", "yes"], object)[columns["y"]],
        "number of y": columns["y"] * 7.0 - 3,
        "of n": 9 / 5 * columns["n"].astype("float64") + 32,
        "noise": RNG.normal(size=N),
        "near n": columns["n"] + 0.1 * RNG.normal(size=N),
        "half of y": np.array(["no", "yes"], object)[
            columns["y"] * RNG.integers(0, 2, N)
        ],
    }
    inputs["of y"][3] = ""  # missing
    notes = found(fields, columns, inputs=inputs)
    assert [severity for severity, _ in notes] == ["high"] * 3
    named = [what.split(" says the target ")[0] for _, what in notes]
    assert named == ["input 'of y'", "input 'number of y'", "input 'of n'"]
    assert notes[0][1].endswith("--dataset_options=ignore=of y")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("patient", "group"),
        ("PatientID", "group"),
        ("patient_id", "group"),
        ("subject#", "group"),
        ("userid", "group"),
        ("Speaker name", "group"),
        ("ID", "id"),
        ("row_id", "id"),
        ("Unnamed: 0", "id"),
        ("Index", "id"),
        ("Date", "date"),
        ("order_date", "date"),
        ("timestamp", "date"),
        ("year", "time"),
        ("created_at", "date"),
        ("updatedAt", "date"),
        ("is_test", "split"),
        ("in train", "split"),
        ("fold", "split"),
        *[
            (n, "")
            for n in (
                "user_age",
                "at",
                "test",
                "is_valid",
                "blood test",
                "nr_11",
                "number of rooms",
                "year built",
                "",
                "width",
                "survival_time",
                "idea",
                "candidate",
                "age",
                "1",
                "é",
            )
        ],
    ],
)
def test_kinds_of_names(name, kind):
    assert kind_of_name(name) == kind


def named(role, name, values, random=True, groups=None):
    fields, columns = classes([30, 30], [20, 20])
    given = {"inputs": {"x": RNG.normal(size=N)}, "groups": groups}
    if role == "input":
        given["inputs"][name] = values
    elif role == "column":
        given["aside"] = {name: values}
    else:
        fields[name], columns[name] = Field("number"), values
    problems = Problems()
    if random:
        split_examples([str(i) for i in range(N)], problems=problems)
    return found(fields, columns, note_names, problems=problems, **given)


GROUPS = np.array([f"p{i % 10}" for i in range(N)], object)
DATES = np.array([f"2020-01-{i % 28 + 1:02}" for i in range(N)], object)
IDS = np.arange(N) * 3.0 + 17


def test_groups_over_several_splits():
    for role in ("input", "column"):
        (note,) = named(role, "patient", GROUPS)
        assert note[0] == "medium" and "10 of its 10 values stand in several" in note[1]
        assert "--dataset_options=group=patient" in note[1]
    assert not named("column", "patient", GROUPS, groups=np.arange(N) % 10)
    assert not named("column", "patient", np.arange(N).astype(str).astype(object))
    by_split = np.array([f"p{s}" for s in SPLITS], object)
    assert not named("input", "patient", by_split)  # each in one split
    gaps = GROUPS.copy()
    gaps[5:] = ""
    assert not named("column", "patient", gaps)


def test_ids_and_times():
    for role in ("input", "target"):
        (note,) = named(role, "id", IDS)
        assert note[0] == "medium" and "--dataset_options=ignore=id" in note[1]
    assert not named("column", "id", IDS)  # nothing reads it
    for name in ("date", "when"):  # by name, or by its values
        (note,) = named("column", name, DATES)
        assert (
            note[0] == "medium" and "split_column=" in note[1] and "group=" in note[1]
        )
        assert not named("column", name, DATES, random=False)
        assert not named("column", name, DATES, groups=np.arange(N))


def test_the_only_target_is_meant():
    target = {"speaker": Field("class", tuple("abcdefghij"))}
    ids = {"speaker": np.arange(N) % 10}
    assert not found(target, ids, note_names, inputs={"x": RNG.normal(size=N)})


def test_splits_that_were_cut_are_kept_as_a_guess():
    problems = Problems()
    split_examples([str(i) for i in range(10)], problems=problems)
    ((what, option),) = problems.guesses.items()
    assert what.endswith("10 % validation and 10 % test")
    assert option == "--dataset_options=split=A,B,C"
    problems = Problems()
    split_examples(list("abc"), ["train", "validation", "test"], problems=problems)
    assert not problems.guesses


def test_a_split_among_the_inputs_is_noted():
    flags = np.arange(N) % 2.0
    ((severity, what),) = named("input", "is_test", flags)
    assert severity == "medium"
    assert what.startswith("input 'is_test' has the name of a split and is read as in")
    assert "--dataset_options=split_column=is_test" in what
    assert not named("input", "is_test", RNG.normal(size=N))
    assert not named("column", "fold", flags)


@pytest.mark.parametrize("unit", [1, 1000])
def test_seconds_since_1970_are_a_time(unit):
    values = (1.7e9 + 3600.0 * np.arange(N)) * unit
    ((severity, what),) = named("input", "t", values)
    assert severity == "medium" and what.startswith("input 't' is a time by its values")
    assert not named("input", "t", values + 0.5)
    assert not named("input", "t", values * 0 + 1.7e9)
    assert not named("input", "t", RNG.integers(1, 2**31, N).astype(float))
