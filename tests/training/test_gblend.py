"""Gradient-Blending's weights against the formula worked by hand, and what clips tell of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.runtime.errors import UserError
from mmlib.training.gblend import (
    CONFIDENCE,
    HEADS,
    OVERFITTING_FLOOR,
    ClipLosses,
    Estimate,
    alike,
    estimate,
    explain,
    guide_of,
    read_weights,
)
from mmlib.training.history import History, packed, unpacked
from mmlib.training.objectives import (
    BlendedObjective,
    clip_losses,
    task_loss,
)
from tests.conftest import ROOT
from tests.memory_clips import MemoryClips
from tests.models.examples import small

Losses = dict[str, tuple[list[float], list[float]]]

# dG and dO between the first and the last epoch: A 0.2 and 0.1, V 0.1 and 0.2, AV 0.3 and 0.1.
WORKED: Losses = {
    "A": ([0.6, 0.5, 0.3], [0.6, 0.7, 0.4]),
    "V": ([0.6, 0.5, 0.3], [0.6, 0.4, 0.5]),
    "AV": ([0.6, 0.5, 0.2], [0.6, 0.5, 0.3]),
}


def epochs(losses: Losses, clips: int = 4) -> list[ClipLosses]:
    """Losses of clips that are all alike, from each head's means on train and val by epoch."""
    count = len(next(iter(losses.values()))[0])
    return [
        ClipLosses(
            *(
                {name: np.full(clips, both[part][e]) for name, both in losses.items()}
                for part in (0, 1)
            )
        )
        for e in range(count)
    ]


def judged(losses: Losses, clips: int = 4) -> dict[str, Estimate]:
    """The estimate between the first and the last of such epochs."""
    history = epochs(losses, clips)
    return estimate(history[0], history[-1])


def population(
    gains: dict[str, float], overfits: dict[str, float], clips: int, seed: int, spread: float = 0.08
) -> tuple[ClipLosses, ClipLosses]:
    """Clips drawn from heads of known dG and dO; what a clip gains has something of its own."""
    rng = np.random.default_rng(seed)
    start, end = [], []
    for part in ("train", "val"):
        shared = rng.normal(size=clips)
        first = {name: 0.4 + 0.1 * rng.normal(size=clips) for name in HEADS}
        fell = {
            name: gains[name]
            + (overfits[name] if part == "train" else 0.0)
            + spread * (0.8 * shared + 0.6 * rng.normal(size=clips))
            for name in HEADS
        }
        start.append(first)
        end.append({name: first[name] - fell[name] for name in HEADS})
    return ClipLosses(*start), ClipLosses(*end)


def weights(found: dict[str, Estimate]) -> list[float]:
    return [one.weight for one in found.values()]


def test_the_worked_example() -> None:
    found = judged(WORKED)
    raw = {"A": 0.2 / 0.1**2, "V": 0.1 / 0.2**2, "AV": 0.3 / 0.1**2}
    for name, value in raw.items():
        one = found[name]
        assert one.share == pytest.approx(value / sum(raw.values()))
        # Clips that are all alike leave no doubt.
        assert one.lo == pytest.approx(one.share)
        assert one.hi == pytest.approx(one.share)
        assert one.weight == pytest.approx(one.share)
    assert found["V"].generalisation == pytest.approx(0.1)
    assert found["V"].overfitting == pytest.approx(0.2)


def test_a_guide_compares_the_epochs_that_are_asked_for() -> None:
    guide = guide_of(epochs(WORKED), 1, 2)
    assert guide["epochs"] == [1, 2]
    assert guide["dG"]["A"] == pytest.approx(0.7 - 0.4)
    assert guide["dO"]["A"] == pytest.approx((0.4 - 0.3) - (0.7 - 0.5))
    assert guide["dG"]["V"] == pytest.approx(-0.1)
    assert guide["heads"]["V"] == 0.0
    assert guide_of(epochs(WORKED), 1, None) == guide
    for start, end in ((0, 3), (2, 1), (2, None)):
        with pytest.raises(UserError, match=r"epochs 0 to 2: set blend\.from_epoch"):
            guide_of(epochs(WORKED), start, end)


def test_a_head_that_gets_worse_has_no_weight_and_all_of_them_equal_ones() -> None:
    worse: Losses = {name: ([0.5, 0.4], [0.5, 0.6]) for name in HEADS}
    assert {e.weight for e in judged(worse).values()} == {1 / 3}
    one = {**worse, "V": ([0.5, 0.4], [0.5, 0.45])}
    assert [e.weight for e in judged(one).values()] == [0.0, 1.0, 0.0]


def test_no_overfitting_counts_as_the_floor() -> None:
    losses: Losses = {"A": ([0.5, 0.4], [0.5, 0.4]), "V": ([0.5, 0.3], [0.5, 0.4])}
    found = judged(losses)
    floor = OVERFITTING_FLOOR * 0.5
    assert found["A"].share == pytest.approx((1 / floor**2) / (1 / floor**2 + 1 / 0.1**2))


losses = st.lists(st.floats(0.01, 2.0), min_size=4, max_size=4)


@given(a=losses, v=losses, scale=st.floats(0.1, 10.0))
def test_weights_sum_to_one_and_ignore_the_unit_of_the_loss(
    a: list[float], v: list[float], scale: float
) -> None:
    given_losses: Losses = {"A": (a[:2], a[2:]), "V": (v[:2], v[2:])}
    scaled: Losses = {
        name: ([scale * x for x in train], [scale * x for x in val])
        for name, (train, val) in given_losses.items()
    }
    found, other = (judged(each, clips=1) for each in (given_losses, scaled))
    assert sum(e.share for e in found.values()) == pytest.approx(1.0)
    assert sum(e.weight for e in found.values()) == pytest.approx(1.0)
    for name, one in found.items():
        assert 0.0 <= one.share <= 1.0
        assert other[name].share == pytest.approx(one.share, rel=1e-6, abs=1e-9)


def test_heads_that_clips_cannot_tell_apart_weigh_the_same() -> None:
    same = dict.fromkeys(HEADS, 0.06), dict.fromkeys(HEADS, 0.04)
    uniform = 0
    for seed in range(20):
        found = estimate(*population(*same, 120, seed), seed)
        assert {e.lo < e.share < e.hi for e in found.values()} == {True}
        uniform += weights(found) == pytest.approx([1 / 3] * 3)
    assert uniform >= 17, "of 20 draws; 98 % of 300 were"


def test_heads_that_differ_are_told_apart_by_enough_clips_and_not_by_few() -> None:
    gains, overfits = {"A": 0.037, "V": 0.12, "AV": 0.1}, {"A": 0.052, "V": 0.018, "AV": 0.032}
    raw = {name: gains[name] / overfits[name] ** 2 for name in HEADS}
    few = estimate(*population(gains, overfits, 40, 1))
    assert weights(few) == pytest.approx([1 / 3] * 3)
    many = estimate(*population(gains, overfits, 5000, 1))
    for name, one in many.items():
        assert one.weight == one.share == pytest.approx(raw[name] / sum(raw.values()), abs=0.1)
    assert alike(many) == [["A"], ["AV"], ["V"]]


def test_intervals_hold_the_truth() -> None:
    gains, overfits = {"A": 0.05, "V": 0.12, "AV": 0.1}, {"A": 0.05, "V": 0.03, "AV": 0.04}
    raw = {name: gains[name] / overfits[name] ** 2 for name in HEADS}
    held = []
    for seed in range(40):
        found = estimate(*population(gains, overfits, 200, seed), seed)
        held += [found[n].lo <= raw[n] / sum(raw.values()) <= found[n].hi for n in HEADS]
    assert np.mean(held) == pytest.approx(CONFIDENCE, abs=0.07)


def test_clips_are_resampled_for_all_heads_alike() -> None:
    """A head that is another's copy has its share in every draw, so that theirs vary together."""
    first, last = population(dict.fromkeys(HEADS, 0.06), dict.fromkeys(HEADS, 0.04), 50, 3)
    for part in (*first, *last):
        part["V"] = part["A"]  # type: ignore[index]
    found = estimate(first, last)
    assert found["A"] == found["V"]
    two = [ClipLosses(*({n: p[n] for n in ("A", "V")} for p in part)) for part in (first, last)]
    for one in estimate(two[0], two[1]).values():
        assert (one.lo, one.share, one.hi) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("intervals", "groups", "why"),
    [
        ({"A": (0, 0.1), "V": (0.2, 0.3), "AV": (0.4, 0.5)}, [["A"], ["V"], ["AV"]], "each head"),
        ({"A": (0.2, 0.6), "V": (0.1, 0.2), "AV": (0.7, 0.9)}, [["V", "A"], ["AV"]], "V and A sh"),
        ({"A": (0, 0.3), "V": (0.2, 0.6), "AV": (0.5, 0.9)}, [["A", "V", "AV"]], "uniform"),
        ({"A": (0, 0.9), "V": (0.1, 0.2), "AV": (0.5, 0.6)}, [["A", "V", "AV"]], "uniform"),
    ],
)
def test_overlap_joins_heads_directly_or_through_a_third(
    intervals: dict[str, tuple[float, float]], groups: list[list[str]], why: str
) -> None:
    found = {name: Estimate(0, 0, 0, lo, hi, 0) for name, (lo, hi) in intervals.items()}
    assert alike(found) == groups
    assert explain(groups).startswith(why)


def test_the_guide_says_what_it_rests_on(tmp_path: Path) -> None:
    first, last = population({"A": 0.03, "V": 0.06, "AV": 0.2}, dict.fromkeys(HEADS, 0.04), 800, 5)
    guide = guide_of([first, last], 0, None, seed=1)
    assert guide == guide_of([first, last], 0, 1, seed=1)
    assert guide["clips"] == {"train": 800, "val": 800}
    for name in HEADS:
        lo, hi = guide["intervals"][name]
        assert lo < guide["shares"][name] < hi
    path = tmp_path / "guide.json"
    path.write_text(json.dumps(guide))
    assert read_weights(path) == pytest.approx(guide["heads"])
    assert sum(guide["heads"].values()) == pytest.approx(1.0)
    for group in guide["alike"]:
        mean = np.mean([guide["shares"][name] for name in group])
        assert [guide["heads"][name] for name in group] == pytest.approx([mean] * len(group))


def test_losses_of_clips_survive_a_checkpoint(tmp_path: Path) -> None:
    kept = epochs(WORKED)
    torch.save(packed(kept), tmp_path / "kept.pt")
    again = unpacked(torch.load(tmp_path / "kept.pt", weights_only=True))
    for one, two in zip(kept, again, strict=True):
        for mine, theirs in zip(one, two, strict=True):
            assert list(mine) == list(theirs) == list(HEADS)
            assert all(np.array_equal(mine[name], theirs[name]) for name in HEADS)


@pytest.mark.parametrize("task", ["multi_label", "single_label"])
def test_the_losses_of_clips_have_the_task_s_loss_as_their_mean(task: str) -> None:
    logits = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.nn.functional.one_hot(torch.arange(7) % 5, 5).float()
    each = clip_losses(task, logits, labels)
    assert each.shape == (7,)
    torch.testing.assert_close(each.mean(), task_loss(task, logits, labels))
    torch.testing.assert_close(each[2], task_loss(task, logits[2:3], labels[2:3]))


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
    with pytest.raises(UserError, match=r"no such file; .*name another guide"):
        read_weights(tmp_path / "other.json")


def test_weights_of_a_guide_are_scaled_to_sum_to_one(tmp_path: Path) -> None:
    path = tmp_path / "guide.json"
    path.write_text(json.dumps({"heads": {"A": 1, "V": 1, "AV": 2}}))
    assert read_weights(path) == {"A": 0.25, "V": 0.25, "AV": 0.5}


def test_the_objective_is_the_weighted_sum_of_the_heads_losses() -> None:
    model = small("mid", heads=True).eval()
    batch = MemoryClips(6).gather(torch.arange(6).numpy())
    given = {"A": 0.2, "V": 0.3, "AV": 0.5}
    heads = model.heads(batch.inputs)
    expected = sum(w * task_loss("multi_label", heads[n], batch.labels) for n, w in given.items())
    objective = BlendedObjective(given, "multi_label")
    torch.testing.assert_close(objective(model, batch, torch.Generator()), expected)


def test_online_weights_follow_from_the_history_alone() -> None:
    clips = epochs(WORKED)
    history = History([{"epoch": float(epoch)} for epoch in range(3)], clips)
    short = History(history.rows[:2], clips[:2])
    given = {"A": 0.5, "V": 0.25, "AV": 0.25}
    kept = {f"weight_{n}": w for n, w in given.items()}
    objective = BlendedObjective(given, "multi_label", every=2)
    columns = objective.begin_epoch(short)
    assert {name: value for name, value in columns.items() if value == value} == kept
    assert {"share_A", "share_V_lo", "share_AV_hi"} <= columns.keys()
    columns = objective.begin_epoch(history)
    found = estimate(clips[0], clips[2])
    for name, one in found.items():
        assert columns[f"weight_{name}"] == one.weight
        ends = columns[f"share_{name}_lo"], columns[f"share_{name}_hi"]
        assert (columns[f"share_{name}"], *ends) == (one.share, one.lo, one.hi)
    longer = History([*history.rows, history.rows[0]], [*clips, clips[0]])
    assert objective.begin_epoch(longer) == columns, "kept until the next estimate"
    resumed = BlendedObjective(given, "multi_label", every=2)
    assert resumed.begin_epoch(history) == columns
    offline = BlendedObjective(given, "multi_label")
    assert offline.begin_epoch(history) == kept


def test_online_weights_are_uniform_where_the_heads_are_not_told_apart() -> None:
    first, last = population(dict.fromkeys(HEADS, 0.06), dict.fromkeys(HEADS, 0.04), 30, 1)
    objective = BlendedObjective({"A": 0.7, "V": 0.2, "AV": 0.1}, "multi_label", every=1)
    columns = objective.begin_epoch(History([{}, {}], [first, last]))
    assert [columns[f"weight_{n}"] for n in HEADS] == pytest.approx([1 / 3] * 3)
    assert len({columns[f"share_{n}"] for n in HEADS}) == 3
