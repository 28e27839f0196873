"""Hidden tokens, and what is learned of them for other texts."""

import keras
import numpy as np
import pytest

import p5_keras as p5
from p5_keras.data.loaders import lines
from p5_keras.pretraining.masked_text import HiddenTokens, MaskedText

WORDS = ["play a song", "what is the weather", "play jazz", "rain or sun"] * 4
SMALL = {
    "conv": p5.trunks.TextConv(8, depth=1, dropout=0.0),
    "rnn": p5.trunks.TextRNN(8, cell="gru", dropout=0.0),
    "transformer": p5.trunks.TextTransformer(8, depth=1, heads=2, dropout=0.0),
}


def text(words=WORDS, length=6):
    made = p5.inputs.Text("said", length)
    made.adapt({"said": np.array(words)})
    return made


def build(trunk="conv", *others, encoder=None, ratio=0.3):
    encoder = encoder or text()
    task = MaskedText("masked", vocabulary=encoder.size, ratio=ratio)
    return p5.build_model(SMALL[trunk], [task, *others], {"text": encoder})


def test_known_tokens_are_hidden_and_no_others():
    x = np.array([[5, 1, 7, 9, 0, 0], [4, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]])
    layer = HiddenTokens(0.5)
    seen = set()
    for _ in range(20):
        shown, places, tokens, hidden = map(np.array, layer(x, training=True))
        assert hidden.tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0]]
        assert shown[1:].tolist() == [[1, 0, 0, 0, 0, 0]] * 2
        rows = places[0, :2]
        assert set(rows) < {0, 2, 3} and len(set(rows)) == 2
        assert tokens[0, :2].tolist() == x[0, rows].tolist()
        assert (shown[0, rows] == 1).all()
        others = np.setdiff1d(np.arange(6), rows)
        assert (shown[0, others] == x[0, others]).all()
        seen |= set(rows.tolist())
    assert seen == {0, 2, 3}
    # 0.15 * 20 is a little above 3 in single precision.
    many = np.full((1, 20), 7)
    assert np.array(HiddenTokens(0.15)(many)[3]).tolist() == [[1, 1, 1]]


def test_the_loss_is_of_hidden_tokens():
    output = np.array([[[-1.0, 1, 1], [-3, 0, 1], [-9, 1, 0]], [[-5, 1, 0]] * 3])
    task = MaskedText("masked", vocabulary=10)
    np.testing.assert_allclose(task.errors(output), [2.0, 0.0])
    np.testing.assert_allclose(task.measure(output), [0.5, 0.0])
    task.output_shape = (2, 3)
    prior = task.prior(np.zeros(1), np.ones(1))[None]
    np.testing.assert_allclose(task.errors(prior), [np.log(10)], rtol=1e-6)


@pytest.mark.parametrize(
    "trunk",
    [pytest.param(n, marks=[pytest.mark.slow] * (n != "conv")) for n in SMALL],
)
def test_every_trunk_learns_from_text_alone(trunk):
    """Which word is missing follows from the others, so it can be told."""
    encoder = text()
    model = build(trunk, encoder=encoder)
    model.compile(keras.optimizers.Adam(3e-2), jit_compile=trunk == "transformer")
    x = encoder.encode({"said": np.array(WORDS)})
    y = {"masked": np.zeros(len(WORDS))}
    model.fit(x, y, epochs=60, verbose=0)
    assert model.evaluate(x, y, return_dict=True, verbose=0)["masked_accuracy"] > 0.6


def test_it_stands_beside_a_labelled_task_and_is_saved(tmp_path):
    kind = p5.tasks.Classification("kind", num_classes=2)
    model = build("conv", kind)
    assert model.bottleneck is None  # the two read different texts
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    x = np.array([[2, 3, 4, 0, 0, 0]])
    for name, value in model(x).items():
        np.testing.assert_allclose(again(x)[name], value, atol=1e-6)


def test_other_inputs_are_refused():
    with pytest.raises(ValueError, match="'masked' needs one text"):
        p5.build_model(p5.trunks.Dense([4]), [MaskedText("masked", vocabulary=9)], (7,))
    with pytest.raises(ValueError, match="`vocabulary` must be 3 or more"):
        MaskedText("masked", vocabulary=2)


def test_vectors_go_to_the_same_words(tmp_path):
    """Of another vocabulary those that both know; the others stay new."""
    old = build()
    old.save(tmp_path / "old.keras")
    encoder = text(["rain and snow", "play snow"])
    kind = p5.tasks.Classification("kind", num_classes=2)
    new = p5.build_model(SMALL["conv"], [kind], {"text": encoder})

    def vectors(model):
        (found,) = (v for v in model.variables if v.name == "embeddings")
        names = ["", "[UNK]", *model.encoders["text"].vocabulary]
        return dict(zip(names, np.array(found), strict=True))

    before = vectors(new)
    taken = p5.transfer.init_from(new, str(tmp_path / "old.keras"))
    assert taken == ["trunk_embedded", "trunk_sequence"]  # the task has no "pooled"
    after, source = vectors(new), vectors(old)
    for word in ("", "[UNK]", "rain", "play"):
        np.testing.assert_array_equal(after[word], source[word])
    for word in ("and", "snow"):
        np.testing.assert_array_equal(after[word], before[word])


def test_lines(tmp_path):
    file = tmp_path / "texts.txt"
    rows = [f"text {i % 40} 天气 {'long ' * 300}" for i in range(50)]
    file.write_bytes("\ufeff".encode() + "\r\n\n".join(rows).encode())
    found = lines.load(str(file), p5.data.Problems())
    assert len(found) == 50 and found.problems.notes.total() == 49
    of = dict(zip(found.inputs["text"], found.splits, strict=True))
    assert [of[t] for t in found.inputs["text"]] == found.splits.tolist()
    assert found.encoders["text"].length == 256
    file.write_text("one\ntwo\n")
    with pytest.raises(ValueError, match=r"three texts .* with 2"):
        lines.load(str(file), p5.data.Problems())
    with pytest.raises(ValueError, match="a file with a text a line"):
        lines.load(str(tmp_path), p5.data.Problems())
    file.write_bytes(b"caf\xe9\n")
    with pytest.raises(ValueError, match="UTF-8"):
        lines.load(str(file), p5.data.Problems())


def test_the_recipe_reads_lines_or_a_table(tmp_path):
    recipe = p5.recipe.load("pretrain_text")
    lines_file, table = tmp_path / "texts.txt", tmp_path / "table.csv"
    rows = [f"le caf\xe9 est {i} fois bon" for i in range(60)]
    lines_file.write_bytes("\n".join(rows).encode("latin-1"))
    table.write_text("text,liked\n" + "\n".join(f"{r},{len(r) % 2}" for r in rows))
    for dataset, options in (
        (f"lines:{lines_file}", ["dataset_options=encoding=latin-1"]),
        (f"table:{table}", ["dataset_options=texts=text"]),
    ):
        settings = [f"dataset={dataset}", *options]
        config = p5.recipe.configure(recipe.Config(), settings)
        (task,) = recipe.tasks(config)
        (text,) = recipe.found(config).records.encoders.values()
        assert "caf\xe9" in text.vocabulary and task.vocabulary == text.size
        source = recipe.data(config, [task], "train")
        x, y, w = next(iter(p5.data.training(source, [task], 4)))
        assert x.shape == (4, text.length) and set(y) == set(w) == {"masked"}
    with pytest.raises(ValueError, match=r"pictures:PATH, lines:PATH, folder:PATH"):
        recipe.tasks(recipe.Config())
