import wave

import numpy as np
import pytest

import p5_keras as p5

TONE = np.sin(np.arange(800) / 10) / 2


def write(path, x, rate=8000, width=2, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        if width == 1:
            data = np.rint(x * 127 + 128).astype("uint8").tobytes()
        else:
            whole = np.rint(x * (2 ** (8 * width - 1) - 1)).astype("<i4")
            data = b"".join(
                int(v).to_bytes(width, "little", signed=True) for v in whole
            )
        file.writeframes(data)
    return path


@pytest.mark.parametrize("width, close", [(1, 400), (2, 1), (3, 1), (4, 1)])
def test_any_depth(tmp_path, width, close):
    found = p5.data.read_sound(write(tmp_path / "a.wav", TONE, width=width), 8000)
    assert found.dtype == np.int16
    np.testing.assert_allclose(found, TONE * 32768, atol=close)


def test_stereo_and_another_rate(tmp_path):
    notes = []
    both = np.stack([TONE, np.zeros(800)], axis=1).ravel()
    path = write(tmp_path / "a.wav", both, channels=2)
    found = p5.data.read_sound(path, 8000, note=notes.append)
    np.testing.assert_allclose(found, TONE * 32768, atol=2)  # one channel is silent
    path = write(tmp_path / "c.wav", np.stack([TONE, TONE / 2], 1).ravel(), channels=2)
    found = p5.data.read_sound(path, 8000, note=notes.append)
    np.testing.assert_allclose(found, TONE * 24576, atol=2)
    path = write(
        tmp_path / "d.wav", np.stack([TONE / 2, -TONE / 2], 1).ravel(), channels=2
    )
    found = p5.data.read_sound(path, 8000, note=notes.append)
    np.testing.assert_allclose(found, TONE * 16384, atol=2)
    twice = np.sin(np.arange(1600) / 20) / 2
    path = write(tmp_path / "b.wav", twice, rate=16_000)
    found = p5.data.read_sound(path, 8000, seconds=0.05, note=notes.append)
    assert found.shape == (400,)
    np.testing.assert_allclose(found[50:350], TONE[50:350] * 32768, atol=60)
    assert notes == [
        "sounds with a silent channel, which is left out",
        "sounds with 2 channels, which are averaged",
        "sounds with 2 channels, which are averaged",
        "sounds whose channels cancel one another: the loudest one is read",
        "sounds at 16000 samples a second, brought to 8000",
    ]


def test_faults(tmp_path):
    whole = write(tmp_path / "a.wav", TONE).read_bytes()
    cut = "it is cut off, or no WAV file"
    for content, reason in (
        (b"", "it is empty"),
        (whole[:500], cut),
        (whole[:30], cut),
        (b"\xff\xfb" + bytes(100), cut),
    ):
        path = tmp_path / "b.wav"
        path.write_bytes(content)
        with pytest.raises(ValueError) as error:
            p5.data.read_sound(path, 8000)
        assert str(error.value).startswith(reason) and "\n" not in str(error.value)
    path = write(tmp_path / "c.wav", np.zeros(0))
    with pytest.raises(ValueError, match="it holds no samples"):
        p5.data.read_sound(path, 8000)
    with pytest.raises(ValueError, match="cannot be read"):
        p5.data.read_sound(tmp_path / "none.wav", 8000)
