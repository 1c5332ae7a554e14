"""A small run's cached embeddings, attacked scores and head, as earlier stages leave them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors.numpy import save_file

from mmlib.runtime.arrays import Array, Bytes, Floats32
from mmlib.runtime.parquet import write_table

CLASSES = ["Siren", "Rain", "Bird", "Train"]
EPS = 0.02
SWEEP = (0.01, EPS, 0.2)


def write_run(
    root: Path,
    run: str = "audio",
    *,
    task: str = "multi_label",
    threats: Mapping[str, float] | None = None,
    space: str = "audio",
    clips: int = 60,
    strength: float = 2.0,
    seed: int = 0,
) -> None:
    """Write data/embeddings, data/attacks and data/models of a run with an affine head.

    `threats` maps each threat to the damage that it does per unit of eps / EPS; `seed` draws the
    run's own noise: the labels are the same for every run.
    """
    labels = labels_of(clips, task)
    rng = np.random.default_rng([seed, 1])
    vectors = rng.standard_normal((2 * clips, 6)).astype(np.float32)
    val = np.random.default_rng([seed, 2]).standard_normal((clips, 6)).astype(np.float32)
    vectors = np.concatenate([vectors, val])
    vectors[:, :4] += strength * np.tile(labels, (3, 1))
    weight = np.eye(4, 6, dtype=np.float32)
    bias = np.full(4, -0.5 * strength, dtype=np.float32)
    logits = vectors @ weight.T + bias
    for folder in ("embeddings", "attacks", "models"):
        (root / "data" / folder).mkdir(parents=True, exist_ok=True)
    model = {"head.weight": weight, "head.bias": bias}
    save_file(model, root / f"data/models/{run}.safetensors")
    order = np.concatenate([rng.permutation(2 * clips), np.arange(2 * clips, 3 * clips)])
    ids = np.array([f"clip-{i % clips:03d}" for i in range(3 * clips)])
    splits = np.repeat(["train", "eval", "val"], clips)
    columns = {
        "split": splits[order],
        "clip_id": ids[order],
        "labels": packed(np.tile(labels, (3, 1))[order]),
        space: packed(vectors[order]),
        "logits": packed(logits[order]),
    }
    save(root / f"data/embeddings/{run}.parquet", columns, {"classes": CLASSES, "task": task})
    attacks = _attacks(
        ids[clips : 2 * clips], labels, logits[clips : 2 * clips], threats or {"A": 1.0}, rng
    )
    details = {"classes": CLASSES, "task": task, "run": run, "eps": EPS}
    path = root / f"data/attacks/{run}.parquet"
    save(path, attacks, details | {"threats": list(threats or {"A": 1.0})})
    save(root / f"data/attacks/{run}-surface.parquet", _no_surface(), details)


def labels_of(clips: int, task: str) -> Bytes:
    """Labels (clips, 4); the last class has no positive when multi-label."""
    rng = np.random.default_rng(5)
    if task == "single_label":
        return np.eye(4, dtype=np.uint8)[rng.integers(0, 4, clips)]
    labels = (rng.random((clips, 4)) < 0.3).astype(np.uint8)
    labels[:, 3] = 0
    return labels


def _attacks(
    ids: Array,
    labels: Bytes,
    clean: Floats32,
    threats: Mapping[str, float],
    rng: np.random.Generator,
) -> dict[str, Any]:
    blocks = [("clean", "clean", 0.0, clean)]
    for threat, damage in threats.items():
        for eps in SWEEP:
            push = damage * eps / EPS * (1 - 2.0 * labels)
            blocks.append((threat, "pgd", eps, (clean + push).astype(np.float32)))
            blocks.append((threat, "noise", eps, (clean + 0.05 * push).astype(np.float32)))
    count = len(ids)
    names = [(threat, attack, eps) for threat, attack, eps, _ in blocks for _ in range(count)]
    scores = np.concatenate([block[3] for block in blocks])
    rows = zip(names, scores, strict=True)
    stored = [None if name[1] == "clean" else row.tobytes() for name, row in rows]
    columns = {
        "clip_id": np.tile(ids, len(blocks)),
        "threat": [name[0] for name in names],
        "attack": [name[1] for name in names],
        "eps": pa.array([name[2] for name in names], pa.float64()),
        "multiple": pa.array([name[2] / EPS for name in names], pa.float64()),
        "scores": packed(scores),
        "quantised_scores": pa.array(stored, pa.binary(16)),
    }
    table = pa.table(columns).take(rng.permutation(len(names)))
    return dict(zip(table.column_names, table.columns, strict=True))


def _no_surface() -> dict[str, pa.Array]:
    """The columns of a run whose plane of budgets was not attacked."""
    kinds = {"clip_id": pa.string(), "kind": pa.string(), "audio": pa.float64()}
    kinds |= {"video": pa.float64(), "loss": pa.float32(), "scores": pa.binary(16)}
    return {name: pa.array([], kind) for name, kind in kinds.items()}


def packed(rows: Array) -> pa.Array:
    """Rows as fixed_size_binary."""
    return pa.array([row.tobytes() for row in rows], pa.binary(rows[0].nbytes))


def save(path: Path, columns: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Write a Parquet file in small row groups with metadata under `mmlib`."""
    table = pa.table(dict(columns))
    table = table.replace_schema_metadata({b"mmlib": json.dumps(metadata).encode()})
    write_table(table, path, row_group_size=50)
