"""Optimality: 1 for the best of all on each clip, 0 for an attack that does nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmlib.metrics.scores.optimality import areas, risen

BUDGETS = (0.5, 1.0, 2.0)


@given(arrays(np.float64, (3, 3, 5), elements=st.floats(0, 10)))
def test_between_nothing_and_the_best_of_all(damage: np.ndarray) -> None:
    rivals = list(damage)
    best = damage.max(0)
    if best.any():
        assert areas(best, rivals, BUDGETS).optimality == pytest.approx(1)
        assert areas(np.zeros_like(best), rivals, BUDGETS).optimality == 0
        assert all(0 <= areas(each, rivals, BUDGETS).optimality <= 1 + 1e-12 for each in rivals)
    else:
        assert np.isnan(areas(best, rivals, BUDGETS).optimality)


def test_attackbench_s_formula() -> None:
    """1 - (A - A*) / (A0 - A*), of the curves of clips that are still right."""
    own = np.array([[0, 0, 0, 1], [0, 1, 0, 1], [0, 1, 1, 1]], float)
    other = np.array([[0, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]], float)
    axis = [0.0, *BUDGETS]

    def left(broken: np.ndarray) -> float:
        right = np.concatenate([[1.0], 1 - broken.mean(1)])
        return float(np.trapezoid(right, axis))

    best = np.maximum(own, other)
    expected = 1 - (left(own) - left(best)) / (BUDGETS[-1] - left(best))
    assert areas(own, [other], BUDGETS).optimality == pytest.approx(expected)


def test_what_a_smaller_budget_did_stays() -> None:
    damage = np.array([[1.0, -1], [0.5, 2], [0.7, 0]])
    assert risen(damage).tolist() == [[1, 0], [1, 2], [1, 2]]
    # 0.5 · 1 / 2 + 1.5 · 1, and 0.5 · 2 / 2 + 1 · 2
    assert areas(damage, [], BUDGETS).own.tolist() == [1.75, 2.5]
