"""The paper's claims about retraining, tested on the study: at matched epochs and passes."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from mmlib.params.retraining import AdversarialRun, MixupRun, PlainRun
from mmlib.params.study import JointRun, StudyRun
from mmlib.report import threats
from mmlib.report.comparison.study import (
    MATCHED,
    Study,
    StudyRow,
)
from mmlib.report.comparison.verdict import Claim

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
    """Two rows to compare: what is said of the first, and at what both are matched."""

    key: str
    statement: str
    paper: str
    first: str
    second: str
    threat: str


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
    for row in study.rows.values():
        if full_rule(row.run):
            yield from _rule(study, row)
        elif isinstance(row.run, JointRun) and row.run.guide != "none":
            yield from _blend(study, row)


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
                *(full.name, other.name, full.threats[-1]),
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


def claims(study: Study | None) -> list[Claim]:
    """A row of the claims page for each comparison, not yet judged; none while the study is off.

    `n` counts seeds, and the effect's interval is the hull of those over seeds and over clips.
    """
    if study is None:
        return []
    return [_claim(study, pair) for pair in pairs(study)]


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
