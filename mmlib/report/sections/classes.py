"""Which classes break: AP lost against convexity and density, and every run's correlations."""

import math

from mmlib.report import figures, threats, wording
from mmlib.report.comparison.correlation import Correlation
from mmlib.report.comparison.predictors import (
    METRICS,
    WEAK,
    Prediction,
)
from mmlib.report.findings import Findings, main_runs
from mmlib.report.inputs import Inputs, Run
from mmlib.report.sections.blocks import Block, Panel, Section
from mmlib.report.tables import Cell, Head, Row, Table, state

AXES = {"kappa": "convexity κ", "rho": "density ρ"}
SHORT = {"kappa": "κ", "kappa_conditioned": "κ~", "rho": "ρ", "log_density": "ρ′"}
SAYS = {"supported": "● yes", "undecided": "◐ undecided", "not supported": "○ no"}


def classes(inputs: Inputs, findings: Findings) -> Section | None:
    """The paper's scatter for the run that stands for fusion, and a table over all runs."""
    mine = {p.metric: p for p in findings.of_first(main_runs(inputs)) if p.defined}
    shown = [mine[metric] for metric in AXES if metric in mine]
    run = inputs.named(shown[0].run) if shown else None
    table = _table(inputs, findings)
    if run is None or table is None:
        return None
    panels = [_panel(run, found) for found in shown]
    caption = (
        f"One dot per class of run {run.name}, {threats.NAMES[shown[0].threat]} at the headline"
        " budget, with the least-squares line. The paper claims a falling line: classes further to"
        " the right lose less. A flat cloud shows no such line."
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
        label=f"Share of AP lost against {axis}, one dot per class",
    )
    r = found.pearson
    ends = wording.interval(-r.hi, -r.lo, 2, sign=True)
    note = f"r = {wording.signed(-r.r, 2)} ({ends}) with the share of AP lost, {r.n} classes"
    return Panel(f"AP lost against {axis}", svg, note)


def _table(inputs: Inputs, findings: Findings) -> Table | None:
    rows = []
    for run in inputs.runs:
        for place, found in enumerate(findings.of(run)):
            cells = [Cell(SHORT[found.metric], kind="word")]
            cells += [_cell(part) for part in (found.pearson, found.spearman, found.partial)]
            cells.append(state(SAYS[found.verdict] if found.defined else "undefined"))
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
            Head("rank r"),
            Head("partial r"),
            Head("predicts, alone", "word"),
        ),
        rows=rows,
        caption=(
            "Correlation over classes between each metric and the share of its AP that a class"
            " retains when all modalities of the run are attacked; the paper claims that it is"
            " above 0. Partial r controls for clean AP and class size. A metric predicts when the"
            " intervals of r and of partial r both lie above 0, and does not when either lies below"
            f" {WEAK}, each row taken alone; the claims below are corrected for their number."
            " Classes are taken as independent, which those that share clips or resemble one"
            " another are not quite. Undefined: the metric is the same for all classes, or defined"
            f" for too few. {meanings}.{_unmeasured(inputs, findings)}"
        ),
    )


def _unmeasured(inputs: Inputs, findings: Findings) -> str:
    without = [run.name for run in inputs.runs if not findings.of(run)]
    return f" Not measured: the classes of {wording.listed(without)}." if without else ""


def _cell(part: Correlation) -> Cell:
    if math.isnan(part.r):
        return Cell(wording.MISSING)
    return Cell(wording.signed(part.r, 2), wording.interval(part.lo, part.hi, 2, sign=True))
