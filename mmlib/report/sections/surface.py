"""The plane of two budgets: mAP, lines of equal damage, and attackers of one total budget."""

from collections.abc import Mapping
from typing import Any

from mmlib.evaluation.threat_card import scales
from mmlib.report import threats, wording
from mmlib.report.inputs import Inputs, Run
from mmlib.report.plane import plane
from mmlib.report.sections.blocks import Block, Panel, Section
from mmlib.report.tables import Cell, Head, Row, Table

TOTALS = {
    "A": "audio alone: (1, 0)",
    "V": "video alone: (0, 1)",
    "halved": "both, half each: (½, ½)",
    "shared": "both, best split that was found: (x, 1 − x)",
    "AV": "the paper's A+V, a total of 2: (1, 1)",
}


def surface(inputs: Inputs) -> Section | None:
    """A panel for each run whose plane was attacked; None where no run's was."""
    runs = [run for run in inputs.runs if "mAP" in run.surface]
    if not runs:
        return None
    panels = [
        Panel(
            f"{run.name}: mAP by budget",
            plane(
                run.surface,
                run.isodamage,
                run=run.index,
                name=f"plane-{run.name}",
                label=f"mAP of {run.name} against the budgets of audio and video",
            ),
        )
        for run in runs
    ]
    caption = (
        "Each cell is the mAP that remains when the audio may change by the budget below it and the"
        " video by the budget to its left. Along a line the same share of the clean mAP, given by"
        " its label, remains: a steep line means that the budget of the video hardly matters."
        f"{scales(inputs.params.attack)}"
    )
    blocks = [Block("panels", panels, caption)]
    totalled = [run for run in runs if run.metrics.get("matched_total")]
    if totalled:
        blocks.append(Block("table", _totals(totalled)))
    return Section("plane", "Audio and video budgets combined", blocks)


def _totals(runs: list[Run]) -> Table:
    found: list[Mapping[str, Any]] = [run.metrics.get("matched_total", {}) for run in runs]
    rows = [
        Row(title, [Cell(wording.number(part.get(key))) for part in found])
        for key, title in TOTALS.items()
    ]
    splits = [
        f"{run.name}: {wording.percent(part.get('shared_audio'))} on audio,"
        f" {wording.percent(part.get('shared_video'))} on video"
        for run, part in zip(runs, found, strict=True)
    ]
    equal = [line for run in runs if (line := _equal(run))]
    return Table(
        title="Attackers with the same total budget",
        head=(Head("attacker, budgets in headline ε", "word"), *(Head(run.name) for run in runs)),
        rows=rows,
        caption=(
            "mAP under attack. The total of a perturbation is the sum, over modalities, of the"
            " share of that modality's headline budget that it spends; the first four attackers"
            " have a total of 1. The split is looked for clip by clip; where the same split for all"
            " clips, one of the three rows above, leaves less, it is taken. Mean split:"
            f" {'; '.join(splits)}. {' '.join(equal)}"
        ),
    )


def _equal(run: Run) -> str:
    """The budget at which an attack on video does as much damage as one on audio, in words."""
    needed = run.metrics.get("equal_damage", {}).get("as_A", {}).get("V", "")
    if needed == "":
        return ""
    short = threats.SHORT["V"]
    if needed is None:
        return f"{run.name}: no {short} budget of the sweep does as much damage as A at ε."
    return f"{run.name}: {short} needs {needed:.2g} ε to do as much damage as A at ε."
