"""The report's numbers for other programs and for the terminal."""

import textwrap
from collections.abc import Sequence

from mmlib.metrics.intervals import Interval
from mmlib.report import threats, wording
from mmlib.report.comparison.correlation import Correlation
from mmlib.report.comparison.study import Study
from mmlib.report.comparison.study_claims import (
    Pair,
    pairs,
)
from mmlib.report.findings import Findings
from mmlib.report.inputs import Inputs, band
from mmlib.report.positives import warning
from mmlib.report.questions.answer import Answer
from mmlib.runtime.storage import csv_text, decimals

_WIDTH = 80


def results_text(inputs: Inputs, answers: Sequence[Answer]) -> str:
    """The results for the terminal: each run clean and under each threat, then the verdicts."""
    verdicts = [f"{answer.question}\n  {answer.verdict}" for answer in answers]
    if not inputs.runs:
        return "\n".join(["No run was evaluated.", "", *verdicts]) + "\n"
    heads = ("run", "attack", "mAP", "interval", "AUC", "d'", "lost")
    rows = []
    for run in inputs.runs:
        for condition in ("clean", *run.threats):
            ends = band(run, condition, inputs.params.attack.eps)
            rows.append(
                (
                    run.name if condition == "clean" else "",
                    "-" if condition == "clean" else threats.SHORT[condition],
                    wording.number(run.value(condition, "mAP")),
                    wording.interval(*ends) if ends else wording.MISSING,
                    wording.number(run.value(condition, "AUC")),
                    wording.number(run.value(condition, "dprime")),
                    wording.percent(run.value(condition, "relative_drop")),
                )
            )
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    lines = [_line(row, widths) for row in (heads, *rows)]
    below = [*textwrap.wrap(warning(inputs), _WIDTH), ""]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], *below, *verdicts]) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = enumerate(zip(cells, widths, strict=True))
    padded = [cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in pairs]
    return "  ".join(padded).rstrip()


def claims_csv(findings: Findings) -> str:
    """report/claims.csv: one row per claim."""
    heads = "key,statement,paper,compared,unit,effect,lo,hi,n,p,p_adjusted,verdict"
    rows = [
        (
            *(c.key, c.statement, c.paper, c.compared, c.unit, *_interval(c.effect)),
            *(str(c.n), decimals(c.p), decimals(c.p_adjusted), c.verdict),
        )
        for c in findings.claims.values()
    ]
    return csv_text(heads.split(","), rows)


def comparisons_csv(findings: Findings) -> str:
    """report/comparisons.csv: mAP of one run minus another's, one row per pair and condition."""
    rows = [
        (f"{d.first} - {d.second}", d.threat, *_interval(d.effect), str(d.n), decimals(d.p))
        for d in findings.differences
    ]
    return csv_text(["name", "threat", "effect", "lo", "hi", "n", "p"], rows)


def study_csv(study: Study | None) -> str:
    """report/study.csv: mAP of one row of the study minus another's; no rows while it is off."""
    rows = [_study_row(study, pair) for pair in pairs(study)] if study else []
    heads = (
        "key,first,second,threat,effect,seeds_lo,seeds_hi,clips_lo,clips_hi,both_lo,both_hi,seeds,p"
    )
    return csv_text(heads.split(","), rows)


def _study_row(study: Study, pair: Pair) -> tuple[str, ...]:
    gap = study.gap(pair.first, pair.second, pair.threat)
    ends = [decimals(end) for interval in gap[:3] for end in interval[1:]]
    names = pair.key, pair.first, pair.second, pair.threat
    return *names, decimals(gap.seeds.estimate), *ends, str(study.seeds), decimals(gap.p)


def predictions_csv(findings: Findings) -> str:
    """report/predictions.csv: one row per run, threat, drop and metric, with its correlations."""
    rows = [
        (
            *(p.run, p.threat, p.drop, p.metric, str(p.pearson.n), *_correlation(p.pearson)),
            *(*_correlation(p.spearman), *_correlation(p.partial), p.verdict),
        )
        for p in findings.predictions
    ]
    kinds = [f"{name}{end}" for name in ("r", "rank_r", "partial_r") for end in ("", "_lo", "_hi")]
    return csv_text(("run", "threat", "drop", "metric", "n", *kinds, "verdict"), rows)


def _correlation(found: Correlation) -> tuple[str, str, str]:
    return decimals(found.r), decimals(found.lo), decimals(found.hi)


def _interval(effect: Interval) -> tuple[str, str, str]:
    return decimals(effect.estimate), decimals(effect.lo), decimals(effect.hi)
