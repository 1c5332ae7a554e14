"""Question 3: does metric-driven mixup protect as well as adversarial training, for less?

Only the study, with several seeds, answers for the methods. Without it there are two models, whose
difference another seed could reverse: they are described, and no verdict is given.
"""

from collections.abc import Mapping, Set

from mmlib.report import wording
from mmlib.report.comparison.dose import barely, reason
from mmlib.report.comparison.verdict import Claim
from mmlib.report.inputs import Inputs
from mmlib.report.questions.answer import NOT_ANSWERED, Answer, direction, lines, retains, unscored

QUESTION = "Does metric-driven mixup protect as well as adversarial training, for less?"
ONE_SEED = "No verdict on the methods: these are two models, of one seed each."
MATCHES = ("epochs", "passes")
ROWS = {
    "study_mixup_adversarial_epochs": "Over several seeds, at equal epochs",
    "study_mixup_adversarial_passes": "Over several seeds, at equal passes",
    "mixup_adversarial": "Two models, attacked: mixup − adversarial training",
    "mixup_protects": "Two models, attacked: mixup − its starting model",
    "adversarial_protects": "Two models, attacked: adversarial training − its starting model",
    "mixup_clean": "Two models, clean: mixup − adversarial training",
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
    return f"{needed}."


def untested(inputs: Inputs) -> str | None:
    """What to say where the run's mixup was steered too little to be called metric-driven."""
    run = inputs.with_role("mixup")
    row = inputs.params.retrain.get(run.name) if run else None
    if row is None or not barely(inputs.guides, row.guide):
        return None
    return f"Whether the metrics help is {reason(inputs.guides, row.guide)}."


def retraining(claims: Mapping[str, Claim], lacking: str, caution: str | None = None) -> Answer:
    """Question 3, from the study's claims where it has any, then two models; else `lacking`.

    `caution`: a sentence to end with.
    """
    found = {key: claims[key] for key in ROWS if key in claims}
    against = _of_study(claims, "mixup_adversarial")
    if not against and "mixup_adversarial" not in found:
        return Answer(QUESTION, NOT_ANSWERED, [lacking])
    sentences = [_over_seeds(claims, at) for at in against] + _two_models(claims)
    if against:
        verdict = _verdict(against, _of_study(claims, "mixup_plain"))
    else:
        verdict = ONE_SEED
        sentences.append("Several seeds per method take the study (params: study.rows).")
    sentences += [caution] if caution else []
    return Answer(QUESTION, verdict, sentences, lines(ROWS, found))


def _of_study(claims: Mapping[str, Claim], name: str) -> dict[str, Claim]:
    """What is matched -> the study's claim, where it has several seeds."""
    keys = {at: f"study_{name}_{at}" for at in MATCHES}
    return {at: claims[key] for at, key in keys.items() if key in claims and claims[key].n > 1}


def _over_seeds(claims: Mapping[str, Claim], at: str) -> str:
    main = claims[f"study_mixup_adversarial_{at}"]
    sentence = (
        f"Over {main.n} seeds at equal {at}, mixup {retains(main)} adversarial training under"
        " attack"
    )
    rest = {
        "training without it": f"study_mixup_plain_{at}",
        "adversarial training on clean clips": f"study_mixup_clean_{at}",
    }
    parts = [
        f"{wording.signed(claims[key].effect.estimate)} mAP against {other} ({_found(claims[key])})"
        for other, key in rest.items()
        if key in claims
    ]
    return f"{sentence}{f'; it has {wording.listed(parts)}' if parts else ''}."


def _found(claim: Claim) -> str:
    return "significant" if direction(claim) else "not significant"


def _two_models(claims: Mapping[str, Claim]) -> list[str]:
    """The differences between the models on the page, with their intervals over clips."""
    parts = [
        f"{text} {_gap(claims[key])}"
        for key, text in (
            ("mixup_adversarial", "mixup less adversarial training, attacked,"),
            ("mixup_protects", "mixup less the model it starts from, attacked,"),
            ("adversarial_protects", "adversarial training less its own, attacked,"),
            ("mixup_clean", "mixup less adversarial training, clean,"),
        )
        if key in claims
    ]
    if "mixup_adversarial" not in claims:
        return []
    price = f" Mixup takes {_price(claims['mixup_cost'])}." if "mixup_cost" in claims else ""
    return [f"Of these models, one seed each, in mAP: {'; '.join(parts)}.{price}"]


def _verdict(against: Mapping[str, Claim], protects: Mapping[str, Claim]) -> str:
    """From whether mixup beats adversarial training, and whether it beats training without it."""
    sides = {claim.verdict for claim in against.values()}
    plain = {claim.verdict for claim in protects.values()}
    seeds = f"over {min(claim.n for claim in against.values())} seeds"
    if sides == {"not supported"}:
        start = "mixup protects, but " if plain == {"supported"} else ""
        tail = _unprotected(plain) if len(plain) == 1 else ""
        return f"No, {seeds}: {start}adversarial training protects better{tail}."
    if sides == {"supported"} and plain <= {"supported"}:
        return f"Yes, {seeds}: mixup protects better."
    if sides == {"supported", "not supported"}:
        return f"Not settled {seeds}: it depends on whether epochs or passes are equal."
    if len(sides) > 1:
        return f"Not settled {seeds}: {_apart(against)}."
    return f"Undecided {seeds}."


def _apart(against: Mapping[str, Claim]) -> str:
    """What each way to match says. That one is significant and the other not is no difference."""
    words = {
        1: "mixup protects better",
        -1: "adversarial training protects better",
        0: "no difference is significant",
    }
    return ", ".join(f"at equal {at} {words[direction(claim)]}" for at, claim in against.items())


def _unprotected(plain: Set[str]) -> str:
    return {
        "supported": "",
        "not supported": ", and mixup makes the model less robust than training without it",
        "undecided": ", and mixup gives no significant protection",
    }[next(iter(plain))]


def _gap(claim: Claim) -> str:
    effect = claim.effect
    ends = wording.interval(effect.lo, effect.hi, sign=True)
    return f"{wording.signed(effect.estimate)} ({ends})"


def _price(claim: Claim) -> str:
    share = 1 - claim.effect.estimate
    if share <= 1:
        return f"{wording.percent(share)} of adversarial training's forward and backward passes"
    return f"{wording.times(share)} adversarial training's forward and backward passes"
