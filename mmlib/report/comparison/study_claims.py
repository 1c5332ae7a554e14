"""The paper's claims about retraining, tested on the study: at matched epochs and passes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import nan
from typing import NamedTuple

import numpy as np

from mmlib.params.retraining import AdversarialRun, MixupRun, PlainRun
from mmlib.params.study import JointRun, StudyRun
from mmlib.report import threats
from mmlib.report.comparison.dose import Guides, barely, reason
from mmlib.report.comparison.study import (
    MATCHED,
    Study,
    StudyRow,
)
from mmlib.report.comparison.verdict import NOT_TESTED, Claim

Kind = Callable[[StudyRun], bool]


def plain(run: StudyRun) -> bool:
    """Tell whether the row trains on as before."""
    return isinstance(run, PlainRun)


def full_rule(run: StudyRun) -> bool:
    """Tell whether the row is mixup with every part guided."""
    if not isinstance(run, MixupRun) or run.guide == "none" or run.beta is not None:
        return False
    return (run.anchors, run.partners, run.shared_lambda) == ("guided", "guided", False)


def unguided(run: StudyRun) -> bool:
    """Tell whether the row is mixup with a lambda for each modality and no guide."""
    return isinstance(run, MixupRun) and run.guide == "none" and not run.shared_lambda


def shared(run: StudyRun) -> bool:
    """Tell whether the row is plain mixup: no guide, one lambda."""
    return isinstance(run, MixupRun) and run.guide == "none" and run.shared_lambda


class Pair(NamedTuple):
    """Two rows to compare: what is said of the first, and at what both are matched.

    `guide`: that of the first, where the claim is about its guidance.
    """

    key: str
    statement: str
    paper: str
    first: str
    second: str
    threat: str
    guide: str | None = None


def find(study: Study, kind: Kind, like: StudyRow, *, at: str) -> StudyRow | None:
    """The first row of the kind with as many epochs, or passes, as `like`; None without one."""
    for row in study.rows.values():
        if kind(row.run) and row.name != like.name and _matched(row, like, at):
            return row
    return None


def _matched(one: StudyRow, two: StudyRow, at: str) -> bool:
    if at == "epochs":
        return one.run.epochs == two.run.epochs
    return abs(one.passes / two.passes - 1) <= MATCHED


def adversarial(study: Study) -> StudyRow | None:
    """The row that stands for adversarial training: PGD on all modalities, nearest to the headline.

    None when no row is.
    """
    found = [
        (abs(row.run.eps - study.eps), row)
        for row in study.rows.values()
        if isinstance(row.run, AdversarialRun) and (row.run.attack, row.run.threat) == ("pgd", "AV")
    ]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def pairs(study: Study) -> Iterator[Pair]:
    """Every comparison that the rows at hand allow, those of the paper's claims first."""
    robust = adversarial(study)
    if robust is not None:
        for at in ("epochs", "passes"):
            yield from _against_adversarial(study, robust, at)
            yield from _at_its_best(study, robust, at)
    for row in study.rows.values():
        if full_rule(row.run):
            yield from _rule(study, row)
        elif isinstance(row.run, JointRun) and row.run.guide != "none":
            yield from _blend(study, row)


def best(study: Study, like: StudyRow, *, at: str) -> StudyRow | None:
    """The guided mixup that kept most on val, of those matched with `like`; None without a choice.

    The eval clips have no say in it, so that their luck is none of the choice. The luck of the
    seeds is: val judges the same models.
    """
    found = [
        row
        for row in study.rows.values()
        if full_rule(row.run) and row.val and _matched(row, like, at)
    ]
    if len(found) < 2:
        return None
    return max(found, key=lambda row: float(np.mean(list(row.val.values()))))


def _at_its_best(study: Study, robust: StudyRow, at: str) -> Iterator[Pair]:
    chosen = best(study, robust, at=at)
    if chosen is None:
        return
    guide, words = chosen.run.guide, f"at the strength that is best on val ({chosen.run.guide})"
    yield Pair(
        f"study_best_adversarial_{at}",
        f"Guided mixup {words} protects at least as well as adversarial training, at equal {at}.",
        "0.234 against 0.199",
        *(chosen.name, robust.name, robust.threats[-1]),
    )
    other = find(study, unguided, chosen, at="epochs")
    if other is not None:
        yield Pair(
            f"study_best_unguided_{at}",
            f"Guided mixup {words} protects better than unguided mixup with one λ per modality.",
            "",
            *(chosen.name, other.name, chosen.threats[-1], guide),
        )


def _against_adversarial(study: Study, robust: StudyRow, at: str) -> Iterator[Pair]:
    mixed, control = (find(study, kind, robust, at=at) for kind in (full_rule, plain))
    widest, words = robust.threats[-1], f"at equal {at}"
    if mixed is not None:
        yield Pair(
            f"study_mixup_adversarial_{at}",
            f"Mixup protects at least as well as adversarial training, {words}.",
            "0.234 against 0.199",
            *(mixed.name, robust.name, widest),
        )
        yield Pair(
            f"study_mixup_clean_{at}",
            f"Mixup costs less clean mAP than adversarial training, {words}.",
            "0.424 against 0.397",
            *(mixed.name, robust.name, "clean"),
        )
    for row, method in ((mixed, "Mixup"), (robust, "Adversarial training")):
        if row is not None and control is not None:
            yield Pair(
                f"study_{'mixup' if row is mixed else 'adversarial'}_plain_{at}",
                f"{method} protects better than training without it, {words}.",
                "",
                *(row.name, control.name, widest),
            )


def _rule(study: Study, full: StudyRow) -> Iterator[Pair]:
    for key, kind, against in (
        ("unguided", unguided, "unguided mixup with one λ per modality"),
        ("shared", shared, "plain mixup with a single λ"),
    ):
        other = find(study, kind, full, at="epochs")
        if other is not None:
            yield Pair(
                f"study_guided_{key}_{full.name}",
                f"Metric-guided mixup protects better than {against}.",
                "",
                *(full.name, other.name, full.threats[-1], full.run.guide),
            )


def _blend(study: Study, blended: StudyRow) -> Iterator[Pair]:
    def alone(run: StudyRun) -> bool:
        return isinstance(run, JointRun) and run.guide == "none"

    other = find(study, alone, blended, at="passes")
    if other is not None and isinstance(blended.run, JointRun):
        how = "Online" if blended.run.online_every else "Offline"
        yield Pair(
            f"study_gblend_{blended.name}",
            f"{how} Gradient-Blending has a higher clean mAP than joint training with one loss, at"
            " equal passes.",
            "",
            *(blended.name, other.name, "clean"),
        )


def claims(study: Study | None, guides: Guides) -> list[Claim]:
    """A row of the claims page for each comparison, not yet judged; none while the study is off.

    `n` counts seeds, and the effect's interval is the hull of those over seeds and over clips. A
    claim about guidance that barely differs from none has no verdict and no p.
    """
    if study is None:
        return []
    return [_withheld(_claim(study, pair), pair, guides) for pair in pairs(study)]


def _withheld(claim: Claim, pair: Pair, guides: Guides) -> Claim:
    if not barely(guides, pair.guide):
        return claim
    compared = f"{claim.compared}; {reason(guides, pair.guide)}"
    return replace(claim, compared=compared, p=nan, lean=None, verdict=NOT_TESTED)


def _claim(study: Study, pair: Pair) -> Claim:
    gap = study.gap(pair.first, pair.second, pair.threat)
    first, second = (study.rows[name] for name in (pair.first, pair.second))
    under = "clean" if pair.threat == "clean" else f"under {threats.WORDS[pair.threat]}"
    compared = ", ".join(
        f"{row.name} {under} {row.values(pair.threat).mean():.3f} ({row.passes:,.0f} passes)"
        for row in (first, second)
    )
    return Claim(
        key=pair.key,
        statement=pair.statement,
        paper=pair.paper,
        compared=compared,
        unit="mAP",
        effect=gap.hull,
        n=min(len(row.values(pair.threat)) for row in (first, second)),
        p=gap.p,
        lean="supported" if gap.hull.estimate > 0 else "not supported",
    )
