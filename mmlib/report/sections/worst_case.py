"""The worst case at the headline budget, three ways, beside the mAP of the headline attack."""

from mmlib.report import threats, wording
from mmlib.report.inputs import Inputs
from mmlib.report.tables import Cell, Head, Row, Table

_COLUMNS = {
    "strongest": "mAP, strongest by loss",
    "envelope": "mAP, lower envelope",
    "top_kept": "true tag stays first",
    "pairs_misranked": "pairs misranked",
}


def worst_case(inputs: Inputs) -> Table | None:
    """One row a run and threat; none where stage score wrote no worst case."""
    rows = []
    for run in inputs.runs:
        for place, threat in enumerate(run.metrics.get("worst_case", {})):
            found = run.metrics["worst_case"][threat]
            cells = [Cell(threats.SHORT.get(threat, threat), kind="word")]
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
            *(Head(title) for title in _COLUMNS.values()),
        ),
        rows=rows,
        caption=(
            "Over every stored attack within the budget. Lower envelope: each positive's lowest and"
            " each negative's highest score, a bound that no single attack need reach. True tag"
            " stays first: share of clips for which it does under every attack. Pairs: a true tag"
            " with another that is not below it, in the worst attack of each clip."
        ),
    )
