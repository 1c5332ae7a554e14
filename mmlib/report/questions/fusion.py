"""Question 1: is a multi-modal model more robust than its uni-modal parts?"""

from collections.abc import Mapping, Sequence

from mmlib.metrics.intervals import Interval
from mmlib.report import wording
from mmlib.report.comparison.claims import FUSED
from mmlib.report.comparison.verdict import Claim
from mmlib.report.evidence import side
from mmlib.report.inputs import Inputs
from mmlib.report.questions.answer import NOT_ANSWERED, Answer, lines, retains, unscored
from mmlib.threats import SINGLE

QUESTION = "Is a multi-modal model more robust than its uni-modal parts?"
ROWS = {
    "matched_A": "Audio attacked: fused − audio alone",
    "matched_V": "Video attacked: fused − video alone",
    "fused_as_low": "Fused under A+V − audio alone under A",
    "matched_total": "The same, with half the budget on each modality",
}


def missing(inputs: Inputs) -> str:
    """What the runs lack for an answer, in a sentence."""
    fused, alone = inputs.with_role(*FUSED), inputs.with_role(*SINGLE.values())
    if fused and alone:
        return unscored([fused, alone])
    if fused:
        return f"It takes a run of one modality, audio or video, beside the fused run {fused.name}."
    if alone:
        return f"It takes a fused run of train, not a retrained one, beside {alone.name}."
    return "It takes a fused run and a run of one modality, attacked alike."


def fusion(claims: Mapping[str, Claim], lacking: str) -> Answer:
    """Question 1, from the claims on attacks on one modality and on both; else `lacking`."""
    found = {key: claims[key].effect for key in ROWS if key in claims}
    alone = {
        modality: found[f"matched_{threat}"]
        for threat, modality in SINGLE.items()
        if f"matched_{threat}" in found
    }
    if not alone:
        return Answer(QUESTION, NOT_ANSWERED, [lacking])
    parts = [
        f"with only the {modality} attacked, {'it' if place else 'the fused model'}"
        f" {retains(effect)} the {modality} model"
        for place, (modality, effect) in enumerate(alone.items())
    ]
    sentences = [f"{wording.capital('; '.join(parts))}."]
    if "fused_as_low" in found:
        sentences.append(
            "With both attacked, each at the full budget, it"
            f" {retains(found['fused_as_low'])} the audio model under an attack on audio"
            f"{_halved(found.get('matched_total'))}."
        )
    sentences += [
        f"There is no {modality} model here to compare with."
        for modality in SINGLE.values()
        if modality not in alone
    ]
    sentences += _theorem(claims)
    sides = [side(effect) for effect in alone.values()]
    verdict = _fusion_verdict(sides, found.get("fused_as_low"))
    return Answer(QUESTION, verdict, sentences, lines(ROWS, found))


def _theorem(claims: Mapping[str, Claim]) -> list[str]:
    """Theorem 1 in a sentence, where radii were searched."""
    parts = [
        f"on {wording.percent(claims[key].effect.estimate)}"
        f" ({wording.percent(claims[key].effect.lo)} to {wording.percent(claims[key].effect.hi)})"
        f" of {claims[key].n} clips when only the {modality} is attacked"
        for key, modality in (("theorem_A", "audio"), ("theorem_V", "video"))
        if key in claims
    ]
    if not parts:
        return []
    return [
        "Clip by clip, the fused model breaks under a smaller perturbation than its uni-modal part"
        f" {' and '.join(parts)}; radii found by an attack are upper bounds."
    ]


def _halved(effect: Interval | None) -> str:
    if effect is None:
        return ""
    gap = wording.signed(effect.estimate)
    words = {
        1: f"it retains more ({gap})",
        -1: f"it retains less ({gap})",
        0: f"the difference is not significant ({gap})",
    }
    return f"; at half the budget each, {words[side(effect)]}"


def _fusion_verdict(alone: Sequence[int], joint: Interval | None) -> str:
    both = None if joint is None else side(joint)
    known = {*alone, *(() if both is None else (both,))}
    if known == {1}:
        return "Yes, on this data."
    if known == {-1}:
        return "No, on this data."
    if known == {0}:
        return "Undecided: no difference is significant."
    if set(alone) == {1}:
        tail = "less robust" if both == -1 else "no significant difference"
        return f"Not necessarily: more robust with one modality attacked, {tail} with both."
    return "Not necessarily: it depends on what is attacked."
