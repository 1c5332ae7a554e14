"""Checks of what an attack stored: budgets measured again, examples scored again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from mmlib.batch import THREATS, Batch, to_device
from mmlib.evaluation.attacked.threats import build_threat
from mmlib.evaluation.checks import stored
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.models.base import Model
from mmlib.params import Attack


def check_examples(
    attacks: Path,
    run: str,
    net: Model,
    shapes: Mapping[str, tuple[int, ...]],
    settings: Attack,
    device: torch.device,
) -> list[Outcome]:
    """Check <run>-examples.parquet, and the norms of every row of <run>.parquet.

    `shapes`: modality -> shape of one clip.
    """
    norms = _norms(attacks / f"{run}.parquet", shapes, settings)
    file = pq.read_table(attacks / f"{run}-examples.parquet")
    if not file.num_rows:
        message = "attack.examples is 0: no clip was kept to be measured again"
        whole = norms if norms.status == "fail" else Outcome("budget_exact", "warn", message)
        return [whole, Outcome("reload_rescore", "warn", message)]
    about = json.loads(file.schema.metadata[b"mmlib"])
    clean, adversarial = (
        to_device(_stored_batch(file, side, about["shapes"]), device)
        for side in ("clean", "adversarial")
    )
    threat = build_threat(file["threat"][0].as_py(), settings, 1.0, clean)
    kept = [np.frombuffer(row, np.float32) for row in file["adversarial_scores"].to_pylist()]
    scores = torch.from_numpy(np.stack(kept)).to(device)
    exact = stored.budget_exact(clean, adversarial, threat)
    if norms.status == "fail":
        exact = norms
    elif exact.status == "pass":
        exact = exact._replace(
            message=f"{len(kept)} stored clips: {exact.message}; {norms.message}"
        )
    return [exact, stored.reload_rescore(net, adversarial, scores, batch_size=1)]


def _norms(path: Path, sizes: Mapping[str, tuple[int, ...]], settings: Attack) -> Outcome:
    """The norms that the sweep recorded for every clip and condition, against their budgets."""
    rows = pq.read_table(path, columns=["threat", "eps", "norm_audio", "norm_video"])
    groups = rows.group_by(["threat", "eps"]).aggregate(
        [("norm_audio", "max"), ("norm_video", "max")]
    )
    shapes = {name: torch.empty(1, *size) for name, size in sizes.items()}
    norms: dict[str, list[float]] = {}
    radii: dict[str, float] = {}
    for row in groups.to_pylist():
        if row["threat"] not in THREATS:
            continue
        threat = build_threat(row["threat"], settings, row["eps"] / settings.eps, shapes)
        for modality, budget in threat.items():
            key = f"{modality} under {row['threat']} at {row['eps']:g}"
            largest = row[f"norm_{modality}_max"]
            norms[key] = [] if largest is None else [largest]
            radii[key] = float(budget.eps)
    return stored.norms_within(norms, radii)


def _stored_batch(file: Any, side: str, shapes: dict[str, list[int]]) -> Batch:
    def tensor(name: str, shape: list[int]) -> Tensor:
        rows = [np.frombuffer(row, np.float32) for row in file[f"{side}_{name}"].to_pylist()]
        return torch.from_numpy(np.stack(rows)).view(-1, *shape)

    batch = {name: tensor(name, shape) for name, shape in shapes.items()}
    present = {
        f"{name}_present": torch.tensor(file[f"{name}_present"].to_pylist()) for name in shapes
    }
    return batch | present
