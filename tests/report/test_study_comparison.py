"""Means and paired differences over seeds, matched comparisons, and their verdicts."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy

from mmlib.metrics.intervals import (
    both_interval,
    both_p,
    jackknife_interval,
    jackknife_p,
    t_interval,
    t_p,
)
from mmlib.params.whole.file import load
from mmlib.report.comparison.study import (
    Study,
    read,
)
from mmlib.report.comparison.study_claims import (
    adversarial,
    best,
    claims,
    find,
    full_rule,
    plain,
)
from mmlib.report.comparison.verdict import Claim, adjusted
from mmlib.runtime.errors import UserError
from tests import fake_study
from tests.conftest import ROOT

VALUES = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=3, max_size=8)


@given(VALUES, st.floats(-5, 5))
def test_t_interval_is_scipy_s_and_moves_with_the_values(values: list[float], shift: float) -> None:
    if len(set(values)) == 1:
        return
    found = t_interval(values, 0.95)
    expected = scipy.t.interval(0.95, len(values) - 1, np.mean(values), scipy.sem(values))
    assert found[1:] == pytest.approx(expected)
    assert t_p(values) == pytest.approx(scipy.ttest_1samp(values, 0).pvalue)
    moved = t_interval(np.array(values) + shift, 0.95)
    assert np.subtract(moved, shift) == pytest.approx(np.array(found), abs=1e-9)
    assert (found.lo > 0 or found.hi < 0) == (t_p(values) < 0.05)


def test_t_interval_of_too_few_or_equal_values() -> None:
    assert np.isnan(t_interval([0.5], 0.95)[1:]).all()
    assert np.isnan(t_p([0.5]))
    assert t_interval([0.5, 0.5], 0.95) == (0.5, 0.5, 0.5)
    assert (t_p([0.5, 0.5]), t_p([0.0, 0.0])) == (0.0, 1.0)


def test_chance_is_called_a_difference_no_more_often_than_said() -> None:
    """Ten seeds, whose luck moves the mean as much as that of the clips: by the seeds and by the
    clips alone a ninth of the draws would be a difference."""
    rng = np.random.default_rng(0)
    draws, clips, seeds, found = 600, 50, 10, np.zeros(2)
    for _ in range(draws):
        pseudo, luck = rng.normal(0, 1, clips), rng.normal(0, np.sqrt(seeds / clips), seeds)
        values, mean = pseudo.mean() + luck, float(pseudo.mean() + luck.mean())
        pseudo = pseudo + luck.mean()
        alone, both = max(jackknife_p(pseudo, mean), t_p(values)), both_p(values, pseudo, mean)
        found += (alone < 0.05, max(alone, both) < 0.05)
    # 0.114 and 0.051 of 150,000 draws
    assert found[0] > 0.08 * draws
    assert found[1] <= scipy.binom.ppf(0.999, draws, 0.051)


def test_both_is_the_clips_interval_where_seeds_agree_and_the_seeds_where_clips_do() -> None:
    pseudo, values = np.random.default_rng(0).normal(0.1, 1, 200), np.array([0.2, 0.3, 0.5])
    same = np.full(3, pseudo.mean())
    expected = jackknife_interval(pseudo, pseudo.mean(), 0.95)
    assert both_interval(same, pseudo, pseudo.mean(), 0.95) == pytest.approx(expected)
    mean = values.mean()
    found = both_interval(values, np.full(200, mean), mean, 0.95)
    assert found == pytest.approx(t_interval(values, 0.95))
    for level in (0.5, 0.9, 0.99):
        interval = both_interval(values, pseudo, 0.3, level)
        assert (interval.lo > 0) == (both_p(values, pseudo, 0.3) < 1 - level)
    assert both_p(values, np.full(200, mean), mean) == pytest.approx(t_p(values))
    assert (both_p(np.zeros(3), np.zeros(9), 0.0), both_p(np.ones(3), np.ones(9), 1.0)) == (1, 0)
    assert np.isnan(both_interval([0.1], pseudo, 0.1, 0.95)[1:]).all()


def test_a_mean_whose_bias_takes_it_over_zero_decides_nothing(tmp_path: Path) -> None:
    found = study(tmp_path)
    row = found.rows["pgd"]
    shifted = {t: {s: v - 2 for s, v in part.items()} for t, part in row.pseudo.items()}
    rows = {**found.rows, "pgd": replace(row, pseudo=shifted)}
    assert replace(found, rows=rows).gap("pgd", "plain", "AV").p == 1


def study(root: Path, **chosen: object) -> Study:
    shutil.copy(ROOT / "params.yaml", root / "params.yaml")
    fake_study.write(root, **chosen)  # type: ignore[arg-type]
    found = read(root, load(root / "params.yaml"))
    assert found is not None
    return found


def judged(root: Path, **chosen: object) -> list[Claim]:
    return adjusted(claims(study(root, **chosen), {}), 0.95)


def test_a_study_that_is_off_or_has_not_run_is_none(tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    assert read(tmp_path, load(tmp_path / "params.yaml")) is None
    assert claims(None, {}) == []


def test_a_difference_is_paired_by_seed_and_by_clip(tmp_path: Path) -> None:
    found = study(tmp_path)
    gap = found.gap("pgd", "plain", "AV")
    values = found.rows["pgd"].values("AV") - found.rows["plain"].values("AV")
    assert gap.seeds == t_interval(values, found.confidence)
    assert gap.p >= t_p(values)
    # what moves both rows alike is not in the difference: far narrower than a row's own interval
    pseudo = found.rows["pgd"].pseudo["AV"][2022]
    own = jackknife_interval(pseudo, pseudo.mean(), found.confidence)
    assert gap.clips.hi - gap.clips.lo < (own.hi - own.lo) / 3
    assert gap.hull.lo == min(gap.seeds.lo, gap.clips.lo, gap.both.lo)
    assert gap.hull.hi == max(gap.seeds.hi, gap.clips.hi, gap.both.hi)
    back = found.gap("plain", "pgd", "AV")
    assert back.seeds.estimate == pytest.approx(-gap.seeds.estimate)
    assert found.gap("plain", "plain", "AV").hull == (0.0, 0.0, 0.0)


def test_rows_are_matched_by_counted_passes_or_by_epochs(tmp_path: Path) -> None:
    found = study(tmp_path)
    robust = adversarial(found)
    assert robust is not None
    assert robust.name == "pgd"
    for kind, epochs, passes in (
        (plain, "plain", "plain_long"),
        (full_rule, "mixup", "mixup_long"),
    ):
        matched = [find(found, kind, robust, at=at) for at in ("epochs", "passes")]
        assert [row.name for row in matched if row] == [epochs, passes]
    assert found.rows["plain_long"].passes == robust.passes
    few = study(tmp_path, rows=("plain", "pgd"))
    assert find(few, plain, few.rows["pgd"], at="passes") is None


def test_claims_follow_the_figures(tmp_path: Path) -> None:
    found = {claim.key: claim for claim in judged(tmp_path)}
    verdicts = {key: claim.verdict for key, claim in found.items()}
    assert verdicts["study_mixup_adversarial_epochs"] == "not supported"
    assert verdicts["study_mixup_adversarial_passes"] == "not supported"
    assert verdicts["study_mixup_clean_epochs"] == "supported"
    assert verdicts["study_mixup_plain_passes"] == "supported"
    assert verdicts["study_adversarial_plain_epochs"] == "supported"
    assert verdicts["study_gblend_blended"] == "supported"
    assert found["study_guided_unguided_mixup"].compared.startswith("mixup under A+V 0.")
    assert all(claim.n == 3 for claim in found.values())
    assert "16,000 passes" in found["study_mixup_adversarial_passes"].compared


def test_the_strength_that_is_best_on_val_has_its_own_claims(tmp_path: Path) -> None:
    found = study(tmp_path)
    robust = adversarial(found)
    assert robust is not None
    # on eval the first row keeps more, on val the second
    chosen = best(found, robust, at="epochs")
    assert chosen is not None
    assert chosen.name == "mixup_double"
    assert chosen.values("AV").mean() < found.rows["mixup"].values("AV").mean()
    named = {claim.key: claim for claim in claims(found, {})}
    assert named["study_best_adversarial_epochs"].compared.startswith("mixup_double under")
    assert "best on val (double)" in named["study_best_unguided_epochs"].statement
    # one row alone is no choice
    assert best(found, robust, at="passes") is None


@pytest.mark.parametrize(("anchors", "lambdas"), [(0.09, 0.02), (0.12, 0.02), (0.0, 0.2)])
def test_guidance_that_barely_differs_from_none_is_not_tested(
    tmp_path: Path, anchors: float, lambdas: float
) -> None:
    dose = {"anchors": anchors, "lambdas": lambdas, "partners": 0.5}
    guides = {"temperature": {"dose": dose}}
    found, without = (
        {c.key: c for c in adjusted(claims(study(tmp_path), known), 0.95)} for known in (guides, {})
    )
    weak = max(anchors, lambdas) < 0.1
    key = "study_guided_unguided_mixup"
    assert (found[key].verdict == "not tested") == weak
    assert ("the guidance barely differs from none (9 %" in found[key].compared) == weak
    assert np.isnan(found[key].p) == weak
    # mixup as such was tested all the same
    key = "study_mixup_adversarial_epochs"
    assert found[key].verdict == without[key].verdict == "not supported"


def test_luck_that_is_larger_than_the_effect_decides_nothing(tmp_path: Path) -> None:
    found = {claim.key: claim for claim in judged(tmp_path, spread=0.5)}
    assert found["study_mixup_plain_epochs"].verdict == "undecided"


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    found = judged(tmp_path, seeds=(2022,))
    assert {claim.verdict for claim in found} == {"undecided"}
    assert all(claim.n == 1 and np.isnan(claim.p) for claim in found)


def test_a_broken_file_is_one_clear_line(tmp_path: Path) -> None:
    study(tmp_path)
    (tmp_path / "metrics/study/plain.csv").write_text("seed,part\n2022,headline\n")
    with pytest.raises(UserError, match=r"plain\.csv: cannot be read as figures of a study"):
        read(tmp_path, load(tmp_path / "params.yaml"))
