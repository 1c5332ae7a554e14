import math

import pytest

from mmlib.metrics.intervals import Interval
from mmlib.report.comparison.correlation import Correlation
from mmlib.report.comparison.predictors import Prediction
from mmlib.report.comparison.verdict import Claim
from mmlib.report.evidence import evidence, side
from mmlib.report.questions.answer import NOT_ANSWERED
from mmlib.report.questions.fusion import fusion
from mmlib.report.questions.prediction import prediction as predict
from mmlib.report.questions.retraining import retraining

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
        (OPEN, OPEN, OPEN, "Undecided"),
        (
            UP,
            UP,
            DOWN,
            "Not necessarily: more robust with one modality attacked, less robust",
        ),
        (
            UP,
            UP,
            OPEN,
            "Not necessarily: more robust with one modality attacked, no significant",
        ),
        (UP, DOWN, DOWN, "Not necessarily: it depends"),
    ],
)
def test_fusion(audio: Interval, video: Interval, both: Interval, verdict: str) -> None:
    found = fusion(claims(matched_A=audio, matched_V=video, fused_as_low=both), "")
    assert found.verdict.startswith(verdict)
    assert len(found.evidence) == 3
    assert "+0.100" in " ".join(found.sentences) or UP not in (audio, video, both)


def test_fusion_with_one_part_only() -> None:
    found = fusion(claims(matched_A=UP), "")
    assert found.verdict.startswith("Yes")
    assert list(found.sentences) == [
        "With only the audio attacked, the fused model retains more mAP (+0.100) than the audio"
        " model.",
        "There is no video model here to compare with.",
    ]


@pytest.mark.parametrize(
    ("against", "protects", "verdict"),
    [
        (UP, UP, "Yes"),
        (OPEN, UP, "Mixup protects; it is not significantly different from adversarial training."),
        (DOWN, UP, "No: mixup protects, but adversarial training protects better."),
        (DOWN, OPEN, "No: adversarial training protects better, and mixup gives no signif"),
        (OPEN, OPEN, "Undecided"),
        (UP, DOWN, "No: here mixup makes"),
    ],
)
def test_retraining(against: Interval, protects: Interval, verdict: str) -> None:
    found = retraining(claims(mixup_adversarial=against, mixup_protects=protects), "")
    assert found.verdict.startswith(verdict)


def test_the_price_of_mixup() -> None:
    saved = Interval(0.6, math.nan, math.nan)
    found = retraining(claims(mixup_adversarial=UP, mixup_clean=OPEN, mixup_cost=saved), "")
    assert "it takes 40 % of the forward and backward passes" in " ".join(found.sentences)


@pytest.mark.parametrize(
    ("against", "verdict"),
    [
        (UP, "Yes, on this data: mixup protects better."),
        (DOWN, "No: adversarial training protects better."),
        (OPEN, "Undecided: mixup and adversarial training do not differ significantly."),
    ],
)
def test_protection_is_not_claimed_when_the_starting_model_is_unknown(
    against: Interval, verdict: str
) -> None:
    found = retraining(claims(mixup_adversarial=against), "")
    assert found.verdict == verdict
    assert "start from" not in " ".join(found.sentences)


def correlation(r: float, lo: float, hi: float) -> Correlation:
    return Correlation("pearson", 12, r, lo, hi, 0.5)


def prediction(metric: str, part: Correlation) -> Prediction:
    return Prediction("mid", "AV", "relative", metric, part, part, part)


@pytest.mark.parametrize(
    ("kappa", "rho", "verdict"),
    [
        (correlation(0.8, 0.5, 0.9), correlation(0.8, 0.5, 0.9), "Yes"),
        (correlation(-0.8, -0.9, -0.5), correlation(0.0, -0.2, 0.2), "No, on"),
        (correlation(0.4, -0.2, 0.8), correlation(0.4, -0.2, 0.8), "Undecided"),
        (correlation(0.8, 0.5, 0.9), correlation(-0.8, -0.9, -0.5), "In part"),
        (correlation(0.4, -0.2, 0.8), correlation(-0.8, -0.9, -0.5), "No evidence of it"),
    ],
)
def test_prediction(kappa: Correlation, rho: Correlation, verdict: str) -> None:
    rows = [prediction("kappa", kappa), prediction("rho", rho)]
    found = predict(rows, rows, "")
    assert found.verdict.startswith(verdict)
    assert "12 classes of mid under A+V" in found.sentences[0]


def test_questions_that_cannot_be_answered_say_what_they_lack() -> None:
    undefined = [prediction("kappa", correlation(math.nan, math.nan, math.nan))]
    for found in (
        fusion({}, "It takes runs."),
        predict([], [], "It takes runs."),
        predict(undefined, undefined, "It takes runs."),
        retraining({}, "It takes runs."),
        retraining(claims(mixup_protects=UP), "It takes runs."),
    ):
        assert found.verdict == NOT_ANSWERED
        assert list(found.sentences) == ["It takes runs."]
        assert not found.evidence


def test_one_defined_metric_answers_for_itself_alone() -> None:
    rows = [
        prediction("kappa", correlation(0.8, 0.5, 0.9)),
        prediction("rho", correlation(math.nan, math.nan, math.nan)),
    ]
    found = predict(rows, rows, "")
    assert found.verdict == "In part: convexity κ does."
    assert "density" not in " ".join(found.sentences)
    assert "supported by 1 of 1 such correlations" in found.sentences[1]


def test_whiskers_share_a_scale_and_show_which_side() -> None:
    lines = evidence({"a": Interval(0.5, 0.25, 1.0), "b": OPEN})
    assert 'x1="62.00"' in lines[0].bar
    assert 'x2="98.00"' in lines[0].bar
    assert "open" not in lines[0].bar
    assert "open" in lines[1].bar
    assert lines[1].text == "0.000 (−0.100 to +0.100)"
    assert [side(effect) for effect in (UP, DOWN, OPEN)] == [1, -1, 0]
    assert side(Interval(0.5, math.nan, math.nan)) == 0
