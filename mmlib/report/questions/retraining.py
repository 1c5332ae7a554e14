"""Question 3: does metric-driven mixup protect as well as adversarial training, for less?"""

from collections.abc import Mapping

from mmlib.metrics.intervals import Interval
from mmlib.report import wording
from mmlib.report.comparison.dose import barely, reason
from mmlib.report.comparison.verdict import Claim
from mmlib.report.evidence import side
from mmlib.report.inputs import Inputs
from mmlib.report.questions.answer import NOT_ANSWERED, Answer, lines, retains, unscored

QUESTION = "Does metric-driven mixup protect as well as adversarial training, for less?"
ROWS = {
    "mixup_adversarial": "Attacked: mixup − adversarial training",
    "study_mixup_adversarial_epochs": "Over several seeds, at equal epochs",
    "study_mixup_adversarial_passes": "Over several seeds, at equal passes",
    "mixup_protects": "Attacked: mixup − its starting model",
    "adversarial_protects": "Attacked: adversarial training − its starting model",
    "mixup_clean": "Clean: mixup − adversarial training",
}


def missing(inputs: Inputs) -> str:
    """What the runs lack for an answer, in a sentence."""
    mixup, adversarial = (inputs.with_role(role) for role in ("mixup", "adversarial"))
    if mixup and adversarial:
        if mixup.modalities == adversarial.modalities:
            return unscored([mixup, adversarial])
        return f"{mixup.name} and {adversarial.name} do not read the same modalities."
    needed = "It takes a run retrained with mixup and one retrained adversarially"
    if here := mixup or adversarial:
        needed += f", and there is only {here.name}"
    return f"{needed}{'; the study below has both' if inputs.study else ''}."


def untested(inputs: Inputs) -> str | None:
    """What to say where the run's mixup was steered too little to be called metric-driven."""
    run = inputs.with_role("mixup")
    row = inputs.params.retrain.get(run.name) if run else None
    if row is None or not barely(inputs.guides, row.guide):
        return None
    return f"Whether the metrics help is {reason(inputs.guides, row.guide)}."


def retraining(claims: Mapping[str, Claim], lacking: str, caution: str | None = None) -> Answer:
    """Question 3, from the claims on mixup and adversarial training; else `lacking`.

    `caution`: a sentence to end with.
    """
    found = {key: claims[key].effect for key in ROWS if key in claims}
    if "mixup_adversarial" not in found:
        return Answer(QUESTION, NOT_ANSWERED, [lacking])
    main = f"Under attack, mixup {retains(found['mixup_adversarial'])} adversarial training"
    parts = [
        f"{name} {_protects(found[key])}"
        for key, name in (
            ("mixup_protects", "mixup"),
            ("adversarial_protects", "adversarial training"),
        )
        if key in found
    ]
    tail = f"; compared with the model they start from, {wording.listed(parts)}." if parts else "."
    sentences = [main + tail]
    if "mixup_clean" in found:
        price = f"; it takes {_price(claims['mixup_cost'])}" if "mixup_cost" in claims else ""
        sentences.append(
            f"On clean clips, mixup {retains(found['mixup_clean'])} adversarial training{price}."
        )
    sentences += [caution] if caution else []
    started = found.get("mixup_protects")
    verdict = _retraining_verdict(
        side(found["mixup_adversarial"]), None if started is None else side(started)
    )
    return Answer(QUESTION, verdict, sentences, lines(ROWS, found))


def _retraining_verdict(against: int, protects: int | None) -> str:
    """`protects` is None where the model that mixup started from was not attacked."""
    if protects == -1:
        return "No: here mixup makes the model less robust."
    if against < 0:
        start = "mixup protects, but " if protects else ""
        tail = ", and mixup gives no significant protection" if protects == 0 else ""
        return f"No: {start}adversarial training protects better{tail}."
    if protects == 0:
        return "Undecided: mixup gives no significant protection."
    if against > 0:
        return "Yes, on this data: mixup protects better."
    if protects is None:
        return "Undecided: mixup and adversarial training do not differ significantly."
    return "Mixup protects; it is not significantly different from adversarial training."


def _protects(effect: Interval) -> str:
    gap = wording.signed(effect.estimate)
    words = {
        1: "gains robustness ({} mAP)",
        -1: "loses robustness ({} mAP)",
        0: "is not significantly different ({} mAP)",
    }
    return words[side(effect)].format(gap)


def _price(claim: Claim) -> str:
    share = 1 - claim.effect.estimate
    if share <= 1:
        return f"{wording.percent(share)} of the forward and backward passes"
    return f"{wording.times(share)} the forward and backward passes"
