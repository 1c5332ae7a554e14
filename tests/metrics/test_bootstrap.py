"""Resampled scores against scoring each resampled set the long way."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.metrics import ranking
from mmlib.metrics.scores import bootstrap
from tests.properties import examples


@examples(40)
@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 10_000))
def test_equals_scoring_every_resampled_set(clips: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random((clips, classes)) < 0.3
    scores = rng.integers(-3, 4, (clips, classes)).astype(np.float32)
    counts = bootstrap.resample_counts(clips, 5, seed)
    found = bootstrap.rank_resampled(labels, scores, counts)
    for column in range(5):
        picks = np.repeat(np.arange(clips), counts[:, column].astype(int))
        expected = ranking.rank(labels[picks], scores[picks])
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours[:, column], theirs, atol=1e-12)
        mean = ranking.present_mean(expected.average_precision)
        assert found.mean_average_precision()[column] == pytest.approx(mean, nan_ok=True)


def test_blocks_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.random((200, 6)) < 0.4, rng.standard_normal((200, 6))
    counts = bootstrap.resample_counts(200, 70, 1)
    whole = bootstrap.rank_resampled(labels, scores, counts)
    monkeypatch.setattr(bootstrap, "BLOCK", 1000)
    monkeypatch.setattr(bootstrap, "THREAD_FROM", 0)
    monkeypatch.setenv("MMLIB_WORKERS", "3")
    for one, other in zip(whole, bootstrap.rank_resampled(labels, scores, counts), strict=True):
        np.testing.assert_array_equal(one, other)


def test_counts_are_seeded_resamples() -> None:
    counts = bootstrap.resample_counts(50, 400, 3)
    np.testing.assert_array_equal(counts.sum(axis=0), 50)
    np.testing.assert_array_equal(counts, bootstrap.resample_counts(50, 400, 3))
    assert not np.array_equal(counts, bootstrap.resample_counts(50, 400, 4))
    # with replacement, a clip is absent from a share of (1 - 1/n)^n
    assert (counts == 0).mean() == pytest.approx((1 - 1 / 50) ** 50, abs=0.02)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="no clips"):
        bootstrap.resample_counts(0, 10, 0)
    with pytest.raises(ValueError, match="counts for 3 clips"):
        bootstrap.rank_resampled(np.ones((2, 1)), np.ones((2, 1)), np.ones((3, 1), np.float32))


def test_a_class_is_sorted_once_for_all_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.random((240, 12)) < 0.15, rng.standard_normal((240, 12))
    passes: list[int] = []
    monkeypatch.setattr(np, "unique", _counted(np.unique, passes))
    monkeypatch.setattr(np, "searchsorted", _counted(np.searchsorted, passes))
    for resamples in (10, 1000):
        passes.clear()
        bootstrap.rank_resampled(labels, scores, bootstrap.resample_counts(240, resamples, 0))
        # The levels of the positives, and below and at them each clip.
        assert len(passes) == 12 * 3


def _counted(function: Callable[..., Any], calls: list[int]) -> Callable[..., Any]:
    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        return function(*arguments, **options)

    return counted
