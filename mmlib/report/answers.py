"""The three questions of the paper, answered in sentences that the numbers choose."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mmlib.metrics.intervals import Interval
from mmlib.report import threats, wording
from mmlib.report.comparison.claim import (
    Claim,
    Verdict,
)
from mmlib.report.comparison.predictors import Prediction
from mmlib.report.evidence import Evidence, evidence, side
from mmlib.report.findings import Findings, main_run
from mmlib.report.inputs import Inputs

QUESTIONS = (
    "Is a multi-modal model more robust than its uni-modal parts?",
    "Do density and convexity tell, without an attack, which classes will break?",
    "Does metric-driven mixup protect as well as adversarial training, for less?",
)
NOT_PUT = "Not put to this data."
FUSION_ROWS = {
    "matched_A": "Only the sound attacked: fused − audio",
    "matched_V": "Only the picture attacked: fused − video",
    "fused_as_low": "Fused with both attacked − audio attacked",
    "matched_total": "The same, the budget halved between the two",
}
RETRAINING_ROWS = {
    "mixup_adversarial": "Both attacked: mixup − adversarial",
    "study_mixup_adversarial_epochs": "The same over seeds, at equal epochs",
    "study_mixup_adversarial_passes": "The same over seeds, at equal passes",
    "mixup_protects": "Both attacked: mixup − where it started",
    "adversarial_protects": "Both attacked: adversarial − where it started",
    "mixup_clean": "Clean clips: mixup − adversarial",
}


class Answer(NamedTuple):
    """A question with its verdict, the sentences behind it and the effects behind those."""

    question: str
    verdict: str
    sentences: Sequence[str] = ()
    evidence: Sequence[Evidence] = ()


def answer(inputs: Inputs, findings: Findings) -> list[Answer]:
    """The three answers, in the order of the questions."""
    return [
        fusion(findings.claims),
        prediction(findings.of(main_run(inputs)), findings.predictions),
        retraining(findings.claims),
    ]


def fusion(claims: Mapping[str, Claim]) -> Answer:
    """Question 1, from the claims on attacks on one modality and on both."""
    found = {key: claims[key].effect for key in FUSION_ROWS if key in claims}
    if not found:
        return Answer(QUESTIONS[0], NOT_PUT, ["It takes a fused and a uni-modal run."])
    alone = [found[key] for key in ("matched_A", "matched_V") if key in found]
    sentences = []
    if alone:
        parts = [
            f"with only the {what} attacked it {_keeps(found[key])} the {model} model"
            for key, what, model in (
                ("matched_A", "sound", "audio"),
                ("matched_V", "picture", "video"),
            )
            if key in found
        ]
        sentences.append(f"The fused model against its parts: {' and '.join(parts)}.")
    if "fused_as_low" in found:
        sentences.append(
            f"Attacked in both, at the full budget each, it {_keeps(found['fused_as_low'])}"
            f" the audio model attacked alone{_halved(found.get('matched_total'))}."
        )
    sentences += _theorem(claims)
    verdict = _fusion_verdict([side(effect) for effect in alone], found.get("fused_as_low"))
    return Answer(QUESTIONS[0], verdict, sentences, _lines(FUSION_ROWS, found))


def _theorem(claims: Mapping[str, Claim]) -> list[str]:
    """Theorem 1 in a sentence, where radii were searched."""
    parts = [
        f"with the {what} alone attacked on {wording.percent(claims[key].effect.estimate)}"
        f" ({wording.percent(claims[key].effect.lo)} to {wording.percent(claims[key].effect.hi)})"
        f" of {claims[key].n} clips"
        for key, what in (("theorem_A", "sound"), ("theorem_V", "picture"))
        if key in claims
    ]
    if not parts:
        return []
    return [
        "Clip by clip, the fused model breaks at a smaller change than its part does"
        f" {' and '.join(parts)}; radii found by an attack are upper bounds."
    ]


def _halved(effect: Interval | None) -> str:
    if effect is None:
        return ""
    words = {1: "more", -1: "less", 0: "not surely more or less"}
    return f"; at half the budget each, {words[side(effect)]} ({wording.signed(effect.estimate)})"


def _fusion_verdict(alone: Sequence[int], joint: Interval | None) -> str:
    both = None if joint is None else side(joint)
    known = {*alone, *(() if both is None else (both,))}
    if known == {1}:
        return "Yes, on this data."
    if known == {-1}:
        return "No, on this data."
    if known == {0}:
        return "Not settled by this data."
    if alone and set(alone) == {1}:
        tail = "weaker when both are" if both == -1 else "no different, surely, when both are"
        return f"Not necessarily: stronger when one modality is attacked, {tail}."
    return "Not necessarily: it depends on what is attacked."


def prediction(found: Sequence[Prediction], everywhere: Sequence[Prediction]) -> Answer:
    """Question 2, from the correlations of one run, and a count over all runs and threats."""
    shown = {p.metric: p for p in found if p.metric in ("kappa", "rho")}
    if not shown:
        return Answer(QUESTIONS[1], NOT_PUT, ["It takes classes whose geometry was measured."])
    names = {"kappa": "convexity κ", "rho": "density ρ"}
    effects = {}
    for metric, item in shown.items():
        for part, title in ((item.pearson, "r"), (item.partial, "r given clean AP and size")):
            effects[f"{names[metric]}, {title}"] = Interval(part.r, part.lo, part.hi)
    first = next(iter(shown.values()))
    plain = [f"with {names[m]} at r = {wording.signed(p.pearson.r, 2)}" for m, p in shown.items()]
    given = [wording.signed(p.partial.r, 2) for p in shown.values()]
    rows = [p for p in everywhere if p.drop == "relative" and p.metric in shown]
    verdicts = [p.verdict for p in rows]
    sentences = [
        f"Over {first.pearson.n} classes of {first.run} under {threats.WORDS[first.threat]}, the"
        f" share of its AP that a class keeps goes {wording.listed(plain)}; given clean AP and"
        f" class size, at {wording.listed(given)}.",
        f"Over all runs and threats {verdicts.count('supported')} of {len(rows)} such correlations"
        f" support the claim, {verdicts.count('not supported')} do not, and"
        f" {verdicts.count('undecided')} are open.",
    ]
    verdict = _prediction_verdict({names[m]: p.verdict for m, p in shown.items()})
    return Answer(QUESTIONS[1], verdict, sentences, evidence(effects, 1.0, digits=2))


def _prediction_verdict(verdicts: Mapping[str, Verdict]) -> str:
    kinds = set(verdicts.values())
    if kinds == {"supported"}:
        return "Yes, on this data."
    if kinds == {"not supported"}:
        return "No, on this data."
    if kinds == {"undecided"}:
        return "Not settled by this many classes."
    words = {"supported": "does", "not supported": "does not", "undecided": "is not settled"}
    parts = [f"{name} {words[verdict]}" for name, verdict in verdicts.items()]
    start = "In part" if "supported" in kinds else "No sign of it"
    return f"{start}: {', '.join(parts)}."


def retraining(claims: Mapping[str, Claim]) -> Answer:
    """Question 3, from the claims on mixup and adversarial training."""
    found = {key: claims[key].effect for key in RETRAINING_ROWS if key in claims}
    if "mixup_adversarial" not in found:
        return Answer(QUESTIONS[2], NOT_PUT, ["It takes a mixup and an adversarial run."])
    main = f"With both attacked, mixup {_keeps(found['mixup_adversarial'])} adversarial training"
    parts = [
        f"{name} {_protects(found[key])}"
        for key, name in (
            ("mixup_protects", "mixup"),
            ("adversarial_protects", "adversarial training"),
        )
        if key in found
    ]
    tail = f"; against where they started, {wording.listed(parts)}." if parts else "."
    sentences = [main + tail]
    if "mixup_clean" in found:
        price = f" and costs {_price(claims['mixup_cost'])}" if "mixup_cost" in claims else ""
        sentences.append(
            f"On clean clips it {_keeps(found['mixup_clean'])} adversarial training{price}."
        )
    started = found.get("mixup_protects")
    verdict = _retraining_verdict(
        side(found["mixup_adversarial"]), 1 if started is None else side(started)
    )
    return Answer(QUESTIONS[2], verdict, sentences, _lines(RETRAINING_ROWS, found))


def _retraining_verdict(against: int, protects: int) -> str:
    if protects < 0:
        return "No: here mixup makes the model less robust."
    if against < 0:
        surely = "protects" if protects else "does not surely protect"
        return f"No: adversarial training protects better, and mixup {surely}."
    if protects == 0:
        return "Not settled: here mixup does not surely protect."
    if against > 0:
        return "Yes, on this data: mixup protects better."
    return "Both protect; which does so better, this many clips cannot tell."


def _protects(effect: Interval) -> str:
    verb = {1: "protects", -1: "harms", 0: "neither surely protects nor harms"}[side(effect)]
    return f"{verb} ({wording.signed(effect.estimate)})"


def _price(claim: Claim) -> str:
    share = 1 - claim.effect.estimate
    if share <= 1:
        return f"{wording.percent(share)} of its passes"
    return f"{wording.times(share)} its passes"


def _keeps(effect: Interval) -> str:
    gap = wording.signed(effect.estimate)
    words = {
        1: "keeps more mAP ({}) than",
        -1: "keeps less mAP ({}) than",
        0: "cannot be told apart ({} mAP) from",
    }
    return words[side(effect)].format(gap)


def _lines(rows: Mapping[str, str], found: Mapping[str, Interval]) -> list[Evidence]:
    return evidence({label: found[key] for key, label in rows.items() if key in found})
