"""Predictions for rows of a table and for sounds of a folder."""

import csv
import json
import logging

import numpy as np
import pytest
import scipy.io.wavfile
import tensorflow as tf

import p5_keras as p5
from p5_keras.data.loaders import table as table_loader
from p5_keras.data.records import Problems
from p5_keras.inputs import Table, Text, Waveform, encode
from p5_keras.predict import plain


def tasks():
    return [
        p5.tasks.Classification("kind", class_names=["cat", "dog"]),
        p5.tasks.Regression("price", mean=[10.0], std=[2.0]),
        p5.tasks.MultiLabel("flags", class_names=["a", "b", "c"]),
    ]


@pytest.fixture(scope="module")
def of_rows():
    table = Table({"age": "number", "colour": "category", "old": "number"})
    table.adapt(
        {
            "age": np.array([1.0, 2.0, 3.0, np.nan]),
            "colour": np.array(["red", "blue", "", "red"], object),
            "old": np.array([0.0, 1.0, 1.0, 0.0]),
        }
    )
    return p5.build_model(p5.trunks.TabularDense([4]), tasks(), {"table": table})


@pytest.fixture(scope="module")
def of_sounds():
    sound = {"sound": Waveform("waveform", 2000, 0.2)}
    return p5.build_model(p5.trunks.AudioConv(width=4), tasks()[:1], sound)


def predicted(model, path, out, *options):
    counts = p5.predict_input(model, path, out, options, batch_size=2)
    lines = (out / "predictions.jsonl").read_text().splitlines()
    with (out / "predictions.csv").open(newline="") as file:
        return counts, [json.loads(line) for line in lines], list(csv.DictReader(file))


def test_rows_of_a_table(of_rows, tmp_path, caplog):
    path = tmp_path / "new.csv"
    path.write_text(
        "extra;colour;age;old\nx;red;2,5;true\n\nx;green;?;false\nx;;3;TRUE\n"
        + "x;blue;1;false\n" * 8
        + "x;blue;abc;true\n"
    )
    with caplog.at_level(logging.WARNING, "absl"):
        counts, lines, rows = predicted(of_rows, path, tmp_path / "out")
    assert counts == (11, 1)
    assert [line["row"] for line in lines] == [2, *range(4, 14)]
    raw = {
        "age": tf.constant([2.5, np.nan, 3.0]),
        "colour": tf.constant(["red", "green", ""]),
        "old": tf.constant([1.0, 0.0, 1.0]),
    }
    fields = of_rows.decode(of_rows(encode(of_rows.encoders, raw)))
    for i in range(3):
        found = lines[i]["predictions"]
        p = fields["kind"]["probabilities"][i].numpy()
        assert found["kind"]["probabilities"] == pytest.approx(p, abs=1e-5)
        assert found["kind"]["name"] == ["cat", "dog"][int(np.argmax(p))]
        value = float(fields["price"]["value"][i, 0])
        assert found["price"]["value"] == [pytest.approx(value, abs=1e-4)]
        assert rows[i]["kind"] == found["kind"]["name"]
        assert float(rows[i]["kind_probability"]) == pytest.approx(p.max(), abs=1e-5)
        assert float(rows[i]["price"]) == pytest.approx(value, abs=1e-4)
        assert rows[i]["flags"] == "|".join(found["flags"]["names"])
    assert list(rows[0]) == ["row", "kind", "kind_probability", "price", "flags"]
    assert "new.csv, row 14 is left out: column 'age' holds 'abc'" in caplog.text
    assert "values of column 'colour' that training has not seen (1 times)" in (
        caplog.text
    )
    assert "'age' has numbers with commas, which are read as before" in caplog.text


def test_a_table_is_read_as_in_training(of_rows, tmp_path):
    path = tmp_path / "new.csv"
    path.write_bytes("age:colour:old\nnone:café:true\n".encode("latin-1"))
    options = ("encoding=latin-1", "delimiter=:", "missing=none", "targets=kind")
    counts, _, rows = predicted(of_rows, path, tmp_path / "out", *options)
    assert counts == (1, 0) and len(rows) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Age,colour,old\n1,red,true\n", "must have the column 'age'.*mean 'Age'"),
        ("age,old\n1,true\n", "must have the column 'colour'.*columns .'age', 'old'"),
        ("", "which is empty"),
    ],
)
def test_a_table_that_lacks_something(of_rows, tmp_path, content, message):
    (tmp_path / "new.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        p5.predict_input(of_rows, tmp_path / "new.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_table_is_read_by_the_rule_of_training(
    of_rows, tmp_path, caplog, monkeypatch
):
    rows = [
        f"{i},5;{('red', 'blue')[i % 2]};{('true', 'false')[i % 3 > 1]};{i % 2}"
        for i in range(30)
    ]
    (tmp_path / "train.csv").write_text("age;colour;old;y\n" + "\n".join(rows))
    found = table_loader.load(str(tmp_path / "train.csv"), Problems(), targets=("y",))
    kept = json.loads(json.dumps(found.reading))
    monkeypatch.setattr(of_rows, "reading", kept, raising=False)
    path, out = tmp_path / "new.csv", tmp_path / "out"

    def values(content):
        path.write_text(content)
        p5.predict_input(of_rows, path, out)
        lines = (out / "predictions.csv").read_text().splitlines()
        return [row["price"] for row in csv.DictReader(lines)]

    # In training commas stand before decimals, so they do here, whatever else fits.
    said = values("age;colour;old\n1,500;red;1\n1,5;red;yes\n1,5;red;true\n")
    assert len(said) == 3 and len(set(said)) == 1
    with caplog.at_level(logging.WARNING, "absl"):
        assert len(values("age;colour;old\n1,5;red;1\n2;red;0\n1.5;red;1\n")) == 2
    assert (
        "row 4 is left out: column 'age' holds '1.5', which is no number" in caplog.text
    )
    with pytest.raises(
        ValueError, match="'age' must be written as in the training data"
    ):
        values("age;colour;old\n1.5;red;1\n2.5;red;0\n")


def test_numbers_are_written_as_the_model_says_them():
    task = p5.tasks.Regression("price", size=3)
    value = np.array([4864731.2, 0.1, np.nan], "float32")
    assert plain(task, {"value": value})["value"] == [4864731.0, 0.1, None]
    exact = np.array([4864731.2])
    assert plain(task, {"value": exact})["value"] == [4864731.2]
    big = plain(task, {"value": np.float32(16777217.0 * 3)})["value"]
    assert np.float32(big) == np.float32(50331651)


def test_predictions_do_not_replace_their_input(of_rows, tmp_path):
    (tmp_path / "predictions.csv").write_text("age,colour,old\n1,red,true\n")
    with pytest.raises(ValueError, match="`out` must not be"):
        p5.predict_input(of_rows, tmp_path / "predictions.csv", tmp_path)


def test_texts(tmp_path, caplog):
    text = Text("review", 8)
    text.adapt({"review": np.array(["a good film", "a bad film"], object)})
    made = p5.build_model(p5.trunks.TextConv(width=4), tasks()[:1], {"text": text})
    path = tmp_path / "new.tsv"
    path.write_text('id\treview\n1\tgood\n2\t\n3\t"so, so\n4\t电影\n')
    with caplog.at_level(logging.WARNING, "absl"):
        counts, lines, _ = predicted(made, path, tmp_path / "out")
    assert counts == (3, 1)
    assert [line["row"] for line in lines] == [2, 4, 5]
    assert "row 3 is left out: column 'review' is empty" in caplog.text


def test_sounds_of_a_folder(of_sounds, tmp_path, caplog):
    rng = np.random.default_rng(0)
    x = rng.integers(-9000, 9000, 4000).astype("int16")
    scipy.io.wavfile.write(tmp_path / "a.wav", 2000, x[:300])
    scipy.io.wavfile.write(tmp_path / "b.WAV", 4000, np.stack([x, x], 1))
    scipy.io.wavfile.write(tmp_path / "c.wav", 2000, x)
    (tmp_path / "d.wav").write_bytes(b"RIFF")
    (tmp_path / "notes.txt").write_text("")
    with caplog.at_level(logging.WARNING, "absl"):
        counts, lines, rows = predicted(of_sounds, tmp_path, tmp_path / "out")
    assert counts == (3, 1)
    assert [row["file"] for row in rows] == ["a.wav", "b.WAV", "c.wav"]
    assert "d.wav is left out: it is cut off, or no WAV file" in caplog.text
    padded = np.pad(x[:300], (0, 100))[None] / 32768
    p = of_sounds.decode(of_sounds(padded))["kind"]["probabilities"][0]
    found = lines[0]["predictions"]["kind"]["probabilities"]
    assert found == pytest.approx(p.numpy(), abs=1e-4)


def test_no_sounds(of_sounds, tmp_path):
    for path in (tmp_path, tmp_path / "never"):
        with pytest.raises(ValueError, match="a folder that holds WAV files"):
            p5.predict_input(of_sounds, path, tmp_path / "out")


def test_a_model_of_sound_and_more(tmp_path):
    table = Table({"age": "number"})
    table.adapt({"age": np.array([1.0, 2.0])})
    inputs = {"sound": Waveform("waveform", 2000, 0.2), "table": table}
    trunk = p5.trunks.MultiInput(
        {"sound": p5.trunks.AudioConv(width=4), "table": p5.trunks.TabularDense([4])}
    )
    made = p5.build_model(trunk, tasks()[:1], inputs)
    with pytest.raises(ValueError, match="must read sounds alone, or a table"):
        p5.predict_input(made, tmp_path, tmp_path / "out")


def test_texts_of_a_folder(tmp_path):
    text = Text("text", 8)
    text.adapt({"text": np.array(["a good film", "a bad film"], object)})
    made = p5.build_model(p5.trunks.TextConv(width=4), tasks()[:1], {"text": text})
    for name, content in (("a", b"good"), ("b", b""), ("c", b"caf\xe9 film\n")):
        (tmp_path / f"{name}.txt").write_bytes(content)
    counts, lines, _ = predicted(made, tmp_path, tmp_path / "out", "encoding=latin-1")
    assert counts == (2, 1)
    assert [line["file"] for line in lines] == ["a.txt", "c.txt"]
