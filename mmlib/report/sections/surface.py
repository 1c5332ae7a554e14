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
    "A": "sound alone: (1, 0)",
    "V": "picture alone: (0, 1)",
    "halved": "both, half each: (½, ½)",
    "shared": "both, split for each clip: (x, 1 − x)",
    "AV": "the paper's A+V, a total of 2: (1, 1)",
}


def surface(inputs: Inputs) -> Section | None:
    """A panel for each run whose plane was attacked; none where no run's was."""
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
                label=f"mAP of {run.name} against the budgets of sound and picture",
            ),
        )
        for run in runs
    ]
    caption = (
        "Each cell is the mAP left when the sound may change by the budget below it and the picture"
        " by the one beside it. Along a line the same share of the clean mAP is left, as its label"
        " says: a steep line means that the picture's budget hardly counts."
        f"{scales(inputs.params.attack)}"
    )
    blocks = [Block("panels", panels, caption), Block("table", _totals(runs))]
    return Section("plane", "Two budgets at once", blocks)


def _totals(runs: list[Run]) -> Table:
    found: list[Mapping[str, Any]] = [run.metrics.get("matched_total", {}) for run in runs]
    rows = [
        Row(title, [Cell(wording.number(part.get(key))) for part in found])
        for key, title in TOTALS.items()
    ]
    splits = [
        f"{run.name}: {wording.percent(part.get('shared_audio'))} on the sound,"
        f" {wording.percent(part.get('shared_video'))} on the picture"
        for run, part in zip(runs, found, strict=True)
    ]
    equal = [line for run in runs if (line := _equal(run))]
    return Table(
        title="Attackers of one total budget",
        head=(Head("attacker, budgets in headline ε", "word"), *(Head(run.name) for run in runs)),
        rows=rows,
        caption=(
            "mAP left. The total of a change is the sum over modalities of the share that it takes"
            " of that modality's headline budget; the first four attackers have a total of 1. Mean"
            f" split of the shared budget: {'; '.join(splits)}. {' '.join(equal)}"
        ),
    )


def _equal(run: Run) -> str:
    """What the picture must be allowed to do as much damage as the sound, in words."""
    needed = run.metrics.get("equal_damage", {}).get("as_A", {}).get("V", "")
    if needed == "":
        return ""
    short = threats.SHORT["V"]
    if needed is None:
        return f"{run.name}: no {short} budget of the sweep does the damage of A at ε."
    return f"{run.name}: {short} needs {needed:.2g} ε to do the damage of A at ε."
