"""Which output of a model of one's own stands for which class of the data."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmlib.params.training import BY_NAME
from mmlib.runtime.errors import UserError
from mmlib.runtime.storage import read_csv

COLUMNS = ("class", "output")
_NAMED = 5


def columns(outputs: Sequence[str], classes: Sequence[str], table: Path) -> list[int]:
    """The place among `outputs` of each of the data's classes.

    By name, or by a csv with the columns class (of the data) and output (of the model), a row for
    each class of the data. A class without an output of its very name takes the only one that
    differs in letter case, blanks and underscores alone. UserError names what is unknown or
    missing.
    """
    named = _by_name(outputs, classes) if table == BY_NAME else _read(table, classes)
    absent = [name for name in classes if named.get(name) not in outputs]
    if absent:
        where = (
            "name them in a csv with the columns class and output, and that csv as classes"
            if table == BY_NAME
            else f"give each class of the data one of the model's outputs in {table}"
        )
        raise UserError(
            f"{len(absent)} of the data's {len(classes)} classes have no output: {_some(absent)}; "
            f"the model's are {_some(outputs)}: {where}"
        )
    place = {name: index for index, name in enumerate(outputs)}
    return [place[named[name]] for name in classes]


def _by_name(outputs: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    alike: dict[str, list[str]] = {}
    for output in outputs:
        alike.setdefault(_plain(output), []).append(output)
    named = {}
    for name in classes:
        found = [name] if name in outputs else alike.get(_plain(name), [])
        if len(found) == 1:
            named[name] = found[0]
    taken = Counter(named.values())
    # Two classes that differ in letter case are two: one output cannot stand for both.
    return {name: output for name, output in named.items() if taken[output] == 1}


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())


def _read(table: Path, classes: Sequence[str]) -> dict[str, str]:
    rows = read_csv(table)
    if rows and set(rows[0]) != set(COLUMNS):
        raise UserError(f"{table}: its columns are {', '.join(rows[0])}, not class and output")
    named: dict[str, str] = {}
    for row in rows:
        name = row["class"].strip()
        if name in named:
            raise UserError(f"{table}: {name!r} stands there twice: a class has one output")
        named[name] = row["output"].strip()
    unknown = [name for name in named if name not in classes]
    if unknown:
        raise UserError(
            f"{table}: {_some(unknown)}: no class of the data, whose classes are {_some(classes)}"
        )
    return named


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more
