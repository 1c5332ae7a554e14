import math

import pytest

from mmlib.metrics.intervals import Interval
from mmlib.report import answers
from mmlib.report.comparison.claim import Claim
from mmlib.report.comparison.correlation import Correlation
from mmlib.report.comparison.predictors import Prediction
from mmlib.report.evidence import evidence, side

UP, DOWN, OPEN = Interval(0.1, 0.05, 0.2), Interval(-0.1, -0.2, -0.05), Interval(0.0, -0.1, 0.1)


def claims(**effects: Interval) -> dict[str, Claim]:
    nan = math.nan
    return {
        key: Claim(key, "", "", "", "mAP", effect, 100, nan, nan, "undecided")
        for key, effect in effects.items()
    }


@pytest.mark.parametrize(
    ("audio", "video", "both", "verdict"),
    [
        (UP, UP, UP, "Yes"),
        (DOWN, DOWN, DOWN, "No, "),
        (OPEN, OPEN, OPEN, "Not settled"),
        (UP, UP, DOWN, "Not necessarily: stronger when one modality is attacked, weaker"),
        (UP, UP, OPEN, "Not necessarily: stronger when one modality is attacked, no different"),
        (UP, DOWN, DOWN, "Not necessarily: it depends"),
    ],
)
def test_fusion(audio: Interval, video: Interval, both: Interval, verdict: str) -> None:
    found = answers.fusion(claims(matched_A=audio, matched_V=video, fused_as_low=both))
    assert found.verdict.startswith(verdict)
    assert len(found.evidence) == 3
    assert "+0.100" in " ".join(found.sentences) or UP not in (audio, video, both)


def test_fusion_with_one_part_only() -> None:
    found = answers.fusion(claims(matched_A=UP))
    assert found.verdict.startswith("Yes")
    assert "video" not in " ".join(found.sentences)


@pytest.mark.parametrize(
    ("against", "protects", "verdict"),
    [
        (UP, UP, "Yes"),
        (OPEN, UP, "Both protect"),
        (DOWN, UP, "No: adversarial training protects better, and mixup protects"),
        (DOWN, OPEN, "No: adversarial training protects better, and mixup does not surely"),
        (OPEN, OPEN, "Not settled"),
        (UP, DOWN, "No: here mixup makes"),
    ],
)
def test_retraining(against: Interval, protects: Interval, verdict: str) -> None:
    found = answers.retraining(claims(mixup_adversarial=against, mixup_protects=protects))
    assert found.verdict.startswith(verdict)


def test_the_price_of_mixup() -> None:
    saved = Interval(0.6, math.nan, math.nan)
    found = answers.retraining(claims(mixup_adversarial=UP, mixup_clean=OPEN, mixup_cost=saved))
    assert "costs 40 % of its passes" in " ".join(found.sentences)


def correlation(r: float, lo: float, hi: float) -> Correlation:
    return Correlation("pearson", 12, r, lo, hi, 0.5)


def prediction(metric: str, part: Correlation) -> Prediction:
    return Prediction("mid", "AV", "relative", metric, part, part, part)


@pytest.mark.parametrize(
    ("kappa", "rho", "verdict"),
    [
        (correlation(0.8, 0.5, 0.9), correlation(0.8, 0.5, 0.9), "Yes"),
        (correlation(-0.8, -0.9, -0.5), correlation(0.0, -0.2, 0.2), "No, on"),
        (correlation(0.4, -0.2, 0.8), correlation(0.4, -0.2, 0.8), "Not settled"),
        (correlation(0.8, 0.5, 0.9), correlation(-0.8, -0.9, -0.5), "In part"),
        (correlation(0.4, -0.2, 0.8), correlation(-0.8, -0.9, -0.5), "No sign of it"),
    ],
)
def test_prediction(kappa: Correlation, rho: Correlation, verdict: str) -> None:
    rows = [prediction("kappa", kappa), prediction("rho", rho)]
    found = answers.prediction(rows, rows)
    assert found.verdict.startswith(verdict)
    assert "12 classes of mid under A+V" in found.sentences[0]


def test_questions_that_cannot_be_put() -> None:
    for found in (answers.fusion({}), answers.prediction([], []), answers.retraining({})):
        assert found.verdict == answers.NOT_PUT
        assert found.sentences
        assert not found.evidence


def test_whiskers_share_a_scale_and_show_which_side() -> None:
    lines = evidence({"a": Interval(0.5, 0.25, 1.0), "b": OPEN})
    assert 'x1="62.00"' in lines[0].bar
    assert 'x2="98.00"' in lines[0].bar
    assert "open" not in lines[0].bar
    assert "open" in lines[1].bar
    assert lines[1].text == "0.000 (−0.100 to +0.100)"
    assert [side(effect) for effect in (UP, DOWN, OPEN)] == [1, -1, 0]
    assert side(Interval(0.5, math.nan, math.nan)) == 0
