import math
from dataclasses import replace

import pytest

from mmlib.metrics.intervals import Interval
from mmlib.report.comparison import predictors
from mmlib.report.comparison.correlation import Correlation
from mmlib.report.comparison.predictors import Prediction
from mmlib.report.comparison.verdict import Claim, Verdict, adjusted
from mmlib.report.evidence import evidence, side
from mmlib.report.findings import Findings
from mmlib.report.questions.answer import NOT_ANSWERED
from mmlib.report.questions.fusion import fusion
from mmlib.report.questions.prediction import prediction as predict
from mmlib.report.questions.retraining import ONE_SEED, retraining
from mmlib.report.sections import closing

UP, DOWN, OPEN = Interval(0.1, 0.05, 0.2), Interval(-0.1, -0.2, -0.05), Interval(0.0, -0.1, 0.1)
VERDICTS: dict[int, Verdict] = {1: "supported", 0: "undecided", -1: "not supported"}


def claims(n: int = 100, **effects: Interval) -> dict[str, Claim]:
    """Claims that are judged by their intervals alone."""
    return {
        key: Claim(key, "", "", "", "mAP", effect, n, verdict=VERDICTS[side(effect)])
        for key, effect in effects.items()
    }


@pytest.mark.parametrize(
    ("audio", "video", "both", "verdict"),
    [
        (UP, UP, "more", "Yes, these models on this data: it retains more mAP."),
        (DOWN, DOWN, "less", "No, these models on this data: it retains less mAP."),
        (OPEN, OPEN, "undecided", "Undecided"),
        (OPEN, OPEN, "about as much", "Undecided"),
        (UP, UP, "less", "Not necessarily: it retains more mAP with one modality attacked, less"),
        (UP, UP, "undecided", "Not necessarily: it retains more mAP with one modality attacked, n"),
        (UP, UP, "about as much", "Not necessarily: it retains more mAP with one modality attack"),
        (UP, DOWN, "less", "Not necessarily: it depends"),
    ],
)
def test_fusion(audio: Interval, video: Interval, both: str, verdict: str) -> None:
    """The claim about both says that fusion keeps about as much: more and less refute it."""
    judged = claims(matched_A=audio, matched_V=video)
    effect, said = {
        "more": (UP, "not supported"),
        "less": (DOWN, "not supported"),
        "undecided": (OPEN, "undecided"),
        "about as much": (UP, "supported"),
    }[both]
    row = claims(fused_as_low=effect)["fused_as_low"]
    judged["fused_as_low"] = replace(row, verdict=said)  # type: ignore[arg-type]
    found = fusion(judged, "")
    assert found.verdict.startswith(verdict)
    tails = {"about as much": "about as much with both", "undecided": "not clearly more with both"}
    assert {audio, video} != {UP} or tails.get(both, "") in found.verdict
    assert len(found.evidence) == 3
    words = {"undecided": "is not shown to fall as low", "about as much": "about as low"}
    assert words.get(both, f"it retains {both} mAP") in " ".join(found.sentences)


@pytest.mark.parametrize(
    ("audio", "verdict"),
    [
        (UP, "Answered in part: it retains more mAP than the audio model, on this data."),
        (DOWN, "Answered in part: it retains less mAP than the audio model, on this data."),
        (OPEN, "Undecided"),
    ],
)
def test_one_part_is_half_an_answer(audio: Interval, verdict: str) -> None:
    assert fusion(claims(matched_A=audio), "").verdict.startswith(verdict)


def test_the_share_that_is_lost_stands_beside_what_is_left() -> None:
    """A model with more to lose can retain more and lose a larger share."""
    rows = claims(matched_A=UP, matched_V=UP, matched_A_relative=DOWN, matched_V_relative=OPEN)
    said = fusion(rows, "").sentences
    assert said[1] == (
        "As a share of its own clean mAP, the fused model loses more than the audio model with the"
        " audio attacked (smaller by −0.10; −0.20 to −0.05); not significantly more or less than"
        " the video model with the video attacked (smaller by 0.00; −0.10 to +0.10)."
    )


@pytest.mark.parametrize(
    ("audio", "video", "said"),
    [
        (UP, UP, ""),
        (OPEN, UP, "a significantly smaller share with only the audio attacked."),
        (OPEN, DOWN, "smaller share with only the audio or only the video attacked."),
    ],
)
def test_more_left_is_not_more_robust(audio: Interval, video: Interval, said: str) -> None:
    """What had the higher mAP when clean may retain more and lose as large a share."""
    shares = claims(matched_A_relative=audio, matched_V_relative=video)
    verdict = fusion(claims(matched_A=UP, matched_V=UP) | shares, "").verdict
    assert verdict.startswith("Yes, these models on this data: it retains more mAP.")
    assert verdict.endswith(said)
    assert ("Of its own clean mAP" in verdict) is bool(said)
    less = fusion(claims(matched_A=DOWN, matched_V=DOWN) | shares, "").verdict
    assert "Of its own clean mAP" not in less


def test_theorem_1_says_how_often_either_model_breaks_first() -> None:
    share = Interval(0.4, 0.3, 0.5)
    compared = "mid breaks first on 40, audio on 55, and they tie on 5 of the 100 clips"
    row = replace(claims(theorem_A=share)["theorem_A"], compared=compared, verdict="supported")
    said = fusion({**claims(matched_A=UP), "theorem_A": row}, "").sentences[-1]
    assert said.startswith(f"Clip by clip, with only the audio attacked, {compared}, so fusion")
    assert "first on 40 % (30 % to 50 %). Radii found by an attack are upper bounds." in said


def test_fusion_with_one_part_only() -> None:
    found = fusion(claims(matched_A=UP), "")
    assert list(found.sentences) == [
        "With only the audio attacked, the fused model retains more mAP (+0.100) than the audio"
        " model.",
        "There is no video model here to compare with.",
    ]


def test_an_interval_off_zero_is_not_enough_for_an_answer() -> None:
    """Holm's p was too large: whatever the interval, nothing is significant."""
    judged = {
        key: replace(claim, verdict="undecided")
        for key, claim in claims(matched_A=UP, matched_V=UP, matched_total=UP).items()
    }
    found = fusion(judged, "")
    assert found.verdict.startswith("Undecided")
    assert "not significantly different" in found.sentences[0]


def study(n: int, against: Interval, plain: Interval | None) -> dict[str, Claim]:
    keys = {"mixup_adversarial": against} | ({"mixup_plain": plain} if plain else {})
    effects = {
        f"study_{key}_{at}": effect for key, effect in keys.items() for at in ("epochs", "passes")
    }
    return claims(n, **effects)


@pytest.mark.parametrize(
    ("against", "plain", "verdict"),
    [
        (UP, UP, "Yes, over 3 seeds"),
        (UP, None, "Yes, over 3 seeds"),
        (UP, OPEN, "Undecided over 3 seeds"),
        (OPEN, UP, "Undecided over 3 seeds"),
        (DOWN, UP, "No, over 3 seeds: mixup protects, but adversarial training protects better."),
        (DOWN, OPEN, "No, over 3 seeds: adversarial training protects better, and mixup gives no"),
        (DOWN, DOWN, "No, over 3 seeds: adversarial training protects better, and mixup makes"),
        (DOWN, None, "No, over 3 seeds: adversarial training protects better."),
    ],
)
def test_the_study_answers_for_the_methods(
    against: Interval, plain: Interval | None, verdict: str
) -> None:
    """And no difference between two models of one seed changes it."""
    for models in ({}, claims(mixup_adversarial=UP), claims(mixup_adversarial=DOWN)):
        found = retraining(study(3, against, plain) | models, "")
        assert found.verdict.startswith(verdict)
        assert found.sentences[0].startswith("Over 3 seeds at equal epochs, mixup ")
        assert len(found.evidence) == 2 + len(models)


def test_what_is_matched_can_decide() -> None:
    rows = study(3, UP, None) | claims(3, study_mixup_adversarial_passes=DOWN)
    assert retraining(rows, "").verdict.startswith("Not settled over 3 seeds: it depends")


@pytest.mark.parametrize(
    ("passes", "words"),
    [
        (UP, "at equal epochs no difference is significant, at equal passes mixup protects better"),
        (DOWN, "at equal passes adversarial training protects better"),
    ],
)
def test_significant_beside_not_significant_is_no_difference(passes: Interval, words: str) -> None:
    rows = study(3, OPEN, None) | claims(3, study_mixup_adversarial_passes=passes)
    verdict = retraining(rows, "").verdict
    assert words in verdict
    assert "depends" not in verdict


def test_protection_at_one_match_alone_is_not_denied() -> None:
    rows = study(3, DOWN, UP) | claims(3, study_mixup_plain_passes=OPEN)
    verdict = retraining(rows, "").verdict
    assert verdict == "No, over 3 seeds: adversarial training protects better."
    said = " ".join(retraining(rows, "").sentences)
    assert "it has +0.100 mAP against training without it (significant)" in said
    assert "it has 0.000 mAP against training without it (not significant)" in said


@pytest.mark.parametrize("effect", [UP, DOWN, OPEN])
@pytest.mark.parametrize("seeds", [0, 1])
def test_one_seed_gives_no_verdict_on_the_methods(effect: Interval, seeds: int) -> None:
    models = claims(mixup_adversarial=effect, mixup_protects=UP, adversarial_protects=UP)
    found = retraining(models | (study(1, effect, UP) if seeds else {}), "")
    assert found.verdict == ONE_SEED
    assert found.sentences[0].startswith("Of these models, one seed each,")
    assert not any(word in " ".join(found.sentences) for word in ("significant", "protects"))


def test_the_price_of_mixup() -> None:
    saved = Interval(0.6, math.nan, math.nan)
    found = retraining(claims(mixup_adversarial=UP, mixup_clean=OPEN, mixup_cost=saved), "")
    said = " ".join(found.sentences)
    assert "Mixup takes 40 % of adversarial training's forward and backward passes." in said


def correlation(r: float, lo: float, hi: float, n: int = 12) -> Correlation:
    return Correlation("pearson", n, r, lo, hi, 0.001)


def prediction(metric: str, part: Correlation) -> Prediction:
    return Prediction("mid", "AV", "relative", metric, part, part, part)


def judged(rows: list[Prediction]) -> dict[str, Claim]:
    """The claims of the predictions, each judged alone."""
    return {row.key: adjusted([row], 0.95)[0] for row in predictors.claims(rows, confidence=0.95)}


@pytest.mark.parametrize(
    ("kappa", "rho", "verdict"),
    [
        (correlation(0.8, 0.5, 0.9), correlation(0.8, 0.5, 0.9), "Yes"),
        (correlation(-0.8, -0.9, -0.5), correlation(0.0, -0.2, 0.2), "No, for mid on this data"),
        (correlation(0.4, -0.2, 0.8), correlation(0.4, -0.2, 0.8), "Undecided"),
        (correlation(0.8, 0.5, 0.9), correlation(-0.8, -0.9, -0.5), "In part"),
        (
            correlation(0.4, -0.2, 0.8),
            correlation(-0.8, -0.9, -0.5),
            "Not shown, for mid on this data: convexity κ is undecided, density ρ weakly at most.",
        ),
    ],
)
def test_prediction(kappa: Correlation, rho: Correlation, verdict: str) -> None:
    rows = [prediction("kappa", kappa), prediction("rho", rho)]
    found = predict(rows, rows, judged(rows), "", 0.95)
    assert found.verdict.startswith(verdict)
    assert "12 classes of mid under A+V" in found.sentences[0]


@pytest.mark.parametrize(
    ("classes", "figures", "settled"),
    [
        (12, "18 % for r = 0.5 and 30 % for r = 0.6; 80 % takes r = 0.83", False),
        (40, "81 % for r = 0.5 and 96 % for r = 0.6; 80 % takes r = 0.50", True),
    ],
)
def test_the_power_of_so_many_classes_is_said(classes: int, figures: str, settled: bool) -> None:
    """Of three tests that Holm corrects for, as one other claim is undecided too."""
    part = correlation(0.4, -0.2, 0.8, classes)
    rows = [prediction("kappa", part), prediction("rho", part)]
    other = replace(judged(rows[:1])["predicts_kappa_mid_AV"], key="other")
    found = predict(rows, rows, {**judged(rows), "other": other, **claims(found=UP)}, "", 0.95)
    said = found.sentences[2]
    assert said.startswith(f"Power: {classes} classes find a true partial r, at the p < 0.017")
    assert figures in said
    assert ("likely to miss even a strong correlation" in said) is not settled


def test_a_row_without_a_p_is_no_test_to_correct_for() -> None:
    part = correlation(0.4, -0.2, 0.8, 40)
    rows = [prediction("kappa", part)]
    without = predict(rows, rows, judged(rows), "", 0.95).sentences[2]
    seed = replace(claims(1, one_seed=OPEN)["one_seed"], lean="supported")
    assert math.isnan(seed.p)
    assert predict(rows, rows, {**judged(rows), "one": seed}, "", 0.95).sentences[2] == without


def test_few_classes_that_did_settle_it_are_not_said_to_be_unable() -> None:
    part = correlation(0.95, 0.8, 0.99)
    rows = [prediction("kappa", part), prediction("rho", part)]
    found = predict(rows, rows, judged(rows), "", 0.95)
    assert found.verdict == "Yes, for mid on this data."
    assert "likely to miss" not in " ".join(found.sentences)


def test_questions_that_cannot_be_answered_say_what_they_lack() -> None:
    undefined = [prediction("kappa", correlation(math.nan, math.nan, math.nan))]
    for found in (
        fusion({}, "It takes runs."),
        predict([], [], {}, "It takes runs.", 0.95),
        predict(undefined, undefined, {}, "It takes runs.", 0.95),
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
    found = predict(rows, rows, judged(rows), "", 0.95)
    assert found.verdict == "In part, for mid on this data: convexity κ does."
    assert "density" not in " ".join(found.sentences)
    assert "supported by 1 of 1 such correlations" in found.sentences[1]


@pytest.mark.parametrize("effect", [UP, Interval(0.0, 0.0, 0.0)])
def test_an_interval_without_width_is_said_to_be_no_certainty(effect: Interval) -> None:
    """Where both models rank every clip right, the jackknife knows of no error."""
    section = closing.claims(Findings(claims(mixup_clean=effect), (), ()), 0.95)
    assert section is not None
    said = str(section.blocks[0].body)
    assert ("An interval without width" in said) is (effect is not UP)


def test_whiskers_share_a_scale_and_show_which_side() -> None:
    lines = evidence({"a": Interval(0.5, 0.25, 1.0), "b": OPEN})
    assert 'x1="62.00"' in lines[0].bar
    assert 'x2="98.00"' in lines[0].bar
    assert "open" not in lines[0].bar
    assert "open" in lines[1].bar
    assert lines[1].text == "0.000 (−0.100 to +0.100)"
    assert [side(effect) for effect in (UP, DOWN, OPEN)] == [1, -1, 0]
    assert side(Interval(0.5, math.nan, math.nan)) == 0
