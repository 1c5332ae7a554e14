"""Attacks that are to survive encoding: what is left of them after ffmpeg, beside plain ones."""

from collections.abc import Iterator

import numpy as np

from mmlib.report import threats, wording
from mmlib.report.inputs import Inputs, Run
from mmlib.report.sections.blocks import Block, Section
from mmlib.report.tables import Cell, Group, Head
from mmlib.report.tables import Row as TableRow
from mmlib.report.tables import Table as ShownTable
from mmlib.runtime.arrays import Bools
from mmlib.runtime.storage import Table

TEXT = ("threat", "method", "regard", "kind", "level")
KINDS = {"h264_aac": "", "vp9_opus": "", "as written": "the attacker's own file"}
_ENDS = ("", "_lo", "_hi")


def survival(inputs: Inputs) -> Section | None:
    """A table for each run of params.survival that was put to it; None where none was."""
    found = read_survival(inputs)
    if not found:
        return None
    confidence = wording.percent(inputs.params.score.confidence)
    blocks = [Block("text", _intro(inputs))]
    for run, table in found:
        blocks.append(Block("table", _table(run, table, confidence)))
    return Section("survival", "Attacks that survive encoding", blocks)


def read_survival(inputs: Inputs) -> list[tuple[Run, Table]]:
    """The runs of the page that have a table of survival."""
    rows = {name: name for name in inputs.params.survival.runs}
    return list(inputs.tables("survival", rows, TEXT).values())


def _intro(inputs: Inputs) -> str:
    params = inputs.params.survival
    eps = params.attack.eps
    return (
        "An attack on a clip that is uploaded meets the platform's encoder before it meets the"
        " model. Here the attacked clips are written as 16-bit sound and 8-bit pictures of"
        f" {params.trial.pictures.side} pixels a side, encoded and decoded by ffmpeg at qualities"
        " that no attack has seen, and scored. A drop is the clean mAP after the same encoding less"
        " the attacked one. Both attacks have the same budget"
        f" (ε = {eps.audio:g} of full scale for the waveform, {eps.video:g} for pixels) and"
        f" {params.attack.steps} steps; the one looks at the model alone (plain), the other through"
        " what docs/survival.md lists (aware)."
    )


def _table(run: Run, table: Table, confidence: str) -> ShownTable:
    return ShownTable(
        title=f"{run.name}: what is left of attacks after encoding",
        head=(
            Head("attack, and what came after", "word"),
            Head("clean"),
            *(Head(text) for text in ("drop", "survives", "drop", "survives", "times plain")),
        ),
        groups=(Group("", 2), Group("plain", 2), Group("aware", 2), Group("", 1)),
        rows=list(_rows(run, table)),
        caption=(
            f"mAP and drops of it, with {confidence} intervals over recordings. Survives: the drop"
            " after, as a share of the drop in the attacker's own file. Times plain: the aware"
            " attack's drop over the plain one's."
        ),
        wrap=True,
    )


def _rows(run: Run, table: Table) -> Iterator[TableRow]:
    pairs = dict.fromkeys(zip(table["threat"].tolist(), table["method"].tolist(), strict=True))
    for threat, method in pairs:
        own = (table["threat"] == threat) & (table["method"] == method)
        levels = zip(table["kind"][own].tolist(), table["level"][own].tolist(), strict=True)
        for place, (kind, level) in enumerate(dict.fromkeys(levels)):
            here = own & (table["kind"] == kind) & (table["level"] == level)
            plain, aware = (here & (table["regard"] == name) for name in ("plain", "aware"))
            name = f"{threats.SHORT[threat]}, {method}: {_named(kind, level)}"
            cells = [Cell(wording.number(float(table["clean"][plain][0])))]
            for which in (plain, aware):
                cells += [_drop(table, which), _percent(table, which)]
            cells.append(_cell(*_interval(table, aware, "times"), digits=1))
            yield TableRow(name, cells, run.index if place == 0 else None, first=place == 0)


def _named(kind: str, level: str) -> str:
    said = KINDS.get(kind, kind)
    return f"{said} {level}".strip()


def _interval(table: Table, rows: Bools, figure: str) -> tuple[float, float, float]:
    value, lo, hi = (float(table[f"{figure}{end}"][rows][0]) for end in _ENDS)
    return value, lo, hi


def _drop(table: Table, rows: Bools) -> Cell:
    return _cell(*_interval(table, rows, "drop"))


def _percent(table: Table, rows: Bools) -> Cell:
    return Cell(wording.percent(float(table["survival"][rows][0])))


def _cell(value: float, lo: float, hi: float, digits: int = 3) -> Cell:
    if np.isnan(value):
        return Cell(wording.MISSING)
    return Cell(wording.number(value, digits), wording.interval(lo, hi, digits))
