"""Convexity below the penultimate vector, on small networks with random weights."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from mmlib.batch import LabelledBatch
from mmlib.evaluation import inner_spaces
from mmlib.metrics.geometry.clouds import clouds
from mmlib.metrics.geometry.convexity import (
    Pairs,
    threshold_rule,
)
from mmlib.metrics.geometry.head import read_head
from mmlib.metrics.geometry.spaces import (
    measure,
    penultimate_space,
)
from mmlib.metrics.stored import Embeddings
from mmlib.models import checkpoint
from mmlib.models.base import Model
from mmlib.models.build import build
from mmlib.runtime.arrays import Floats32, Indices
from mmlib.runtime.errors import UserError

SHAPES = {
    "audio": {"frames": 16, "bands": 32, "mean": [0.4] * 32, "std": [0.2] * 32},
    "video": {"frames": 4, "height": 16, "width": 16, "mean": [0.4] * 3, "std": [0.2] * 3},
}
BARS = np.zeros(3)
RULE = threshold_rule(BARS)


class Clips:
    """Random clips in memory."""

    task = "multi_label"
    classes: ClassVar[list[str]] = ["a", "b", "c"]

    def __init__(self, count: int) -> None:
        self.clip_ids = [str(row) for row in range(count)]
        self.labels = np.zeros((count, len(self.classes)), np.uint8)
        generator = torch.Generator().manual_seed(0)
        self.inputs = {
            "audio": torch.rand(count, 16, 32, generator=generator),
            "video": torch.rand(count, 3, 4, 16, 16, generator=generator),
        }

    def __len__(self) -> int:
        return len(self.clip_ids)

    def gather(self, indices: Indices, modalities: tuple[str, ...]) -> LabelledBatch:
        rows = torch.from_numpy(indices)
        inputs = {name: self.inputs[name][rows] for name in modalities}
        return LabelledBatch(tuple(map(str, indices)), inputs, torch.zeros(len(indices), 3))


@pytest.fixture(scope="module")
def model() -> Model:
    sizes = {"width": 2, "dropout": 0.0}
    architecture = {
        "audio": {"name": "csn", "transformer_blocks": 1, "share_blocks": False, **sizes},
        "video": {"name": "r2plus1d", "width": 2, "blocks": [1, 1, 1, 1]},
        "fusion": {"name": "mid", "hidden": 8, "dropout": 0.0},
        "heads": False,
    }
    return build(architecture, 3, SHAPES).eval()


@pytest.fixture(scope="module")
def vectors(model: Model) -> dict[str, Floats32]:
    with torch.inference_mode():
        encoded = model.encode_all(Clips(20).inputs)
    return {name: vector.numpy() for name, vector in encoded.items()}


def test_a_modality_moves_alone_in_its_own_space_and_with_the_rest_in_the_joint_one(
    model: Model, vectors: dict[str, Floats32]
) -> None:
    present = {name: np.ones(20, dtype=np.bool_) for name in vectors}
    spaces = inner_spaces.fusion_spaces(model, vectors, present, RULE, sample=10)
    assert [space.name for space in spaces] == ["audio", "video", "joint"]
    rng = np.random.default_rng(0)
    pairs = Pairs(np.arange(10), np.arange(10, 20), rng.random(10))
    theta = torch.from_numpy(pairs.theta).float()[:, None]
    first = {name: torch.from_numpy(vector[:10]) for name, vector in vectors.items()}
    between = {
        name: theta * first[name] + (1 - theta) * torch.from_numpy(vector[10:])
        for name, vector in vectors.items()
    }
    for space, moving in zip(spaces, (("audio",), ("video",), ("audio", "video")), strict=True):
        points = {name: between[name] if name in moving else first[name] for name in vectors}
        with torch.inference_mode():
            expected = RULE(model.classify(points).numpy(), 1)
        np.testing.assert_allclose(space.margins(pairs, 1), expected, atol=1e-5)


def test_input_space_runs_the_whole_model(model: Model) -> None:
    clips = Clips(40)
    places = np.arange(40)[::-1].copy()
    space = inner_spaces.input_space(
        model, clips, places, np.ones(40, dtype=np.bool_), RULE, sample=10
    )
    # more pairs than go through at once, end points first: theta 1 is the first clip itself
    pairs = Pairs(np.arange(40), np.roll(np.arange(40), 1), np.ones(40))
    with torch.inference_mode():
        expected = RULE(model(clips.inputs).numpy(), 2)[places]
    np.testing.assert_allclose(space.margins(pairs, 2), expected, atol=1e-4)
    halves = pairs._replace(theta=np.full(40, 0.5))
    swapped = Pairs(halves.second, halves.first, halves.theta)
    np.testing.assert_allclose(space.margins(halves, 0), space.margins(swapped, 0), atol=1e-5)


def test_spaces_without_points_have_kappa_and_no_density(
    model: Model, vectors: dict[str, Floats32]
) -> None:
    present = np.arange(20) < 18
    space = inner_spaces.input_space(model, Clips(20), np.arange(20), present, RULE, sample=12)
    with torch.inference_mode():
        logits = model(Clips(20).inputs).numpy()
    labels = np.ones((20, 3), dtype=np.bool_)
    rows = measure(
        [space],
        ["a", "b", "c"],
        labels,
        logits,
        dense=lambda _: [],
        bars=BARS,
        taus=[0.6],
        p=2.0,
        seed=0,
    )
    for row in rows:
        assert (row.members, row.convexity.members) == (0, 18)
        assert row.densities == ()
        assert row.convexity.points == 12
        assert 0 <= row.convexity.kappa.estimate <= 1


def test_spaces_of_a_saved_run(
    model: Model,
    vectors: dict[str, Floats32],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoint.save(model, tmp_path / "mid", {"classes": ["a", "b", "c"], "task": "multi_label"})
    head = read_head(tmp_path / "mid.safetensors")
    moved = {name: vector.copy() for name, vector in vectors.items()}
    moved["audio"][4] = head.missing["audio"]
    with torch.inference_mode():
        tensors = {name: torch.from_numpy(vector) for name, vector in moved.items()}
        fused = model.fuse(tensors).numpy()
        logits = model.classify(tensors).numpy()
    ids = np.array([f"clip-{i:02d}" for i in range(20)])
    labels = np.ones((20, 3), dtype=np.bool_)
    cached = Embeddings(
        ("a", "b", "c"), "multi_label", ids, labels, logits, {**moved, "fused": fused}
    )
    head.check(fused, logits, "mid")
    clips = Clips(20)
    clips.clip_ids = ids.tolist()
    monkeypatch.setattr(inner_spaces, "ShardSet", lambda root, split, **options: clips)
    spaces = inner_spaces.spaces_below(
        cached,
        head,
        tmp_path / "mid",
        tmp_path,
        split="train",
        bars=BARS,
        sample=30,
        input_sample=10,
    )
    assert [space.name for space in spaces] == ["audio", "video", "joint", "input"]
    absent = {space.name: np.flatnonzero(~np.asarray(space.present)) for space in spaces}
    assert {name: rows.tolist() for name, rows in absent.items()} == {
        "audio": [4],
        "video": [],
        "joint": [4],
        "input": [4],
    }
    top = penultimate_space(cached, head, "mid", bars=BARS, sample=30)
    settings: dict[str, Any] = {"bars": BARS, "taus": [0.6, 0.8]}
    dense = clouds(cached.labels, cached.vectors, head)
    settings |= {"dense": lambda name: [dense] * (name in dense.points), "p": 2.0, "seed": 0}
    rows = measure([top, *spaces], cached.classes, labels, logits, **settings)
    assert {(row.space, row.members) for row in rows} >= {("audio", 19), ("joint", 19)}
    assert {(row.space, row.convexity.members) for row in rows} == {
        ("fused", 20),
        ("audio", 19),
        ("video", 20),
        ("joint", 19),
        ("input", 19),
    }


def test_places() -> None:
    assert inner_spaces.places(["b", "a", "c"], np.array(["a", "c"])).tolist() == [1, 2]
    with pytest.raises(UserError, match="clip d has an embedding but is in no shard"):
        inner_spaces.places(["a"], np.array(["a", "d"]))
