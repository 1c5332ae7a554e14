"""Several attacks on the same clips: what each adds to PGD, and how near it comes to the best."""

from collections.abc import Iterator
from math import isfinite
from typing import NamedTuple

import numpy as np

from mmlib.evaluation.threat_card import scales
from mmlib.params.attacks import GUIDED
from mmlib.params.methods import SPARSE
from mmlib.report import bars, threats, wording
from mmlib.report.inputs import Inputs, Run
from mmlib.report.sections.blocks import Block, Panel, Section
from mmlib.report.tables import Cell, Head, Row, Table
from mmlib.runtime.storage import Table as Columns

TEXT = ("threat", "method")
PGD, RESTART, STRONGEST, NOISE = "pgd", "restart", "strongest", "noise"
NAMES = {
    NOISE: "random noise",
    PGD: "PGD",
    RESTART: "PGD, random start",
    "apgd": "APGD",
    "mim": "MIM",
    "temporal_raise": "variation raised",
    "temporal_lower": "variation lowered",
    "misalign": "embeddings apart",
    "sparse": "chosen frames",
    "sparse_random": "drawn frames",
    STRONGEST: "strongest of all",
}


class Compared(NamedTuple):
    """A run with its tables: a row per threat, method and budget, and a row per optimality."""

    run: Run
    scores: Columns
    optimality: Columns


def methods(inputs: Inputs) -> Section | None:
    """Optimality as bars and a table for every run of params.methods that was attacked so."""
    found = read_methods(inputs)
    if not found:
        return None
    blocks = [Block("text", _intro(inputs))]
    for each in found:
        blocks.append(Block("heading", each.run.name))
        blocks.append(Block("panels", list(_panels(each)), _caption(inputs)))
        blocks += [Block("text", text) for text in _sentences(each)]
        blocks.append(Block("table", _table(each, inputs)))
    return Section("methods", "Several attacks on the same clips", blocks)


def read_methods(inputs: Inputs) -> list[Compared]:
    """The runs of the page that have both tables."""
    rows = {name: name for name in inputs.params.methods.runs}
    scores, optimality = (inputs.tables(kind, rows, TEXT) for kind in ("methods", "optimality"))
    return [
        Compared(run, table, optimality[name][1])
        for name, (run, table) in scores.items()
        if name in optimality
    ]


def labels(table: Columns) -> list[str]:
    """What each row's method is called, with its setting."""
    settings = table.get("setting", np.full(len(table["method"]), np.nan))
    return [_label(*each) for each in zip(table["method"].tolist(), settings.tolist(), strict=True)]


def _label(method: str, setting: float) -> str:
    name = NAMES.get(method, method)
    if method in SPARSE:
        return f"{name}, {wording.percent(setting)}"
    return f"{name}, weight {setting:g}" if method in GUIDED else name


def _intro(inputs: Inputs) -> str:
    search, loss = inputs.params.methods.search, inputs.params.attack.loss
    return (
        f"Every method attacks the same clips within the same budgets, with {search.steps} gradient"
        f" steps at each; for each clip the point of most loss ({loss}) counts, and what a smaller"
        " budget did stays. The yardstick of whatever is added to PGD is a second PGD, from a"
        " random point: it takes as many steps as any other second method. Methods on chosen or"
        " drawn frames may touch no more than that share of the frames, and one stretch of the"
        " sound."
    )


def _caption(inputs: Inputs) -> str:
    return (
        "Optimality: the area under the damage of each clip against the budget, as a share of the"
        " area of the strongest of all methods for each clip; 1 is the best of all, 0 no damage"
        " (AttackBench). Damage is the rise of the loss; in the table also clips that lose their"
        f" first place to a wrong tag.{scales(inputs.params.attack)}"
    )


def _panels(each: Compared) -> Iterator[Panel]:
    table, names = each.optimality, labels(each.optimality)
    for threat in dict.fromkeys(table["threat"].tolist()):
        rows = [
            row
            for row in np.flatnonzero(table["threat"] == threat).tolist()
            if table["method"][row] != STRONGEST and isfinite(table["loss_optimality"][row])
        ]
        if not rows:
            continue
        drawing = bars.weights(
            [[float(table["loss_optimality"][row]) for row in rows]],
            [names[row] for row in rows],
            intervals=[
                (float(table["loss_optimality_lo"][row]), float(table["loss_optimality_hi"][row]))
                for row in rows
            ],
            name=f"methods-{each.run.name}-{threat}",
            label=f"Optimality of each method, {threats.NAMES[threat]}",
            x_label="optimality",
        )
        yield Panel(wording.capital(threats.NAMES[threat]), drawing)


def _sentences(each: Compared) -> Iterator[str]:
    """At the headline budget: what a second PGD adds, and what the best other method does."""
    table = each.scores
    for threat in dict.fromkeys(table["threat"].tolist()):
        here = (table["threat"] == threat) & (table["multiple"] == 1)
        known = (NOISE, PGD, RESTART, STRONGEST)
        others = np.flatnonzero(here & ~np.isin(table["method"], known))
        second = np.flatnonzero(here & (table["method"] == RESTART))
        if not len(others) or not len(second):
            continue
        best = int(others[np.argmax(table["added"][others])])
        yield (
            f"{wording.capital(threats.NAMES[threat])} at the headline budget: a second PGD takes"
            f" {_said(table, int(second[0]))} mAP more than one, and the method that adds most,"
            f" {labels(table)[best]}, {_said(table, best)}."
        )


def _said(table: Columns, row: int) -> str:
    return "{} ({})".format(*_effect(table, row))


def _effect(table: Columns, row: int) -> tuple[str, str]:
    """What a method adds, and its interval."""
    lo, hi = float(table["added_lo"][row]), float(table["added_hi"][row])
    return wording.signed(float(table["added"][row])), wording.interval(lo, hi, sign=True)


def _added(table: Columns, row: int) -> Cell:
    """What a method adds; without an interval where it is stronger on no clip, and adds nothing."""
    if table["method"][row] == PGD:
        return Cell(wording.MISSING)
    return Cell(*_effect(table, row)) if table["better"][row] > 0 else Cell("0")


def _table(each: Compared, inputs: Inputs) -> Table:
    scores, optima = each.scores, each.optimality
    names = labels(scores)
    headline = np.flatnonzero(scores["multiple"] == 1).tolist()
    rows, before = [], ""
    for row, optimum in zip(headline, range(len(optima["method"])), strict=True):
        threat = str(scores["threat"][row])
        cells = [
            Cell(threats.SHORT[threat], kind="word"),
            _cell(optima, "loss_optimality", optimum),
            _cell(optima, "optimality", optimum),
            _cell(scores, "mAP", row),
            _added(scores, row),
            Cell(wording.percent(float(scores["better"][row]))),
            Cell(wording.count(float(scores["gradients"][row]))),
        ]
        rows.append(Row(names[row], cells, first=threat != before))
        before = threat
    confidence = wording.percent(inputs.params.score.confidence)
    return Table(
        title=f"Methods of attack on {each.run.name}",
        head=(
            Head("method", "word"),
            *(Head("attacked", "word"), Head("optimality, loss"), Head("optimality, first tag")),
            *(Head("mAP left"), Head("mAP added to PGD"), Head("clips better"), Head("steps")),
        ),
        rows=rows,
        caption=(
            "At the headline budget, optimality over all budgets. Added: how much lower PGD and the"
            f" method, the stronger for each clip, leave the mAP than PGD alone, with its"
            f" {confidence} interval; below 0 where a higher loss on a clip means a higher mAP of"
            " the set. Better: clips on which the method raises the loss above what PGD does."
        ),
        wrap=True,
    )


def _cell(table: Columns, name: str, row: int) -> Cell:
    value, lo, hi = (float(table[key][row]) for key in (name, f"{name}_lo", f"{name}_hi"))
    if not isfinite(value):
        return Cell(wording.MISSING)
    return Cell(wording.number(value), f"{wording.number(lo)}–{wording.number(hi)}")
