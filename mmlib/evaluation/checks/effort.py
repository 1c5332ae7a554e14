"""The sweep's own attack with more effort, on a few clips; the others stay as it left them."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mmlib.attacks.core.losses import Loss, resolve
from mmlib.attacks.core.search import Search
from mmlib.attacks.core.threat import rows as rows_of
from mmlib.attacks.methods.pgd import climb, lengths, lengths_of_round
from mmlib.attacks.methods.square import square
from mmlib.batch import Forward
from mmlib.evaluation.checks import scores as score_checks
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.evaluation.checks.probe import Probe
from mmlib.evaluation.sweep.refine import Whole, loss_of_round
from mmlib.metrics.scores.optimality import areas
from mmlib.params.checks import Checks
from mmlib.runtime.arrays import Floats
from mmlib.runtime.seeds import derive

_OTHER_LOSSES = {
    "multi_label": ("bce", "balanced_bce", "ranking", "margin"),
    "single_label": ("cross_entropy", "margin"),
}
_STEPS_ONWARD = 16
Condition = tuple[str, float]


def check_effort(
    probe: Probe, whole: Whole, condition: Condition, checks: Checks, queried: Forward
) -> list[Outcome]:
    """Twice the steps, a random start, other losses, and a search without gradients.

    `whole` is the split under the condition, with the probe's clips at its places. Where they alone
    are attacked anew, the mAP of the split moves by their share: the gain is reported as if all
    clips had been. `queried` is the probe's model as the search without gradients asks it.
    """
    known = _mean_ap(whole, condition, probe.attacked)
    share = len(probe.labels) / len(whole.labels)

    def gained(logits: Tensor) -> float:
        return max(0.0, known - (known - _mean_ap(whole, condition, logits)) / share)

    doubled = again(probe, whole, condition, factor=2)
    restarted = again(probe, whole, condition, start="random")
    losses = [name for name in _OTHER_LOSSES[whole.task] if name != probe.settings.loss]
    after = {name: logits_of(onward(probe, doubled, name)) for name in losses}
    others = {name: gained(logits) for name, logits in after.items()}
    best = min(others, key=lambda name: others[name])
    harder, cold = gained(logits_of(doubled)), gained(logits_of(restarted))
    found = [logits_of(doubled), logits_of(restarted), *after.values()]
    return [
        score_checks.more_effort("doubling_steps", known, harder, "twice the steps"),
        score_checks.more_effort(
            "doubling_restarts", known, min(known, cold), "a second, random start"
        ),
        score_checks.more_effort(
            "other_losses", known, min(known, others[best]), f"the loss {best} after these"
        ),
        check_gradient_free(probe, whole, condition, doubled, checks, queried),
        check_optimality(probe, whole, condition, found),
    ]


def check_gradient_free(
    probe: Probe,
    whole: Whole,
    condition: Condition,
    ended: Search,
    checks: Checks,
    queried: Forward,
) -> Outcome:
    """Square, from where the attack of twice the steps `ended`: does it find what gradients do not?

    `checks.queried_clips` of the probe's clips, `checks.queries` each. It aims at what the sweep's
    last round does, and its gain is reported as if all clips had been searched.
    """
    count, most = len(probe.labels), min(checks.queried_clips, len(probe.labels))
    chosen = torch.arange(most, device=whole.places.device) * count // most
    reference = _replaced(whole, condition, logits_of(ended))
    few = whole._replace(places=whole.places[chosen], logits={condition: reference})
    rounds = probe.settings.refine.rounds
    aim = loss_of_round(few, condition, rounds - 1, rounds) if rounds else probe.settings.loss
    found = square(
        queried,
        {name: tensor[chosen] for name, tensor in probe.inputs.items()},
        probe.labels[chosen],
        rows_of(probe.threat, chosen),
        queries=checks.queries,
        loss=aim,
        seeds=[derive(probe.seed, "check", row) for row in chosen.tolist()],
        start={name: points[chosen] for name, points in ended.best.items()},
    )
    before = _mean_ap(few, condition, reference[few.places])
    after = _mean_ap(few, condition, replace(probe, model=queried).score(found))
    gain = (before - after) * len(whole.labels) / most
    return score_checks.gradient_free(before, max(0.0, before - gain), checks.queries)


def check_optimality(
    probe: Probe, whole: Whole, condition: Condition, rivals: Sequence[Tensor]
) -> Outcome:
    """How near the sweep's attack comes to the best that it and `rivals` did to each clip.

    `rivals`: logits (B, K) that other attacks left of the probe's clips under the condition.
    """
    attacks, clean = [probe.attacked, *rivals], probe.score(probe.inputs)
    damage = [_damage(probe, whole, condition, logits, clean)[None] for logits in attacks]
    found = areas(damage[0], damage[1:], [1.0])
    return score_checks.optimality(found.optimality, len(attacks))


def _damage(
    probe: Probe, whole: Whole, condition: Condition, logits: Tensor, clean: Tensor
) -> Floats:
    """What an attack took of each clip, (B,), as the sweep counts it.

    One label: 1 for a clip that is wrong and was right. Several: its share of what the set loses,
    the other clips as the sweep left them, or without rounds on the set the rise of its own loss.
    """
    rounds = probe.settings.refine.rounds
    if whole.task == "single_label":
        top = resolve("top")
        broken = (top(logits, probe.labels) > 0) & (top(clean, probe.labels) <= 0)
        return broken.double().cpu().numpy()
    aim = resolve(
        loss_of_round(whole, condition, rounds - 1, rounds) if rounds else probe.settings.loss
    )
    taken = aim(logits, probe.labels) - aim(clean, probe.labels)
    return taken.double().cpu().numpy()


def again(
    probe: Probe,
    whole: Whole,
    condition: Condition,
    *,
    factor: int = 1,
    start: str = "clean",
) -> Search:
    """The sweep's attack on the probe's clips, made anew with `factor` times its steps."""
    settings, refine = probe.settings, probe.settings.refine
    search = _search(probe, settings.loss)
    begin = search.begin(None) if start == "clean" else search.random("check")
    path = lengths(factor * settings.steps, max(settings.step_size, 1.0))
    climb(search, begin, path, momentum=settings.momentum)
    for number in range(refine.rounds):
        logits = _replaced(whole, condition, logits_of(search))
        current = whole._replace(logits={condition: logits})
        following = _search(probe, loss_of_round(current, condition, number, refine.rounds))
        following.offer(search.best, logits_of(search))
        each = factor * refine.steps
        path = lengths_of_round(number, refine.rounds, each, refine.step_size)
        climb(following, following.best, path, momentum=refine.momentum)
        search = following
    return search


def onward(probe: Probe, ended: Search, loss: str) -> Search:
    """The attack `ended` gone on with another loss, in steps that are as wide at first as its own.

    From a point that the sweep's losses can improve no more, a better loss shows in a few steps.
    """
    settings = probe.settings
    search = _search(probe, loss)
    search.offer(ended.best, logits_of(ended))
    path = lengths(_STEPS_ONWARD, max(settings.step_size, 1.0))
    climb(search, search.best, path, momentum=settings.momentum)
    return search


def _search(probe: Probe, aim: str | Loss) -> Search:
    seeds = [derive(probe.seed, "check", row) for row in range(len(probe.labels))]
    return Search(probe.model, probe.inputs, probe.labels, probe.threat, aim, seeds)


def logits_of(search: Search) -> Tensor:
    """The logits (B, K) of the best points that the search has evaluated."""
    assert search.best_logits is not None
    return search.best_logits


def _replaced(whole: Whole, condition: Condition, logits: Tensor) -> Tensor:
    return whole.logits[condition].index_copy(0, whole.places, logits)


def _mean_ap(whole: Whole, condition: Condition, logits: Tensor) -> float:
    scores = _replaced(whole, condition, logits).cpu().numpy()
    return score_checks.mean_ap(whole.labels.cpu().numpy() > 0.5, scores)
