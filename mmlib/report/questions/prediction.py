"""Question 2: do density and convexity tell, without an attack, which classes will break?"""

import math
from collections.abc import Mapping, Sequence

from mmlib.metrics.intervals import Interval
from mmlib.report import threats, wording
from mmlib.report.comparison.power import detectable, power
from mmlib.report.comparison.predictors import (
    COVARIATES,
    WEAK,
    Prediction,
    claim_key,
)
from mmlib.report.comparison.verdict import Claim
from mmlib.report.evidence import evidence
from mmlib.report.inputs import Inputs
from mmlib.report.questions.answer import NOT_ANSWERED, Answer

QUESTION = "Do density and convexity tell, without an attack, which classes will break?"
TRUE = (0.3, 0.5, 0.6)
"""True partial correlations whose chance of being found is told, the last a strong one. [choice]"""


def missing(inputs: Inputs) -> str:
    """What the runs lack for an answer, in a sentence."""
    if any({"kappa", "rho"} & set(run.classwise) for run in inputs.runs):
        return "It takes at least 4 classes whose convexity or density is defined and differs."
    return "It takes classes whose convexity and density were measured (stage geometry)."


def prediction(
    found: Sequence[Prediction],
    everywhere: Sequence[Prediction],
    claims: Mapping[str, Claim],
    lacking: str,
    confidence: float,
) -> Answer:
    """Question 2, from the correlations of one run, which `claims` judge; else `lacking`.

    Beside it stands a count over all runs and threats.
    """
    shown = {p.metric: p for p in found if p.metric in ("kappa", "rho") and p.defined}
    if not shown:
        return Answer(QUESTION, NOT_ANSWERED, [lacking])
    names = {"kappa": "convexity κ", "rho": "density ρ"}
    effects = {}
    for metric, item in shown.items():
        for part, title in (
            (item.pearson, "r"),
            (item.partial, "partial r, given clean AP and size"),
        ):
            if not math.isnan(part.r):
                effects[f"{names[metric]}: {title}"] = Interval(part.r, part.lo, part.hi)
    first = next(iter(shown.values()))
    plain = [f"r = {wording.signed(p.pearson.r, 2)} with {names[m]}" for m, p in shown.items()]
    given = [wording.signed(p.partial.r, 2) for p in shown.values()]
    rows = [p for p in everywhere if p.drop == "relative" and p.metric in shown and p.defined]
    verdicts = [p.verdict for p in rows]
    sentences = [
        f"Over {first.pearson.n} classes of {first.run} under {threats.WORDS[first.threat]}, the"
        f" share of its AP that a class retains has a correlation of {wording.listed(plain)}; given"
        f" clean AP and class size, {wording.listed(given)}.",
        "Over all runs and threats, each taken alone, the claim is supported by"
        f" {verdicts.count('supported')} of {len(rows)} such correlations, not supported by"
        f" {verdicts.count('not supported')}, undecided by {verdicts.count('undecided')}. Not"
        f" supported: the interval of r, or of partial r, lies below {WEAK}, which explains under a"
        " tenth of the spread.",
        _power(first, [claims[claim_key(p)] for p in shown.values()], claims, confidence),
    ]
    judged = {names[m]: claims[claim_key(p)] for m, p in shown.items()}
    verdict = _prediction_verdict(judged, first.run)
    return Answer(QUESTION, verdict, sentences, evidence(effects, 1.0, digits=2))


def _power(
    first: Prediction, judged: Sequence[Claim], claims: Mapping[str, Claim], confidence: float
) -> str:
    """Say which true partial correlations so many classes would find, and how often.

    At most so often: that the plain correlation and both intervals lie above 0 is asked as well.
    Holm's correction asks for p below the level over the number of tests that the others leave.
    """
    open_ = [
        claim
        for claim in claims.values()
        if claim.lean and claim.verdict == "undecided" and not math.isnan(claim.p)
    ]
    tests = len(open_) + (judged[0].verdict != "undecided")
    rows, level = first.partial.n, (1 - confidence) / tests
    shares = [power(r, rows=rows, covariates=COVARIATES, level=level) for r in TRUE]
    chances = [
        f"{wording.percent(share)} for r = {r:.1f}" for r, share in zip(TRUE, shares, strict=True)
    ]
    needed = detectable(0.8, rows=rows, covariates=COVARIATES, level=level)
    said = (
        f"Power: {rows} classes find a true partial r, at the p < {level:.2g} that Holm's"
        f" correction asks here, with a probability of at most {wording.listed(chances)}; 80 %"
        f" takes r = {needed:.2f}."
    )
    if shares[-1] < 0.5 and any(claim.verdict == "undecided" for claim in judged):
        said += " So few classes are likely to miss even a strong correlation."
    return said


def _prediction_verdict(judged: Mapping[str, Claim], run: str) -> str:
    """Of one run: others may say otherwise, which the count beside the verdict shows."""
    verdicts = {name: claim.verdict for name, claim in judged.items()}
    kinds = set(verdicts.values())
    if len(verdicts) == 2 and len(kinds) == 1:
        return {
            "supported": f"Yes, for {run} on this data.",
            "not supported": f"No, for {run} on this data: weakly at most, r or partial r below"
            f" {WEAK}.",
            "undecided": f"Undecided: these classes of {run} do not tell.",
        }[kinds.pop()]
    words = {"supported": "does", "not supported": "weakly at most", "undecided": "is undecided"}
    parts = [f"{name} {words[verdict]}" for name, verdict in verdicts.items()]
    start = "In part" if "supported" in kinds else "Not shown"
    return f"{start}, for {run} on this data: {', '.join(parts)}."
