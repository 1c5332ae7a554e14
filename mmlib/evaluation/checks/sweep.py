"""The checks that a finished sweep's stored scores allow: no model is needed."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from mmlib.attacks.core.losses import resolve
from mmlib.evaluation.checks import scores as score_checks
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.evaluation.checks.strongest import worst_case_of_set, worst_case_per_clip
from mmlib.metrics.stored import (
    CLEAN,
    NOISE,
    AttackScores,
    Condition,
)
from mmlib.params.attacks import Attack
from mmlib.runtime.arrays import Bools
from mmlib.threats import within

Measure = TypeVar("Measure")


def check_sweep(table: AttackScores, labels: Bools, settings: Attack) -> list[Outcome]:
    """Check the curves of every threat; `labels` (N, K) are those of the table's clips, sorted."""

    def score(condition: Condition) -> float:
        return score_checks.mean_ap(labels, table.scores(condition))

    attacked, noisy = (
        {
            threat: {
                table.eps_at(multiple): score(Condition(threat, attack, multiple))
                for multiple in table.sweep(threat, attack)
            }
            for threat in table.threats
        }
        for attack in ("pgd", NOISE)
    )
    clean = score(Condition(CLEAN, CLEAN, 0.0))
    return [
        score_checks.monotone_eps(clean, attacked),
        score_checks.large_eps_collapse(clean, attacked, score_checks.prevalence(labels)),
        score_checks.random_noise(attacked, noisy),
        score_checks.joint_beats_single(attacked),
        _worst_case(table, labels, settings),
    ]


def _worst_case(table: AttackScores, labels: Bools, settings: Attack) -> Outcome:
    """What is scored against every stored attack of no more budget: smaller, or on one part.

    Where rounds have lowered the mAP of the set, the set's damage is compared, else each clip's.
    """
    refined = settings.refine.rounds > 0
    if refined and table.task == "multi_label":

        def mean_ap(condition: Condition) -> float:
            return score_checks.mean_ap(labels, table.scores(condition))

        return worst_case_of_set(*_rivals(table, mean_ap))
    loss, truth = resolve("top" if refined else settings.loss), torch.from_numpy(labels).float()

    def losses(condition: Condition) -> Tensor:
        return loss(torch.from_numpy(table.scores(condition)), truth)

    return worst_case_per_clip(*_rivals(table, losses))


def _rivals(
    table: AttackScores, measure: Callable[[Condition], Measure]
) -> tuple[dict[str, Measure], dict[str, dict[str, Measure]]]:
    """Each scored condition by name, and every stored attack that its budget allows."""
    chosen, others = {}, {}
    for threat in table.threats:
        for multiple in table.sweep(threat, "pgd"):
            scored = Condition(threat, "pgd", multiple)
            name = f"{threat} at {table.eps_at(multiple):g}"
            chosen[name] = measure(scored)
            others[name] = {
                f"{rival.attack} {rival.threat} at {table.eps_at(rival.multiple):g}": measure(rival)
                for rival in table.conditions
                if rival.attack != NOISE
                and rival.multiple <= multiple
                and (rival.threat == CLEAN or within(rival.threat, threat))
                and rival != scored
            }
    return chosen, others
