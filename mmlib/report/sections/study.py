"""The study: ways to retrain over several seeds, at matched epochs and at matched passes."""

from collections.abc import Sequence

import numpy as np

from mmlib.params.retraining import AdversarialRun
from mmlib.params.study import JointRun
from mmlib.report import wording
from mmlib.report.comparison.dose import Guides, barely, reason
from mmlib.report.comparison.study import (
    Study,
    StudyRow,
)
from mmlib.report.comparison.study_claims import (
    Pair,
    adversarial,
    find,
    pairs,
    plain,
)
from mmlib.report.findings import Findings
from mmlib.report.inputs import Inputs
from mmlib.report.sections.blocks import Block, Section
from mmlib.report.tables import Cell, Group, Head, Row, Table
from mmlib.report.threats import WORDS
from mmlib.runtime.arrays import Floats


def study(inputs: Inputs, findings: Findings) -> Section | None:
    """The study's tables, and its claims with the verdicts of the page; None where it is off."""
    found = inputs.study
    if found is None:
        return None
    tables = [Block("table", table) for table in (_means(found), _costs(found))]
    blocks = [Block("text", _intro(found)), *tables]
    if (gaps := _gaps(found)).rows:
        blocks.append(Block("table", gaps))
    blocks += [Block("text", text) for text in _sentences(found, findings, inputs.guides)]
    cells = _cells(found)
    return Section(
        "study", "Over several seeds", blocks + ([Block("table", cells)] if cells else [])
    )


def _intro(study: Study) -> str:
    return (
        f"{study.seeds} seed{'' if study.seeds == 1 else 's'} per row. A seed decides the order of"
        " the clips, augmentation, dropout, mixing and the starting points of the attacks in"
        " training; all rows use the same seeds. The model that retraining starts from, the guides,"
        " the clips and the test attack are the same for all seeds, so these intervals do not cover"
        " the luck in them."
    )


def _means(study: Study) -> Table:
    threats = max((row.threats for row in study.rows.values()), key=len)
    shown = [("mAP", threat) for threat in threats]
    if any("accuracy" in row.figures["clean"] for row in study.rows.values()):
        shown += [("accuracy", "clean"), ("accuracy", threats[-1])]
    rows = [
        Row(name, [*(_spread(row, threat, figure) for figure, threat in shown), _on_val(row)])
        for name, row in study.rows.items()
    ]
    return Table(
        title="The study's rows",
        groups=(
            Group("", 1),
            Group("mAP", len(threats)),
            *([Group("accuracy", 2)] if len(shown) > len(threats) else []),
            Group("mAP on val", 1),
        ),
        head=(Head("row", "word"), *(Head(WORDS[threat]) for _, threat in shown), Head("attacked")),
        rows=rows,
        caption=(
            "Mean over the seeds, with the lowest and the highest. On val: all modalities attacked"
            " by plain PGD, the figure by which the best of several strengths of a guide is chosen."
        ),
    )


def _costs(study: Study) -> Table:
    counted = ("optimiser_steps", "clips_seen", "forward_passes", "backward_passes")
    rows = [
        Row(
            name,
            [
                Cell(wording.count(row.run.epochs)),
                *(Cell(wording.count(row.costs[cost])) for cost in counted),
                Cell(wording.seconds(row.costs["seconds"])),
            ],
        )
        for name, row in study.rows.items()
    ]
    heads = ("epochs", "steps", "seen", "forward", "backward", "time")
    return Table(
        title="Training cost of one seed",
        groups=(Group("", 3), Group("clips", 3), Group("", 1)),
        head=(Head("row", "word"), *(Head(text) for text in heads)),
        rows=rows,
        caption=(
            "Mean over the seeds. Forward and backward passes are counted in clips through the"
            " encoders, attack steps included. Time is wall-clock time, which means little on a"
            " machine that was shared."
        ),
    )


def _spread(row: StudyRow, threat: str, figure: str) -> Cell:
    return _range(row.values(threat, figure) if threat in row.figures else np.array([]))


def _on_val(row: StudyRow) -> Cell:
    return _range(np.array(list(row.val.values())))


def _range(values: Floats) -> Cell:
    if not len(values):
        return Cell(wording.MISSING)
    ends = wording.interval(float(values.min()), float(values.max()))
    return Cell(wording.number(float(values.mean())), ends)


def _gaps(study: Study) -> Table:
    """Each row against plain training at equal epochs, and against adversarial training."""
    robust = adversarial(study)
    rows = []
    for name, row in study.rows.items():
        widest = row.threats[-1]
        # Joint training starts elsewhere than retraining, so plain retraining is no control for it.
        alone = plain(row.run) or isinstance(row.run, JointRun)
        control = None if alone else find(study, plain, row, at="epochs")
        others = (control.name if control else None, robust.name if robust else None)
        cells = [
            _gap(study, name, other, threat) for other in others for threat in ("clean", widest)
        ]
        if any(cell.text != wording.MISSING for cell in cells):
            rows.append(Row(name, cells))
    confidence, freedom = wording.percent(study.confidence), study.seeds - 1
    return Table(
        title="Differences between the study's rows",
        groups=(
            Group("", 1),
            Group("minus plain training, equal epochs", 2),
            Group(f"minus {robust.name if robust else 'adversarial training'}", 2),
        ),
        head=(Head("row", "word"), *(Head(text) for text in ("clean", "attacked") * 2)),
        rows=rows,
        caption=(
            "Differences in mAP, paired by seed and by clip; attacked: all modalities, at the"
            f" headline budget. Each interval is the hull of three {confidence} intervals:"
            f" Student's t over the seeds ({freedom} degrees of freedom), the jackknife over clips"
            " of the mean over the seeds, and one that adds both variances. With so few seeds the"
            " first is wide: an interval that contains 0 means that this study cannot"
            " tell. Intervals are not corrected for their number; the verdicts below are (Holm)."
        ),
    )


def _gap(study: Study, name: str, other: str | None, threat: str) -> Cell:
    if other in (None, name) or threat not in study.rows[other].figures:
        return Cell(wording.MISSING)
    hull = study.gap(name, other, threat).hull
    return Cell(wording.signed(hull.estimate), wording.interval(hull.lo, hull.hi, sign=True))


def _sentences(study: Study, findings: Findings, guides: Guides) -> list[str]:
    """Every matched comparison in words."""
    return [
        f"“{pair.statement}” {pair.first} − {pair.second} = {wording.signed(hull.estimate)} mAP"
        f" ({wording.interval(hull.lo, hull.hi, sign=True)}):"
        f" {_outcome(pair, findings, guides)}."
        f" Passes: {_passes(study, pair.first, pair.second)}."
        for pair in pairs(study)
        for hull in (study.gap(pair.first, pair.second, pair.threat).hull,)
    ]


def _outcome(pair: Pair, findings: Findings, guides: Guides) -> str:
    if barely(guides, pair.guide):
        return reason(guides, pair.guide)
    return findings.claims[pair.key].verdict


def _passes(study: Study, *names: str) -> str:
    return " against ".join(wording.count(study.rows[name].passes) for name in names)


def _cells(study: Study) -> Table | None:
    """Budgets of training against budgets of the test; None where no row was tested so."""
    rows = [row for row in study.rows.values() if row.cells]
    if not rows:
        return None
    budgets = sorted({eps for row in rows for eps, _ in row.cells})
    return Table(
        title="Training budget against test budget",
        groups=(Group("", 1), Group("mAP, by training ε", len(rows))),
        head=(Head("test ε", "word"), *(Head(_trained(row)) for row in rows)),
        rows=[Row(f"{eps:g}", [Cell(_by_steps(row, eps)) for row in rows]) for eps in budgets],
        caption=(
            "Each cell: mAP under PGD from a random start on all modalities, with"
            f" {' / '.join(map(str, _steps(rows)))} steps. One seed and a subset of the eval clips"
            " (params: study.table), so these are not comparable with the tables above."
        ),
    )


def _steps(rows: Sequence[StudyRow]) -> list[int]:
    return sorted({steps for row in rows for _, steps in row.cells if steps})


def _trained(row: StudyRow) -> str:
    eps = row.run.eps if isinstance(row.run, AdversarialRun) else 0
    return f"{eps:g} ({row.name})"


def _by_steps(row: StudyRow, eps: float) -> str:
    found = [value for (budget, _), value in sorted(row.cells.items()) if budget == eps]
    return " / ".join(wording.number(value) for value in found)
