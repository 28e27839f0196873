"""Tasks that answer with a sequence come to a quality that a trivial one has not."""

import datetime

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5

pytestmark = pytest.mark.slow


def backwards(rng, count):
    """Strings of six of eight letters, and the same backwards."""
    read = ["".join(rng.choice(list("abcdefgh"), 6)) for _ in range(count)]
    return read, [text[::-1] for text in read]


def dates(rng, count):
    """Dates as people write them, and as ISO 8601 does."""
    first = datetime.date(1950, 1, 1)
    days = [first + datetime.timedelta(int(d)) for d in rng.integers(0, 36500, count)]
    forms = ["%d %b %Y", "%B %d, %Y", "%d/%m/%Y", "%A, %d %B %Y"]
    read = [day.strftime(forms[rng.integers(4)]) for day in days]
    return read, [day.isoformat() for day in days]


@pytest.mark.parametrize(("make", "epochs"), [(backwards, 3), (dates, 10)])
def test_seq2seq(make, epochs):
    read, written = make(np.random.default_rng(0), 4000)
    encoder = p5.inputs.Text("read", max(map(len, read)), split="character")
    encoder.adapt({"read": np.array(read[:3500])})
    names, ids = p5.data.text_column(written)
    task = p5.tasks.Seq2Seq("written", length=ids.shape[1], class_names=list(names))
    trunk = p5.trunks.TextRNN(32, cell="gru", dropout=0.0)
    model = p5.build_model(trunk, [task], {"text": encoder})
    x = encoder.encode({"read": tf.constant(read)})
    data = tf.data.Dataset.from_tensor_slices((x, {"written": ids}))
    train = data.take(3500).shuffle(3500, seed=0).batch(50)
    steps = keras.optimizers.schedules.CosineDecay(5e-3, 70 * epochs)
    model.compile(keras.optimizers.Adam(steps, global_clipnorm=1.0))
    model.fit(train, epochs=epochs, verbose=0)
    found = model.evaluate(data.skip(3500).batch(500), return_dict=True, verbose=0)
    print(found)
    assert found["written_accuracy"] > 0.95 and found["written_error_rate"] < 0.01


@pytest.mark.heavy
def test_transcription(real_data):
    recipe = p5.recipe.load("digit_strings")
    settings = [f"data_dir={real_data / 'fsdd'}", "epochs=4"]
    config = p5.recipe.configure(recipe.Config(), settings)
    tasks = recipe.tasks(config)
    sources = [recipe.data(config, tasks, split) for split in p5.data.SPLITS]
    _, held_out, _ = p5.data.prepare(sources, tasks, config.batch_size)
    model = recipe.model(config, tasks)
    steps = p5.data.steps_per_epoch(sources[0], config.batch_size)
    model.compile(recipe.optimizer(config, config.epochs * steps))
    batches = p5.data.training(sources[0], tasks, config.batch_size)
    model.fit(batches, epochs=config.epochs, steps_per_epoch=steps, verbose=0)
    found = model.evaluate(held_out, return_dict=True, verbose=0)
    print(found)
    assert found["transcript_error_rate"] < 0.1 and found["speaker_accuracy"] > 0.9
