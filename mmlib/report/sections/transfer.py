"""Transfer: one run's perturbations played to the others, a heat map per threat and budget."""

import numpy as np

from mmlib.evaluation.threat_card import scales
from mmlib.params.transfer import TransferRow
from mmlib.report import threats, wording
from mmlib.report.inputs import Inputs
from mmlib.report.matrix import matrix
from mmlib.report.sections.blocks import Block, Panel, Section
from mmlib.runtime.arrays import Bools
from mmlib.runtime.storage import Table, read_table

TEXT = ("source", "target", "threat")
WORDS = {
    "per_clip": "what stage attack finds for each clip",
    "universal": "one perturbation for all clips, fitted on the split {fit_on}",
}


def transfer(inputs: Inputs) -> Section | None:
    """The matrices of every row of params.transfer that was played; None where none was."""
    blocks = []
    for name, table in read_matrices(inputs):
        row = inputs.params.transfer.rows[name]
        blocks += [Block("heading", f"{name}: {_what(inputs, row)}")]
        blocks += [Block("panels", _panels(inputs, name, table), _caption(inputs))]
    return Section("transfer", "Perturbations made for another model", blocks) if blocks else None


def read_matrices(inputs: Inputs) -> list[tuple[str, Table]]:
    """The rows of params.transfer that were played, of runs of this page alone."""
    known = [run.name for run in inputs.runs]
    found: list[tuple[str, Table]] = []
    for name in inputs.params.transfer.rows:
        path = inputs.root / f"metrics/transfer/{name}.csv"
        table = read_table(path, TEXT) if path.is_file() else {}
        if table:
            here = np.isin(table["source"], known) & np.isin(table["target"], known)
            if here.any():
                found.append((name, {key: column[here] for key, column in table.items()}))
    return found


def _what(inputs: Inputs, row: TransferRow) -> str:
    fit_on = inputs.params.transfer.universal.fit_on
    return WORDS[row.perturbation].format(fit_on=fit_on)


def _panels(inputs: Inputs, name: str, table: Table) -> list[Panel]:
    known, panels = [run.name for run in inputs.runs], []
    for threat in dict.fromkeys(table["threat"].tolist()):
        for multiple in np.unique(table["multiple"][table["threat"] == threat]).tolist():
            rows = (table["threat"] == threat) & (table["multiple"] == multiple)
            panels.append(_panel(table, rows, known, name, threat, multiple))
    return panels


def _panel(
    table: Table, rows: Bools, known: list[str], name: str, threat: str, multiple: float
) -> Panel:
    values = {
        (str(source), str(target)): float(value)
        for source, target, value in zip(
            table["source"][rows], table["target"][rows], table["mAP"][rows], strict=True
        )
    }
    clean = dict(zip(table["target"][rows].tolist(), table["clean"][rows].tolist(), strict=True))
    sources = [run for run in known if run in set(table["source"][rows].tolist())]
    targets = [run for run in known if run in clean]
    with_clean = values | {("clean", run): clean[run] for run in targets}
    drawing = matrix(
        with_clean,
        clean,
        ["clean", *sources],
        targets,
        name=f"transfer-{name}-{threat}-{multiple:g}",
        label=f"mAP of each run under the perturbations made for each, {threats.NAMES[threat]}",
    )
    eps = float(table["eps"][rows][0])
    title = f"{wording.capital(threats.NAMES[threat])}, ε = {eps:g}"
    return Panel(title, drawing, _note(table, rows))


def _note(table: Table, rows: Bools) -> str:
    others = rows & (table["source"] != table["target"])
    shares = table["share"][others]
    shares = shares[~np.isnan(shares)]
    if not len(shares):
        return ""
    return (
        f"Others' perturbations do {wording.percent(float(np.mean(shares)))} of the damage of a"
        f" run's own, on average over {len(shares)} pairs."
    )


def _caption(inputs: Inputs) -> str:
    return (
        "Each cell is the mAP of the run below it under perturbations made for the run to its left;"
        " the darker, the more of its clean mAP is gone. Framed: under its own. Perturbations that"
        " harm models which they were not made for need no knowledge of the model."
        f"{scales(inputs.params.attack)}"
    )
