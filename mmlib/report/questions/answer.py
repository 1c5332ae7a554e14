"""An answer to one of the paper's questions, and the words that all of them share."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mmlib.report import wording
from mmlib.report.comparison.verdict import Claim
from mmlib.report.evidence import Evidence, evidence
from mmlib.report.inputs import Run

NOT_ANSWERED = "Not answered by these runs."


class Answer(NamedTuple):
    """A question with its verdict, the sentences behind it and the effects behind those."""

    question: str
    verdict: str
    sentences: Sequence[str] = ()
    evidence: Sequence[Evidence] = ()


def direction(claim: Claim) -> int:
    """1 or -1 where the verdict says that the effect is above or below 0, else 0."""
    return {"supported": 1, "not supported": -1}.get(claim.verdict, 0)


def retains(claim: Claim) -> str:
    """Compare two mAP in words, as in `retains more mAP (+0.100) than`."""
    gap = wording.signed(claim.effect.estimate)
    words = {
        1: "retains more mAP ({}) than",
        -1: "retains less mAP ({}) than",
        0: "is not significantly different ({} mAP) from",
    }
    return words[direction(claim)].format(gap)


def lines(rows: Mapping[str, str], found: Mapping[str, Claim]) -> list[Evidence]:
    """The effects that were found, under the labels of `rows` and in their order."""
    return evidence({label: found[key].effect for key, label in rows.items() if key in found})


def unscored(runs: Sequence[Run]) -> str:
    """Say that the runs are there, but not the scores that would be compared."""
    names = wording.listed([run.name for run in runs])
    return f"No attack that {names} have in common is stored: “dvc repro” writes data/attacks."
