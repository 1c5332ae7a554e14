"""Goals: known answers on linear models, thresholds, what is at stake, and a whole run."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from torch import Tensor

from mmlib.attacks.core.threat import Budget, scaled
from mmlib.attacks.methods.decisions import ByThreshold
from mmlib.batch import Batch
from mmlib.evaluation.goals import goals as stage
from mmlib.evaluation.goals.aims import Aim, aims_of, stake
from mmlib.evaluation.goals.attack import Turned, crossing, turn
from mmlib.evaluation.goals.deciding import best_f1, decider
from mmlib.evaluation.goals.goals import try_goals
from mmlib.evaluation.goals.table import (
    Outcome,
    Tried,
    clips_csv,
    decisions_csv,
    figures,
    success_csv,
)
from mmlib.params.goals import Decision, GoalsRun, GoalsSearch
from mmlib.runtime.errors import UserError
from mmlib.runtime.shares import Finished
from mmlib.runtime.storage import read_json
from tests.evaluation.test_attack import NAMES, project
from tests.sweep_toys import settings

SHAPES = {"audio": (6, 4), "video": (3, 2, 4, 4)}
CLASSES = 4
MULTIPLES = (0.25, 0.5, 1.0, 2.0)
SEARCH = GoalsSearch(clips=None, multiples=MULTIPLES, steps=10, restarts=1)
TOP = Decision(rule="top", probability=0.5, top=2)


class Linear:
    """Logits that are linear in what it reads; its clips are far from the edges of the box."""

    def __init__(self, seed: int, reads: tuple[str, ...] = ("audio", "video")) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.weights = {
            name: torch.randn(CLASSES, *SHAPES[name], generator=generator).double()
            for name in reads
        }
        self.clips = {
            name: 0.4 + 0.2 * torch.rand(9, *shape, generator=generator)
            for name, shape in SHAPES.items()
        }

    def __call__(self, inputs: Batch) -> Tensor:
        parts = [
            (inputs[name].double() - 0.5).flatten(1) @ weight.flatten(1).T
            for name, weight in self.weights.items()
        ]
        return torch.stack(parts).sum(0)

    def reach(self, threat: tuple[str, ...]) -> Tensor:
        """How far a budget of 1 on each of these modalities moves each logit, (K,)."""
        norms = [self.weights[n].flatten(1).abs().sum(1) for n in threat if n in self.weights]
        return torch.stack([torch.zeros(CLASSES), *norms]).sum(0)


def turned(
    model: Linear, aims: list[Aim], threat: tuple[str, ...], eps: float, thresholds: Tensor
) -> Turned:
    labels = torch.zeros(len(aims), CLASSES)
    budgets = [scaled({name: Budget(eps) for name in threat}, m) for m in MULTIPLES]
    goal = crossing(ByThreshold(thresholds), aims, labels)
    return turn(model, model.clips, goal, budgets, range(len(aims)), steps=10)


@given(seed=st.integers(0, 10**6), threat=st.sampled_from([("audio",), ("audio", "video")]))
def test_a_linear_model_is_turned_at_its_closed_form_budget(
    seed: int, threat: tuple[str, ...]
) -> None:
    """Hidden or injected at the first eps above |margin| / ||w||_1, and not before."""
    model, tag = Linear(seed), seed % CLASSES
    thresholds = torch.randn(CLASSES, generator=torch.Generator().manual_seed(seed)) / 4
    margins = (model(model.clips) - thresholds)[:, tag]
    aims = [Aim("hide", tag, None) if m > 0 else Aim("inject", None, tag) for m in margins.tolist()]
    needed = margins.abs() / model.reach(threat)[tag]
    eps = float(needed.median())
    expected = [sum(m * eps < need for m in MULTIPLES) for need in needed.tolist()]
    # A clip within rounding of a budget may fall on either side.
    clear = (needed[:, None] / (eps * torch.tensor(MULTIPLES)) - 1).abs().amin(1) > 1e-3
    found = turned(model, aims, threat, eps, thresholds)
    assert found.first[clear].tolist() == torch.tensor(expected)[clear].tolist()
    assert len(set(expected)) > 1


@given(seed=st.integers(0, 10**6))
def test_one_label_a_clip_has_its_closed_form_too(seed: int) -> None:
    """Of two classes the higher is shown: a swap takes |z0 - z1| / ||w0 - w1||_1."""
    model, labels = Linear(seed), torch.zeros(9, 2)
    model.weights = {"audio": model.weights["audio"][:2]}
    logits = model(model.clips)
    gap = logits[:, 0] - logits[:, 1]
    aims = [Aim("swap", 0, 1) if g > 0 else Aim("swap", 1, 0) for g in gap.tolist()]
    weights = model.weights["audio"]
    needed = gap.abs() / (weights[0] - weights[1]).abs().sum()
    eps = float(needed.median()) * 1.001
    budgets = [{"audio": Budget(m * eps)} for m in MULTIPLES]
    margins = decider(TOP, "single_label", 2, None).margins
    goal = crossing(margins, aims, labels)
    found = turn(model, model.clips, goal, budgets, range(9), steps=10)
    clear = (needed[:, None] / (eps * torch.tensor(MULTIPLES)) - 1).abs().amin(1) > 1e-4
    expected = torch.tensor([sum(m * eps < need for m in MULTIPLES) for need in needed.tolist()])
    assert found.first[clear].tolist() == expected[clear].tolist()


def test_a_swap_takes_what_the_harder_half_takes() -> None:
    """Two tags that read different parts of the sound: each has its own closed form."""
    model = Linear(3)
    model.weights["audio"][0, :3] = 0
    model.weights["audio"][1, 3:] = 0
    margins = model(model.clips)
    thresholds = margins.mean(0)
    thresholds[0], thresholds[1] = margins[:, 0].min() - 0.1, margins[:, 1].max() + 0.1
    below = (margins - thresholds).abs() / model.reach(("audio",))
    needed = below[:, :2].amax(1)
    eps = float(needed.median()) * 1.01
    expected = [sum(m * eps < need for m in MULTIPLES) for need in needed.tolist()]
    found = turned(model, [Aim("swap", 0, 1)] * 9, ("audio",), eps, thresholds)
    assert found.first.tolist() == expected


def test_a_model_that_ignores_sound_is_not_moved_by_sound() -> None:
    model = Linear(5, reads=("video",))
    margins = model(model.clips)
    aims = [Aim("hide", 0, None) if m > 0 else Aim("inject", None, 0) for m in margins[:, 0]]
    found = turned(model, aims, ("audio",), 0.3, torch.zeros(CLASSES))
    assert set(found.first.tolist()) == {len(MULTIPLES)}
    assert not found.noise.any()
    assert turned(model, aims, ("audio", "video"), 0.3, torch.zeros(CLASSES)).first.max() == 0


def test_noise_is_the_floor() -> None:
    """Equal-norm noise moves a logit by eps |sum of +-w|, the attack by eps ||w||_1."""
    model = Linear(7)
    margins = model(model.clips)[:, 0]
    aims = [Aim("hide", 0, None) if m > 0 else Aim("inject", None, 0) for m in margins]
    eps = float((margins.abs() / model.reach(("audio",))[0]).median())
    found = turned(model, aims, ("audio",), eps, torch.zeros(CLASSES))
    by_attack = found.first[:, None] <= np.arange(len(MULTIPLES))
    assert (by_attack | ~found.noise).all(), "noise never turns what the attack does not"
    assert by_attack.sum() > found.noise.sum()


@given(
    truth=st.lists(st.booleans(), min_size=2, max_size=12),
    seed=st.integers(0, 10**6),
    levels=st.integers(2, 6),
)
def test_no_threshold_has_a_higher_f1(truth: list[bool], seed: int, levels: int) -> None:
    labels = np.array(truth)
    scores = np.random.default_rng(seed).integers(0, levels, len(truth)).astype(np.float32)
    threshold, best = best_f1(labels, scores)
    if not labels.any():
        assert np.isnan([threshold, best]).all()
        return
    assert best == pytest.approx(f1_score(labels, scores > threshold))
    every = [f1_score(labels, scores > at, zero_division=0) for at in np.arange(-0.5, levels)]
    assert best == pytest.approx(max(every))


def test_a_threshold_lies_between_neighbours() -> None:
    low = np.float32(1)
    high = np.nextafter(low, np.float32(2))
    threshold, best = best_f1(np.array([False, True]), np.array([low, high]))
    assert best == 1
    assert not np.float32(low) > threshold
    assert np.float32(high) > threshold


def row(**changes: Any) -> GoalsRun:
    return GoalsRun.model_validate(
        {"threats": "all", "hide": [], "inject": [], "swap": [], **changes}
    )


def test_aims_by_name_and_each() -> None:
    classes, known = ["Siren", "Rain", "Bird"], np.array([True, True, False])
    named = row(hide="Rain", inject=["Siren"], swap=[{"hide": "Siren", "inject": "Rain"}])
    assert aims_of(named, classes, known, "goals.runs.mid") == [
        Aim("hide", 1, None), Aim("inject", None, 0), Aim("swap", 0, 1),
    ]  # fmt: skip
    assert aims_of(row(hide="each", swap="each"), classes, known, "") == [
        Aim("hide", 0, None), Aim("hide", 1, None), Aim("swap", 0, 1), Aim("swap", 1, 0),
    ]  # fmt: skip
    for wrong, said in (
        ({"hide": "Sirn"}, r"goals\.runs\.mid\.hide names 'Sirn', .* did you mean 'Siren'\?"),
        ({"inject": "Xylophone"}, "no class of the data, only Siren, Rain, Bird"),
        ({"hide": "Bird"}, "no val clip has to choose its threshold on"),
        ({"swap": [{"hide": "Rain", "inject": "Gong"}]}, r"\.swap names 'Gong'"),
    ):
        with pytest.raises(UserError, match=said):
            aims_of(row(**wrong), classes, known, "goals.runs.mid")


def test_where_the_attacker_has_won_already_nothing_is_at_stake() -> None:
    labels = np.array([[1, 0], [1, 0], [0, 0], [0, 1], [1, 1]], np.bool_)
    margins = np.array([[1, -1], [-1, -1], [1, -1], [-1, 1], [1, 1]], np.float32)
    hide, inject, swap = (
        stake(aim, labels, margins)
        for aim in (Aim("hide", 0, None), Aim("inject", None, 1), Aim("swap", 0, 1))
    )
    assert (hide.labelled, hide.rows.tolist()) == (3, [0, 4])
    assert (inject.labelled, inject.rows.tolist()) == (3, [0, 1, 2])
    assert (swap.labelled, swap.rows.tolist()) == (2, [0])


def test_rules() -> None:
    assert decider(TOP, "single_label", 5, None).top == 1
    half = Decision(rule="probability", probability=0.5, top=1)
    assert decider(half, "multi_label", 3, None).thresholds == (0, 0, 0)
    with pytest.raises(UserError, match=r"goals\.decision\.top is 2, but there are 2 classes"):
        decider(TOP, "multi_label", 2, None)


def test_the_table_has_wilson_s_interval() -> None:
    first = np.array([0, 1, 1, 3, 3, 3, 0, 2])
    noise = np.zeros((8, 3), np.bool_)
    noise[:2, 2] = True
    tried = Tried(Aim("hide", 1, None), "A", 20, 12, tuple(range(8)), Turned(first, noise))
    none = Tried(Aim("inject", None, 0), "A", 3, 0, (), Turned(first[:0], noise[:0]))
    ids = tuple(f"clip-{k}" for k in range(8))
    outcome = Outcome(("a", "7"), ids, (0.5, 1.0, 2.0), 0.02, (tried, none), ())
    rows = list(csv.DictReader(io.StringIO(success_csv(outcome, 0.95))))
    assert [(r["clips"], r["succeeded"]) for r in rows] == [
        ("8", "2"), ("8", "4"), ("8", "5"), ("0", "0"), ("0", "0"), ("0", "0"),
    ]  # fmt: skip
    n, p, z = 8, 5 / 8, 1.959963984540054
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    ends = [(middle + sign * half) / (1 + z * z / n) for sign in (-1, 1)]
    found = [float(rows[2][key]) for key in ("success", "success_lo", "success_hi", "noise")]
    assert found == pytest.approx([p, *ends, 0.25], abs=1e-6)
    assert rows[3]["success"] == rows[3]["noise"] == ""
    assert (rows[0]["hidden"], rows[0]["eps"], rows[3]["injected"]) == ("7", "0.01", "a")
    assert figures(outcome) == {"hide": {"A": 0.5, "goals": 1}}
    by_clip = list(csv.DictReader(io.StringIO(clips_csv(outcome))))
    assert [r["multiple"] for r in by_clip] == ["0.5", "1", "1", "inf", "inf", "inf", "0.5", "2"]


def test_a_run_from_shards_to_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels are the model's own top two: all are at stake, and under A all but the mute clip's."""
    monkeypatch.chdir(tmp_path)
    shards, model = project(tmp_path)
    attack = settings(eps=0.02, batch_size=50)
    outcome = try_goals(
        model, shards, tmp_path / "none", row(hide="each"), TOP, SEARCH, attack, seed=1
    )
    assert outcome.classes == NAMES
    of_sound = [tried for tried in outcome.tried if tried.threat == "A"]
    assert sum(tried.labelled for tried in of_sound) == 14
    assert sum(tried.at_stake for tried in of_sound) == 14
    assert all(2 not in tried.rows for tried in of_sound)
    assert any(2 in tried.rows for tried in outcome.tried if tried.threat == "V")
    rates = [sum(tried.succeeded(place) for tried in outcome.tried) for place in range(4)]
    assert rates == sorted(rates)
    assert rates[0] < rates[-1]
    shown = [line["right"] for line in outcome.decisions]
    assert sum(shown) == 14, "the labels are the model's own top two"
    assert not list((tmp_path / "scratch").iterdir()), "finished pieces are gone"


def test_goals_do_not_depend_on_how_the_clips_were_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks of an array: once for the clean margins, on which what is attacked rests, and again."""
    monkeypatch.chdir(tmp_path)
    shards, model = project(tmp_path)
    search = SEARCH.model_copy(update={"steps": 2})

    def tried() -> list[str]:
        outcome = try_goals(
            model, shards, tmp_path / "none", row(hide="each", inject=["a"]), TOP, search,
            settings(batch_size=3), seed=1,
        )  # fmt: skip
        return [success_csv(outcome, 0.9), clips_csv(outcome), decisions_csv(outcome)]

    alone = tried()
    for place in (1, 0, 1, 0):
        monkeypatch.setenv("MMLIB_SHARE", f"{place}/2")
        with pytest.raises(Finished):
            tried()
    monkeypatch.delenv("MMLIB_SHARE")
    monkeypatch.setattr(stage, "clean_margins", lambda _: pytest.fail("it was made already"))
    monkeypatch.setattr(stage, "turn_part", lambda _: pytest.fail("it was made already"))
    assert tried() == alone


def test_what_a_run_has_not_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shards, model = project(tmp_path)
    f1 = Decision(rule="f1", probability=0.5, top=1)
    for wanted, rule, said in (
        (row(hide="each"), f1, "the split val has no clips to choose thresholds on"),
        (row(hide="Siren"), TOP, r"goals\.runs\.mid\.hide names 'Siren', which is no class"),
    ):
        with pytest.raises(UserError, match=said):
            try_goals(model, shards, tmp_path / "none", wanted, rule, SEARCH, settings(), 1)
    heard = Path(shutil.copy(model.with_suffix(".json"), tmp_path / "heard.json"))
    heard.write_text(json.dumps({**read_json(heard), "inputs": {"audio": {}}}))
    with pytest.raises(UserError, match=r"goals\.runs\.heard\.threats names AV, but the run reads"):
        try_goals(
            tmp_path / "heard", shards, tmp_path / "none", row(hide="each", threats="AV"), TOP,
            SEARCH, settings(), 1,
        )  # fmt: skip
