"""A run's figures as two files: all of them as csv, the few that revisions are compared by as JSON.

The csv has a row a figure, named by its place: `AV.mAP`, `worst_case.A.top_kept`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmlib.metrics.stored import CLEAN, NOISE
from mmlib.runtime.storage import csv_text, read_csv, reading
from mmlib.threats import THREATS

HEADS = ("figure", "value")
# Of clean and of each threat; none follows from another but d' from AUC, the paper's form of it.
COMPARED = ("mAP", "AUC", "dprime", "accuracy", "area")
WHOLE = (NOISE, "quantised", "clips", "skipped_classes")
# Cells that are text though they may look like numbers.
TEXT = ("set.hash",)


def compared(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The content of metrics/<run>.json: what `dvc metrics diff` prints, about 20 numbers."""
    found: dict[str, Any] = {
        name: {key: figures[name][key] for key in COMPARED if key in figures[name]}
        for name in (CLEAN, *THREATS)
        if name in figures
    }
    return found | {name: figures[name] for name in WHOLE if name in figures}


def figures_csv(figures: Mapping[str, Any]) -> str:
    """metrics/figures/<run>.csv: every figure of a run; empty where it is not defined."""
    return csv_text(HEADS, _rows(figures))


def _rows(figures: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, object]]:
    for key, value in figures.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{place}{key}.")
        else:
            yield place + key, "" if value is None else value


def read_figures(path: Path) -> dict[str, Any]:
    """Read metrics/figures/<run>.csv as it was before it was laid flat; UserError if damaged."""
    found: dict[str, Any] = {}
    with reading(path, "figures of a run"):
        for row in read_csv(path):
            *outer, last = row["figure"].split(".")
            part = found
            for key in outer:
                part = part.setdefault(key, {})
            part[last] = _value(row["figure"], row["value"])
    return found


def _value(figure: str, cell: str) -> str | float | None:
    if figure in TEXT:
        return cell
    if not cell:
        return None
    return int(cell) if cell.isdigit() else float(cell)
