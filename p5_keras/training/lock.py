"""One process at a time in a folder."""

import errno
import os
import pathlib
import platform
import weakref

try:
    import fcntl
except ImportError:  # as on Windows
    fcntl = None  # type: ignore[assignment]

#: What a file system says that has no locks.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}


class Lock:
    """A lock on a folder, which ends with the process however that ends.

    Args:
        folder: The folder, which must be there; it gets a file `.lock`.

    Raises:
        ValueError: Another process has it.
        OSError: The file cannot be made.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.path = folder / ".lock"
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        weakref.finalize(self, os.close, self._file).atexit = False
        owner = os.pread(self._file, 200, 0)
        try:
            if fcntl is None:
                raise OSError(errno.ENOSYS, "no locks")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            by = owner.decode(errors="replace").strip() or "another process"
            raise ValueError(
                "`workdir` must be of one process at a time. Received: "
                f"{folder}, which is in use by {by}; wait for it, end it, or give "
                "another --workdir"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            print(
                f"{folder} is on a file system without locks: nothing but you sees to "
                "it that no second process writes there.",
                flush=True,
            )
        own = f"process {os.getpid()} on {platform.node()}\n".encode()
        if own != owner:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, own, 0)

    @property
    def lost(self) -> bool:
        """Whether the folder was removed, or another one put in its place."""
        try:
            return not os.path.samestat(os.stat(self.path), os.fstat(self._file))
        except OSError:
            return True


_HELD: "weakref.WeakValueDictionary[str, Lock]" = weakref.WeakValueDictionary()


def lock(folder: pathlib.Path) -> Lock:
    """Returns the lock of a folder, the same one for all of this process.

    It is held while anything refers to it.
    """
    key = os.path.realpath(folder)
    held = _HELD.get(key)
    if held is None or held.lost:
        held = _HELD[key] = Lock(folder)
    return held
