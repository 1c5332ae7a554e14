"""The area under a robustness curve, against numpy's trapezoids and scores whose curve is known."""

from pathlib import Path

import numpy as np
import pytest

from mmlib.metrics.ranking import summary
from mmlib.metrics.scores.area import areas, log_weights
from mmlib.metrics.scores.conditions import score_run
from mmlib.metrics.stored import AttackScores, Condition, read_labels
from tests.fake_run import write_run


def test_weights_are_those_of_trapezoids_on_a_logarithmic_axis() -> None:
    budgets, values = np.array([0.25, 0.5, 2.0, 25.0]), np.array([0.9, 0.7, 0.4, 0.1])
    found = float(log_weights(budgets) @ values)
    logs = np.log(budgets)
    assert found == pytest.approx(np.trapezoid(values, logs) / (logs[-1] - logs[0]))
    assert log_weights(budgets).sum() == pytest.approx(1)
    assert log_weights(np.array([1.0])).tolist() == [1.0]


def test_the_area_is_the_share_of_clean_map_that_the_curve_keeps(tmp_path: Path) -> None:
    write_run(tmp_path, "mid")
    attacks = AttackScores(tmp_path / "data/attacks/mid.parquet")
    ids, labels = read_labels(tmp_path / "data/embeddings/mid.parquet", "eval")
    clean = summary(labels, attacks.scores(Condition("clean", "clean", 0.0)), "multi_label")["mAP"]
    found = areas(score_run(attacks, ids, labels, confidence=0.95), 0.95)
    assert list(found) == list(attacks.threats)
    for threat, area in found.items():
        multiples = np.array(sorted(attacks.sweep(threat, "pgd")))
        curve = [
            summary(labels, attacks.scores(Condition(threat, "pgd", m)), "multi_label")["mAP"]
            for m in multiples
        ]
        logs = np.log(multiples)
        expected = np.trapezoid(curve, logs) / (logs[-1] - logs[0]) / clean
        assert area.estimate == pytest.approx(float(expected))
        assert area.lo < area.hi
        assert abs((area.lo + area.hi) / 2 - area.estimate) < 0.1
