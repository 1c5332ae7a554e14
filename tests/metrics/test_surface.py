"""The plane of two budgets: what must hold for every clip, closed forms, and its scores."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from mmlib.attacks.core.region import Region
from mmlib.attacks.core.threat import Budget
from mmlib.attacks.methods.joint import shared
from mmlib.evaluation.sweep import (
    attack,
    surface,
)
from mmlib.evaluation.sweep.chunk import ChunkSweep
from mmlib.metrics.intervals import Interval
from mmlib.metrics.ranking import (
    average_precision,
    present_mean,
)
from mmlib.metrics.scores.conditions import score_run
from mmlib.metrics.scores.matched import (
    equal_damage,
    equal_damages,
    matched_total,
)
from mmlib.metrics.scores.surface import (
    Surface,
    iso_csv,
    iso_damage,
    score_surface,
    surface_csv,
)
from mmlib.metrics.stored import (
    AttackScores,
    read_labels,
)
from mmlib.runtime.errors import UserError
from mmlib.runtime.parquet import write_table
from tests.attacks import toys
from tests.evaluation.test_attack import project
from tests.fake_run import CLASSES, EPS, labels_of, packed, save, write_run
from tests.sweep_toys import labelled, model, settings

PLANE = {"runs": ["mid"], "multiples": [0.5, 1.0, 4.0], "steps": 2, "splits": 3, "refinements": 1}


@pytest.fixture(scope="module")
def attacked() -> tuple[ChunkSweep, list[surface.Point]]:
    net = model()
    sweep = ChunkSweep(net, labelled(net, clips=4), settings(surface=PLANE), seed=1)
    sweep.run()
    return sweep, list(surface.attack_surface(sweep))


def test_the_points_between_are_attacked_once(
    attacked: tuple[ChunkSweep, list[surface.Point]],
) -> None:
    _, points = attacked
    grid = [(float(p.audio[0]), float(p.video[0])) for p in points if p.kind == "grid"]
    assert grid == [(a, v) for a in (0.5, 1.0, 4.0) for v in (0.5, 1.0, 4.0) if a != v]
    assert [point.kind for point in points].count("shared") == 1


def test_no_loss_falls_as_a_budget_grows(attacked: tuple[ChunkSweep, list[surface.Point]]) -> None:
    """Off the diagonal, whose points are the sweep's own."""
    sweep, points = attacked
    losses = {(float(p.audio[0]), float(p.video[0])): p.loss for p in points if p.kind == "grid"}
    for multiple in (0.5, 1.0, 4.0):
        for name, place in (("A", (multiple, 0.0)), ("V", (0.0, multiple))):
            losses[place] = sweep.loss(sweep.solutions[name, multiple].logits, sweep.labels)
    compared = 0
    for (audio, video), loss in losses.items():
        for (less_audio, less_video), smaller in losses.items():
            if less_audio <= audio and less_video <= video:
                assert bool((loss >= smaller - 1e-6).all())
                compared += 1
    assert compared > 30


def test_a_shared_budget_is_kept_and_beats_both_ends(
    attacked: tuple[ChunkSweep, list[surface.Point]],
) -> None:
    sweep, points = attacked
    found = points[-1]
    assert found.kind == "shared"
    assert bool((found.audio + found.video <= 1 + 1e-6).all())
    for name in "AV":
        alone = sweep.loss(sweep.solutions[name, 1.0].logits, sweep.labels)
        assert bool((found.loss >= alone - 1e-5).all())


def test_starts_do_not_leave_the_shared_budget_and_are_used() -> None:
    """Without a step, what is found comes from the start alone, brought into the budget."""
    net = toys.Linear()
    inputs = toys.batch()
    threat = {"audio": Budget(0.05), "video": Budget(0.05)}
    labels = torch.zeros(toys.CLIPS, 1)
    over = {name: Region(inputs[name], Budget(0.2), None, name).upper for name in threat}
    found = shared(
        net, inputs, labels, threat, splits=2, refinements=0, steps=0,
        loss=toys.first_logit, start=over,
    )  # fmt: skip
    sizes = [
        (found[name] - inputs[name]).abs().flatten(1).amax(1) / 0.05 for name in ("audio", "video")
    ]
    assert bool((sizes[0] + sizes[1] <= 1 + 1e-6).all())
    assert bool((net(found) >= net(inputs)).all())
    assert not bool((net(found) == net(inputs)).all())


def test_the_last_steps_are_taken_at_each_clip_s_best_split() -> None:
    """No clip loses by them, some gain, and the budget is kept."""
    net = model()
    losses, spent = [], []
    for shared_steps in (1, 20):
        plane = {**PLANE, "shared_steps": shared_steps}
        sweep = ChunkSweep(net, labelled(net, clips=4), settings(surface=plane, momentum=0.75), 1)
        sweep.run()
        found = list(surface.attack_surface(sweep))[-1]
        losses.append(found.loss)
        spent.append(found.audio + found.video)
    assert bool((losses[1] >= losses[0] - 1e-5).all())
    assert bool((losses[1] > losses[0] + 1e-4).any())
    assert bool((spent[1] <= 1 + 1e-6).all())


def test_the_stage_s_file_and_a_run_without_a_plane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shards, run = project(tmp_path)
    attack.attack_split(shards, run, tmp_path / "out", settings(surface=PLANE), seed=3)
    table = pq.read_table(tmp_path / "out/mid-surface.parquet")
    assert table.num_rows == 7 * (6 + 1)
    silent = table.filter(np.array(table["clip_id"].to_pylist()) == "clip-2").to_pylist()
    assert [row["audio"] for row in silent if row["kind"] == "shared"] == [0.0]
    assert json.loads(table.schema.metadata[b"mmlib"])["run"] == "mid"
    with pq.ParquetFile(tmp_path / "out/mid.parquet") as swept:
        before = swept.read()
    attack.attack_split(shards, run, tmp_path / "out", settings(), seed=3)
    assert pq.read_table(tmp_path / "out/mid-surface.parquet").num_rows == 0
    assert pq.read_table(tmp_path / "out/mid.parquet").equals(before)


def made(values: Sequence[Sequence[float]], axis: tuple[float, ...]) -> Surface:
    cells = tuple(tuple(Interval(v, v, v) for v in row) for row in values)
    return Surface(axis, cells, Interval(0.3, 0.2, 0.4), (0.9, 0.1))


def test_lines_of_equal_damage_of_a_plane_are_straight() -> None:
    """mAP = 0.8 - 0.4 a - 0.1 v: half of it is left where 4 a + v = 4."""
    axis = (0.0, 0.5, 1.0, 2.0, 4.0)
    plane = made([[0.8 - 0.4 * a - 0.1 * v for v in axis] for a in axis], axis)
    points = iso_damage(plane, 0.5)
    assert points[0] == pytest.approx((0.0, 4.0))
    assert points[-1] == pytest.approx((1.0, 0.0))
    assert len(points) >= 5
    for audio, video in points:
        assert 4 * audio + video == pytest.approx(4.0)
    assert iso_damage(made([[0.8, 0.7], [0.7, 0.6]], (0.0, 1.0)), 0.25) == []


def test_equal_damage_inverts_a_curve() -> None:
    curve = [(2.0, 0.2), (0.5, 0.6), (1.0, 0.4)]
    assert equal_damage(0.8, 0.4, curve) == 1.0
    assert equal_damage(0.8, 0.7, curve) == pytest.approx(0.25)
    assert equal_damage(0.8, 0.3, curve) == pytest.approx(1.5)
    assert equal_damage(0.8, 0.1, curve) is None
    assert equal_damage(0.8, 0.8, curve) == 0.0


def scored(root: Path, damage: float = 1.0) -> Surface | None:
    """A run with a plane: push grows with sound plus half the picture."""
    write_run(root, threats={"A": 1.0, "V": 0.5, "AV": 1.5})
    attacks = AttackScores(root / "data/attacks/audio.parquet")
    ids, labels = read_labels(root / "data/embeddings/audio.parquet", "eval")
    clean = attacks.scores(
        attacks.conditions[0]._replace(threat="clean", attack="clean", multiple=0.0)
    )
    push = damage * (1 - 2.0 * labels_of(len(ids), "multi_label"))
    blocks = [("grid", a, v, clean + (a + 0.5 * v) * push) for a, v in ((0.5, 1.0), (1.0, 0.5))]
    blocks.append(("shared", 0.75, 0.25, clean + push))
    rows = np.random.default_rng(0).permutation(3 * len(ids))
    columns = {
        "clip_id": np.tile(ids, 3)[rows],
        "kind": np.repeat([b[0] for b in blocks], len(ids))[rows],
        "audio": np.repeat([b[1] for b in blocks], len(ids))[rows],
        "video": np.repeat([b[2] for b in blocks], len(ids))[rows],
        "loss": np.zeros(3 * len(ids), np.float32),
        "scores": packed(np.concatenate([b[3] for b in blocks]).astype(np.float32)[rows]),
    }
    path = root / "data/attacks/audio-surface.parquet"
    save(path, columns, {"classes": CLASSES})
    return score_surface(path, attacks, labels, 0.9)


def test_scores_of_the_plane_follow_their_definition(tmp_path: Path) -> None:
    plane = scored(tmp_path)
    assert plane is not None
    assert plane.axis == (0.0, 0.5, 1.0)
    assert plane.spent == (0.75, 0.25)
    attacks = AttackScores(tmp_path / "data/attacks/audio.parquet")
    _, labels = read_labels(tmp_path / "data/embeddings/audio.parquet", "eval")
    clean = attacks.scores(
        attacks.conditions[0]._replace(threat="clean", attack="clean", multiple=0.0)
    )
    push = 1 - 2.0 * labels_of(len(labels), "multi_label")
    for place, strength in (((1, 0), 0.5), ((2, 1), 1.25), ((2, 2), 1.5), ((0, 2), 0.5)):
        expected = present_mean(average_precision(labels, clean + strength * push))
        assert plane.values[place] == pytest.approx(expected, abs=1e-6)
    assert plane.shared.estimate == pytest.approx(plane.values[2, 0])
    matched = matched_total(plane)
    assert matched["A"] == pytest.approx(plane.values[2, 0], abs=1e-6)
    assert matched["halved"] == pytest.approx(plane.values[1, 1], abs=1e-6)
    assert (matched["shared_audio"], matched["shared_video"]) == (0.75, 0.25)
    rows = surface_csv(plane, EPS).splitlines()
    assert len(rows) == 1 + 9
    assert rows[1].startswith(f"0,0,{plane.values[0, 0]:.6f}")
    assert iso_csv(plane, EPS).splitlines()[0] == "kept,eps_audio,eps_video"
    assert surface_csv(None, EPS).splitlines() == ["eps_audio,eps_video,mAP,lo,hi"]


def test_a_budget_spent_on_one_modality_is_shared_too(tmp_path: Path) -> None:
    """Splits are looked for clip by clip: where that leaves the set more, all of it goes to one."""
    plane = scored(tmp_path, damage=0.2)
    assert plane is not None
    assert plane.shared.estimate == plane.values[2, 0] < plane.values[1, 1]
    assert plane.spent == (1.0, 0.0)


@pytest.mark.parametrize("damage", [-1.0, 0.2, 1.0])
def test_more_budget_never_leaves_the_set_more(tmp_path: Path, damage: float) -> None:
    """Where a point between does less harm than one that it includes, that one counts."""
    plane = scored(tmp_path, damage=damage)
    assert plane is not None
    assert (np.diff(plane.values, axis=0) <= 0).all()
    assert (np.diff(plane.values, axis=1) <= 0).all()
    if damage < 1:
        assert plane.values[2, 1] == plane.values[2, 0] < plane.values[1, 1]


def test_equal_damages_of_a_run(tmp_path: Path) -> None:
    """V does half of A's damage for the same budget: it needs twice as much, and no more."""
    write_run(tmp_path, threats={"A": 1.0, "V": 0.5, "AV": 2.0})
    attacks = AttackScores(tmp_path / "data/attacks/audio.parquet")
    ids, labels = read_labels(tmp_path / "data/embeddings/audio.parquet", "eval")
    scores = score_run(attacks, ids, labels, confidence=0.9)
    found = equal_damages(scores)
    assert found["as_A"]["AV"] == pytest.approx(0.5, abs=1e-6)
    assert found["as_V"]["A"] == pytest.approx(0.5, abs=1e-6)
    assert found["as_A"]["V"] > 1
    write_run(tmp_path, threats={"A": 1.0})
    one = score_run(
        AttackScores(tmp_path / "data/attacks/audio.parquet"),
        ids, labels, confidence=0.9,
    )  # fmt: skip
    assert equal_damages(one) == {}


def test_another_set_of_clips_is_refused(tmp_path: Path) -> None:
    scored(tmp_path)
    path = tmp_path / "data/attacks/audio-surface.parquet"
    write_table(pq.read_table(path).slice(0, 150), path)
    attacks = AttackScores(tmp_path / "data/attacks/audio.parquet")
    _, labels = read_labels(tmp_path / "data/embeddings/audio.parquet", "eval")
    with pytest.raises(UserError, match="lacks clips"):
        score_surface(path, attacks, labels, 0.9)
