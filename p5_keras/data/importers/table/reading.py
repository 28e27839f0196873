"""How a table was read: decided on the training data, kept, and used ever after."""

import json
import pathlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

import keras
import pyarrow as pa
import pyarrow.compute as pc

from p5_keras.data.importers import reading as readings
from p5_keras.data.importers.table import labels, missing
from p5_keras.data.importers.table.labels import Labels
from p5_keras.data.loaders import table_columns, table_file
from p5_keras.data.loaders.table_columns import Rule
from p5_keras.data.loaders.table_file import Table
from p5_keras.data.loaders.table_roles import Roles
from p5_keras.data.records import Problems
from p5_keras.inputs import Input
from p5_keras.naming import did_you_mean
from p5_keras.values import keywords, typed


@dataclass(frozen=True)
class Reading:
    """How a table is read.

    Attributes:
        delimiter: What stands between cells of a text; "" if the file was none.
        header: Whether its first row holds names.
        encoding: Its encoding.
        missing: Cells that stand for a missing value.
        roles: What each column is for.
        rules: How each target and each input is read.
        labels: How the targets are read as labels.
        inputs: What the model's inputs make of the raw values, by name.
    """

    #: Where it stands in `Records.reading`, beside "encoders", the inputs.
    KEY: ClassVar[str] = "table"

    delimiter: str
    header: bool
    encoding: str
    missing: tuple[str, ...]
    roles: Roles
    rules: Mapping[str, Rule]
    labels: Mapping[str, Labels] = field(default_factory=dict)
    inputs: Mapping[str, Input] = field(default_factory=dict)

    def config(self) -> dict[str, Any]:
        """Returns what JSON can hold, as part of `Records.reading`; see `reading`."""
        serialize = keras.saving.serialize_keras_object
        table = {
            "delimiter": self.delimiter,
            "header": self.header,
            "encoding": self.encoding,
            "missing": list(self.missing),
            "roles": asdict(self.roles),
            "rules": {name: own.config() for name, own in self.rules.items()},
            "labels": {name: own.config() for name, own in self.labels.items()},
        }
        inputs = {name: serialize(own) for name, own in self.inputs.items()}
        found = {self.KEY: table, "encoders": inputs}
        plain: dict[str, Any] = json.loads(json.dumps(found))
        return plain

    def used(self, inputs: Mapping[str, Input]) -> "Reading":
        """Returns how the columns are read that the targets and these inputs need."""
        read = {name for one in inputs.values() for name in one.specs()}
        roles = replace(
            self.roles,
            targets=tuple(n for n in self.roles.targets if n in self.labels),
            inputs=tuple(n for n in self.roles.inputs if n in read),
        )
        rules = {n: r for n, r in self.rules.items() if n in read or n in self.labels}
        return replace(self, roles=roles, rules=rules, inputs=inputs)

    def of_targets(self, names: Iterable[str]) -> "Reading":
        """Returns how a table is read that lacks some of the targets.

        Args:
            names: The columns that it has.
        """
        names = set(names)
        lacking = [n for n in self.labels if n not in names]
        return replace(
            self,
            rules={n: r for n, r in self.rules.items() if n not in lacking},
            labels={n: own for n, own in self.labels.items() if n not in lacking},
        )

    def read(
        self, file: pathlib.Path, names: Iterable[str], problems: Problems
    ) -> Table:
        """Reads a table as training read its own, with null where values are missing.

        Args:
            file: The table.
            names: The columns that it must have.
            problems: Takes what is wrong with it.

        Raises:
            ValueError: It lacks a column, or cannot be read.
        """
        names = list(names)
        options: Any = {"header": self.header, "encoding": self.encoding}
        own = Problems("skip")
        table = table_file.read(file, own, delimiter=self.delimiter or None, **options)
        if self.delimiter and not set(names) <= set(table.columns):
            # With another delimiter the names of all columns tell that it is right.
            other = table_file.read(file, again := Problems("skip"), **options)
            if set(names) <= set(other.columns):
                again.note(
                    f"cells are parted by {other.delimiter!r}, and by "
                    f"{self.delimiter!r} in the training data"
                )
                table, own = other, again
        for where, reason in own.dropped:
            problems.bad(where, reason)
        for what, count in own.notes.items():
            problems.note(what, count)
        _check_columns(table, names)
        return self.without_missing(table)

    def without_missing(self, table: Table) -> Table:
        """Returns a table with null where values are missing."""
        return replace(
            table,
            columns={
                name: missing.absent(column, self.missing, self._kept(name))
                for name, column in table.columns.items()
            },
        )

    def _kept(self, name: str) -> tuple[str, ...]:
        return self.rules[name].kept if name in self.rules else ()


def reading(whole: Mapping[str, Any] | None) -> Reading | None:
    """Makes the reading of `config()` again; `None` where there is none of a table.

    Args:
        whole: `Records.reading` of the training data.
    """
    if not whole or Reading.KEY not in whole:
        return None
    config = whole[Reading.KEY]
    roles = dict(config["roles"])
    roles |= {name: tuple(roles[name]) for name in ("targets", "inputs")}
    return Reading(
        config["delimiter"],
        config["header"],
        config["encoding"],
        tuple(config["missing"]),
        Roles(**roles),
        {name: table_columns.rule(own) for name, own in config["rules"].items()},
        {name: labels.labels(own) for name, own in config["labels"].items()},
        {
            name: readings.as_input(own)
            for name, own in whole.get("encoders", {}).items()
        },
    )


def decide(
    table: Table,
    roles: Roles,
    options: Mapping[str, Any],
    problems: Problems,
) -> Reading:
    """Decides how the targets and the inputs of a table are read.

    Args:
        table: The table, its cells as they stand.
        roles: What each column is for.
        options: Arguments of the loader: `header`, `encoding`, `missing`, `classes`,
            `numbers`, `texts`, `decimal` and `separator`; and `earlier`, whether words
            for a missing value are never labels.
        problems: Takes notes of what is guessed.
    """
    tokens = options["missing"]
    own = Reading(
        table.delimiter, options["header"], options["encoding"], tokens, roles, {}
    )
    names = [*roles.targets, *roles.inputs]
    missing.note_errors({name: table.columns[name] for name in names}, problems)
    columns = own.without_missing(table).columns

    found = {name: Rule("text") for name in options["texts"]}
    found |= table_columns.decide(
        {name: columns[name] for name in names if name not in found},
        options["classes"],
        options["numbers"],
        problems,
        options["decimal"],
        "," if table.delimiter == ";" else ".",
        roles.targets if options["separator"] == "," else (),
    )
    if tokens == missing.MISSING and not options["earlier"]:
        few = [
            name
            for name in roles.targets
            if found[name].form in ("text", "code")
            or not len(columns[name].drop_null())
        ]
        numbers = [name for name in names if found[name].form == "number"]
        numbers = [name for name in numbers if name not in few]
        kept = missing.labels_kept(table.columns, few, numbers, problems)
        for name, words in kept.items():
            found[name] = Rule("text", kept=words)
    return replace(own, rules=found)


def guessed(
    file: pathlib.Path,
    numbers: Iterable[str],
    texts: Iterable[str],
    options: Mapping[str, str],
    problems: Problems,
) -> tuple[Table, Reading]:
    """Reads a table of which only is known what the columns are to be.

    Args:
        file: The table.
        numbers: Columns to be read as numbers, or as true and false.
        texts: Columns to be read as texts.
        options: Those of the loader, of which the ones on reading hold.
        problems: Takes what is wrong with it, and what is guessed.

    Raises:
        ValueError: It lacks a column, or cannot be read.
    """
    numbers, texts = list(numbers), list(texts)
    own = {n: options[n] for n in ("delimiter", "header", "encoding") if n in options}
    arguments = keywords(table_file.read, own)
    table = table_file.read(file, problems, **arguments)
    _check_columns(table, [*numbers, *texts])
    missing_ = options.get("missing")
    tokens = (
        missing.MISSING
        if missing_ is None
        else typed("missing", missing_, tuple[str, ...])
    )
    roles = Roles(None, "picture", None, None, (), (*numbers, *texts))
    given = {
        "header": arguments.get("header", True),
        "encoding": arguments.get("encoding", "utf-8"),
        "missing": tokens,
        "classes": (),
        "numbers": (),
        "texts": texts,
        "decimal": options.get("decimal"),
        "separator": "",
        "earlier": True,
    }
    known = decide(table, roles, given, problems)
    table = known.without_missing(table)
    rules = {
        name: rule
        if name in texts or rule.form == "truth"
        else replace(rule, form="number")
        for name, rule in known.rules.items()
    }
    return table, replace(known, rules=rules)


def _check_columns(table: Table, names: Iterable[str]) -> None:
    for name in names:
        if name not in table.columns:
            raise ValueError(
                f"The table must have the column {name!r}, which the training data had."
                f"{did_you_mean(name, table.columns)} Received: {table.file}, with "
                f"columns {list(table.columns)}"
            )


def is_whole(values: pa.Array) -> bool:
    """Returns whether all numbers are written as whole ones: 1, not 1.0."""
    if not pa.types.is_string(values.type):
        return False
    matches = pc.match_substring_regex(values.drop_null(), r"^\D{0,2}\d+$")
    return bool(pc.all(matches).as_py())
