"""Clips of one recording: what they do to intervals, and that they do no more than that."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.metrics.intervals import jackknife_interval
from mmlib.metrics.ranking import average_precision, present_mean
from mmlib.metrics.scores.jackknife import pseudo_values
from mmlib.metrics.scores.recordings import by_recording, read_recordings
from mmlib.runtime.errors import UserError
from mmlib.shards.rows.ledger import write_ledger
from tests.ledger_rows import row, table
from tests.metrics.test_jackknife import true_ap
from tests.properties import examples


@examples(60)
@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 1000))
def test_the_error_is_the_textbook_s(recordings: int, most: int, seed: int) -> None:
    """That of a mean whose clips go together: G / (G - 1) times the squared sums, over N²."""
    rng = np.random.default_rng(seed)
    names = np.repeat(np.arange(recordings), rng.integers(1, most + 1, recordings)).astype(str)
    values = rng.standard_normal(len(names))
    found = by_recording(values, names)
    assert found.mean() == pytest.approx(values.mean())
    sums = [(values[names == name] - values.mean()).sum() for name in np.unique(names)]
    if recordings > 1:
        squared = recordings / (recordings - 1) * np.square(sums).sum() / len(names) ** 2
        assert found.var(ddof=1) / recordings == pytest.approx(squared)


def test_clips_with_a_recording_each_stand_as_they_are() -> None:
    values = np.random.default_rng(0).standard_normal(30)
    names = np.array([f"r{place:02d}" for place in range(30)])
    np.testing.assert_allclose(by_recording(values, names), values)
    assert by_recording(values, None) is values
    # nor is there anything to gain from counting a clip several times
    np.testing.assert_allclose(by_recording(np.repeat(values, 4), np.repeat(names, 4)), values)


def test_intervals_hold_the_truth_where_clips_of_a_recording_are_alike() -> None:
    """40 recordings of 5 clips: taken as 200 clips, every fourth interval misses the truth."""
    rng, draws, held = np.random.default_rng(5), 60, np.zeros(2)
    names, truth = np.repeat(np.arange(40), 5).astype(str), float(true_ap(0.17, 1.5))
    for _ in range(draws):
        labels = np.repeat(rng.random((40, 12)) < 0.17, 5, axis=0)
        shared = np.repeat(rng.standard_normal((40, 12)), 5, axis=0)
        own = rng.standard_normal(labels.shape)
        scores = np.sqrt(0.5) * (shared + own) + 1.5 * labels
        pseudo, estimate = pseudo_values(labels, scores), _mean_ap(labels, scores)
        for place, values in enumerate((pseudo, by_recording(pseudo, names))):
            interval = jackknife_interval(values, estimate, 0.95)
            held[place] += interval.lo <= truth <= interval.hi
    # 0.72 and 0.92 of 250 draws
    assert held[0] < 0.85 * draws < held[1]


def test_recordings_are_read_in_the_order_of_the_clips(tmp_path: Path) -> None:
    path = tmp_path / "ledger.parquet"
    rows = [{**row(name, "eval", ("Rain",)), "source_id": f"of {name[0]}"} for name in ("a2", "a1")]
    write_ledger(path, [table(rows)])
    assert read_recordings(path, np.array(["a1", "a2"])).tolist() == ["of a", "of a"]
    with pytest.raises(UserError, match=r"ledger\.parquet: does not know clip b1"):
        read_recordings(path, np.array(["a1", "b1"]))


def _mean_ap(labels: np.ndarray, scores: np.ndarray) -> float:
    return present_mean(average_precision(labels, scores))
