"""The dose of a guide: nothing for one that guides nothing, and more with its strength."""

import numpy as np
import pytest
from scipy import stats

from mmlib.params.whole.file import load
from mmlib.retraining.dose import beta_spread, beta_variation, dose
from mmlib.retraining.guide import Guide
from mmlib.retraining.rule import class_weights, same_class_shares, unguided_shares
from mmlib.runtime.arrays import Bytes
from tests.conftest import ROOT

RULE = load(ROOT / "params.yaml").temperature.rule


def labels_of(clips: int = 80, classes: int = 5) -> Bytes:
    rng = np.random.default_rng(0)
    labels = (rng.random((clips, classes)) < 0.2).astype(np.uint8)
    labels[np.arange(clips), rng.integers(0, classes - 1, clips)] = 1
    labels[:, -1] = 0  # no clip carries the last class
    return labels


LABELS = labels_of()
DISTANCES = np.random.default_rng(1).gamma(4.0, 0.25, int(LABELS.sum()))
NOTHING = Guide(
    classes=tuple("vwxyz"),
    class_weight=None,
    beta={"audio": np.ones(5), "video": np.ones(5)},
    temperature=None,
    same_class_share=None,
    distances={},
)


def guide_of(strength: float) -> Guide:
    a = 1 + strength * np.linspace(0, 1, 5)
    kappa = np.array([0.2, 0.9, 0.5, 0.7, 0.1])
    return Guide(
        classes=NOTHING.classes,
        class_weight=class_weights(kappa, unguided_shares(LABELS), strength),
        beta={"audio": a, "video": a[::-1]},
        temperature=1 / strength,
        same_class_share=same_class_shares(LABELS.sum(axis=0), len(LABELS), 0.5, strength),
        distances={},
    )


@pytest.mark.parametrize("a", [0.2, 1.0, 1.2, 4.0, 30.0])
def test_the_spread_of_lambda_is_an_integral(a: float) -> None:
    expected = stats.beta(a, a).expect(lambda x: abs(x - 0.5))
    assert beta_spread(np.array(a)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("a", "base"), [(1.2, 1.0), (4.0, 1.0), (0.5, 2.0), (3.0, 3.0 + 1e-6)])
def test_the_variation_of_lambda_is_an_integral(a: float, base: float) -> None:
    grid = (np.arange(2_000_000) + 0.5) / 2_000_000
    gap = np.abs(stats.beta.pdf(grid, a, a) - stats.beta.pdf(grid, base, base)).mean() / 2
    assert beta_variation(np.array([a]), base)[0] == pytest.approx(gap, abs=2e-4)


def test_a_guide_that_guides_nothing_has_no_dose() -> None:
    found = dose(NOTHING, LABELS, DISTANCES, 1.0)
    assert found[:3] == pytest.approx([0, 0, 0], abs=1e-12)
    assert found.spread == found.spread_unguided == pytest.approx(0.25)
    assert found.partner_share == pytest.approx(1)


def test_the_dose_grows_with_strength_from_next_to_nothing() -> None:
    doses = [dose(guide_of(s), LABELS, DISTANCES, 1.0) for s in (1e-6, 0.3, 1.0, 2.0, 4.0)]
    for part in ("anchors", "lambdas", "partners", "beta_hi"):
        grown = [getattr(found, part) for found in doses]
        assert all(np.diff(grown) > 0), part
    for part in ("spread", "partner_share"):
        assert all(np.diff([getattr(found, part) for found in doses]) < 0), part
    assert max(doses[0][:3]) < 1e-5
    assert all(0 < share < 1 for share in doses[-1][:3])


def test_the_anchors_and_partners_dose_are_the_difference_of_two_histograms() -> None:
    guide = guide_of(1.0)
    found = dose(guide, LABELS, DISTANCES, 1.0)
    assert guide.class_weight is not None
    assert found.anchors == pytest.approx(
        np.maximum(guide.class_weight - unguided_shares(LABELS), 0).sum()
    )
    assert guide.class_weight[-1] == 0
    # by hand: each partner's chance, of class and of distance
    nearest = np.full(LABELS.shape, np.inf)
    nearest[np.nonzero(LABELS)] = DISTANCES
    closest = np.where(np.isfinite(nearest.min(axis=1)), nearest.min(axis=1), 0)
    total = 0.0
    for label in range(4):
        has = LABELS[:, label] > 0
        same, other = np.exp(-nearest[:, label]) * has, np.exp(-closest) * ~has
        assert guide.same_class_share is not None
        share = guide.same_class_share[label]
        chance = share * same / same.sum() + (1 - share) * other / other.sum()
        total += guide.class_weight[label] * np.abs(chance - 1 / len(LABELS)).sum() / 2
    assert found.partners == pytest.approx(total)
