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
from mmlib.threats import within


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
    """What is scored against every stored attack of no more budget: smaller, or on one part."""
    loss, truth = resolve(settings.loss), torch.from_numpy(labels).float()

    def losses(condition: Condition) -> Tensor:
        return loss(torch.from_numpy(table.scores(condition)), truth)

    chosen, others = {}, {}
    for threat in table.threats:
        for multiple in table.sweep(threat, "pgd"):
            scored = Condition(threat, "pgd", multiple)
            name = f"{threat} at {table.eps_at(multiple):g}"
            chosen[name] = losses(scored)
            others[name] = {
                f"{rival.attack} {rival.threat} at {table.eps_at(rival.multiple):g}": losses(rival)
                for rival in table.conditions
                if rival.attack != NOISE
                and rival.multiple <= multiple
                and (rival.threat == CLEAN or within(rival.threat, threat))
                and rival != scored
            }
    return worst_case_per_clip(chosen, others)
