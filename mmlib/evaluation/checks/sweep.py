"""The checks that a finished sweep's stored scores allow: no model is needed."""

import torch
from torch import Tensor

from mmlib.attacks.core.losses import resolve
from mmlib.evaluation.checks import scores as score_checks
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.evaluation.checks.strongest import worst_case_per_clip
from mmlib.metrics.stored import (
    CLEAN,
    NOISE,
    AttackScores,
    Condition,
)
from mmlib.params.attacks import Attack
from mmlib.runtime.arrays import Bools


def check_sweep(table: AttackScores, labels: Bools, settings: Attack) -> list[Outcome]:
    """Check the curves of every threat; `labels` (N, K) are those of the table's clips, sorted."""

    def score(threat: str, attack: str, eps: float) -> float:
        return score_checks.mean_ap(labels, table.scores(Condition(threat, attack, eps)))

    attacked, noisy = (
        {
            threat: {eps: score(threat, attack, eps) for eps in table.sweep(threat, attack)}
            for threat in table.threats
        }
        for attack in ("pgd", NOISE)
    )
    clean = score(CLEAN, CLEAN, 0.0)
    return [
        score_checks.monotone_eps(clean, attacked),
        score_checks.large_eps_collapse(clean, attacked, score_checks.prevalence(labels)),
        score_checks.random_noise(attacked, noisy),
        score_checks.joint_beats_single(attacked),
        _worst_case(table, labels, settings),
    ]


def _worst_case(table: AttackScores, labels: Bools, settings: Attack) -> Outcome:
    """What is scored against every stored attack of no more budget: smaller, or on one part."""
    loss, truth = resolve(settings.loss), torch.from_numpy(labels).float()

    def losses(condition: Condition) -> Tensor:
        return loss(torch.from_numpy(table.scores(condition)), truth)

    chosen, others = {}, {}
    for threat in table.threats:
        for eps in table.sweep(threat, "pgd"):
            name = f"{threat} at {eps:g}"
            chosen[name] = losses(Condition(threat, "pgd", eps))
            others[name] = {
                f"{rival.attack} {rival.threat} at {rival.eps:g}": losses(rival)
                for rival in table.conditions
                if rival.attack != NOISE
                and rival.eps <= eps
                and (rival.threat == CLEAN or rival.threat in threat)
                and rival != Condition(threat, "pgd", eps)
            }
    return worst_case_per_clip(chosen, others)
