"""Do the class-wise metrics predict robustness? On made-up classes, and on the authors' table."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmlib.report.comparison import predictors
from mmlib.report.comparison.verdict import Claim, adjusted
from mmlib.runtime.arrays import Array, Floats

SETTINGS: dict[str, Any] = {"resamples": 300, "confidence": 0.95, "seed": 0}


def classes(count: int, *, own: float, through_clean: float) -> dict[str, Array]:
    """Classes whose kept share follows kappa itself, and clean AP, which kappa follows too."""
    rng = np.random.default_rng(0)
    clean, noise = rng.uniform(0.2, 0.9, count), rng.normal(0, 0.05, count)
    kappa = np.clip(clean + rng.normal(0, 0.1, count), 0, 1)
    kept = 0.1 + own * kappa + through_clean * clean + noise
    return {
        "class": np.array([f"class {k}" for k in range(count)]),
        "class_size": rng.integers(5, 500, count).astype(float),
        "clean_ap": clean,
        "kappa": kappa,
        "kappa_conditioned": np.ones(count),
        "rho": rng.standard_normal(count),
        "log_density": np.full(count, np.nan),
        "AV_relative_drop": 1 - kept,
        "AV_drop": clean * (1 - kept),
    }


def found(table: dict[str, Array], metric: str) -> predictors.Prediction:
    every = predictors.predict("mid", table, ["AV", "A"], **SETTINGS)
    assert {(p.threat, p.drop) for p in every} == {("AV", "relative"), ("AV", "absolute")}
    return next(p for p in every if p.metric == metric and p.drop == "relative")


def test_a_metric_that_predicts() -> None:
    prediction = found(classes(200, own=0.8, through_clean=0.0), "kappa")
    assert prediction.verdict == "supported"
    assert prediction.partial.lo > 0.3
    assert "predicts robustness beyond" in prediction.sentence


def test_a_metric_that_only_repeats_clean_ap() -> None:
    prediction = found(classes(400, own=0.0, through_clean=0.8), "kappa")
    assert prediction.pearson.lo > 0.5
    assert abs(prediction.partial.r) < 0.15
    assert prediction.verdict == "not supported"
    assert "adds little to what clean AP and class size say" in prediction.sentence
    assert "below 0.3" in prediction.sentence


def test_no_relation_and_too_few_classes() -> None:
    none = found(classes(400, own=0.0, through_clean=0.0), "rho")
    assert none.verdict == "not supported"
    assert "weakly at most: r lies below 0.3" in none.sentence
    few = found(classes(12, own=0.1, through_clean=0.0), "rho")
    assert few.verdict == "undecided"
    assert "These 12 classes do not tell" in few.sentence


def test_constant_and_undefined_metrics_are_undecided() -> None:
    table = classes(30, own=0.5, through_clean=0.0)
    for metric in ("kappa_conditioned", "log_density"):
        prediction = found(table, metric)
        assert prediction.verdict == "undecided"
        assert "is constant, or defined for too few classes" in prediction.sentence


def test_balanced_classes_leave_clean_ap_as_the_only_covariate() -> None:
    table = classes(100, own=0.5, through_clean=0.2)
    table["class_size"] = np.full(100, 80.0)
    assert np.isfinite(found(table, "kappa").partial.r)


def test_claims_are_rows_with_the_paper_s_figures_where_they_are_defined() -> None:
    every = predictors.predict("mid", classes(50, own=0.5, through_clean=0.1), ["AV"], **SETTINGS)
    rows = predictors.claims(every, 0.95)
    assert [row.key for row in rows] == [
        "predicts_kappa_mid_AV",
        "predicts_rho_mid_AV",
    ]
    assert "527 classes" in rows[0].paper
    assert rows[0].n == 50
    assert rows[0].lean == "supported"


@pytest.mark.parametrize("count", [8, 12, 30, 200])
@pytest.mark.parametrize("own", [-0.5, 0.0, 0.2, 0.8])
def test_a_claim_alone_agrees_with_its_intervals(count: int, own: float) -> None:
    """A verdict "supported" asks the t test too, so that it may stay undecided."""
    table = classes(count, own=own, through_clean=0.2)
    every = predictors.predict("mid", table, ["AV"], drops=["relative"], **SETTINGS)
    by_key = {predictors.claim_key(prediction): prediction for prediction in every}
    for row in adjusted_alone(every):
        verdict = by_key[row.key].verdict
        assert row.verdict == verdict or (row.verdict, verdict) == ("undecided", "supported")
        if row.verdict == "supported":
            assert row.p >= by_key[row.key].pearson.p


def adjusted_alone(every: Sequence[predictors.Prediction]) -> list[Claim]:
    rows = predictors.claims(every, SETTINGS["confidence"])
    return [adjusted([row], SETTINGS["confidence"])[0] for row in rows]


def test_trend() -> None:
    x = np.array([0.0, 1.0, 2.0, np.nan])
    assert predictors.trend(x, 3 * x + 1) == pytest.approx((3.0, 1.0))
    assert predictors.trend(np.ones(3), np.arange(3.0)) is None
    assert predictors.trend(x[3:], x[3:]) is None


def test_the_authors_own_table_does_not_support_the_claim(shared_dir: Path) -> None:
    with (shared_dir / "data" / "authors_per_class.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))

    def column(name: str) -> Floats:
        return np.array([float(row[name]) for row in rows])

    clean, attacked = column("ap_clean_latefusion0427"), column("ap_adv_latefusion0033")
    table: dict[str, Array] = {
        "class_size": column("train_label_count"),
        "clean_ap": clean,
        "kappa": column("kappa_p01"),
        "AV_relative_drop": 1 - attacked / clean,
    }
    (prediction,) = predictors.predict("authors", table, ["AV"], drops=["relative"], **SETTINGS)
    assert prediction.pearson.r == pytest.approx(-0.005, abs=0.001)
    assert prediction.pearson.n == 527
    assert prediction.verdict == "not supported"
    assert "weakly at most: r lies below 0.3" in prediction.sentence
