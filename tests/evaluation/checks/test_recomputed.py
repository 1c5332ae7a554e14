"""The check that recomputes AP and AUC with scikit-learn, and rankings that it must find out."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mmlib.evaluation.checks import recomputed
from mmlib.evaluation.checks.recomputed import largest_gap, scores_match_scikit_learn
from mmlib.metrics.ranking import Ranking, rank
from mmlib.metrics.stored import AttackScores, Condition
from tests.fake_run import labels_of, write_run

CLIPS = 60


@pytest.fixture
def table(tmp_path: Path) -> AttackScores:
    """Clean and six conditions; the last of its four classes has no positive."""
    write_run(tmp_path, clips=CLIPS)
    return AttackScores(tmp_path / "data/attacks/audio.parquet")


@pytest.fixture
def labels() -> NDArray[np.bool_]:
    return labels_of(CLIPS, "multi_label").astype(np.bool_)


def coarse(_: AttackScores, condition: Condition) -> NDArray[np.float32]:
    """Scores of four levels, so that most clips tie with others."""
    rng = np.random.default_rng(len(str(condition)))
    return rng.integers(0, 4, (CLIPS, 4)).astype(np.float32)


def without_ties(labels: NDArray[np.bool_], scores: NDArray[np.float32]) -> Ranking:
    """A ranking that breaks ties by the order of the clips."""
    order = np.argsort(np.argsort(scores, axis=0, kind="stable"), axis=0)
    return rank(labels, order)


def test_every_condition_matches(table: AttackScores, labels: NDArray[np.bool_]) -> None:
    found = scores_match_scikit_learn(table, labels, seed=0)
    assert found.name == "scores_match_scikit_learn"
    assert found.status == "pass"
    assert found.message.startswith("AP and AUC of 7 of 7 conditions: largest difference ")


def test_a_ranking_that_ignores_ties_is_found_out(
    table: AttackScores, labels: NDArray[np.bool_], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AttackScores, "scores", coarse)
    assert scores_match_scikit_learn(table, labels, seed=0).status == "pass"
    monkeypatch.setattr(recomputed, "rank", without_ties)
    found = scores_match_scikit_learn(table, labels, seed=0)
    assert found.status == "fail"
    assert ", under " in found.message


def test_the_condition_that_differs_is_named(
    table: AttackScores, labels: NDArray[np.bool_], monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = table.scores(Condition("A", "pgd", 10.0))

    def wrong_once(truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> Ranking:
        found = rank(truth, scores)
        return found._replace(roc_auc=found.roc_auc + 1e-6 * np.array_equal(scores, stale))

    monkeypatch.setattr(recomputed, "rank", wrong_once)
    found = scores_match_scikit_learn(table, labels, seed=0)
    assert found.status == "fail"
    assert found.message.endswith("largest difference 1e-06, under pgd A at 10 times attack.eps")


def test_a_large_run_is_checked_in_part(table: AttackScores, labels: NDArray[np.bool_]) -> None:
    size = labels.size
    found = scores_match_scikit_learn(table, labels, seed=0, most=3 * size)
    assert "3 of 7 conditions, drawn by the seed" in found.message
    assert found == scores_match_scikit_learn(table, labels, seed=0, most=3 * size)
    clean_alone = scores_match_scikit_learn(table, labels, seed=0, most=1)
    assert "1 of 7 conditions" in clean_alone.message
    assert clean_alone.status == "pass"


def test_classes_of_one_kind_are_skipped_alike(
    labels: NDArray[np.bool_], monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = np.random.default_rng(0).random((CLIPS, 4)).astype(np.float32)
    edge = labels.copy()
    edge[:, 0] = True
    assert largest_gap(edge, scores) < 1e-9
    assert largest_gap(np.zeros_like(labels), scores) == 0
    zeros = Ranking(*np.zeros((2, 4)))
    monkeypatch.setattr(recomputed, "rank", lambda *_: zeros)
    assert largest_gap(labels, scores) == np.inf
