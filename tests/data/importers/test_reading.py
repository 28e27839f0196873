"""Other data are read as those of training were: by stored rules, matched by name."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

import p5_keras as p5
from p5_keras.data.importers.reading import EARLIER, as_input, as_read, kept, load
from p5_keras.data.records import Field, Problems, Records

BOX = np.float32([[0, 0, 1, 1]])
TRAINED = {
    "pet": Field("class", ("cat", "dog")),
    "signs": Field("labels", ("a", "b")),
    "tags": Field("tags", ("O", "B")),
    "objects": Field("boxes", ("cat", "dog")),
    "age": Field("number"),
    "mask": Field("mask", ("no", "yes"), (0, 255)),
}


def empty(field, count):
    if field.kind in ("boxes", "mask"):
        return [None if field.kind == "boxes" else ""] * count
    shape = (count, 2) if field.kind in ("labels", "tags") else (count,)
    return np.zeros(shape, "int64" if field.kind in ("class", "tags") else "float32")


def stored():
    columns = {name: empty(field, 3) for name, field in TRAINED.items()}
    own = Records("pets", np.array(["train"] * 3), dict(TRAINED), columns)
    return json.loads(json.dumps(dict(kept(own).reading)))


def others(fields, columns, skip=False):
    count = len(next(iter(columns.values())))
    return Records(
        "new",
        np.array(["test"] * count),
        fields,
        columns,
        names=np.array([f"{i}.png" for i in range(count)]),
        problems=Problems("skip" if skip else "raise"),
    )


def read(name, classes, column, skip=False):
    field = Field(TRAINED[name].kind, classes)
    found = as_read(others({name: field}, {name: column}, skip), stored())
    assert found.fields == TRAINED
    return found.columns[name], found.problems.dropped


def test_classes_in_another_order_with_one_missing():
    assert read("pet", ("dog",), np.int64([0, -1]))[0].tolist() == [1, -1]
    assert read("pet", ("dog", "cat"), np.int64([0, 1]))[0].tolist() == [1, 0]
    found, _ = read("signs", ("b",), np.float32([[1], [np.nan]]))
    assert found[0].tolist() == [0, 1] and np.isnan(found[1]).all()
    assert read("tags", ("B", "O"), np.int64([[0, 1, -1]]))[0].tolist() == [[1, 0, -1]]
    found, _ = read("objects", ("dog",), [None, (BOX, np.int64([0]))])
    assert found[0] is None and found[1][1].tolist() == [1]


@pytest.mark.parametrize(
    ("name", "classes", "column"),
    [
        ("pet", ("ant", "cat"), np.int64([0, 1, 0])),
        ("signs", ("a", "ant"), np.float32([[0, 1], [1, 0], [1, 1]])),
        ("tags", ("O", "ant"), np.int64([[0, 1], [0, 0], [1, 1]])),
        (
            "objects",
            ("ant", "cat"),
            [(BOX, np.int64([i])) for i in (0, 1, 0)],
        ),
    ],
)
def test_a_class_that_the_model_lacks(name, classes, column):
    with pytest.raises(ValueError, match=r"0\.png: its class 'ant' of ") as error:
        read(name, classes, column)
    assert "as of 2 examples in all; train anew" in str(error.value)
    assert "--on_bad_example=skip" in str(error.value)
    found, dropped = read(name, classes, column, skip=True)
    assert len(found) == 1
    assert [file for file, _ in dropped] == ["0.png", "2.png"]


def test_a_new_class_without_an_example_does_no_harm():
    found, dropped = read("pet", ("ant", "cat", "dog"), np.int64([1, 2]))
    assert found.tolist() == [0, 1] and not dropped


def test_masks_keep_what_their_values_mean():
    assert read("mask", ("no", "yes"), ["a.png"])[0] == ["a.png"]
    with pytest.raises(ValueError, match="Masks must have classes of the training"):
        read("mask", ("no", "ant", "yes"), ["a.png"])


def test_fields_that_are_missing_or_more():
    fields = {"pet": TRAINED["pet"], "other": Field("number")}
    columns = {"pet": np.int64([0, 1]), "other": np.float32([1, 2])}
    found = as_read(others(fields, columns), stored())
    assert list(found.fields) == list(TRAINED)
    assert (
        np.isnan(found.columns["age"]).all() and found.columns["objects"] == [None] * 2
    )
    notes = list(found.problems.notes)
    assert "'age' is not in these data" in notes
    assert "'other' is not what was trained on, left out" in notes


def test_a_reading_is_a_runs_folder_or_what_it_was(tmp_path):
    with pytest.raises(ValueError, match="`reading` must be the folder of a run"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert load(tmp_path) == EARLIER
    both = [{"dataset": "folder:a", "x": 1}, {"dataset": "folder:b", "x": 2}]
    (tmp_path / "reading.json").write_text(json.dumps({"readings": both}))
    assert load(str(tmp_path), "folder:b")["x"] == 2
    with pytest.raises(ValueError, match="with one data set"):
        load(tmp_path, "folder:c")
    (tmp_path / "reading.json").write_text(json.dumps({"readings": both[:1]}))
    assert load(tmp_path, "folder:c")["x"] == 1
    assert load(both[0]) is both[0]


# By every loader.


def pictures(folder, count, size=(16, 16)):
    rng = np.random.default_rng(len(str(folder)))
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels = rng.integers(0, 255, (*size, 3)).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")


def again(found, dataset, **kwargs):
    reading = json.loads(json.dumps(dict(found.records.reading)))
    return p5.data.user_data(dataset, reading=reading, **kwargs)


def where(records):
    """The split of each example, by its name within the set."""
    names = [str(n).rpartition("/")[2] for n in records.names]
    return dict(zip(names, records.splits.tolist(), strict=True))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def test_folder_of_another_machine_with_fewer_classes_and_more_files(tmp_path):
    for name in ("cat", "dog"):
        pictures(tmp_path / "a" / name, 12)
    found = p5.data.user_data(f"folder:{tmp_path / 'a'}")
    pictures(tmp_path / "b" / "dog", 14)
    other = again(found, f"folder:{tmp_path / 'b'}")
    assert other.records.fields["class"].class_names == ("cat", "dog")
    assert set(other.records.columns["class"].tolist()) == {1}
    before = {
        name: split
        for name, split, kind in zip(
            [str(n).rpartition("/")[2] for n in found.records.names],
            found.records.splits.tolist(),
            found.records.columns["class"],
            strict=True,
        )
        if kind == 1
    }
    assert {n: where(other.records)[n] for n in before} == before
    # Grey pictures are read as the colour images that the model takes.
    Image.new("L", (16, 16), 9).save(tmp_path / "b" / "dog" / "00.png")
    for file in (tmp_path / "b" / "dog").glob("*.png"):
        Image.open(file).convert("L").save(file)
    grey = again(found, f"folder:{tmp_path / 'b'}")
    assert grey.shape == (3,)
    (x, _, _), *_ = p5.data.evaluation(
        grey.source("train", (16, 16)), found.tasks((16, 16)), 4
    )
    assert x.shape == (4, 16, 16, 3)


def test_texts_keep_their_vocabulary(tmp_path):
    for name, text in (("pos", "good fine"), ("neg", "bad poor")):
        folder = tmp_path / "a" / name
        folder.mkdir(parents=True)
        for i in range(10):
            (folder / f"{i}.txt").write_text(f"{text} {i}")
    found = p5.data.user_data(f"folder:{tmp_path / 'a'}")
    for name in ("pos", "neg"):
        folder = tmp_path / "b" / name
        folder.mkdir(parents=True)
        (folder / "x.txt").write_text("other words " * 40)
        Image.new("L", (9, 9)).save(folder / "a picture.png")
    other = again(found, f"folder:{tmp_path / 'b'}")
    (one,), (two,) = (d.records.encoders.values() for d in (found, other))
    assert one.get_config() == two.get_config()
    assert (
        list(other.records.inputs["text"]) == ["other words " * 39 + "other words"] * 2
    )


def test_lines_keep_their_vocabulary(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(f"good {i}" for i in range(50)))
    (tmp_path / "b.txt").write_text("\n".join(f"bad {i} more words" for i in range(50)))
    found = p5.data.user_data(f"lines:{tmp_path / 'a.txt'}", labelled=False)
    other = again(found, f"lines:{tmp_path / 'b.txt'}", labelled=False)
    (one,), (two,) = (d.records.encoders.values() for d in (found, other))
    assert one.get_config() == two.get_config()


def test_pictures_stay_in_their_splits(tmp_path):
    pictures(tmp_path, 40)
    before = p5.data.user_data(f"pictures:{tmp_path}", labelled=False)
    pictures(tmp_path / "more", 1)
    (tmp_path / "more" / "00.png").rename(tmp_path / "zz.png")
    for other in (
        again(before, f"pictures:{tmp_path}", labelled=False),
        p5.data.user_data(f"pictures:{tmp_path}", labelled=False),
    ):
        now = where(other.records)
        moved = [
            n
            for n, s in where(before.records).items()
            if (s, now[n]) == ("test", "train")
        ]
        assert len(now) == 41 and not moved


def coco(root, names, classes):
    pictures(root, len(names))
    content = {
        "images": [
            {"id": i, "file_name": f"{i:02d}.png", "height": 16, "width": 16}
            for i in range(len(names))
        ],
        "annotations": [
            {
                "id": i,
                "image_id": i,
                "category_id": classes.index(name) + 1,
                "bbox": [1, 1, 8, 8],
                "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]],
                "iscrowd": 0,
            }
            for i, name in enumerate(names)
        ],
        "categories": [{"id": i + 1, "name": n} for i, n in enumerate(classes)],
    }
    (root / "all.json").write_text(json.dumps(content))


def test_coco_with_other_numbers_of_the_same_classes(tmp_path):
    coco(tmp_path / "a", ["cat", "dog"] * 8, ["cat", "dog"])
    found = p5.data.user_data(f"coco:{tmp_path / 'a'}")
    coco(tmp_path / "b", ["cat", "dog"] * 8, ["ant", "dog", "cat"])
    other = again(found, f"coco:{tmp_path / 'b'}")
    ids = [entry[1].tolist() for entry in other.records.columns["objects"]]
    assert ids == [[0], [1]] * 8
    assert other.records.fields["mask"].class_names == ("background", "cat", "dog")
    masks = [np.asarray(Image.open(f))[5, 5] for f in other.records.columns["mask"]]
    assert masks == [1, 2] * 8
    coco(tmp_path / "c", ["cat", "ant"] * 8, ["ant", "cat"])
    with pytest.raises(ValueError, match="class 'ant'"):
        again(found, f"coco:{tmp_path / 'c'}")


XML = """<annotation><filename>{i:02d}.png</filename>
<size><width>16</width><height>16</height><depth>3</depth></size>
<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{x}</xmin><ymin>3</ymin>
<xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"""


def voc(root, names, x=3):
    pictures(root, len(names))
    for i, name in enumerate(names):
        (root / f"{i:02d}.xml").write_text(XML.format(i=i, name=name, x=x))


def test_voc_counts_pixels_as_before(tmp_path):
    voc(tmp_path / "a", ["cat", "dog"] * 8)
    found = p5.data.user_data(f"voc:{tmp_path / 'a'}")
    voc(tmp_path / "b", ["dog"] * 16, x=0)  # by themselves they would count from 0
    other = again(found, f"voc:{tmp_path / 'b'}")
    assert other.records.reading["first_pixel"] == 1
    boxes, ids = other.records.columns["objects"][0]
    assert ids.tolist() == [1]
    np.testing.assert_allclose(boxes[0, 0], 2 / 16)  # ymin 3 of 1, 2, 3, …
    voc(tmp_path / "c", ["ant"] * 16)
    with pytest.raises(ValueError, match="class 'ant'"):
        again(found, f"voc:{tmp_path / 'c'}")


def test_a_model_is_saved_with_how_its_data_were_read(tmp_path):
    task = p5.tasks.Regression("age")
    model = p5.build_model(p5.trunks.Dense([4]), [task], (3,))
    model.reading = reading = {"splits": {"rule": "hash", "bounds": {"a": [0.1, 0.2]}}}
    model.save(tmp_path / "m.keras")
    loaded = p5.MultiTaskModel.from_config(model.get_config())
    assert dict(loaded.reading) == reading

    assert dict(keras.saving.load_model(tmp_path / "m.keras").reading) == reading


def test_an_input_is_of_a_class_that_is_known():
    text = p5.inputs.Text("text", 4, vocabulary=["a", "b"])

    saved = json.loads(json.dumps(keras.saving.serialize_keras_object(text)))
    assert as_input(saved).get_config() == text.get_config()
    for name in ("Lambda", "keras.layers>Dense", "os>system"):
        with pytest.raises(ValueError, match="An input must be of"):
            as_input({**saved, "registered_name": name})


def rows_of(path, order, header="id,age,kind,weight,sold", extra=""):
    rng = np.random.default_rng(0)
    names = header.split(",")
    lines = []
    for i in range(60):
        row = {"id": str(i + 1), "age": f"{rng.normal():.3f}", "kind": "ab"[i % 2]}
        row |= {"weight": f"{rng.normal():.3f}", "sold": "xyz"[i % 3]}
        lines.append(",".join(row[n] for n in names) + extra)
    text = "\n".join([header + (extra and ",more"), *(lines[i] for i in order)])
    path.write_text(text + "\n")


def split_of_rows(records):
    values = zip(*(records.inputs[n].tolist() for n in ("age", "weight")), strict=True)
    return dict(zip(values, records.splits.tolist(), strict=True))


def test_rows_and_columns_in_another_order(tmp_path):
    rows_of(tmp_path / "a.csv", range(60))
    options = ["targets=sold"]
    found = p5.data.user_data(f"table:{tmp_path / 'a.csv'}", options)
    order = np.random.default_rng(1).permutation(60)
    # The numbers of the rows are no longer in order, so they could be an input.
    other = {
        "b.csv": {},
        "c.csv": {"header": "sold,weight,kind,age"},
        "d.csv": {"extra": ",7"},
    }
    for name, changes in other.items():
        rows_of(tmp_path / name, order, **changes)
        new = again(found, f"table:{tmp_path / name}", options=options)
        assert split_of_rows(new.records) == split_of_rows(found.records)
        assert new.source("test").digests() == found.source("test").digests()
        assert (
            new.records.encoders["table"].names == found.records.encoders["table"].names
        )


def test_a_new_table_splits_its_rows_by_what_they_hold(tmp_path):
    rows_of(tmp_path / "a.csv", range(60))
    rows_of(tmp_path / "b.csv", np.random.default_rng(1).permutation(60))
    options = ["targets=sold", "ignore=id"]
    one, two = (
        p5.data.user_data(f"table:{tmp_path / name}.csv", options).records
        for name in "ab"
    )
    assert split_of_rows(one) == split_of_rows(two)


def test_rows_that_are_the_same_are_divided(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n" + "1,a\n2,b\n" * 30)
    found = p5.data.user_data(f"table:{tmp_path / 'a.csv'}", ["targets=y"]).records
    counts = [int((found.splits == s).sum()) for s in ("train", "validation", "test")]
    assert counts == [48, 6, 6]


def test_rows_that_are_added_move_no_other(tmp_path):
    rows_of(tmp_path / "a.csv", range(60))
    options = ["targets=sold"]
    found = p5.data.user_data(f"table:{tmp_path / 'a.csv'}", options)
    before = split_of_rows(found.records)
    with (tmp_path / "a.csv").open("a") as file:
        file.write("".join(f"{i},{i}.5,a,0.{i},x\n" for i in range(61, 90)))
    now = split_of_rows(
        again(found, f"table:{tmp_path / 'a.csv'}", options=options).records
    )
    assert len(now) == 89 and {k: now[k] for k in before} == before
