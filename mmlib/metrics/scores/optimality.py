"""How near an attack comes to the strongest that any of several attacks did to each clip."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmlib.runtime.arrays import Floats, Reals


class Areas(NamedTuple):
    """Areas under the damage of clips against the budget, (N,): one attack's, and the best's."""

    own: Floats
    best: Floats

    @property
    def optimality(self) -> float:
        """The attack's area as a share of the best one: 1 the best of all, 0 no damage at all.

        The local optimality of AttackBench (Cinà et al., AAAI 2025), 1 - (A - A*) / (A0 - A*) with
        A the area under what is left, A* the per-clip best's and A0 that of no attack. nan where
        no attack does any damage.
        """
        return float(self.own.sum() / self.best.sum()) if self.best.sum() > 0 else float("nan")


def areas(damage: Reals, rivals: Sequence[Reals], budgets: Sequence[float]) -> Areas:
    """Areas of one attack and of the best of `rivals` for each clip, itself among them.

    Damage is (M, N), at M ascending budgets, in any unit, not below 0 where nothing was done; it
    is 0 at a budget of 0, and a clip keeps what a smaller budget did to it. Between budgets it is
    linear.
    """
    best = np.max([risen(each) for each in (damage, *rivals)], axis=0)
    return Areas(_area(risen(damage), budgets), _area(best, budgets))


def risen(damage: Reals) -> Floats:
    """Damage (M, N) that no larger budget undoes, and that is not below 0."""
    found: Floats = np.maximum.accumulate(np.maximum(np.asarray(damage, np.float64), 0.0), axis=0)
    return found


def _area(damage: Floats, budgets: Sequence[float]) -> Floats:
    whole = np.concatenate([np.zeros((1, damage.shape[1])), damage])
    found: Floats = np.trapezoid(whole, np.array([0.0, *budgets]), axis=0)
    return found
