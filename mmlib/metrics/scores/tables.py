"""A run's scores as the files that people compare: headline JSON, classes and curves as csv."""

import math
from typing import Any

from mmlib.metrics.geometry.table import GeometryTable
from mmlib.metrics.intervals import Interval
from mmlib.metrics.ranking import absolute_drop, relative_drop
from mmlib.metrics.scores.conditions import RunScore
from mmlib.metrics.stored import (
    CLEAN,
    NOISE,
)
from mmlib.runtime.arrays import Floats
from mmlib.runtime.storage import decimals, records_csv, rounded, significant

HEADLINE_KEYS = ("mAP", "AUC", "dprime", "dprime_class_mean")


def headline(scores: RunScore) -> dict[str, Any]:
    """The run's figures by name: clean, each threat at the headline budget, the floors.

    Six decimals; None where a figure is not finite (d' of a class ranked perfectly).
    """
    keys = HEADLINE_KEYS + (("accuracy",) if scores.task == "single_label" else ())
    clean = scores.clean.figures
    values: dict[str, Any] = {CLEAN: {key: rounded(clean[key]) for key in keys}}
    for threat in scores.attacked:
        figures = scores.headline(threat).figures
        values[threat] = {key: rounded(figures[key]) for key in keys}
        drop = float(relative_drop(clean["mAP"], figures["mAP"]))
        values[threat]["relative_drop"] = rounded(drop)
    values[NOISE] = {
        threat: rounded(curve[1.0]) for threat, curve in scores.noise.items() if 1.0 in curve
    }
    # Where the budget is less than one level of what is stored, nothing of the attack can be.
    stored = {threat: rounded(value) for threat, value in scores.quantised.items()}
    values["quantised"] = {
        threat: value for threat, value in stored.items() if value != values[CLEAN]["mAP"]
    }
    values["clips"] = scores.clips
    values["skipped_classes"] = int(clean["skipped_classes"])
    return values


def curves_csv(scores: RunScore) -> str:
    """metrics/curves/<run>.csv: mAP against eps, one row a budget, eps 0 the clean clips.

    Columns: eps; for each threat T its mAP `T`, bounds `T_lo` and `T_hi`, and `T_noise`, the mAP
    under equal-norm noise; empty where a budget was not tried.
    """
    multiples = sorted({multiple for curve in scores.attacked.values() for multiple in curve})
    rows = [{"eps": "0"} | _curve_cells(scores, None)]
    rows += [{"eps": budget(scores.eps * m)} | _curve_cells(scores, m) for m in multiples]
    return records_csv(rows)


def budget(eps: float) -> str:
    """A budget as the metrics spell it: eight digits."""
    return f"{eps:.8g}"


def _curve_cells(scores: RunScore, multiple: float | None) -> dict[str, str]:
    cells = {}
    for threat, curve in scores.attacked.items():
        clean = scores.clean
        found = clean if multiple is None else curve.get(multiple)
        interval = found.mean_ap if found else Interval(*[math.nan] * 3)
        floor = (
            clean.mean_ap.estimate
            if multiple is None
            else scores.noise[threat].get(multiple, math.nan)
        )
        for suffix, value in zip(("", "_lo", "_hi"), interval, strict=True):
            cells[f"{threat}{suffix}"] = decimals(value)
        cells[f"{threat}_noise"] = decimals(floor)
    return cells


def classwise_csv(scores: RunScore, geometry: GeometryTable) -> str:
    """metrics/classwise/<run>.csv: one row a class at the headline budget.

    Columns: class, n_eval, clean_ap, clean_auc; for each threat T `T_ap`, `T_drop` (absolute) and
    `T_relative_drop`; then of the run's main embedding class_size (of the split of the density),
    kappa with its bounds, kappa_conditioned, and rho, log_density at the lowest tau. Empty where
    undefined; a run without an embedding has none of the latter.
    """
    measured = _geometry_cells(scores.classes, geometry)
    clean = scores.clean.ranking
    rows = []
    for index, name in enumerate(scores.classes):
        cells = {
            "class": name,
            "n_eval": str(int(scores.positives[index])),
            "clean_ap": decimals(clean.average_precision[index]),
            "clean_auc": decimals(clean.roc_auc[index]),
        }
        for threat in scores.attacked:
            before = clean.average_precision[index]
            after = scores.headline(threat).ranking.average_precision[index]
            cells[f"{threat}_ap"] = decimals(after)
            cells[f"{threat}_drop"] = decimals(float(absolute_drop(before, after)))
            cells[f"{threat}_relative_drop"] = decimals(float(relative_drop(before, after)))
        rows.append(cells | {column: significant(v[index]) for column, v in measured.items()})
    return records_csv(rows)


def _geometry_cells(classes: tuple[str, ...], geometry: GeometryTable) -> dict[str, Floats]:
    if not geometry.measured:
        return {}
    tau = geometry.quantiles()[0]
    columns = {
        "class_size": "n",
        "kappa": "kappa",
        "kappa_lo": "kappa_lo",
        "kappa_hi": "kappa_hi",
        "kappa_conditioned": "kappa_conditioned",
        "rho": f"rho_{tau}",
        "log_density": f"log_density_{tau}",
    }
    space = geometry.main_space
    return {name: geometry.column(column, space, classes) for name, column in columns.items()}
