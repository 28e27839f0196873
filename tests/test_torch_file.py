"""Files of weights are read without trust."""

import collections
import pickle
import struct

import numpy as np
import pytest

from p5_keras import torch_file


def write(path, tensors, kind="FloatStorage", cut=0, size=None, extra=()):
    """Writes what `torch.save` before 1.6 wrote, opcode by opcode."""

    def text(value):
        data = value.encode()
        return b"X" + struct.pack("<I", len(data)) + data

    def number(value):
        return b"J" + struct.pack("<i", value)

    body = b"\x80\x02ccollections\nOrderedDict\n)R("
    for key, array in tensors.items():
        storage = text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key)
        storage = b"(" + storage + text("cpu") + number(array.size) + b"Nt" + b"Q"
        strides = [s // array.itemsize for s in array.strides]
        numbers = [
            b"(" + b"".join(map(number, n)) + b"t" for n in (array.shape, strides)
        ]
        body += text(key) + b"ctorch._utils\n_rebuild_tensor_v2\n("
        body += storage + number(0) + b"".join(numbers)
        body += b"\x89ccollections\nOrderedDict\n)RtR"
    body += b"u" + b"".join(extra) + b"."
    info = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    head = [0x1950A86A20F9469CFC6C, 1001, info]
    data = b"".join(pickle.dumps(part, 2) for part in head) + body
    data += pickle.dumps(list(tensors), 2)
    for array in tensors.values():
        count = array.size if size is None else size
        data += struct.pack("<q", count) + array.tobytes()
    path.write_bytes(data[: len(data) - cut])
    return path


@pytest.fixture
def tensors():
    rng = np.random.default_rng(0)
    shapes = {"a.weight": (2, 3, 1), "a.bias": (4,), "scalar": ()}
    return {n: rng.normal(size=s).astype("float32") for n, s in shapes.items()}


def test_reads_tensors(tmp_path, tensors):
    found = torch_file.read(write(tmp_path / "w.pth", tensors))
    assert list(found) == list(tensors)
    for name, array in tensors.items():
        np.testing.assert_array_equal(found[name], array)
    whole = {"n": np.arange(3)}
    again = torch_file.read(write(tmp_path / "l.pth", whole, kind="LongStorage"))
    np.testing.assert_array_equal(again["n"], [0, 1, 2])


def test_another_hash_is_refused_before_reading(tmp_path, tensors):
    path = write(tmp_path / "w.pth", tensors)
    with pytest.raises(ValueError, match=r"SHA-256 abc.*Received"):
        torch_file.read(path, "abc")


def test_nothing_in_a_file_is_run(tmp_path, tensors):
    """A pickle that would call `os.mkdir` is refused, and calls nothing."""
    made = tmp_path / "made"
    evil = b"0cos\nmkdir\n(X" + struct.pack("<I", len(str(made))) + str(made).encode()
    path = write(tmp_path / "w.pth", tensors, extra=[evil + b"tR"])
    with pytest.raises(ValueError, match=r"it asks for os\.mkdir"):
        torch_file.read(path)
    assert not made.exists()
    # What Python's own unpickler does with such a call.
    pickle.loads(b"\x80\x02" + evil[1:] + b"tR.")
    assert made.exists()


@pytest.mark.parametrize(
    "module, name",
    [
        ("builtins", "eval"),
        ("collections", "defaultdict"),
        ("torch", "DoubleStorage"),
        ("torch._utils", "_rebuild_parameter"),
    ],
)
def test_other_names_are_refused(tmp_path, tensors, module, name):
    extra = [b"0c" + f"{module}\n{name}\n".encode()]
    with pytest.raises(ValueError, match=rf"it asks for {module}\.{name}"):
        torch_file.read(write(tmp_path / "w.pth", tensors, extra=extra))


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (b"b", "it is not whole"),
        (b"0)\x81", "it has the operation NEWOBJ"),
        (b"0(os\nmkdir\n", "it has the operation"),
        (b"0\x8c\x02os\x8c\x05mkdir\x93", "it has the operation STACK_GLOBAL"),
        (b"0\x82\x01", "it has the operation EXT1"),
        (b"r\xff\xff\xff\x7f", "it numbers objects that it does not have"),
        (b"0X\xff\xff\xff\x7fa", "it is not whole"),
    ],
)
def test_other_operations_are_refused(tmp_path, tensors, extra, reason):
    with pytest.raises(ValueError, match=reason):
        torch_file.read(write(tmp_path / "w.pth", tensors, extra=[extra]))


def test_no_array_is_larger_than_the_file(tmp_path):
    one = np.zeros(1, "float32")
    huge = np.lib.stride_tricks.as_strided(one, (10**9,), (0,))
    storage = np.lib.stride_tricks.as_strided(one, (1000, 1000), (0, 4))
    for array in (huge, storage):
        path = write(tmp_path / "w.pth", {"a": _Sized(array)})
        with pytest.raises(ValueError, match="reaches beyond its numbers"):
            torch_file.read(path)


class _Sized:
    """An array whose storage has 1000 numbers, whatever its shape says."""

    size, itemsize = 1000, 4

    def __init__(self, array):
        self.shape, self.strides = array.shape, array.strides

    def tobytes(self):
        return bytes(4 * self.size)


def test_a_tensor_that_was_changed_after_it_was_made_is_checked_again():
    # As the operation BUILD would have it, which state dicts have for their own dict.
    state = {"offset": 10**6}
    assert not vars(pickle.loads(pickle.dumps(torch_file._Dict(a=1))))
    storage = torch_file._Storage("<f4", 4)
    storage.values = np.zeros(4, "float32")
    tensor = torch_file._Tensor(storage, 0, (4,), (1,))
    for one in (storage, tensor):
        with pytest.raises(torch_file._Refused, match="changes a tensor"):
            one.__setstate__(state)
    vars(tensor).update(state)
    with pytest.raises(torch_file._Refused, match="beyond its numbers"):
        tensor.array()


@pytest.mark.parametrize("cut", [1, 9, 40, 200])
def test_a_file_that_was_cut_off_is_refused(tmp_path, tensors, cut):
    with pytest.raises(ValueError, match="it is not whole"):
        torch_file.read(write(tmp_path / "w.pth", tensors, cut=cut))


def test_a_file_with_more_behind_is_refused(tmp_path, tensors):
    path = write(tmp_path / "w.pth", tensors)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="goes on after its end"):
        torch_file.read(path)


def test_numbers_that_do_not_agree_are_refused(tmp_path, tensors):
    with pytest.raises(ValueError, match="it is not whole"):
        torch_file.read(write(tmp_path / "w.pth", tensors, size=2))
    wide = np.lib.stride_tricks.as_strided(np.zeros(4, "float32"), (4,), (400,))
    broken = {"a": wide}
    with pytest.raises(ValueError, match="reaches beyond its numbers"):
        torch_file.read(write(tmp_path / "w.pth", broken))


def test_other_objects_are_refused(tmp_path):
    path = tmp_path / "w.pth"
    pickle_only = pickle.dumps(collections.OrderedDict(a=1))
    path.write_bytes(pickle_only)
    with pytest.raises(ValueError, match=r"it is not whole|it has the operation"):
        torch_file.read(path)
    path.write_bytes(b"PK\x03\x04 a newer file")
    with pytest.raises(ValueError, match=r"before 1\.6"):
        torch_file.read(path)
