"""Paired comparisons and the paper's claims, on runs whose order is known."""

from pathlib import Path

import numpy as np
import pytest

from mmlib.metrics.intervals import (
    Interval,
    jackknife_interval,
    jackknife_p,
)
from mmlib.metrics.ranking import (
    average_precision,
    present_mean,
)
from mmlib.metrics.scores.jackknife import pseudo_values
from mmlib.metrics.stored import (
    AttackScores,
    Condition,
)
from mmlib.report.comparison.claims import claims
from mmlib.report.comparison.paired import (
    PairedRuns,
    Where,
    noise_of,
)
from mmlib.report.comparison.verdict import (
    Claim,
    about_zero,
    above_zero,
    adjusted,
)
from mmlib.runtime.errors import UserError
from tests.fake_run import labels_of, write_run

ROLES = {
    "audio": "audio",
    "video": "video",
    "fusion": "mid",
    "mixup": "mixup",
    "adversarial": "hardened",
}
COSTS = {
    "mixup": {"forward_passes": 100.0, "backward_passes": 100.0, "clips_seen": 100.0},
    "adversarial": {"forward_passes": 400.0, "backward_passes": 400.0, "clips_seen": 100.0},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    write_run(root, "audio", threats={"A": 2.0}, strength=1.2, clips=200, seed=1)
    write_run(root, "video", threats={"V": 2.0}, strength=1.0, clips=200, space="video", seed=2)
    three = {"A": 0.8, "V": 0.5, "AV": 2.5}
    write_run(root, "mid", threats=three, strength=2.2, clips=200, space="fused", seed=3)
    soft = {threat: 0.4 * damage for threat, damage in three.items()}
    write_run(root, "mixup", threats=soft, strength=2.1, clips=200, space="fused", seed=4)
    write_run(root, "hardened", threats=soft, strength=1.4, clips=200, space="fused", seed=5)
    return root


@pytest.fixture(scope="module")
def runs(root: Path) -> PairedRuns:
    return PairedRuns(root, ROLES, confidence=0.95)


@pytest.fixture(scope="module")
def rows(runs: PairedRuns) -> dict[str, Claim]:
    starts = {"mixup": "fusion", "adversarial": "fusion"}
    return {row.key: row for row in claims(runs, COSTS, starts=starts)}


def test_differences_are_paired(root: Path, runs: PairedRuns) -> None:
    clean, attacked = Where("fusion"), Where("fusion", "A")
    effect = runs.difference(runs.mean_ap(clean), runs.mean_ap(attacked))
    scores = AttackScores(root / "data/attacks/mid.parquet")
    labels = labels_of(200, "multi_label")
    pair = [
        scores.scores(condition)
        for condition in (Condition("clean", "clean", 0.0), Condition("A", "pgd", 1.0))
    ]
    one, two = (pseudo_values(labels, scores) for scores in pair)
    before, after = (present_mean(average_precision(labels, scores)) for scores in pair)
    assert effect.interval == jackknife_interval(one - two, before - after, 0.95)
    assert effect.p == jackknife_p(one - two, before - after)
    # the same clips are hard for both: the paired interval is narrower than an unpaired one
    assert (one - two).std() < np.hypot(one.std(), two.std())


def test_a_run_against_itself_differs_by_nothing(root: Path) -> None:
    twice = PairedRuns(root, {"a": "mid", "b": "mid"}, confidence=0.95)
    effect = twice.difference(twice.mean_ap(Where("a")), twice.mean_ap(Where("b")))
    np.testing.assert_array_equal(effect.interval, 0)
    assert effect.p == 1.0


def test_relative_drop_and_noise(runs: PairedRuns) -> None:
    attacked = Where("fusion", "AV")
    drop = runs.relative_drop(attacked)
    clean = runs.mean_ap(Where("fusion")).estimate
    assert drop.estimate == pytest.approx(1 - runs.mean_ap(attacked).estimate / clean)
    # of one run the ratio's error lies below that of its parts: to first order as differences say
    rest = 1 - drop.pseudo.mean()
    parts = (runs.mean_ap(where).pseudo for where in (attacked, Where("fusion")))
    top, bottom = parts
    assert rest == pytest.approx(top.mean() / bottom.mean())
    moved = (top.sum() - top) / (bottom.sum() - bottom)
    assert drop.pseudo.std() == pytest.approx(199 * moved.std(), rel=0.02)
    assert runs.mean_ap(noise_of(attacked)).estimate > runs.mean_ap(attacked).estimate


def test_claims_of_the_paper_come_out_as_the_runs_were_made(rows: dict[str, Claim]) -> None:
    for key in (
        "fusion_audio",
        "fusion_video",
        "order_AV_A",
        "order_A_V",
        "order_V_clean",
        "matched_A",
        "matched_A_relative",
        "matched_V",
        "mixup_protects",
        "mixup_adversarial",
        "mixup_clean",
        "mixup_cost",
        "noise_audio_A",
        "noise_fusion_AV",
    ):
        assert rows[key].verdict == "supported", rows[key]
        assert rows[key].effect.estimate > 0
    assert "matched_total" in rows
    assert "gblend" not in rows
    cost = rows["mixup_cost"]
    assert cost.effect.estimate == 0.75
    assert np.isnan([cost.effect.lo, cost.p, cost.p_adjusted]).all()
    assert rows["fusion_audio"].paper == "0.427 against 0.383"
    assert rows["fusion_audio"].n == 200
    assert rows["fused_as_low"].verdict == about_zero(rows["fused_as_low"].effect)
    assert rows["mixup_adversarial"].compared.startswith("mixup under A+V 0.")
    assert all(row.p <= row.p_adjusted for row in rows.values() if not np.isnan(row.p))


def test_claims_that_lack_a_run_are_left_out(root: Path) -> None:
    only = PairedRuns(root, {"audio": "audio"}, confidence=0.95)
    assert [row.key for row in claims(only)] == ["noise_audio_A"]


def test_a_retrained_run_is_held_against_its_own_start_alone(root: Path) -> None:
    names = {"fusion": "mid", "mixup": "mixup"}
    runs = PairedRuns(root, names, confidence=0.95)
    assert not any(row.key == "mixup_protects" for row in claims(runs))
    (row,) = (r for r in claims(runs, starts={"mixup": "fusion"}) if r.key == "mixup_protects")
    assert row.compared.startswith("mixup under A+V 0.")
    assert "mid under A+V" in row.compared


def test_retrained_runs_of_one_modality_are_compared_under_its_attack(tmp_path: Path) -> None:
    for seed, name in enumerate(("audio", "mixed", "hardened", "seen")):
        threat = "V" if name == "seen" else "A"
        write_run(tmp_path, name, threats={threat: 1.0}, seed=seed)
    names = {"audio": "audio", "mixup": "mixed", "adversarial": "hardened", "plain": "seen"}
    runs = PairedRuns(tmp_path, names, confidence=0.95)
    rows = {row.key: row for row in claims(runs, COSTS, starts={"mixup": "audio"})}
    assert rows["mixup_adversarial"].statement.startswith("Under A, mixup protects")
    assert rows["mixup_protects"].statement == "Mixup protects against A."
    assert rows["mixup_protects"].paper == ""
    assert "mixup_cost" in rows
    assert not {"mixup_plain", "adversarial_plain", "adversarial_protects"} & set(rows)


def test_models_of_other_modalities_are_not_compared(root: Path) -> None:
    names = {"mixup": "audio", "adversarial": "hardened"}
    runs = PairedRuns(root, names, confidence=0.95)
    assert not any(row.key.startswith("mixup") for row in claims(runs, COSTS))


def test_verdicts() -> None:
    assert above_zero(Interval(0.2, 0.1, 0.3)) == "supported"
    assert above_zero(Interval(0.1, -0.1, 0.3)) == "undecided"
    assert above_zero(Interval(-0.2, -0.3, -0.1)) == "not supported"
    assert about_zero(Interval(0.0, -0.04, 0.04)) == "supported"
    assert about_zero(Interval(0.0, -0.04, 0.09)) == "undecided"
    assert about_zero(Interval(0.1, 0.06, 0.2)) == "not supported"
    assert adjusted([]) == []


def test_runs_on_other_clips_are_refused(root: Path, tmp_path: Path) -> None:
    for name, clips in (("one", 40), ("two", 50)):
        write_run(tmp_path, name, clips=clips)
    with pytest.raises(UserError, match="other eval clips than those of one"):
        PairedRuns(tmp_path, {"a": "one", "b": "two"}, confidence=0.9)
    with pytest.raises(UserError, match="no runs"):
        PairedRuns(root, {}, confidence=0.9)
