"""Paired comparisons and the paper's claims, on runs whose order is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy

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
    Effect,
    PairedRuns,
    Where,
    noise_of,
)
from mmlib.report.comparison.verdict import (
    NO_VERDICT,
    Claim,
    Judge,
    about_zero,
    above_zero,
    adjusted,
    p_of,
)
from mmlib.runtime.errors import UserError
from tests.fake_run import CLASSES, labels_of, packed, save, write_run

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
    found = claims(runs, COSTS, starts=starts)
    return {row.key: row for row in adjusted(found, runs.confidence)}


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
        "mixup_cost",
        "noise_audio_A",
        "noise_fusion_AV",
    ):
        assert rows[key].verdict == "supported", rows[key]
        assert rows[key].effect.estimate > 0
    assert "gblend" not in rows
    cost = rows["mixup_cost"]
    assert cost.effect.estimate == 0.75
    assert np.isnan([cost.effect.lo, cost.p, cost.p_adjusted]).all()
    assert rows["fusion_audio"].paper == "0.427 against 0.383"
    assert rows["fusion_audio"].n == 200
    assert rows["mixup_adversarial"].compared.startswith("mixup under A+V 0.")


def test_holm_s_p_decides_and_agrees_with_the_interval(rows: dict[str, Claim]) -> None:
    tested = [row for row in rows.values() if row.lean]
    assert len(tested) > 10
    for row in tested:
        assert row.p <= row.p_adjusted
        assert (row.verdict == "undecided") == (row.p_adjusted >= 0.05)
        inside = row.effect.lo > 0 or row.effect.hi < 0
        if row.verdict != "undecided" and row.key != "fused_as_low":
            assert inside
    lone = [adjusted([row], 0.95)[0] for row in tested if row.key != "fused_as_low"]
    for row in lone:
        assert (row.verdict == "supported") == (row.effect.lo > 0)
        assert (row.verdict == "not supported") == (row.effect.hi < 0)


def test_models_of_one_seed_have_a_difference_and_no_verdict(rows: dict[str, Claim]) -> None:
    for key in ("mixup_protects", "mixup_adversarial", "mixup_clean", "adversarial_protects"):
        row = rows[key]
        assert row.statement.startswith("Of these two models, ")
        assert (row.verdict, row.lean) == (NO_VERDICT, None)
        assert row.effect.estimate > 0
        assert not np.isnan([*row.effect, row.p]).any()
        assert np.isnan(row.p_adjusted)
    statement = "retains more mAP under A+V than hardened (adversarial training)."
    assert rows["mixup_adversarial"].statement == f"Of these two models, mixup {statement}"


def test_one_budget_for_both_is_claimed_of_the_attacker_who_shares_it(root: Path) -> None:
    """Without a plane there is no claim; with one, half of each budget is one way to share it."""
    runs = PairedRuns(root, ROLES, confidence=0.95)
    assert "matched_total" not in {row.key for row in claims(runs)}
    path = root / "data/attacks/mid-surface.parquet"
    empty = path.read_bytes()
    scores = AttackScores(root / "data/attacks/mid.parquet").scores(Condition("A", "pgd", 1.0))
    ids = [f"clip-{row:03d}" for row in range(200)]
    columns = {"clip_id": ids, "kind": ["shared"] * 200, "scores": packed(scores)}
    spent = {"audio": np.ones(200), "video": np.zeros(200)}
    save(path, columns | spent, {"classes": CLASSES})
    runs = PairedRuns(root, ROLES, confidence=0.95)
    found = {row.key: row for row in claims(runs)}
    path.write_bytes(empty)
    halved = runs.mean_ap(Where("fusion", "AV", multiple=0.5))
    assert halved.estimate < runs.mean_ap(Where("fusion", "A")).estimate
    expected = runs.difference(halved, runs.mean_ap(Where("audio", "A")))
    assert found["matched_total"].effect == expected.interval
    assert found["matched_total"].compared.startswith("mid under A+V with one shared budget 0.")


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
    expected = "Of these two models, mixed (mixup) retains more mAP under A than "
    assert rows["mixup_adversarial"].statement.startswith(expected)
    assert rows["mixup_protects"].statement == f"{expected}audio."
    assert rows["mixup_protects"].paper == ""
    assert "mixup_cost" in rows
    assert not {"mixup_plain", "adversarial_plain", "adversarial_protects"} & set(rows)


def test_models_of_other_modalities_are_not_compared(root: Path) -> None:
    names = {"mixup": "audio", "adversarial": "hardened"}
    runs = PairedRuns(root, names, confidence=0.95)
    assert not any(row.key.startswith("mixup") for row in claims(runs, COSTS))


INSIDE = Interval(0.0, -0.04, 0.04)


@pytest.mark.parametrize(
    ("judge", "interval", "verdict"),
    [
        (above_zero, Interval(0.2, 0.1, 0.3), "supported"),
        (above_zero, Interval(0.1, -0.1, 0.3), "undecided"),
        (above_zero, Interval(-0.2, -0.3, -0.1), "not supported"),
        # less its bias, the effect lies on the other side of 0
        (above_zero, Interval(0.01, -0.3, -0.1), "undecided"),
        (about_zero, INSIDE, "supported"),
        (about_zero, Interval(0.0, -0.04, 0.09), "undecided"),
        (about_zero, Interval(0.1, 0.06, 0.2), "not supported"),
        (about_zero, Interval(-0.1, -0.2, -0.06), "not supported"),
        (above_zero, Interval(0.1, np.nan, np.nan), "undecided"),
        (about_zero, Interval(0.1, np.nan, np.nan), "undecided"),
    ],
)
def test_verdicts_of_single_rows(judge: Judge, interval: Interval, verdict: str) -> None:
    assert adjusted([row_of(judge, interval)], 0.95)[0].verdict == verdict


def row_of(judge: Judge, interval: Interval) -> Claim:
    lean, p = judge(Effect(interval, p_of(interval, 0.95, 0.0)), 0.95)
    return Claim("", "", "", "", "mAP", interval, 100, p, lean=lean)


def test_many_rows_leave_a_close_one_undecided() -> None:
    close = row_of(above_zero, Interval(0.2, 0.01, 0.39))
    clear = row_of(above_zero, Interval(0.2, 0.1, 0.3))
    counted = replace(close, p=np.nan, lean=None, verdict="supported")
    assert adjusted([close], 0.95)[0].verdict == "supported"
    found = adjusted([close, clear, close, counted], 0.95)
    assert [row.verdict for row in found] == ["undecided", "supported", "undecided", "supported"]
    assert found[0].p_adjusted == pytest.approx(2 * close.p)
    assert np.isnan(found[3].p_adjusted)
    assert adjusted([], 0.95) == []


@given(st.floats(-1, 1), st.floats(0.001, 1), st.floats(-1, 1))
def test_p_is_small_just_where_the_interval_excludes_the_value(
    middle: float, spread: float, value: float
) -> None:
    reach = scipy.norm.ppf(0.975) * spread
    p = p_of(Interval(0.5, middle - reach, middle + reach), 0.95, value)
    expected = 2 * scipy.norm.cdf(-abs(middle - value) / spread)
    assert p == pytest.approx(expected, abs=1e-9)


def test_runs_on_other_clips_are_refused(root: Path, tmp_path: Path) -> None:
    for name, clips in (("one", 40), ("two", 50)):
        write_run(tmp_path, name, clips=clips)
    with pytest.raises(UserError, match="other eval clips than those of one"):
        PairedRuns(tmp_path, {"a": "one", "b": "two"}, confidence=0.9)
    with pytest.raises(UserError, match="no runs"):
        PairedRuns(root, {}, confidence=0.9)
