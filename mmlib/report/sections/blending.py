"""Gradient-Blending: the weights of the heads, how sure they are, and the literature's beside."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from mmlib.report import bars, threats, wording
from mmlib.report.inputs import Inputs
from mmlib.report.sections.blocks import Block, Panel, Section, legend, patch, rule
from mmlib.report.tables import Cell, Head, Row, Table

REFERENCE = "blend_reference"
TITLE = "Gradient-Blending weights"


def blend(inputs: Inputs) -> Section | None:
    """The heads' estimated shares with intervals and what is used; None unless some are here."""
    made = {
        name: inputs.guides[name]
        for name in inputs.params.blend.guides
        if "intervals" in inputs.guides.get(name, {})
    }
    if not made:
        return None
    name, first = next(iter(made.items()))
    reference = inputs.guides.get(REFERENCE, {})
    table = Table(
        title=TITLE,
        head=(Head("weights", "word"), *(Head(f"head {threats.SHORT[h]}") for h in threats.NAMES)),
        rows=[row for name, guide in made.items() for row in _rows(name, guide)]
        + ([_row("literature, AudioSet", reference["heads"])] if reference else []),
        caption=_caption(made),
    )
    marks = [(f"“{name}”, estimated", patch("ink")), ("its interval", rule("muted"))]
    marks += [("literature, AudioSet", patch("muted"))] if reference else []
    panel = Panel("Weight of each head", _drawn(first, reference))
    caption = (
        "What each head's loss would count in joint training: how fast the head generalises over"
        " the square of how fast it overfits, as a share of all heads'."
    )
    blocks = [legend((), *marks), Block("panels", [panel], caption), Block("table", table)]
    return Section("blend", TITLE, [*blocks, *(_used(inputs, made))])


def _drawn(guide: Mapping[str, Any], reference: Mapping[str, Any]) -> Markup:
    sources = [guide["shares"], *([reference["heads"]] if reference else [])]
    return bars.weights(
        [[float(source.get(head, 0.0)) for head in threats.NAMES] for source in sources],
        [threats.SHORT[head] for head in threats.NAMES],
        intervals=[guide["intervals"][head] for head in threats.NAMES],
        name="blend",
        label="Weight of each head's loss",
    )


def _rows(name: str, guide: Mapping[str, Any]) -> list[Row]:
    return [
        _row(f"“{name}”: used", guide["heads"]),
        _row(f"“{name}”: estimated", guide["shares"], guide["intervals"]),
        _row(f"“{name}”: generalisation dG", guide["dG"]),
        _row(f"“{name}”: overfitting dO", guide["dO"]),
    ]


def _row(
    title: str, values: Mapping[str, float], ends: Mapping[str, tuple[float, float]] | None = None
) -> Row:
    cells = []
    for head in threats.NAMES:
        lo, hi = ends[head] if ends else (None, None)
        note = f"{wording.number(lo)}–{wording.number(hi)}" if ends else ""
        cells.append(Cell(wording.number(values.get(head)), note))
    return Row(title, cells)


def _caption(made: Mapping[str, Mapping[str, Any]]) -> str:
    """How the estimates were come by."""
    text = "Weights are shares of the sum of the heads' losses."
    for name, guide in made.items():
        start, end = guide["epochs"]
        train, val = (wording.count(guide["clips"][part]) for part in ("train", "val"))
        text += (
            f" “{name}”: the heads were trained together, weighed alike, from where run"
            f" {guide['init']} began, and measured after epochs {start + 1} and {end + 1} on {val}"
            f" clips of val and {train} of train. Beside the estimate:"
            f" {wording.percent(guide['confidence'])} interval over"
            f" {wording.count(guide['resamples'])} resamples of these clips. It took"
            f" {wording.count(guide['passes']['forward'])} passes forward and"
            f" {wording.count(guide['passes']['backward'])} backward, which no run's cost includes."
        )
    return text


def _used(inputs: Inputs, made: Mapping[str, Mapping[str, Any]]) -> list[Block]:
    """What became of each guide's estimate, and who trains with it."""
    blocks = []
    for name, guide in made.items():
        text = f"Guide “{name}”: {guide['why']}."
        users = [run for run, row in inputs.params.train.items() if row.guide == name]
        if users:
            runs = "Run" if len(users) == 1 else "Runs"
            verb = "is" if len(users) == 1 else "are"
            text += f" {runs} {wording.listed(users)} {verb} trained with it."
        blocks.append(Block("text", text))
    return blocks
