"""Drops, what survives of them and how many times the plain one's they are, from plain scores."""

import csv
import io

import numpy as np
import pytest

from mmlib.evaluation.survival.attack import UNTOUCHED, Arm
from mmlib.evaluation.survival.table import Scored, figures, score_arms, survival_csv
from mmlib.metrics.ranking import average_precision, present_mean
from mmlib.runtime.arrays import Floats32
from mmlib.runtime.errors import UserError

CLIPS, CLASSES = 120, 3
PLAIN, AWARE = Arm("A", "pgd", "plain"), Arm("A", "pgd", "aware")
ARMS = (UNTOUCHED, PLAIN, AWARE)
RECORDINGS = np.array([f"r{place // 2}" for place in range(CLIPS)])
NOISE = {(UNTOUCHED, -1): 0.5, (PLAIN, -1): 3.0, (AWARE, -1): 2.0} | {
    (UNTOUCHED, 0): 0.6, (PLAIN, 0): 0.8, (AWARE, 0): 2.0,
}  # fmt: skip
"""How much noise hides the labels, as written and after the one encoding."""


LABELS = (np.random.default_rng(1).random((CLIPS, CLASSES)) < 0.3).astype(np.float32)


def logits(level: float, seed: int = 0) -> Floats32:
    noise = np.random.default_rng(seed).standard_normal((CLIPS, CLASSES))
    return (LABELS + level * noise).astype(np.float32)


def scored(changes: dict[str, Floats32] | None = None) -> tuple[Scored, dict[str, float]]:
    found = {arm.key(place): logits(level) for (arm, place), level in NOISE.items()}
    found |= changes or {}
    conditions = [("h264_aac", "H264 CRF 45, AAC 20 kbit/s")]
    table = score_arms(ARMS, conditions, found, LABELS > 0, RECORDINGS, "multi_label", 0.95)
    maps = {key: present_mean(average_precision(LABELS > 0, value)) for key, value in found.items()}
    return table, maps


def rows(found: Scored) -> dict[tuple[str, str], dict[str, str]]:
    table = csv.DictReader(io.StringIO(survival_csv(found)))
    return {(row["regard"], row["kind"]): row for row in table}


def test_the_figures_are_what_they_are_said_to_be() -> None:
    found, maps = scored()
    table, kind = rows(found), "h264_aac"
    drops = {
        (arm.regard, place): maps[UNTOUCHED.key(place)] - maps[arm.key(place)]
        for arm in (PLAIN, AWARE)
        for place in (-1, 0)
    }
    for regard in ("plain", "aware"):
        row = table[regard, kind]
        assert float(row["drop"]) == pytest.approx(drops[regard, 0], abs=1e-5)
        share = drops[regard, 0] / drops[regard, -1]
        assert float(row["survival"]) == pytest.approx(share, abs=1e-5)
        assert float(row["survival_lo"]) < share < float(row["survival_hi"])
        assert figures(found)["A"]["pgd"][regard]["survival"] == pytest.approx(share, abs=1e-5)
    times = drops["aware", 0] / drops["plain", 0]
    assert float(table["aware", kind]["times"]) == pytest.approx(times, abs=1e-4)
    assert table["plain", kind]["times"] == ""


def test_no_share_of_nothing_and_no_ends_for_what_may_be_nothing() -> None:
    gone, _ = scored({PLAIN.key(0): logits(NOISE[UNTOUCHED, 0])})
    assert rows(gone)["aware", "h264_aac"]["times"] == ""
    assert gone.drop(PLAIN, 0)[0] == 0
    # As much noise, but drawn anew: a drop as luck has it.
    little, _ = scored({PLAIN.key(0): logits(NOISE[UNTOUCHED, 0], seed=2)})
    table = rows(little)
    assert (
        float(table["plain", "h264_aac"]["drop"]) > 0 > float(table["plain", "h264_aac"]["drop_lo"])
    )
    assert float(table["aware", "h264_aac"]["times"]) > 1
    assert table["aware", "h264_aac"]["times_lo"] == table["aware", "h264_aac"]["times_hi"] == ""


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(UserError, match="NaN or infinite scores under A pgd aware"):
        scored({AWARE.key(0): np.full((CLIPS, CLASSES), np.nan, np.float32)})
