import numpy as np

import p5_keras as p5
from p5_keras.data import summary
from p5_keras.data.importers.guesses import of_records
from p5_keras.data.records import Field, Records


def test_what_was_chosen_and_what_decides_it():
    records = Records(
        "set",
        np.array(["train", "validation", "test"]),
        {"y": Field("number")},
        {"y": np.arange(3.0)},
        encoders={
            "sound": p5.inputs.Waveform("waveform", 8000, 1.5),
            "text": p5.inputs.Text("review", 24),
        },
    )
    found = of_records(records, [])
    assert list(found) == [
        "kinds of the tasks",
        "sound: 8000 samples a second, by the training sounds",
        "sound: 1.5 s long, by the training sounds",
        "text: the first 24 words of 'review'",
    ]
    assert list(found.values())[1:3] == [
        "--dataset_options=rate=NUMBER",
        "--dataset_options=seconds=NUMBER",
    ]
    shown = summary.guesses({"guesses": found})
    assert len(shown) == 3  # the table of tasks shows their kinds
    assert shown[-1].endswith("; decided by p5.inputs.Text in a recipe")
    # What was given is no guess.
    left = of_records(records, ["kind.y", "rate", "seconds"])
    assert list(left) == ["text: the first 24 words of 'review'"]
