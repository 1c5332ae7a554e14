"""Gradient-Blending's weights against the formula worked by hand."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.runtime.errors import UserError
from mmlib.training.gblend import (
    HEADS,
    OVERFITTING_FLOOR,
    Curve,
    estimate,
    read_curve,
    read_weights,
)
from mmlib.training.objectives import (
    BlendedObjective,
    task_loss,
)
from tests.conftest import ROOT
from tests.memory_clips import MemoryClips
from tests.models.examples import small

# dG and dO between the first and the last epoch: A 0.2 and 0.1, V 0.1 and 0.2, AV 0.3 and 0.1.
WORKED = {
    "A": Curve([0.6, 0.5, 0.3], [0.6, 0.7, 0.4]),
    "V": Curve([0.6, 0.5, 0.3], [0.6, 0.4, 0.5]),
    "AV": Curve([0.6, 0.5, 0.2], [0.6, 0.5, 0.3]),
}


def test_the_worked_example() -> None:
    found = estimate(WORKED, 0, None)
    raw = {"A": 0.2 / 0.1**2, "V": 0.1 / 0.2**2, "AV": 0.3 / 0.1**2}
    for name, value in raw.items():
        assert found[name].weight == pytest.approx(value / sum(raw.values()))
    assert found["V"].generalisation == pytest.approx(0.1)
    assert found["V"].overfitting == pytest.approx(0.2)


def test_epochs_are_those_asked_for() -> None:
    found = estimate(WORKED, 1, 2)
    assert found["A"].generalisation == pytest.approx(0.7 - 0.4)
    assert found["A"].overfitting == pytest.approx((0.4 - 0.3) - (0.7 - 0.5))
    assert found["V"].generalisation == pytest.approx(-0.1)
    assert found["V"].weight == 0.0


def test_a_head_that_gets_worse_has_no_weight_and_all_of_them_equal_ones() -> None:
    worse = {name: Curve([0.5, 0.4], [0.5, 0.6]) for name in HEADS}
    assert {e.weight for e in estimate(worse, 0, 1).values()} == {1 / 3}
    one = {**worse, "V": Curve([0.5, 0.4], [0.5, 0.45])}
    assert [e.weight for e in estimate(one, 0, 1).values()] == [0.0, 1.0, 0.0]


def test_no_overfitting_counts_as_the_floor() -> None:
    curves = {"A": Curve([0.5, 0.4], [0.5, 0.4]), "V": Curve([0.5, 0.3], [0.5, 0.4])}
    found = estimate(curves, 0, 1)
    floor = OVERFITTING_FLOOR * 0.5
    assert found["A"].weight == pytest.approx((1 / floor**2) / (1 / floor**2 + 1 / 0.1**2))


losses = st.lists(st.floats(0.01, 2.0), min_size=4, max_size=4)


@given(a=losses, v=losses, scale=st.floats(0.1, 10.0))
def test_weights_sum_to_one_and_ignore_the_unit_of_the_loss(
    a: list[float], v: list[float], scale: float
) -> None:
    curves = {"A": Curve(a[:2], a[2:]), "V": Curve(v[:2], v[2:])}
    scaled = {
        name: Curve([scale * x for x in curve.train], [scale * x for x in curve.val])
        for name, curve in curves.items()
    }
    found, other = estimate(curves, 0, 1), estimate(scaled, 0, 1)
    assert sum(e.weight for e in found.values()) == pytest.approx(1.0)
    for name, one in found.items():
        assert 0.0 <= one.weight <= 1.0
        assert other[name].weight == pytest.approx(one.weight, rel=1e-6, abs=1e-9)


def test_epochs_beyond_the_history_are_refused() -> None:
    with pytest.raises(UserError, match="head A has epochs 0 to 2"):
        estimate(WORKED, 0, 3)
    with pytest.raises(UserError, match=r"blend\.from_epoch"):
        estimate(WORKED, 2, 1)


def test_curves_come_from_a_training_history(tmp_path: Path) -> None:
    path = tmp_path / "audio.csv"
    path.write_text("epoch,val_loss,train_loss,val_mAP\n0,0.5,0.4,\n1,0.3,0.2,0.7\n")
    assert read_curve(path) == Curve([0.4, 0.2], [0.5, 0.3])
    path.write_text("epoch,loss\n0,0.5\n")
    with pytest.raises(UserError, match="cannot be read as a training history"):
        read_curve(path)
    with pytest.raises(UserError, match="no such file"):
        read_curve(tmp_path / "video.csv")


def test_guides_in_the_repository() -> None:
    assert read_weights(ROOT / "data/guides/none.json") is None
    reference = read_weights(ROOT / "data/guides/blend_reference.json")
    assert reference == pytest.approx({"A": 0.239, "V": 0.384, "AV": 0.377})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ('{"heads": {"A": 1, "V": 1}}', "a number for each of"),
        ('{"heads": {"A": 1, "V": -1, "AV": 1}}', "at least 0"),
        ('{"heads": {"A": 0, "V": 0, "AV": 0}}', "not all 0"),
        ('{"heads": {"A": NaN, "V": 0, "AV": 1}}', "at least 0"),
    ],
)
def test_broken_guides_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "guide.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_weights(path)
    with pytest.raises(UserError, match="no such file; name a guide"):
        read_weights(tmp_path / "other.json")


def test_weights_of_a_guide_are_scaled_to_sum_to_one(tmp_path: Path) -> None:
    path = tmp_path / "guide.json"
    path.write_text(json.dumps({"heads": {"A": 1, "V": 1, "AV": 2}}))
    assert read_weights(path) == {"A": 0.25, "V": 0.25, "AV": 0.5}


def test_the_objective_is_the_weighted_sum_of_the_heads_losses() -> None:
    model = small("mid", heads=True).eval()
    batch = MemoryClips(6).gather(torch.arange(6).numpy())
    weights = {"A": 0.2, "V": 0.3, "AV": 0.5}
    heads = model.heads(batch.inputs)
    expected = sum(w * task_loss("multi_label", heads[n], batch.labels) for n, w in weights.items())
    objective = BlendedObjective(weights, "multi_label")
    torch.testing.assert_close(objective(model, batch, torch.Generator()), expected)


def test_online_weights_follow_from_the_history_alone() -> None:
    rows = [
        {f"{part}_loss_{n}": getattr(WORKED[n], part)[e] for n in HEADS for part in Curve._fields}
        for e in range(3)
    ]
    given = {"A": 0.5, "V": 0.25, "AV": 0.25}
    objective = BlendedObjective(given, "multi_label", every=2)
    assert objective.begin_epoch(rows[:2]) == {f"weight_{n}": w for n, w in given.items()}
    columns = objective.begin_epoch(rows)
    found = estimate(WORKED, 0, 2)
    assert columns == {f"weight_{n}": found[n].weight for n in HEADS}
    assert objective.begin_epoch([*rows, rows[0]]) == columns, "kept until the next estimate"
    resumed = BlendedObjective(given, "multi_label", every=2)
    assert resumed.begin_epoch(rows) == columns
    offline = BlendedObjective(given, "multi_label")
    assert offline.begin_epoch(rows) == {f"weight_{n}": w for n, w in given.items()}
