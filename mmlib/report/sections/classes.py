"""Which classes break: drop against convexity and density, and every run's correlations."""

import math

from mmlib.report import figures, threats, wording
from mmlib.report.comparison.correlation import Correlation
from mmlib.report.comparison.predictors import (
    METRICS,
    Prediction,
)
from mmlib.report.findings import Findings, main_run
from mmlib.report.inputs import Inputs, Run
from mmlib.report.sections.blocks import Block, Panel, Section
from mmlib.report.tables import Cell, Head, Row, Table, state

AXES = {"kappa": "convexity κ", "rho": "density ρ"}
SHORT = {"kappa": "κ", "kappa_conditioned": "κ~", "rho": "ρ", "log_density": "ρ′"}
SAYS = {"supported": "● yes", "undecided": "◐ open", "not supported": "○ no"}


def classes(inputs: Inputs, findings: Findings) -> Section | None:
    """The paper's scatter for the run that stands for fusion, and a table over all runs."""
    run = main_run(inputs)
    mine = {p.metric: p for p in findings.of(run)}
    panels = [_panel(run, mine[metric]) for metric in AXES if metric in mine]
    table = _table(inputs, findings)
    if not panels or table is None:
        return None
    threat = threats.NAMES[run.threats[-1]]
    caption = (
        f"One dot a class of run {run.name}, {threat} at the headline budget; the line is the"
        " least-squares one. The paper's claim is a falling line: classes further right lose less."
        " A flat cloud means that the metric tells nothing."
    )
    blocks = [Block("panels", panels, caption), Block("table", table)]
    return Section("classes", "Which classes break", blocks)


def _panel(run: Run, found: Prediction) -> Panel:
    axis, threat = AXES[found.metric], found.threat
    svg = figures.scatter(
        run.classwise[found.metric],
        run.classwise[f"{threat}_relative_drop"],
        [str(name) for name in run.classwise["class"]],
        run=run.index,
        x_label=axis,
        y_label="share of AP lost",
        name=f"classes-{found.metric}",
        label=f"Share of AP lost against {axis}, a dot a class",
    )
    r = found.pearson
    ends = wording.interval(-r.hi, -r.lo, 2, sign=True)
    note = f"r = {wording.signed(-r.r, 2)} ({ends}) with the share lost, {r.n} classes"
    return Panel(f"Loss against {axis}", svg, note)


def _table(inputs: Inputs, findings: Findings) -> Table | None:
    rows = []
    for run in inputs.runs:
        for place, found in enumerate(findings.of(run)):
            cells = [Cell(SHORT[found.metric], kind="word")]
            cells += [_cell(part) for part in (found.pearson, found.spearman, found.partial)]
            defined = not math.isnan(found.pearson.r)
            cells.append(state(SAYS[found.verdict] if defined else "undefined"))
            first = place == 0
            rows.append(Row(run.name if first else "", cells, run.index if first else None, first))
    if not rows:
        return None
    meanings = "; ".join(f"{SHORT[key]}: {text}" for key, text in METRICS.items())
    return Table(
        title="Do the class-wise metrics predict robustness?",
        head=(
            Head("run", "word"),
            Head("metric", "word"),
            Head("r"),
            Head("by rank"),
            Head("given clean AP and size"),
            Head("predicts", "word"),
        ),
        rows=rows,
        caption=(
            "Correlation over classes of each metric with the share of its AP that a class keeps"
            " under the run's widest threat; above 0 is what the paper claims. It predicts when"
            " both r and the one given clean AP and class size lie above 0 with their intervals."
            f" Undefined: the metric is the same for all classes. {meanings}."
        ),
    )


def _cell(part: Correlation) -> Cell:
    if math.isnan(part.r):
        return Cell(wording.MISSING)
    return Cell(wording.signed(part.r, 2), wording.interval(part.lo, part.hi, 2, sign=True))
