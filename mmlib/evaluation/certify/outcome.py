"""What was certified of a row, and what attacks on the same decisions found."""

from typing import NamedTuple

import numpy as np

from mmlib.evaluation.certify.units import Unit
from mmlib.metrics.smoothing import Decisions, Scores, largest_reach, lowest_z
from mmlib.params.certify import CertifyAttack, Sampling
from mmlib.runtime.arrays import Bools, Floats, Ints


class Attacked(NamedTuple):
    """Decisions attacked one by one (P,): places of clip and class, and the certified eps.

    `kept` (R, P): in how many of `attack.n` draws the decision is the same after the attack at each
    of the rising reaches.
    """

    clips: Ints
    tags: Ints
    eps: Floats
    kept: Ints


class OfThreat(NamedTuple):
    """A smoothed classifier under one threat; N clips, K classes.

    `known` (K,): classes with a decision. `hits` (N, K) of `n` draws. `decisions` are each wrong
    with a chance of at most alpha, those of `together` and `scores` all at once. `attacked` (M, N,
    K): draws of `attack.n` in which each class was shown after an attack on all tags at each of the
    rising multiples. `heads` (N, K): radii of the vectors, and `lengths` (N,) of the vectors; None
    where no bound is known for the net.
    """

    threat: str
    unit: Unit
    known: Bools
    hits: Ints
    decisions: Decisions
    together: Decisions
    scores: Scores
    attacked: Ints
    pairs: Attacked
    heads: Floats | None
    lengths: Floats | None


class Certified(NamedTuple):
    """One row: clips with labels (N, K), and what was found under each threat."""

    classes: tuple[str, ...]
    clip_ids: tuple[str, ...]
    labels: Bools
    eps: float
    sampling: Sampling
    search: CertifyAttack
    threats: tuple[OfThreat, ...]

    @property
    def multiples(self) -> tuple[float, ...]:
        """The budgets at which the mAP was attacked, ascending, as multiples of attack.eps."""
        return tuple(sorted(self.search.multiples))

    @property
    def reaches(self) -> tuple[float, ...]:
        """The radii at which decisions were attacked, ascending, in multiples of the certified."""
        return tuple(sorted(self.search.reaches))

    def scored(self, found: OfThreat) -> Bools:
        """The labels of the classes that have a decision; no clip has one of the others."""
        return self.labels & found.known

    def largest(self, found: OfThreat) -> float:
        """The largest budget that so many draws can certify of a decision alone."""
        return found.unit.eps(largest_reach(self.sampling.n, self.sampling.alpha))

    def turned_at(self, found: OfThreat) -> Floats:
        """The smallest attacked budget at which each decision (P,) turned, inf where none did.

        Turned: kept in less than half of the draws, with a chance of alpha to be wrong.
        """
        lost = found.pairs.kept.shape[0]
        turned = np.full(len(found.pairs.eps), np.inf)
        for place in reversed(range(lost)):
            missed = self.search.n - found.pairs.kept[place]
            gone = lowest_z(missed, self.search.n, self.sampling.alpha) > 0
            turned = np.where(gone, self.reaches[place] * found.pairs.eps, turned)
        return turned
