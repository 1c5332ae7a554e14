"""How strongly density and convexity steered mixup: the dose of each guide."""

from mmlib.report import wording
from mmlib.report.comparison.dose import ENOUGH, NOT_TESTED, barely, dose_of
from mmlib.report.inputs import Inputs
from mmlib.report.sections.blocks import Block
from mmlib.report.tables import Cell, Group, Head, Row, Table

CAPTION = (
    "Drawn otherwise: the share of draws that would come out differently without the guide (total"
    " variation). a: lowest and highest parameter of λ ~ Beta(a, a) over classes and modalities."
    " Mean |λ − ½| is small where clips are mixed strongly; 0.25 is Beta(1, 1). Partners follow"
    " from the share taken from the anchor's own class and from the distances to class centres, so"
    " they say little about the metrics of the classes."
)


def guidance(inputs: Inputs) -> list[Block]:
    """A table with a row per guide of mixup, and what is too weak to be tested; else nothing."""
    doses = {name: dose for name in inputs.guides if (dose := dose_of(inputs.guides, name))}
    if not doses:
        return []
    rows = []
    for name, dose in doses.items():
        parts = [Cell(wording.percent(dose[part])) for part in ("anchors", "lambdas", "partners")]
        ends = f"{wording.number(dose['beta_lo'], 2)} to {wording.number(dose['beta_hi'], 2)}"
        without = f"{wording.number(dose['spread_unguided'])} unguided"
        strength = wording.number(float(inputs.guides[name].get("strength", 1.0)), 2)
        spread = Cell(wording.number(dose["spread"]), without)
        rows.append(Row(name, [Cell(strength), *parts, Cell(ends), spread]))
    heads = ("strength", "anchors", "λ", "partners", "a", "mean |λ − ½|")
    table = Table(
        title="The dose of mixup's guides",
        groups=(Group("", 2), Group("drawn otherwise", 3), Group("mixing", 2)),
        head=(Head("guide", "word"), *(Head(text) for text in heads)),
        rows=rows,
        caption=CAPTION,
    )
    weak = wording.listed([f"“{name}”" for name in doses if barely(inputs.guides, name)])
    if not weak:
        return [Block("table", table)]
    text = (
        f"Guidance by {weak}: not tested: {NOT_TESTED}. Fewer than {wording.percent(ENOUGH)} of the"
        " anchors and of the λ are drawn otherwise: an effect in proportion would drown in the luck"
        " of a seed."
    )
    return [Block("table", table), Block("text", text)]
