"""Certificates: what no attack can do, beside what attacks did, from both sides."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmlib.evaluation.threat_card import scales
from mmlib.report import figures, threats, wording
from mmlib.report.figures import Line
from mmlib.report.inputs import Inputs, Run
from mmlib.report.sections.blocks import Block, Panel, Section, legend
from mmlib.report.tables import Cell, Head, Row
from mmlib.report.tables import Table as PageTable
from mmlib.runtime.arrays import Floats
from mmlib.runtime.storage import Table, read_json
from mmlib.threats import THREATS

TEXT = ("threat",)
SIDES = (
    ("mAP", "mAP_lo", "mAP_attacked", "mAP of the smoothed run"),
    ("Decisions", "pairs_certified", "pairs_standing", "share of decisions"),
)
"""What is drawn from both sides: name, column from below, column from above, axis."""


class Certificate(NamedTuple):
    """A row of params.certify whose run is on the page: its curve, and its figures by threat."""

    name: str
    run: Run
    table: Table
    told: Mapping[str, Any]


def certificates(inputs: Inputs) -> Section | None:
    """Both sides of the rows in params.certify that were certified; None where none was."""
    found = read_certificates(inputs)
    if not found:
        return None
    alpha = inputs.params.certify.sampling.alpha
    caption = (
        "Lower edge, with marks: certified; no attack whatever goes below it. That is wrong with a"
        f" chance of at most {alpha:g}: for the mAP over all clips and classes together, for"
        " decisions each. Upper edge: what attacks have reached so far. The truth lies in between."
        " Decisions are those that were attacked one by one, among the right and certified ones."
        " Budgets are l2, the root-mean-square change, and hold what changes no element by more"
        " than ε. Up to the largest that can be certified they are drawn in proportion, beyond it"
        " on a logarithmic scale."
        f"{scales(inputs.params.attack)}"
    )
    blocks = [
        Block("text", _intro(inputs, found)),
        legend(list({row.run.name: row.run for row in found}.values())),
        *(Block("panels", panels, caption) for panels in [list(_panels(found))] if panels),
        Block("table", _summary(inputs, found)),
        *(Block("note", _checked(row)) for row in found),
    ]
    return Section("certificates", "What no attack can do", blocks)


def read_certificates(inputs: Inputs) -> list[Certificate]:
    """The rows of params.certify that were certified, of runs of this page alone."""
    rows = {name: row.run for name, row in inputs.params.certify.rows.items()}
    return [
        Certificate(name, run, table, read_json(inputs.root / f"metrics/certify/{name}.json"))
        for name, (run, table) in inputs.tables("certify", rows, TEXT).items()
    ]


def _intro(inputs: Inputs, found: Sequence[Certificate]) -> str:
    passes = max(int(row.told["passes"]) for row in found)
    clips = max(int(row.told["clips"]) for row in found)
    return (
        "Elsewhere on this page robustness is what attacks have left, and a better attack may leave"
        " less. Here a run decides about many noisy copies of a clip, by majority, and how sure the"
        " majority is bounds what any change of the clip can do (randomised smoothing). This is"
        f" another classifier than the run itself: it costs {wording.count(passes)} forward passes"
        f" a clip instead of one, and its own mAP is in the table. Certified on {clips} eval clips."
    )


def _panels(found: Sequence[Certificate]) -> Iterator[Panel]:
    for name, below, above, y_label in SIDES:
        for threat in THREATS:
            lines = [
                line for row in found if (line := both_sides(row, threat, below, above)) is not None
            ]
            if lines:
                largest = max(
                    row.told[threat]["largest_eps"] for row in found if threat in row.told
                )
                farthest = max(float(line.x[-1]) for line in lines)
                # Where nothing is certified there is no radius to count in.
                ticks = sorted({(largest or farthest) * x for x in (0, 0.5, 1, 2, 4, 8)})
                svg = figures.curves(
                    lines,
                    x_label="budget ε, thousandths of full scale",
                    ticks=[(x, f"{1000 * x:.1f}") for x in ticks if x <= 1.001 * farthest],
                    name=f"certified-{name.lower()}-{threat}",
                    label=f"Certified and attacked {y_label}, {threats.NAMES[threat]}",
                    y_label=y_label,
                    every=8,
                    linear_to=largest or None,
                )
                title = f"{name}, {threats.NAMES[threat]}"
                yield Panel(title, svg)


def both_sides(row: Certificate, threat: str, below: str, above: str) -> Line | None:
    """A curve from below, with a band up to what attacks left; None where nothing was measured.

    Robustness does not rise with the budget, so an attack bounds it from above at all larger
    budgets too.
    """
    rows = row.table["threat"] == threat
    low = row.table[below][rows]
    if not rows.any() or np.isnan(low).all():
        return None
    return Line(row.run.index, row.table["eps"][rows], low, low, _falling(row.table[above][rows]))


def _falling(values: Floats) -> Floats:
    """The least value so far; nan, where nothing was measured, counts for nothing."""
    return np.minimum.accumulate(np.where(np.isnan(values), np.inf, values))


def _summary(inputs: Inputs, found: Sequence[Certificate]) -> PageTable:
    eps = inputs.params.attack.eps
    heads = ["mAP, smoothed", "certified", "attacked", "tags shown", "tags absent"]
    heads += ["largest ε", "abstained", "head"]
    rows = [
        Row(
            f"{row.name}, {threats.SHORT[threat]}",
            [
                Cell(_sigma(inputs, row, threat), kind="word"),
                *(Cell(wording.number(told.get(key))) for key in _SCORES),
                *(Cell(wording.percent(told.get(key))) for key in ("shown", "absent")),
                Cell(wording.number(told.get("largest_eps"), 5)),
                Cell(wording.percent(told.get("abstained"), 1)),
                Cell(wording.percent(told.get("head"), 1)),
            ],
            row.run.index,
            first=threat == next(iter(_told(row))),
        )
        for row in found
        for threat, told in _told(row).items()
    ]
    caption = (
        "mAP of the smoothed run on the clean clips, its certified lower bound and what an attack"
        f" left, both at ε = {eps:g}; the shares of present tags that are certified to be shown"
        " there and of absent ones not to be; the largest budget that so many draws can certify,"
        " which also a run that ignores what is changed has; how often no decision was certain;"
        " last, how far the vectors before the head may move, the median over clips and tags, in"
        " their lengths."
    )
    named = [Head("row", "word"), Head("σ", "word")]
    return PageTable("Certificates", [*named, *map(Head, heads)], rows, caption)


_SCORES = ("mAP", "certified_mAP", "attacked_mAP")


def _told(row: Certificate) -> Mapping[str, Mapping[str, float | None]]:
    return {threat: row.told[threat] for threat in THREATS if threat in row.told}


def _sigma(inputs: Inputs, row: Certificate, threat: str) -> str:
    sigma = inputs.params.certify.rows[row.name].sigma
    return ", ".join(f"{getattr(sigma, name):g}" for name in THREATS[threat])


def _checked(row: Certificate) -> str:
    return f"{row.name}: the check “certified” ends in {row.told['check']}: {row.told['checked']}."
