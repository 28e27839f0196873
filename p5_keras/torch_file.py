"""Weights in PyTorch's older file format, read without PyTorch and without trust."""

import collections
import hashlib
import io
import math
import os
import pathlib
import pickle
import pickletools
import struct
from typing import Any, NoReturn

import numpy as np

Weights = dict[str, np.ndarray]

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}

#: What a pickle of a dict of tensors is written with. BUILD gives the dict attributes,
#: which it does not take (`_Dict`); on a tensor it is refused.
_OPCODES = """
PROTO STOP MARK POP NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINUNICODE
SHORT_BINUNICODE BINSTRING SHORT_BINSTRING EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS GLOBAL REDUCE BUILD BINPERSID
BINPUT LONG_BINPUT BINGET LONG_BINGET
"""
#: How many times as many bytes as the file all tensors may have; some share numbers.
_SHARED = 4


def read(path: str | os.PathLike[str], sha256: str | None = None) -> Weights:
    """Reads a dict of tensors that `torch.save` wrote before PyTorch 1.6.

    Such a file is a row of pickles. They are read by an unpickler that knows four
    names, those of a dict, of a tensor and of two types of numbers, and refuses any
    other before it is looked up; nothing in the file is imported or run. Before that,
    each pickle must consist of operations of a short list. No array is made that
    reaches beyond the numbers in the file, or is larger than they are.

    Args:
        path: The file.
        sha256: What the file must hash to; checked before anything is read from it.

    Returns:
        Arrays by name.

    Raises:
        ValueError: The file has another hash, holds another object than a dict of
            tensors, or is not whole.
    """
    data = pathlib.Path(path).read_bytes()
    if sha256 is not None and (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise ValueError(
            f"The file of weights must have the SHA-256 {sha256}; install its package "
            f"again. Received: {path}, with {found}"
        )
    try:
        return _read(io.BytesIO(data))
    except _Refused as error:
        _fail(path, str(error))
    except Exception as error:  # what a pickle that was cut off or changed raises
        _fail(path, f"it is not whole: {type(error).__name__}")


def _fail(path: Any, why: str) -> NoReturn:
    raise ValueError(
        "The file of weights must hold a dict of tensors, as PyTorch before 1.6 "
        f"saved them. Received: {path}; {why}"
    )


class _Refused(Exception):
    """What the file holds is none of what it may hold."""


class _Dict(collections.OrderedDict[Any, Any]):
    """A dict whose attributes in a file are left there."""

    def __setstate__(self, state: Any) -> None:
        pass


class _Fixed:
    """What a file cannot change once it is made."""

    def __setstate__(self, state: Any) -> None:
        raise _Refused("it changes a tensor that was made")


class _Storage(_Fixed):
    """Numbers of one type, which follow behind the pickles."""

    def __init__(self, dtype: str, size: int) -> None:
        self.dtype, self.size = np.dtype(dtype), size
        self.values: np.ndarray = np.empty(0, dtype)


class _Tensor(_Fixed):
    """A view of a storage."""

    def __init__(self, storage: Any, offset: Any, shape: Any, stride: Any, *_: Any):
        numbers = [offset, *shape, *stride]
        if not isinstance(storage, _Storage) or any(
            type(n) is not int for n in numbers
        ):
            raise _Refused("a tensor is made of something else than numbers")
        self.storage, self.offset = storage, offset
        self.shape, self.stride = tuple(shape), tuple(stride)
        self.check()

    def check(self) -> int:
        """Returns how many bytes it has; they must be within its storage."""
        pairs = zip(self.shape, self.stride, strict=True)
        last = self.offset + sum((n - 1) * s for n, s in pairs)
        count = math.prod(self.shape)
        if (
            min([self.offset, *self.shape, *self.stride]) < 0
            or count > self.storage.size
            or (count and last >= self.storage.size)
        ):
            raise _Refused("a tensor reaches beyond its numbers")
        return count * self.storage.dtype.itemsize

    def array(self) -> np.ndarray:
        self.check()
        values, item = self.storage.values, self.storage.dtype.itemsize
        if len(values) != self.storage.size:
            raise _Refused("a tensor reaches beyond its numbers")
        strides = tuple(s * item for s in self.stride)
        view = np.lib.stride_tricks.as_strided
        return view(values[self.offset :], self.shape, strides).copy()


class _Unpickler(pickle.Unpickler):
    """An unpickler that finds nothing but what a dict of tensors is made of."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _Dict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise _Refused(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        if not isinstance(pid, tuple) or len(pid) != 6:
            raise _Refused("it asks for an object of an unknown kind")
        kind, dtype, key, _, size, view = pid
        if kind != "storage" or dtype not in _TYPES.values() or view is not None:
            raise _Refused("it asks for an object of an unknown kind")
        return self.storages.setdefault(str(key), _Storage(dtype, int(size)))


def _load(file: io.BytesIO, unpickler: _Unpickler) -> Any:
    """Reads one pickle, once all of its operations have been looked at."""
    start, kept = file.tell(), 0
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name not in _OPCODES.split():
            raise _Refused(f"it has the operation {opcode.name}")
        if opcode.name == "GLOBAL":
            unpickler.find_class(*str(argument).split(" ", 1))
        if opcode.name in ("BINPUT", "LONG_BINPUT"):
            # Room is made for as many objects as the largest number says.
            number = int(argument or 0)
            if number > kept:
                raise _Refused("it numbers objects that it does not have")
            kept = max(kept, number + 1)
    file.seek(start)
    return unpickler.load()


def _read(file: io.BytesIO) -> Weights:
    head = [_load(file, _Unpickler(file)) for _ in range(3)]
    if head[0] != _MAGIC or head[1] != _PROTOCOL or not head[2]["little_endian"]:
        raise _Refused("it has another format")
    unpickler = _Unpickler(file)
    found, storages = _load(file, unpickler), unpickler.storages
    keys = _load(file, _Unpickler(file))
    if sorted(keys) != sorted(storages):
        raise _Refused("its list of numbers is not that of its tensors")
    for key in keys:
        storage = storages[key]
        (size,) = struct.unpack("<q", file.read(8))
        data = file.read(storage.size * storage.dtype.itemsize)
        if size != storage.size or len(data) != storage.size * storage.dtype.itemsize:
            raise _Refused("it is not whole")
        storage.values = np.frombuffer(data, storage.dtype)
    if file.read(1):
        raise _Refused("it goes on after its end")
    if not isinstance(found, dict) or not all(
        isinstance(k, str) and isinstance(v, _Tensor) for k, v in found.items()
    ):
        raise _Refused("it holds another object than tensors by name")
    if sum(t.check() for t in found.values()) > _SHARED * len(file.getbuffer()):
        raise _Refused("its tensors are much larger than their numbers")
    return {name: tensor.array() for name, tensor in found.items()}
