import os
import re

import numpy as np
import pytest
import tensorflow as tf

from p5_keras.data import cache


def parts(arrays, size=2):
    return ([a[i : i + size] for a in arrays] for i in range(0, len(arrays[0]), size))


@pytest.mark.parametrize("on_disk", [False, True])
def test_arrays_are_kept(tmp_path, on_disk):
    arrays = [
        np.arange(30, dtype="uint8").reshape(5, 2, 3),
        np.linspace(0, 1, 5, dtype="float32"),
        np.arange(5) % 2 == 0,
    ]
    folder = tmp_path / "a" / "key" if on_disk else None
    kept = cache.keep(
        parts(arrays),
        [a.shape for a in arrays],
        [tf.uint8, tf.float32, tf.bool],
        folder,
    )
    for tensor, array in zip(kept, arrays, strict=True):
        assert tensor.dtype == array.dtype and tensor.shape == array.shape
        np.testing.assert_array_equal(tf.gather(tensor, [4, 0]), array[[4, 0]])
    if on_disk:
        assert sorted(os.listdir(folder)) == ["0.raw", "1.raw", "2.raw"]
        assert os.listdir(tmp_path / "a") == ["key"]


def test_what_is_unfinished_is_not_found(tmp_path):
    def broken():
        yield [np.zeros((2, 3), "uint8")]
        raise RuntimeError("stopped")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="stopped"):
            cache.keep(broken(), [(4, 3)], [tf.uint8], tmp_path / "key")
        assert os.listdir(tmp_path) == []


def test_the_first_of_two_writers_wins(tmp_path):
    def meanwhile():
        yield [np.zeros(4, "uint8")]
        cache.keep([[np.ones(4, "uint8")]], [(4,)], [tf.uint8], tmp_path / "key")

    (kept,) = cache.keep(meanwhile(), [(4,)], [tf.uint8], tmp_path / "key")
    assert kept.numpy().tolist() == [1] * 4
    assert os.listdir(tmp_path) == ["key"]


def test_a_full_disk_is_told(tmp_path):
    def full():
        yield [np.zeros(4, "uint8")]
        raise OSError(28, "No space left on device")

    message = (
        "`cache_dir` must have room for the decoded examples; cache='none' needs none. "
        f"Received: cache_dir={str(tmp_path)!r} (No space left on device)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        cache.keep(full(), [(4,)], [tf.uint8], tmp_path / "key")


def test_auto_takes_the_first_place_with_room(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "free_memory", lambda: 1000)

    class Usage:
        free = 10_000

    monkeypatch.setattr(cache.shutil, "disk_usage", lambda folder: Usage)
    places = [cache.choose_place("auto", n, tmp_path) for n in (400, 401, 5000, 5001)]
    assert places == ["memory", "disk", "disk", "none"]
    assert cache.choose_place("memory", 10**15) == "memory"


def test_free_memory_is_within_the_machine():
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < cache.free_memory() <= pages


def test_keys_follow_from_content(tmp_path):
    file = tmp_path / "ä"
    file.write_bytes(b"1")
    os.utime(file, ns=(5, 5))
    key = cache.content_key(cache.file_key(file))
    assert key == cache.content_key(cache.file_key(str(file)))
    os.utime(file, ns=(5, 6))
    assert key != cache.content_key(cache.file_key(file))
    assert re.fullmatch("[0-9a-f]{32}", key)
