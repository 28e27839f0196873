import struct
import wave

import numpy as np
import pytest
from scipy.io import wavfile

from p5_keras.data.importers import sound_values
from p5_keras.data.loaders import folder, table
from p5_keras.data.records import Problems
from p5_keras.data.sound_file import read_sound

RATE = 1000
TONE = np.sin(np.arange(600) / 5) / 2


def written(root, samples, count=5, rate=RATE):
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for i in range(count):
            wavfile.write(root / name / f"{i}.wav", rate, samples)
    return str(root)


def load(root, **options):
    problems = Problems()
    return folder.load(str(root), problems, **options), problems


@pytest.mark.parametrize(
    ("samples", "gains"),
    [
        (TONE.astype("float32"), {}),
        ((TONE * 32768).astype("int16"), {}),
        (np.rint(TONE * 127 + 128).astype("uint8"), {}),
        ((TONE * 32768).astype("float32"), {"float": 16384.0}),
        ((TONE * 2**31).astype("int32"), {}),
        ((TONE * 2**23).astype("int32"), {"int32": 2.0**-9}),  # 24 bits, below
        ((TONE * 1e-3).astype("float32"), {"float": 2.0**-10}),
    ],
)
def test_full_scale_is_that_of_the_set(tmp_path, samples, gains):
    records, _ = load(written(tmp_path, samples))
    rule = records.reading["sounds"]
    assert rule == {"gains": gains}
    x = records.inputs["waveform"].astype(float)
    peak = np.abs(samples.astype(float) - 128 * (samples.dtype == np.uint8)).max()
    assert 0.4 < np.abs(x).max() / 32768 <= 1.0 and peak > 0
    # The form of the tone is kept: nothing is cut off.
    assert np.corrcoef(x[0], TONE)[0, 1] > 0.999
    again = read_sound(tmp_path / "cat" / "0.wav", RATE, rule=rule)
    np.testing.assert_array_equal(again, records.inputs["waveform"][0])


def test_the_rule_is_that_of_the_training_sounds(tmp_path):
    for split, scale in (("train", 32768), ("val", 1000), ("test", 1000)):
        written(tmp_path / split, (TONE * scale).astype("float32"))
    records, _ = load(tmp_path)
    assert records.reading["sounds"] == {"gains": {"float": 16384.0}}
    quiet = records.inputs["waveform"][records.splits == "test"]
    assert abs(quiet.max() - 32768 * 500 / 16384) < 2


def test_floats_of_another_scale_than_in_training_are_refused(tmp_path):
    wavfile.write(tmp_path / "a.wav", RATE, (TONE * 32768).astype("float32"))
    with pytest.raises(ValueError, match="it holds floats up to 16383"):
        read_sound(tmp_path / "a.wav", RATE, rule={"gains": {}})


def test_a_sound_of_another_scale_is_a_bad_example(tmp_path):
    for split, scale in (("train", 1), ("val", 1), ("test", 1)):
        written(tmp_path / split, (TONE * scale).astype("float32"))
    odd = tmp_path / "test" / "cat" / "0.wav"
    wavfile.write(odd, RATE, (TONE * 32768).astype("float32"))
    with pytest.raises(ValueError, match=r"0\.wav: it holds floats up to 16383"):
        load(tmp_path)
    problems = Problems("skip")
    records = folder.load(str(tmp_path), problems)
    assert len(records) == len(records.inputs["waveform"]) == 29
    assert [file for file, _ in problems.dropped] == [str(odd)]


def test_what_cannot_be_heard_is_noted(tmp_path):
    root = written(tmp_path / "a", (TONE * 32768).astype("int16"), count=10)
    files = sorted((tmp_path / "a").rglob("*.wav"))
    wavfile.write(files[0], RATE, np.zeros(600, "int16"))
    wavfile.write(files[1], RATE, (TONE * 20).astype("int16"))
    wavfile.write(files[2], RATE, (np.clip(TONE * 9, -1, 1) * 32767).astype("int16"))
    wavfile.write(files[3], 4 * RATE, (TONE * 32768).astype("int16"))
    _, problems = load(root)
    assert problems.notes["sounds that are silent"] == 1
    assert problems.notes["sounds that are nearly silent"] == 1
    cut = "sounds cut off at full scale, for more than 1 % of their samples"
    assert problems.notes[cut] == 1 and problems.severities[cut] == "medium"
    assert any(n.startswith("sounds of 1000 to 4000 samples") for n in problems.notes)
    silent = written(tmp_path / "b", np.zeros(600, "int16"))
    with pytest.raises(ValueError, match="10 sounds, all of them silent"):
        load(silent)


def test_an_odd_sound_does_not_silence_the_others():
    usual = [sound_values.Sound(RATE, 1.0, "float", 0.8, 0.0, 0.0)] * 19
    odd = sound_values.Sound(RATE, 1.0, "float", 1e30, 0.0, 0.0)
    assert sound_values.decide([*usual, odd], Problems()) == {"gains": {}}


def test_a_header_that_promises_too_much(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((TONE * 32768).astype("<i2").tobytes())
    content = bytearray((tmp_path / "a.wav").read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", 1_800_000_000)
    (tmp_path / "b.wav").write_bytes(content)
    with pytest.raises(ValueError, match="promises 1800000000 bytes of samples, and"):
        read_sound(tmp_path / "b.wav", RATE)
    with pytest.raises(
        ValueError, match=r"1200 bytes .* more than max_sound_bytes=999"
    ):
        read_sound(tmp_path / "a.wav", RATE, max_bytes=999)
    root = written(tmp_path / "set", (TONE * 32768).astype("int16"))
    with pytest.raises(ValueError, match="more than max_sound_bytes=500"):
        load(root, max_sound_bytes=500)
    rows = "\n".join(f"{i}.wav,{'ab'[i % 2]}" for i in range(5))
    (tmp_path / "set" / "cat" / "t.csv").write_text(f"file,y\n{rows}\n")
    with pytest.raises(ValueError, match="more than max_sound_bytes=500"):
        table.load(
            str(tmp_path / "set" / "cat" / "t.csv"), Problems(), max_sound_bytes=500
        )
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[24:32] = struct.pack("<II", 2_000_000, 4_000_000)
    (tmp_path / "c.wav").write_bytes(content)
    with pytest.raises(ValueError, match="its header says 2000000 samples a second"):
        read_sound(tmp_path / "c.wav", RATE)


def test_a_constant_below_the_sound_is_noted(tmp_path):
    _, problems = load(written(tmp_path, np.rint(TONE * 300 + 30000).astype("int16")))
    (found,) = [what for s, what, _ in problems.findings() if s == "high"]
    assert found.startswith("sounds that are a constant, or nearly")
    _, problems = load(written(tmp_path / "b", (TONE * 300 + 300).astype("int16")))
    assert not [s for s, _, _ in problems.findings() if s == "high"]
