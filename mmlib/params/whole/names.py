"""Names of rows: they become parts of file names, DVC's stage names and the report."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

ROWS = (
    *("train", "models", "retrain", "study.rows"),
    *("blend.guides", "temperature.guides", "theorem.fused"),
    *("goals.runs", "methods.runs", "transfer.rows", "certify.rows"),
)
"""Where params.yaml holds rows that have names of their own choice."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# metrics/<run>.json and data/attacks/<run>-examples.parquet stand beside files of these names.
_TAKEN = ("checks", "none")
_TAKEN_GUIDES = ("blend_reference",)
_ENDINGS = ("-examples", "-surface")


def faults(values: Mapping[str, Any]) -> Iterable[str]:
    """What is wrong with the names of rows in the plain values of params.yaml, a line each."""
    for key in ROWS:
        rows: Any = values
        for step in key.split("."):
            rows = rows.get(step) if isinstance(rows, Mapping) else None
        if isinstance(rows, Mapping):
            yield from _faults(key, list(rows))


def _faults(key: str, names: list[Any]) -> Iterable[str]:
    seen: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield (
                f"{key}: {name!r} cannot name a row: it becomes part of file names and commands; "
                "use letters, digits, _ and -, beginning with a letter or digit (at most 64, in "
                "quotes if digits alone)"
            )
            continue
        taken = name in (*_TAKEN, *(_TAKEN_GUIDES if key.endswith("guides") else ()))
        if taken or name.endswith(_ENDINGS):
            yield f"{key}: the name {name!r} is taken by a file of the pipeline; choose another"
        if (other := seen.setdefault(name.lower(), name)) != name:
            yield (
                f"{key}: {other!r} and {name!r} differ in case alone, which not every file system "
                "can tell apart; rename one"
            )
