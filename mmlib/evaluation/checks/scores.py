"""Checks of a finished sweep: do the attacked scores behave as a working attack's must?

Classes without positives, whose AP is nan, are left out of every mAP.
"""

from collections.abc import Mapping
from itertools import pairwise
from math import isnan

from mmlib.evaluation.checks.outcome import (
    Outcome,
    graded,
)
from mmlib.metrics.ranking import (
    average_precision,
    present_mean,
)
from mmlib.runtime.arrays import Bools, Floats32
from mmlib.threats import FULL, SINGLE

POINT = 0.01
"""One point of mAP: differences below it are not held against an attack."""

Curve = Mapping[float, float]
"""Budget -> mAP."""


def mean_ap(labels: Bools, scores: Floats32) -> float:
    """Mean average precision over the classes with positives; (N, K) each."""
    return present_mean(average_precision(labels, scores))


def prevalence(labels: Bools) -> float:
    """The mean share of positives over classes with any: random scores' mAP over endless clips."""
    shares = labels.mean(0)
    return float(shares[shares > 0].mean())


def monotone_eps(clean: float, curves: Mapping[str, Curve]) -> Outcome:
    """mAP must not rise as the budget grows: by over a point warns, by over three fails."""
    rises = {
        threat: max(
            (after - before for before, after in pairwise([clean, *_ascending(curve)])),
            default=0.0,
        )
        for threat, curve in curves.items()
    }
    worst = max(rises.values())
    where = max(rises, key=lambda threat: rises[threat])
    message = f"largest rise in mAP from one budget to the next: {max(worst, 0):.3f}, under {where}"
    return graded("monotone_eps", worst, POINT, 3 * POINT, message)


def large_eps_collapse(clean: float, curves: Mapping[str, Curve], floor: float) -> Outcome:
    """At the largest budget mAP must come down to the prevalence floor.

    Up to a tenth of the way from the floor to the clean mAP passes, up to a fifth warns: an attack
    that is stuck from the headline on leaves more (a third on the demo's nets, whose own sweeps end
    below the floor). Threats on one modality of a fused model may leave the other's evidence: the
    strongest threat decides.
    """
    lowest = min(curve[max(curve)] for curve in curves.values())
    left = max(0.0, lowest - floor) / max(clean - floor, 1e-9)
    message = (
        f"mAP {lowest:.3f} at the largest budget, {clean:.3f} clean, {floor:.3f} the mean share of "
        "positives"
    )
    return graded("large_eps_collapse", left, 0.1, 0.2, message)


def random_noise(attacked: Mapping[str, Curve], noisy: Mapping[str, Curve]) -> Outcome:
    """Noise of the same norm must not be stronger: by over a point of mAP it fails."""
    leads = [
        (attacked[threat][eps] - noise, threat, eps)
        for threat, curve in noisy.items()
        for eps, noise in curve.items()
    ]
    worst, threat, eps = max(leads)
    if worst <= 0:
        message = "mAP is lower under attack than under noise of equal norm at every budget"
    else:
        message = f"noise leaves {worst:.3f} less mAP than the attack on {threat} at eps {eps:g}"
    return graded("random_noise", worst, 0.0, POINT, message)


def joint_beats_single(curves: Mapping[str, Curve]) -> Outcome:
    """A+V at (e, e) must be at least as strong as A and as V at e: over a point weaker fails."""
    name = "joint_beats_single"
    if FULL not in curves:
        return Outcome(name, "pass", "the run has one modality: there is no joint attack")
    gaps = [
        (joint - curves[single][eps], single, eps)
        for eps, joint in curves[FULL].items()
        for single in SINGLE
    ]
    worst, single, eps = max(gaps)
    if worst <= 0:
        message = "mAP is no higher under A+V than under A or V at any budget"
    else:
        message = f"mAP is {worst:.3f} higher under A+V than under {single} at eps {eps:g}"
    return graded(name, worst, 0.0, POINT, message)


def iterated_beats_single(iterated: float, single: float) -> Outcome:
    """The iterated attack must be at least as strong as its one-step form (mAP after each)."""
    gap = iterated - single
    message = f"mAP {iterated:.3f} after the iterated attack, {single:.3f} after one step"
    return graded("iterated_beats_single", gap, 0.0, POINT, message)


def more_effort(name: str, usual: float, harder: float, effort: str) -> Outcome:
    """More effort, named by `effort`, must gain less than a point of mAP (5 points fail)."""
    gain = usual - harder
    message = f"mAP {usual:.3f} as run, about {harder:.3f} with {effort}"
    return graded(name, gain, POINT, 5 * POINT, message)


def gradient_free(white_box: float, blind: float, queries: int) -> Outcome:
    """A search without gradients must not go on where they end: over a point warns, three fail."""
    message = (
        f"mAP {white_box:.3f} after twice the steps, about {blind:.3f} after {queries} queries"
        " without gradients from there"
    )
    return graded("gradient_free", white_box - blind, POINT, 3 * POINT, message)


def optimality(share: float, attacks: int) -> Outcome:
    """The attack must do most of what the best of several did to each clip.

    A tenth less warns, a quarter less fails; where no attack does any damage it passes.
    """
    if isnan(share):
        return Outcome("optimality", "pass", f"none of {attacks} attacks does any damage")
    message = f"{share:.3f} of the damage that the best of {attacks} attacks does to each clip"
    return graded("optimality", 1 - share, 0.1, 0.25, message)


def weaker_knowledge(name: str, white_box: float, other: float) -> Outcome:
    """An attack that knows less, such as a transferred one, must not be stronger."""
    lead = white_box - other
    message = (
        f"mAP {other:.3f} under the attack that knows less, {white_box:.3f} under the white-box one"
    )
    return graded(name, lead, 0.0, POINT, message)


def _ascending(curve: Curve) -> list[float]:
    return [curve[eps] for eps in sorted(curve)]
