"""Question 1: is a multi-modal model more robust than its uni-modal parts?"""

from collections.abc import Iterable, Mapping

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


def strangers(inputs: Inputs) -> str | None:
    """What to say where the models were made elsewhere: one need not be a part of the other."""
    runs = [inputs.with_role(*FUSED), *(inputs.with_role(role) for role in SINGLE.values())]
    own = [run.name for run in runs if run is not None and run.own]
    if not own:
        return None
    verb = "was" if len(own) == 1 else "were"
    return (
        f"{wording.listed(own)} {verb} trained elsewhere: these models may differ in more than"
        " whether they fuse, and the differences may be due to that."
    )


def trained_on(inputs: Inputs) -> str | None:
    """What to say where the fused run went on from the very runs that it is compared with."""
    fused = inputs.with_role(*FUSED)
    row = inputs.params.train.get(fused.name) if fused else None
    if fused is None or row is None:
        return None
    runs = (inputs.with_role(modality) for modality in SINGLE.values())
    begun = {file.stem for file in row.starts.values()}
    parts = [run.name for run in runs if run is not None and run.name in begun]
    if not parts:
        return None
    return (
        f"{fused.name} was trained on from the weights of {wording.listed(parts)}, so that it has"
        " had more training: the differences may in part be due to that."
    )


def below_one_level(inputs: Inputs) -> str | None:
    """What to say where no file of 8-bit frames can hold a change within the video's budget."""
    attack = inputs.params.attack
    levels = 255 * attack.eps * attack.scale.video
    if (
        attack.norm != "linf"
        or levels >= 1
        or not any("video" in r.modalities for r in inputs.runs)
    ):
        return None
    return (
        f"The budget on video is {wording.number(levels, 2)} grey levels: frames of 8 bits hold no"
        " change within it, so what is said of attacks on video is said of what a net is given, not"
        " of a file."
    )


def fusion(claims: Mapping[str, Claim], lacking: str, *cautions: str | None) -> Answer:
    """Question 1, from the claims on attacks on one modality and on both; else `lacking`.

    `cautions`: sentences to end with.
    """
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
    sentences += _shares(alone, claims)
    sentences += [
        f"There is no {modality} model here to compare with."
        for modality in SINGLE.values()
        if modality not in alone
    ]
    sentences += [*_theorem(claims), *filter(None, cautions)]
    sides = {modality: direction(claim) for modality, claim in alone.items()}
    joint = found.get("fused_as_low")
    verdict = _fusion_verdict(
        sides,
        None if joint is None else _side(joint),
        alike=joint is not None and joint.verdict == "supported",
    )
    if set(sides.values()) == {1}:
        verdict += _of_its_own(claims, alone)
    return Answer(QUESTION, verdict, sentences, lines(ROWS, found))


def _shares(alone: Iterable[str], claims: Mapping[str, Claim]) -> list[str]:
    """Who loses the smaller share of its clean mAP: a model with more to lose may retain more."""
    parts = []
    for threat, modality in SINGLE.items():
        claim = claims.get(f"matched_{threat}_relative")
        if claim is None or modality not in alone:
            continue
        words = {1: "less than", -1: "more than", 0: "not significantly more or less than"}
        gap = wording.interval(claim.effect.lo, claim.effect.hi, 2, sign=True)
        parts.append(
            f"{words[direction(claim)]} the {modality} model with the {modality} attacked"
            f" (smaller by {wording.number(claim.effect.estimate, 2)}; {gap})"
        )
    if not parts:
        return []
    return [f"As a share of its own clean mAP, the fused model loses {'; '.join(parts)}."]


def _of_its_own(claims: Mapping[str, Claim], alone: Iterable[str]) -> str:
    """What the verdict adds where more mAP is left, but not by a smaller share that is lost.

    A model with the higher clean mAP can retain more and yet be no more robust.
    """
    short = [
        modality
        for threat, modality in SINGLE.items()
        if modality in alone
        and (claim := claims.get(f"matched_{threat}_relative")) is not None
        and direction(claim) < 1
    ]
    if not short:
        return ""
    return (
        " Of its own clean mAP it does not lose a significantly smaller share with only the"
        f" {' or only the '.join(short)} attacked."
    )


def _theorem(claims: Mapping[str, Claim]) -> list[str]:
    """Theorem 1 in a sentence, where radii were searched: how often either model breaks first."""
    parts = [
        f"with only the {modality} attacked, {claims[key].compared}, so fusion first on"
        f" {wording.percent(claims[key].effect.estimate)}"
        f" ({wording.percent(claims[key].effect.lo)} to {wording.percent(claims[key].effect.hi)})"
        for key, modality in (("theorem_A", "audio"), ("theorem_V", "video"))
        if key in claims
    ]
    if not parts:
        return []
    return [f"Clip by clip, {'; '.join(parts)}. Radii found by an attack are upper bounds."]


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
        return f"is not shown to fall as low ({gap} mAP) as"
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


def _fusion_verdict(alone: Mapping[str, int], both: int | None, *, alike: bool) -> str:
    """`alone`: modality -> side under an attack on it; without both parts half is unanswered.

    `both`: the side under an attack on both, `alike` whether about as much is shown to be kept.
    """
    sides = set(alone.values())
    known = {*sides, *(() if both is None else (both,))}
    if known == {0}:
        return "Undecided: no difference is significant."
    if len(alone) < len(SINGLE) and len(known) == 1:
        (modality,) = alone
        side = "retains more mAP" if known == {1} else "retains less mAP"
        return f"Answered in part: it {side} than the {modality} model, on this data."
    if known == {1}:
        return "Yes, these models on this data: it retains more mAP."
    if known == {-1}:
        return "No, these models on this data: it retains less mAP."
    if sides == {1}:
        tail = "less" if both == -1 else "about as much" if alike else "not clearly more"
        return (
            f"Not necessarily: it retains more mAP with one modality attacked, {tail} with both,"
            " each at the full budget."
        )
    return "Not necessarily: it depends on what is attacked."
