"""Which data a run was trained on, and whether they are still the same."""

from collections.abc import Mapping, Sequence
from typing import Any

from p5_keras.data import Source
from p5_keras.data.importers.reading import FILE
from p5_keras.data.mixture import Mixture
from p5_keras.workdir import Workdir

Json = dict[str, Any]

#: Most changes of classes that are named.
_FEW = 5


def keep(workdir: Workdir, sources: Sequence[Source]) -> None:
    """Writes down how the data of a run are read, and what they are.

    Args:
        workdir: The folder of the run; what stands there already is left alone.
        sources: Training, validation and test source.

    Raises:
        ValueError: The run has begun with other data.
    """
    now = _digests(sources)
    before = workdir.read(FILE)
    if before is None:
        train = sources[0]
        parts = [*train.parts.values()] if isinstance(train, Mixture) else [train]
        readings = [dict(one.reading) for one in parts if one.reading]
        workdir.write(FILE, {"readings": readings, "digests": now})
    elif changed := changes(before["digests"], now):
        raise ValueError(
            f"The data of the run in {workdir.path} have changed since it began: "
            f"{'; '.join(changed)}. Put them back as they were, or train anew with "
            "another --workdir"
        )


def changed(workdir: Workdir, source: Source) -> list[str]:
    """Returns in what data differ from those that a run began with.

    Args:
        workdir: The folder of the run.
        source: Examples of one of the splits, as they are now.
    """
    before, now = workdir.read(FILE), _digest(source)
    if before is None:
        return []
    return changes({k: v for k, v in before["digests"].items() if k in now}, now)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns what is different about data, in words.

    Args:
        before: Digests by split, and by source of a mixture.
        now: The same of the data as they are.
    """
    found = []
    for name in [*before, *(other for other in now if other not in before)]:
        if name not in before or name not in now:
            found.append(f"{name} is {'new' if name in now else 'gone'}")
            continue
        old, new = before[name], now[name]
        if old == new:
            continue
        own = [_more("example", new["examples"] - old["examples"], name)]
        for field, classes in new.get("classes", {}).items():
            known = old.get("classes", {}).get(field, {})
            several = len(new["classes"]) > 1
            own += _of_classes(known, classes, f" of {field!r}" if several else "")
        own = [line for line in own if line]
        found += own or [
            f"other content in {name}, {new['examples']} examples as before"
        ]
    return list(dict.fromkeys(found))


def _of_classes(
    old: Mapping[str, int], new: Mapping[str, int], where: str
) -> list[str]:
    lines = [f"class {name!r}{where} is new" for name in new if name not in old]
    lines += [f"class {name!r}{where} is gone" for name in old if name not in new]
    if len(lines) > _FEW:
        lines = [*lines[:_FEW], f"{len(lines) - _FEW} more classes"]
    return lines


def _more(what: str, count: int, where: str) -> str:
    if not count:
        return ""
    plural = "s" if abs(count) > 1 else ""
    return f"{abs(count)} {what}{plural} {'more' if count > 0 else 'fewer'} in {where}"


def _digests(sources: Sequence[Source]) -> Json:
    found: Json = {}
    for source in sources:
        found |= _digest(source)
    return found


def _digest(source: Source) -> Json:
    """Returns digests by split; none where nothing is known."""
    if isinstance(source, Mixture):
        return {
            f"{own} of {name}": digest
            for name, part in source.parts.items()
            for own, digest in _digest(part).items()
        }
    return source.digests() if source.digests else {}
