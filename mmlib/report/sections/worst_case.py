"""The worst case at the headline budget, in two senses, beside the headline mAP."""

from mmlib.report import threats, wording
from mmlib.report.inputs import Inputs
from mmlib.report.tables import Cell, Head, Row, Table

_COLUMNS = {
    "lowest_of_stored": "mAP, lowest from stored attacks",
    "top_kept": "true tag stays first",
    "pairs_misranked": "pairs misranked",
}


def worst_case(inputs: Inputs) -> Table | None:
    """One row per run and threat; None where stage score wrote no worst case."""
    rows = []
    for run in inputs.runs:
        for place, threat in enumerate(run.metrics.get("worst_case", {})):
            found = run.metrics["worst_case"][threat]
            cells = [Cell(threats.SHORT.get(threat, threat), kind="word")]
            cells.append(Cell(wording.number(run.value(threat, "mAP"))))
            cells += [Cell(wording.number(found.get(key))) for key in _COLUMNS]
            first = place == 0
            rows.append(Row(run.name if first else "", cells, run.index if first else None, first))
    if not rows:
        return None
    return Table(
        title="Worst cases at the headline budget",
        head=(
            Head("run", "word"),
            Head("attack", "word"),
            Head("mAP, headline attack"),
            *(Head(title) for title in _COLUMNS.values()),
        ),
        rows=rows,
        caption=(
            "But for the first column, over every stored attack within the budget; an attack that"
            " is not stored may do more harm. Lowest from stored attacks: mAP when each positive"
            " takes its lowest score over them and each negative its highest. No choice of one of"
            " them for each clip leaves less; it does not bound robust mAP. True tag stays first:"
            " the share of clips whose top tag is a true one under every attack. Pairs misranked:"
            " the share of pairs of a true tag and another tag that is not ranked below it, under"
            " the worst attack on each clip."
        ),
    )
