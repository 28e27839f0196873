import wave

import numpy as np
import pytest

import p5_keras as p5
from p5_keras.data.loaders import folder
from p5_keras.data.records import Problems


def write(path, seconds=0.6, rate=1000, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.full(round(seconds * rate) * channels, 8000, "<i2"))
    return path


CONSTANT = (
    "sounds that are a constant, or nearly: what is heard is less than a tenth of how "
    "far it lies from 0"
)


@pytest.fixture
def sounds(tmp_path):
    for name in ("dog", "cat"):
        for i in range(10):
            write(tmp_path / name / f"{i}.wav")
    return tmp_path


def test_sounds_by_class(sounds):
    (sounds / "dog" / "notes.txt").write_text("barks")
    problems = Problems()
    records = folder.load(str(sounds), problems)
    assert records.fields["class"].class_names == ("cat", "dog")
    assert records.images is None and len(records) == 20
    assert records.inputs["waveform"].shape == (20, 600)
    assert (records.inputs["waveform"] == 8000).all()
    sound = records.encoders["sound"]
    assert (sound.rate, sound.seconds) == (1000, 0.6)
    assert dict(problems.notes) == {"files that are no sounds": 1, CONSTANT: 20}


def test_other_rates_and_channels_are_noted(sounds):
    write(sounds / "cat" / "0.wav", rate=2000, channels=2)
    write(sounds / "cat" / "1.wav", seconds=2.0)
    problems = Problems()
    records = folder.load(str(sounds), problems, seconds=0.5)
    assert records.inputs["waveform"].shape == (20, 500)
    assert dict(problems.notes) == {
        "sounds with 2 channels, which are averaged": 1,
        "sounds at 2000 samples a second, brought to 1000": 1,
        "sounds longer than 0.5 s, cut off": 20,
        CONSTANT: 20,
    }


def test_faults_are_one_line(sounds):
    whole = write(sounds / "dog" / "3.wav").read_bytes()
    (sounds / "dog" / "3.wav").write_bytes(whole[:300])
    with pytest.raises(ValueError) as error:
        folder.load(str(sounds), Problems())
    assert str(error.value).startswith(f"{sounds}/dog/3.wav: it is cut off, or no WAV")
    assert str(error.value).endswith(
        "leave such examples out with --on_bad_example=skip"
    )
    write(sounds / "dog" / "4.wav", seconds=0)
    problems = Problems("skip")
    assert len(folder.load(str(sounds), problems)) == 18
    reasons = [reason for _, reason in problems.dropped]
    assert reasons[1] == "it holds no samples" and len(reasons) == 2


def test_a_folder_of_sounds_without_classes(tmp_path):
    write(tmp_path / "a.wav")
    with pytest.raises(ValueError, match="with 1 sounds and no folder"):
        folder.load(str(tmp_path), Problems())


def test_sounds_by_flags_alone(sounds):
    recipe = p5.recipe.load("your_data")
    settings = [
        f"dataset=folder:{sounds}",
        "sound_trunk.width=4",
        "sound_trunk.bands=8",
    ]
    config = recipe.complete(p5.recipe.configure(recipe.Config(), settings))
    model = recipe.model(config, tasks := recipe.tasks(config))
    x, y, _ = next(
        iter(p5.data.evaluation(recipe.data(config, tasks, "test"), tasks, 2))
    )
    assert model(x)["class"].shape == (2, 2) and set(y) == {"class"}
    assert "sound: 'waveform', 0.6 s at 1000 samples a second" in (
        p5.data.summary.text(recipe.about(config, tasks))
    )
