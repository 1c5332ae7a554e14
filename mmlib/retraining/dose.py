"""The dose of a guide: how much of what it draws would be drawn otherwise without it.

Each part is a total variation, the share of draws that differ between the guided and the unguided
distribution under the best coupling of the two: 0 where the guide changes nothing, and no larger
effect on a model than that share of its training can be the guide's doing.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import betainc, betaln

from mmlib.retraining.guide import Guide
from mmlib.retraining.pairs import Pairs
from mmlib.retraining.rule import unguided_shares
from mmlib.runtime.arrays import Bytes, Floats


class Dose(NamedTuple):
    """What a guide changes against unguided mixup with Beta(base, base).

    `anchors`, `lambdas`, `partners` in [0, 1]: total variation of the anchor's class, of lambda and
    of the partner, the last two averaged over anchors (and lambda over modalities). `beta_lo` and
    `beta_hi`: the range of a over classes that have clips and modalities. `spread` and
    `spread_unguided`: mean |lambda - 1/2|, at most 1/2; small mixes strongly. `partner_share`: the
    effective share of clips that an anchor's partners come from, exp(entropy) / clips, in (0, 1].
    """

    anchors: float
    lambdas: float
    partners: float
    beta_lo: float
    beta_hi: float
    spread: float
    spread_unguided: float
    partner_share: float

    def as_json(self) -> dict[str, float]:
        """The figures by name, 4 digits."""
        return {name: float(f"{value:.4g}") for name, value in self._asdict().items()}

    def sentence(self) -> str:
        """What the log says."""
        return (
            f"drawn otherwise than without a guide: {self.anchors:.0%} of the anchors, "
            f"{self.lambdas:.0%} of the lambdas, {self.partners:.0%} of the partners; "
            f"Beta(a, a) with a {self.beta_lo:.2g} to {self.beta_hi:.2g}, E|lambda - 1/2| "
            f"{self.spread:.3f} (unguided {self.spread_unguided:.3f})"
        )


def dose(guide: Guide, labels: Bytes, distances: Floats, base: float) -> Dose:
    """Measure a guide on the train clips' labels (N, K), `distances` (M,) as in `Pairs`."""
    shares = unguided_shares(labels)
    weight = shares if guide.class_weight is None else guide.class_weight
    drawn = np.flatnonzero(weight)
    a = np.stack(list(guide.beta.values()))[:, drawn]
    each = weight[drawn]
    pairs = Pairs(labels, guide, distances)
    chances = [pairs.partner_chances(int(label)) for label in drawn]
    uniform = 1.0 / len(labels)
    return Dose(
        anchors=_variation(weight, shares),
        lambdas=float(each @ beta_variation(a, base).mean(axis=0)),
        partners=float(each @ [_variation(chance, uniform) for chance in chances]),
        beta_lo=float(a.min()),
        beta_hi=float(a.max()),
        spread=float(each @ beta_spread(a).mean(axis=0)),
        spread_unguided=float(beta_spread(np.array(base))),
        partner_share=float(each @ [np.exp(_entropy(chance)) * uniform for chance in chances]),
    )


def beta_spread(a: Floats) -> Floats:
    """E|lambda - 1/2| of Beta(a, a): 4^-a / (a B(a, a)), the mean absolute deviation.

    1/4 at a = 1, towards 1/2 at a = 0 and 0 at infinity. Source: Johnson, Kotz & Balakrishnan 1995,
    Continuous Univariate Distributions 2, section 25.
    """
    return np.asarray(np.exp(-a * np.log(4.0) - np.log(a) - betaln(a, a)))


def beta_variation(a: Floats, base: float) -> Floats:
    """Total variation between Beta(a, a) and Beta(base, base), in [0, 1), for each a.

    Both are symmetric, so their densities cross once below 1/2, where x (1 - x) = (B(a, a) /
    B(base, base))^(1 / (a - base)); one has more mass beyond the crossings, the other between.
    """
    differ = np.abs(a - base) > 1e-9
    gap = np.where(differ, a - base, 1.0)
    product = np.exp((betaln(a, a) - betaln(base, base)) / gap)
    crossing = 0.5 * (1.0 - np.sqrt(np.maximum(1.0 - 4.0 * product, 0.0)))
    tails = np.abs(betainc(a, a, crossing) - betainc(base, base, crossing))
    return np.where(differ, 2.0 * tails, 0.0)


def _variation(one: Floats, other: Any) -> float:
    return float(np.abs(one - other).sum() / 2)


def _entropy(chances: Floats) -> float:
    some = chances[chances > 0]
    return float(-(some * np.log(some)).sum())
