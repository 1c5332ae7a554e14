"""Question 1: is a multi-modal model more robust than its uni-modal parts?"""

from collections.abc import Mapping, Sequence

from mmlib.report import wording
from mmlib.report.comparison.claims import FUSED
from mmlib.report.comparison.verdict import EQUAL, Claim
from mmlib.report.inputs import Inputs
from mmlib.report.questions.answer import NOT_ANSWERED, Answer, direction, lines, retains, unscored
from mmlib.threats import SINGLE

QUESTION = "Is a multi-modal model more robust than its uni-modal parts?"
ROWS = {
    "matched_A": "Audio attacked: fused − audio alone",
    "matched_V": "Video attacked: fused − video alone",
    "fused_as_low": "Fused under A+V − audio alone under A",
    "matched_total": "The same, with one budget shared by both",
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
    found = {key: claims[key] for key in ROWS if key in claims}
    alone = {
        modality: found[f"matched_{threat}"]
        for threat, modality in SINGLE.items()
        if f"matched_{threat}" in found
    }
    if not alone:
        return Answer(QUESTION, NOT_ANSWERED, [lacking])
    parts = [
        f"with only the {modality} attacked, {'it' if place else 'the fused model'}"
        f" {retains(claim)} the {modality} model"
        for place, (modality, claim) in enumerate(alone.items())
    ]
    sentences = [f"{wording.capital('; '.join(parts))}."]
    if "fused_as_low" in found:
        sentences.append(
            "With both attacked, each at the full budget, it"
            f" {_falls(found['fused_as_low'])} the audio model under an attack on audio"
            f"{_shared(found.get('matched_total'))}."
        )
    sentences += [
        f"There is no {modality} model here to compare with."
        for modality in SINGLE.values()
        if modality not in alone
    ]
    sentences += _theorem(claims)
    sides = [direction(claim) for claim in alone.values()]
    joint = found.get("fused_as_low")
    verdict = _fusion_verdict(sides, None if joint is None else _side(joint))
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


def _side(equal: Claim) -> int:
    """1 or -1 where the fused model keeps more or less than about as much, else 0."""
    if equal.verdict != "not supported":
        return 0
    return 1 if equal.effect.estimate > 0 else -1


def _falls(equal: Claim) -> str:
    gap = wording.signed(equal.effect.estimate)
    if equal.verdict == "supported":
        return f"falls about as low ({gap} mAP, within {EQUAL:g}) as"
    if equal.verdict == "undecided":
        return f"may or may not fall about as low ({gap} mAP) as"
    return f"retains {'more' if _side(equal) > 0 else 'less'} mAP ({gap}) than"


def _shared(claim: Claim | None) -> str:
    if claim is None:
        return ""
    gap = wording.signed(claim.effect.estimate)
    words = {
        1: f"it retains more ({gap})",
        -1: f"it retains less ({gap})",
        0: f"the difference is not significant ({gap})",
    }
    return f"; when both share one budget, {words[direction(claim)]}"


def _fusion_verdict(alone: Sequence[int], both: int | None) -> str:
    known = {*alone, *(() if both is None else (both,))}
    if known == {1}:
        return "Yes, on this data."
    if known == {-1}:
        return "No, on this data."
    if known == {0}:
        return "Undecided: no difference is significant."
    if set(alone) == {1}:
        tail = "less" if both == -1 else "not clearly"
        return f"Not necessarily: more robust with one modality attacked, {tail} so with both."
    return "Not necessarily: it depends on what is attacked."
