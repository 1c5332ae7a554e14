"""A check of certificates by attack: a decision that is certified must not turn."""

from mmlib.evaluation.checks.outcome import Outcome
from mmlib.metrics.smoothing import joint, lowest_z
from mmlib.runtime.arrays import Ints

_ALPHA = 0.001
"""Chance that the check fails although no decision turned."""


def certified(kept: Ints, draws: int) -> Outcome:
    """No decision may be turned by an attack within its certified radius.

    `kept` (P,): in how many of `draws` the decision of each attacked clip is still the same, at the
    point that the attack found within that radius. A smoothed decision stands while that share is
    above one half; it is broken where Clopper and Pearson's upper bound, joint over the decisions,
    lies below.
    """
    name = "certified"
    if not len(kept):
        return Outcome(name, "warn", "not measured: no decision was certified and attacked")
    upper = -lowest_z(draws - kept, draws, joint(_ALPHA, len(kept)))
    broken = int((upper < 0).sum())
    least = float(kept.min()) / draws
    message = (
        f"{broken} of {len(kept)} decisions turned within their certified radius; the least sure is"
        f" kept in {100 * least:.0f} % of {draws} draws"
    )
    return Outcome(name, "fail" if broken else "pass", message)
