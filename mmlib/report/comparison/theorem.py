"""Theorem 1 as rows of the claims page, from the counts of stage theorem."""

from collections.abc import Mapping
from typing import Any

from mmlib.metrics.intervals import Interval
from mmlib.params.checks import Alone
from mmlib.report.comparison.verdict import (
    Claim,
    Verdict,
)
from mmlib.threats import SINGLE


def claims(found: Mapping[str, Mapping[str, Any]], rows: Mapping[str, Alone]) -> list[Claim]:
    """One claim per fused run and modality: on some clip the attack that breaks fusion is smaller
    than any that was found to break its part.

    `found` is fused run -> threat -> counts of metrics/theorem/<run>.json, `rows` those of
    theorem.fused. The theorem says that such a clip exists: one is enough, and finding none
    decides nothing. The answer to the first question tells of the first row alone.
    """
    return [
        _claim(threat, counts[threat], fused, alone, "" if place == 0 else f"_{fused}")
        for place, (fused, alone) in enumerate(rows.items())
        for counts in (found.get(fused, {}),)
        for threat in SINGLE
        if counts.get(threat, {}).get("counted")
    ]


def _claim(threat: str, counts: Mapping[str, Any], fused: str, alone: Alone, suffix: str) -> Claim:
    modality = SINGLE[threat]
    verdict: Verdict = "supported" if counts["fused_first"] else "undecided"
    return Claim(
        key=f"theorem_{threat}{suffix}",
        statement=f"On some clips, the attack breaks fusion by a smaller change of the {modality} "
        f"than {modality} alone (Theorem 1; radii found by an attack are upper bounds).",
        paper="proved to exist",
        compared=f"{fused} breaks first on {counts['fused_first']}, {getattr(alone, modality)} on "
        f"{counts['alone_first']}, and they tie on {counts['equal']} of the {counts['counted']} "
        "clips that both get right when clean",
        unit="share of clips",
        effect=Interval(counts["share"], counts["share_lo"], counts["share_hi"]),
        n=counts["counted"],
        verdict=verdict,
    )
