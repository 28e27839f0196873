"""Strings of spoken digits: what is said, in order, and whose voice, on one trunk.

Source: Graves et al., Connectionist Temporal Classification, ICML 2006, for the
transcript; Park et al., SpecAugment, Interspeech 2019, for the masks.
Data: two to four recordings of one speaker in the Free Spoken Digit Dataset (Jackson et
al., 2018) one after the other, in the split of `spoken_digits`: no recording of the
test split is part of a string to train on.
Command: `python train.py --recipe=digit_strings`, with `--data_dir=FOLDER` for a local
copy of the folder `recordings`.
On the test split, mean ± standard deviation over seeds 0 to 2: error rate of the
transcript 0.003 ± 0.003, whole strings right 0.990 ± 0.008, speaker 1.000 ± 0.000, by
`--mode=eval` of runs whose own report an error in drawing had stopped. The speakers of
the test split are those of training; of others nothing is known.
"""

import dataclasses
import functools

import numpy as np

import p5_keras as p5
from p5_keras.data import summary

RATE, SECONDS = 8000, 3.2
#: Seconds of a recording that are kept, and most of silence before each.
LONGEST, SILENCE = 0.7, 0.1
DIGITS = "0123456789"
COUNTS = (2, 3, 4)
#: Strings in each split.
STRINGS = {"train": 4000, "validation": 400, "test": 600}


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """What this recipe decides.

    Attributes:
        recurrent: Units of the transcript's recurrent layer, 0 for none.
    """

    trunk: p5.Trunk = p5.trunks.AudioConv(width=16)
    recurrent: int = 48
    epochs: int = 6
    batch_size: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    clip_norm: float | None = 5.0
    ema: float | None = 0.99


@functools.lru_cache(1)
def found(data_dir: str | None) -> p5.data.UserData:
    """All strings, in memory."""
    alone = p5.recipe.load("spoken_digits").found(data_dir).records
    sounds = alone.inputs["waveform"]
    digits, speakers = alone.columns["digit"], alone.columns["speaker"]
    rng = np.random.default_rng(0)
    splits = np.repeat(list(STRINGS), list(STRINGS.values()))
    said = np.zeros((len(splits), round(RATE * SECONDS)), "int16")
    texts, voices = [], rng.choice(speakers, len(splits))
    for row, split, voice in zip(said, splits, voices, strict=True):
        own = np.flatnonzero((alone.splits == split) & (speakers == voice))
        chosen = rng.choice(own, rng.choice(COUNTS))
        place = 0
        for one in sounds[chosen]:
            place += rng.integers(0, round(SILENCE * RATE))
            end = min(np.flatnonzero(one)[-1] + 1, round(LONGEST * RATE))
            row[place : place + end] = one[:end]
            place += end
        texts.append("".join(DIGITS[digits[i]] for i in chosen))
    _, ids = p5.data.text_column(texts, max(COUNTS), DIGITS)
    records = p5.data.Records(
        name="digit_strings",
        splits=splits,
        fields={
            "transcript": p5.data.Field("tags", tuple(DIGITS)),
            "speaker": alone.fields["speaker"],
        },
        columns={"transcript": ids, "speaker": voices},
        inputs={"waveform": said},
        encoders={"sound": p5.inputs.Waveform("waveform", RATE, SECONDS)},
    )
    return p5.data.of_records(records, "digit_strings")


def tasks(config: Config) -> list[p5.Task]:
    """What is said, and who says it."""
    _, speaker = found(config.data_dir).tasks()
    return [
        p5.tasks.Transcription(
            "transcript", class_names=list(DIGITS), recurrent=config.recurrent
        ),
        speaker,
    ]


def data(config: Config, tasks: list[p5.Task], split: str) -> p5.data.Source:
    """Strings; a local copy of the recordings is read from `data_dir`."""
    return found(config.data_dir).source(split)


def about(config: Config, tasks: list[p5.Task]) -> dict:
    """What is known of the data, for the table before training and the report."""
    return summary.describe(found(config.data_dir), tasks)


def model(config: Config, tasks: list[p5.Task]) -> p5.MultiTaskModel:
    """One convolutional trunk under both heads."""
    return p5.recipe.build(config, tasks, found(config.data_dir).records.encoders)
