"""Theorem 1 as rows of the claims page, from the counts of stage theorem."""

from collections.abc import Mapping
from typing import Any

from mmlib.metrics.intervals import Interval
from mmlib.report.comparison.claim import (
    Claim,
    Verdict,
)
from mmlib.threats import SINGLE


def claims(found: Mapping[str, Any], runs: Mapping[str, str]) -> list[Claim]:
    """One claim a modality: some clip breaks fusion within a radius that its part withstands.

    `found` is metrics/theorem.json, `runs` names the runs for audio, video and fused. The theorem
    says that such a clip exists: one is enough, and finding none decides nothing.
    """
    return [
        _claim(threat, found[threat], runs)
        for threat in SINGLE
        if found.get(threat, {}).get("counted")
    ]


def _claim(threat: str, counts: Mapping[str, Any], runs: Mapping[str, str]) -> Claim:
    modality = SINGLE[threat]
    nan = float("nan")
    verdict: Verdict = "supported" if counts["fused_first"] else "undecided"
    return Claim(
        key=f"theorem_{threat}",
        statement=f"On some clips, fusion breaks under a change of the {modality} that {modality} "
        "alone withstands (Theorem 1; radii found by an attack are upper bounds).",
        paper="proved to exist",
        compared=f"{runs['fused']} breaks first on {counts['fused_first']}, {runs[modality]} on "
        f"{counts['alone_first']}, and they tie on {counts['equal']} of the {counts['counted']} "
        "clips that both get right when clean",
        unit="share of clips",
        effect=Interval(counts["share"], counts["share_lo"], counts["share_hi"]),
        n=counts["counted"],
        p=nan,
        p_adjusted=nan,
        verdict=verdict,
    )
