"""Checks of what an attack stored: budgets measured again, examples scored again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from mmlib.batch import Batch, to_device
from mmlib.evaluation.attacked.budgets import threat_at
from mmlib.evaluation.attacked.run import AttackedRun
from mmlib.evaluation.checks import stored
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.runtime.parquet import Reader, numbers_of, read_parquet
from mmlib.threats import THREATS


def check_examples(attacks: Path, run: str, attacked: AttackedRun) -> list[Outcome]:
    """Check <run>-examples.parquet, and the norms of every row of <run>.parquet."""
    norms = _norms(attacks / f"{run}.parquet", attacked)
    stored_file = Reader(attacks / f"{run}-examples.parquet")
    file = stored_file.read()
    if not file.num_rows:
        message = "attack.examples is 0: no clip was kept to be measured again"
        whole = norms if norms.status == "fail" else Outcome("budget_exact", "warn", message)
        return [whole, Outcome("reload_rescore", "warn", message)]
    shapes = stored_file.facts()["shapes"]
    clean, adversarial = (
        to_device(_stored_batch(file, side, shapes), attacked.device)
        for side in ("clean", "adversarial")
    )
    threat = attacked.threat(file["threat"][0].as_py(), 1.0, clean)
    scores = _tensor(file["adversarial_scores"]).to(attacked.device)
    exact = stored.budget_exact(clean, adversarial, threat)
    if norms.status == "fail":
        exact = norms
    elif exact.status == "pass":
        exact = exact._replace(
            message=f"{len(scores)} stored clips: {exact.message}; {norms.message}"
        )
    return [exact, stored.reload_rescore(attacked.net, adversarial, scores, batch_size=1)]


def _norms(path: Path, attacked: AttackedRun) -> Outcome:
    """The norms that the sweep recorded for every clip and condition, against their budgets."""
    columns = ["threat", "eps", "multiple", "norm_audio", "norm_video"]
    groups = (
        read_parquet(path, columns)
        .group_by(["threat", "eps", "multiple"])
        .aggregate([("norm_audio", "max"), ("norm_video", "max")])
    )
    shapes = attacked.input_shapes
    norms: dict[str, list[float]] = {}
    radii: dict[str, float] = {}
    for row in groups.to_pylist():
        if row["threat"] not in THREATS:
            continue
        threat = threat_at(row["threat"], attacked.settings, row["multiple"], shapes)
        for modality, budget in threat.items():
            key = f"{modality} under {row['threat']} at {row['eps']:g}"
            largest = row[f"norm_{modality}_max"]
            norms[key] = [] if largest is None else [largest]
            radii[key] = float(budget.eps)
    return stored.norms_within(norms, radii)


def _tensor(column: pa.ChunkedArray) -> Tensor:
    return torch.from_numpy(numbers_of(column, np.float32).copy())


def _stored_batch(file: pa.Table, side: str, shapes: Mapping[str, Sequence[int]]) -> Batch:
    batch = {
        name: _tensor(file[f"{side}_{name}"]).view(-1, *shape) for name, shape in shapes.items()
    }
    present = {
        f"{name}_present": torch.tensor(file[f"{name}_present"].to_pylist()) for name in shapes
    }
    return batch | present
