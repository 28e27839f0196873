"""The saved states of a run on a disk that may be full, or have lost a part of one."""

import contextlib
import errno
import json
import math
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

#: States that are kept: one may turn out not to be whole.
KEPT = 2

#: What TensorFlow raises for a file that is not whole, by where it ends.
UNREADABLE = (
    tf.errors.OpError,
    ValueError,
    RuntimeError,
    LookupError,
    AssertionError,
    TypeError,
)

#: What is said of a disk that is full, or of which there is no more for this user.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL = tuple(os.strerror(code) for code in FULL)

Logs = dict[str, float]

#: Where in a state its `Progress` is.
_PROGRESS = "progress/.ATTRIBUTES/py_state"


class Progress(tf.train.experimental.PythonState):
    """The part of the state that is not a variable, saved in the same file."""

    def __init__(self) -> None:
        """Starts at the first step."""
        self.run: str | None = ""
        self.step = 0
        self.best: float | None = None
        self.best_epoch = 0
        self.stopped = False
        self.seconds = 0.0
        self.history: list[Logs] = []
        self.metrics: list[Any] = []
        self.skipped: list[int] = []

    @property
    def steps_per_second(self) -> float:
        """Training steps a second, validation included."""
        return self.step / self.seconds if self.seconds else 0.0

    def serialize(self) -> str:
        """Returns the state as JSON."""
        return json.dumps(vars_of(self))

    def deserialize(self, string_value: str) -> None:
        """Takes the state from JSON."""
        for key, value in json.loads(string_value).items():
            setattr(self, key, value)


def vars_of(progress: Progress) -> dict[str, Any]:
    """Returns the plain attributes of a progress."""
    return {
        name: getattr(progress, name)
        for name in (
            *("run", "step", "best", "best_epoch", "stopped", "seconds", "history"),
            *("metrics", "skipped"),
        )
    }


def paths(folder: pathlib.Path) -> list[str]:
    """Returns the paths of the states without their suffixes, the newest first."""
    found = sorted(folder.glob("step_*.index"), reverse=True)
    return [str(path.with_suffix("")) for path in found]


def shapes(path: str) -> dict[str, list[int]]:
    """Returns the shapes of what a state holds, by its names in there."""
    reader: Any = tf.train.load_checkpoint(path)
    found: dict[str, list[int]] = reader.get_variable_to_shape_map()
    return found


def look(path: str, whole: bool = False) -> dict[str, Any]:
    """Returns what a state says of the progress.

    Args:
        path: One of `paths`.
        whole: Whether to read all else too, which its checksums are checked by.
    """
    reader: Any = tf.train.load_checkpoint(path)
    if whole:
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    return {"run": "", **json.loads(reader.get_tensor(_PROGRESS))}


def check(folder: pathlib.Path, run: str) -> bool:
    """Checks that a run can go on from its states, before anything else is made.

    Args:
        folder: Folder of the states.
        run: Number of the run.

    Returns:
        Whether there are any.

    Raises:
        ValueError: None is whole, or the newest that is is of another run.
    """
    found = paths(folder)
    for path in found:
        try:
            told = look(path, whole=True)
        except UNREADABLE:
            continue
        check_run(path, told["run"], run, folder.parents[1])
        return True
    if found:
        raise none_is_whole(folder)
    return False


def check_run(
    path: str | os.PathLike[str],
    run: str,
    expected: str | None,
    workdir: pathlib.Path,
) -> None:
    """Checks that a file of a workdir is of its run.

    Args:
        path: The file.
        run: Number of the run that it is of.
        expected: Number of the run that it must be of; `None` for any.
        workdir: The workdir.

    Raises:
        ValueError: It is not.
    """
    if expected is not None and run != expected:
        raise ValueError(
            f"{path} is of another run ({run or 'without a number'}) than "
            f"{workdir / 'config.json'} ({expected or 'without a number'}). Put back "
            "what belongs together, or give another --workdir"
        )


def none_is_whole(folder: pathlib.Path) -> ValueError:
    """Returns what is raised where no state can be read."""
    return ValueError(
        f"None of the saved states in {folder} can be read. Give another --workdir, or "
        f"delete the folder {folder.parent} to start again"
    )


class StateFiles:
    """Saves states by their step, and restores the newest that is whole.

    A state's files get their names when all of it is written, so one that is there was
    whole; what has happened to it since its checksums tell.

    Args:
        folder: Folder of the states.
        progress: The part of the state that is no variable.
        variables: The variables, each once, always in the same order.
    """

    def __init__(
        self, folder: pathlib.Path, progress: Progress, variables: Sequence[Any]
    ) -> None:
        self.folder, self.progress, self.variables = folder, progress, list(variables)
        self._checkpoint = tf.train.Checkpoint(
            progress=progress, variables=[v.value for v in self.variables]
        )

    def save(self) -> None:
        """Saves, and deletes the states before the last one.

        Raises:
            ValueError: The disk is full, or the folder cannot be written.
        """
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"step_{self.progress.step:010d}"
            self._checkpoint.write(str(path))
            kept = tuple(os.path.basename(p) + "." for p in paths(self.folder)[:KEPT])
            for other in self.folder.iterdir():
                if other.is_dir():  # what a save left that could not be finished
                    shutil.rmtree(other)
                elif not other.name.startswith(kept):
                    other.unlink()

    def restore(self) -> bool:
        """Restores the newest state that is whole; says so if it is not the newest.

        Returns:
            Whether there was one.

        Raises:
            ValueError: There are states and none is whole, or they are those of another
                architecture or, if `progress.run` is not `None`, of another run.
        """
        found, run = paths(self.folder), self.progress.run
        for path in found:
            try:
                told = look(path)
                different = self._difference(shapes(path))
                if not different and run in (None, told["run"]):
                    self.read(path)
                    return True
            except UNREADABLE as bad:
                line = str(bad).splitlines()[0][:120]
                print(f"The saved state {path} cannot be read ({line}).", flush=True)
                continue
            check_run(path, told["run"], run, self.folder.parents[1])
            raise ValueError(
                f"The state in {path} is that of another architecture: {different}. "
                "Give another --workdir, or make the model as it was"
            )
        if found:
            raise none_is_whole(self.folder)
        return False

    def read(self, path: str) -> None:
        """Restores one state.

        Args:
            path: One of `paths`.
        """
        self._checkpoint.read(path).assert_consumed()
        self.progress.run = self.progress.run or ""  # as before runs had numbers

    def best(self) -> tuple[str, Logs] | None:
        """Returns the best of the states that end an epoch, and its line of history."""
        ends: list[tuple[float, str, Logs]] = []
        for path in paths(self.folder):
            with contextlib.suppress(*UNREADABLE):
                told = look(path)
                if told["history"] and not told["metrics"]:
                    row = told["history"][-1]
                    skill = row["val_skill"]
                    ends.append((skill if skill == skill else -math.inf, path, row))
        return max(ends, key=lambda end: end[0])[1:] if ends else None

    def _difference(self, found: dict[str, list[int]]) -> str:
        """Returns in which way a state is not of these variables, or ""."""
        suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
        there = {
            int(name.split("/")[1]): shape
            for name, shape in found.items()
            if name.startswith("variables/") and name.endswith(suffix)
        }
        if len(there) != len(self.variables):
            return f"{len(there)} variables there, {len(self.variables)} in the model"
        for i, variable in enumerate(self.variables):
            if tuple(there[i]) != tuple(variable.shape):
                return (
                    f"{variable.path} has the shape {tuple(there[i])} there, "
                    f"{tuple(variable.shape)} in the model"
                )
        return ""


@contextlib.contextmanager
def writing(path: pathlib.Path) -> Iterator[None]:
    """Says in one line that something could not be written.

    Raises:
        ValueError: It could not.
    """
    try:
        yield
    except (OSError, RuntimeError, tf.errors.OpError) as error:
        told = str(error).strip().splitlines()[0]
        full = getattr(error, "errno", None) in FULL or any(t in told for t in _FULL)
        how = "Free some space" if full else "Make it one that can be written"
        raise ValueError(
            f"{path} could not be written; what was saved there before is whole. "
            f"{how}, then give the same command again. Received: {told}"
        ) from error
