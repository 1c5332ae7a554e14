"""The sweep's own attack with more effort, on a few clips; the others stay as it left them."""

from torch import Tensor

from mmlib.attacks.core.losses import Loss
from mmlib.attacks.core.search import Search
from mmlib.attacks.methods.pgd import climb, lengths, lengths_of_round
from mmlib.evaluation.checks import scores as score_checks
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.evaluation.checks.probe import Probe
from mmlib.evaluation.sweep.refine import Whole, loss_of_round
from mmlib.runtime.seeds import derive

_OTHER_LOSSES = {
    "multi_label": ("bce", "balanced_bce", "ranking", "margin"),
    "single_label": ("cross_entropy", "margin"),
}


def check_effort(probe: Probe, whole: Whole, condition: tuple[str, float]) -> list[Outcome]:
    """Twice the steps, a random start, and other losses, each beside what the sweep stored.

    `whole` is the split under the condition, with the probe's clips at its places. Where they alone
    are attacked anew, the mAP of the split moves by their share: the gain is reported as if all
    clips had been.
    """
    known = _mean_ap(whole, condition, probe.attacked)
    share = len(probe.labels) / len(whole.labels)

    def gained(logits: Tensor) -> float:
        return known - (known - _mean_ap(whole, condition, logits)) / share

    doubled = again(probe, whole, condition, factor=2)
    restarted = again(probe, whole, condition, start="random")
    losses = [name for name in _OTHER_LOSSES[whole.task] if name != probe.settings.loss]
    others = {name: gained(again(probe, whole, condition, loss=name)) for name in losses}
    best = min(others, key=lambda name: others[name])
    return [
        score_checks.more_effort("doubling_steps", known, gained(doubled), "twice the steps"),
        score_checks.more_effort(
            "doubling_restarts", known, min(known, gained(restarted)), "a second, random start"
        ),
        score_checks.more_effort(
            "other_losses", known, min(known, others[best]), f"the loss {best} alone"
        ),
    ]


def again(
    probe: Probe,
    whole: Whole,
    condition: tuple[str, float],
    *,
    factor: int = 1,
    start: str = "clean",
    loss: str | None = None,
) -> Tensor:
    """The probe's logits (B, K) after the sweep's attack, made anew with `factor` times its steps.

    With `loss`, that loss takes the place of the first phase and of all rounds.
    """
    settings, refine = probe.settings, probe.settings.refine
    seeds = [derive(probe.seed, "check", row) for row in range(len(probe.labels))]

    def search_for(aim: str | Loss) -> Search:
        return Search(probe.model, probe.inputs, probe.labels, probe.threat, aim, seeds)

    search = search_for(loss or settings.loss)
    begin = search.begin(None) if start == "clean" else search.random("check")
    steps = factor * (settings.steps + (refine.rounds * refine.steps if loss else 0))
    climb(search, begin, lengths(steps, max(settings.step_size, 1.0)), momentum=settings.momentum)
    for number in range(0 if loss else refine.rounds):
        logits = _replaced(whole, condition, _logits(search))
        current = whole._replace(logits={condition: logits})
        following = search_for(loss_of_round(current, condition, number, refine.rounds))
        following.offer(search.best, _logits(search))
        each = factor * refine.steps
        path = lengths_of_round(number, refine.rounds, each, refine.step_size)
        climb(following, following.best, path, momentum=refine.momentum)
        search = following
    return _logits(search)


def _logits(search: Search) -> Tensor:
    assert search.best_logits is not None
    return search.best_logits


def _replaced(whole: Whole, condition: tuple[str, float], logits: Tensor) -> Tensor:
    return whole.logits[condition].index_copy(0, whole.places, logits)


def _mean_ap(whole: Whole, condition: tuple[str, float], logits: Tensor) -> float:
    scores = _replaced(whole, condition, logits).cpu().numpy()
    return score_checks.mean_ap(whole.labels.cpu().numpy() > 0.5, scores)
