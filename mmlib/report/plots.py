"""The tables that `dvc plots show` draws: all runs in one, so that dvc.yaml need not name any."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from mmlib.report.inputs import Inputs
from mmlib.report.sections.certificates import read_certificates
from mmlib.report.sections.goals import HEADINGS, mean_success, read_goals
from mmlib.report.sections.methods import labels, read_methods
from mmlib.report.sections.transfer import read_matrices
from mmlib.report.stressed import Stressed
from mmlib.runtime.storage import Table, csv_text, significant


def tables(inputs: Inputs) -> dict[str, str]:
    """The files of plots/ by name; a csv that a removed run has left behind counts for nothing."""
    return {
        "robustness.csv": robustness_csv(inputs),
        "training.csv": training_csv(inputs),
        "drop.csv": drop_csv(inputs),
        "goals.csv": goals_csv(inputs),
        "methods.csv": methods_csv(inputs),
        "transfer.csv": transfer_csv(inputs),
        "stress.csv": stress_csv(inputs),
        "certify.csv": certify_csv(inputs),
    }


def robustness_csv(inputs: Inputs) -> str:
    """plots/robustness.csv: mAP, one row per run, threat and eps; eps 0 is the clean clips."""
    rows = [
        (run.name, threat, *cells)
        for run in inputs.runs
        for threat in run.threats
        for cells in _rows(run.curve, "eps", threat)
    ]
    return csv_text(["run", "threat", "eps", "mAP"], rows)


def training_csv(inputs: Inputs) -> str:
    """plots/training.csv: loss and mAP, one row per run, split and epoch; mAP is of val alone."""
    rows = [
        (run.name, split, *cells)
        for run in inputs.runs
        for split in ("train", "val")
        for cells in _rows(run.training, "epoch", f"{split}_loss", f"{split}_mAP")
    ]
    return csv_text(["run", "split", "epoch", "loss", "mAP"], rows)


def drop_csv(inputs: Inputs) -> str:
    """plots/drop.csv: kappa and relative drop, one row per run and class, all modalities attacked.

    The threat is AV for a fused run, and the run's own modality for a uni-modal one.
    """
    rows = [
        (run.name, threat, *cells)
        for run in inputs.runs
        if (threat := run.widest_threat)
        for cells in _rows(run.classwise, "class", "kappa", f"{threat}_relative_drop")
    ]
    return csv_text(["run", "threat", "class", "kappa", "relative_drop"], rows)


def goals_csv(inputs: Inputs) -> str:
    """plots/goals.csv: mean success over tags, one row per run, goal, threat and eps, 0 at eps 0.

    Only the header is there while stage goals is off.
    """
    rows = [
        (run.name, goal, threat, _cell(eps), _cell(success))
        for run, table in read_goals(inputs)
        for goal in HEADINGS
        for threat in run.threats
        if (line := mean_success(run, table, goal, threat)) is not None
        for eps, success in zip(line.x, line.y, strict=True)
    ]
    return csv_text(["run", "goal", "threat", "eps", "success"], rows)


def methods_csv(inputs: Inputs) -> str:
    """plots/methods.csv: mAP, one row per run, threat, method and eps; header alone where off."""
    rows = [
        (each.run.name, method, *cells)
        for each in read_methods(inputs)
        for method, cells in zip(
            labels(each.scores), _rows(each.scores, "threat", "eps", "mAP"), strict=True
        )
    ]
    return csv_text(["run", "method", "threat", "eps", "mAP"], rows)


def transfer_csv(inputs: Inputs) -> str:
    """plots/transfer.csv: mAP of the run `target` under what was made for the run `source`.

    One row per row of params.transfer, threat, budget and pair of runs; the header alone without.
    """
    rows = [
        (name, *cells)
        for name, table in read_matrices(inputs)
        for cells in _rows(table, "threat", "eps", "source", "target", "mAP")
    ]
    return csv_text(["row", "threat", "eps", "source", "target", "mAP"], rows)


def stress_csv(inputs: Inputs) -> str:
    """plots/stress.csv: mean mAP over all kinds of corruption, one row per run, threat, severity.

    Severity 0 is the clean clips; no rows where stage stress is off.
    """
    found = Stressed.read(inputs)
    rows = [
        (run.name, threat, *map(_cell, point))
        for run in found.runs
        for threat in run.threats
        if (line := found.by_severity(run, threat))
        for point in zip(line.x, line.y, strict=True)
    ]
    return csv_text(["run", "threat", "severity", "mAP"], rows)


def certify_csv(inputs: Inputs) -> str:
    """plots/certify.csv: bounds of the smoothed mAP by row of params.certify (`run`), threat, eps.

    `bound` is certified (from below) or attacked (from above, where it was attacked).
    """
    columns = {"certified": "mAP_lo", "attacked": "mAP_attacked"}
    rows = [
        (row.name, bound, threat, eps, value)
        for row in read_certificates(inputs)
        for bound, column in columns.items()
        for threat, eps, value in _rows(row.table, "threat", "eps", column)
        if value
    ]
    return csv_text(["run", "bound", "threat", "eps", "mAP"], rows)


def _rows(table: Table, *columns: str) -> Iterator[tuple[str, ...]]:
    """The table's rows as text; a column that it lacks is empty."""
    blank = np.full(len(next(iter(table.values()), ())), np.nan)
    for row in zip(*(table.get(column, blank) for column in columns), strict=True):
        yield tuple(_cell(value) for value in row)


def _cell(value: Any) -> str:
    """Text as it is; a number with as many digits as a csv of metrics/ has; empty for nan."""
    if isinstance(value, str):
        return value
    return significant(value, 9)
