"""Every check of one attacked run, from what the pipeline has stored of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmlib import checkpoint, devices
from mmlib.artefacts import CLEAN, AttackScores, Condition
from mmlib.attacks.methods.fgsm import fgsm
from mmlib.batch import Batch, to_device
from mmlib.checks import model as model_checks
from mmlib.checks import scores as score_checks
from mmlib.checks import stored as stored_checks
from mmlib.checks.outcome import Outcome
from mmlib.errors import UserError
from mmlib.loader import ShardSet
from mmlib.models.base import Model
from mmlib.params import Attack
from mmlib.sweep.chunk import build_threat, threat_names

_PROBED_CLIPS = 16


def check_run(shards: Path, model: Path, attacks: Path, settings: Attack) -> list[Outcome]:
    """Check the run `model` (a checkpoint without suffix) attacked into `<attacks>/<run>.parquet`.

    Returns the outcomes in a fixed order. A check that fails is a result, not an error; UserError
    is for files that are absent or broken.
    """
    device = devices.select()
    net, _ = checkpoint.load(model, device)
    clips = ShardSet(shards, "eval")
    table = AttackScores(attacks / f"{model.name}.parquet")
    if sorted(clips.clip_ids) != table.clip_ids.tolist():
        raise UserError(f"{table.path}: attacked other clips than {shards} has; run `dvc repro`")
    probed = clips.gather(np.arange(min(_PROBED_CLIPS, len(clips))), net.modalities)
    inputs, labels = to_device(probed.inputs, device), probed.labels.to(device)
    threat = build_threat(threat_names(net.modalities)[-1], settings, 1.0, inputs)
    return [
        *model_checks.check_model(net, inputs, labels, threat, settings.loss),
        *_check_scores(table, clips, net, settings, device),
        *_check_examples(attacks / f"{model.name}-examples.parquet", net, settings, device),
    ]


def _check_scores(
    table: AttackScores, clips: ShardSet, net: Model, settings: Attack, device: torch.device
) -> list[Outcome]:
    order = np.argsort(np.array(clips.clip_ids), kind="stable")
    labels = clips.labels[order].astype(np.bool_)

    def score(threat: str, attack: str, eps: float) -> float:
        return score_checks.mean_ap(labels, table.scores(Condition(threat, attack, eps)))

    attacked, noisy = (
        {
            threat: {eps: score(threat, attack, eps) for eps in table.sweep(threat, attack)}
            for threat in table.threats
        }
        for attack in ("pgd", "noise")
    )
    clean = score(CLEAN, CLEAN, 0.0)
    strongest = table.threats[-1]
    single = score_checks.mean_ap(labels, _one_step(net, clips, order, settings, device))
    return [
        score_checks.monotone_eps(clean, attacked),
        score_checks.large_eps_collapse(clean, attacked, score_checks.prevalence(labels)),
        score_checks.iterated_beats_single(attacked[strongest][settings.eps], single),
        score_checks.random_noise(attacked, noisy),
        score_checks.joint_beats_single(attacked),
    ]


def _one_step(
    net: Model,
    clips: ShardSet,
    order: NDArray[np.intp],
    settings: Attack,
    device: torch.device,
) -> NDArray[np.float32]:
    """The logits after FGSM under the full threat at the headline budget, clips in `order`."""
    logits = []
    for first in range(0, len(order), settings.batch_size):
        part = clips.gather(order[first : first + settings.batch_size], net.modalities)
        inputs, labels = to_device(part.inputs, device), part.labels.to(device)
        threat = build_threat(threat_names(net.modalities)[-1], settings, 1.0, inputs)
        found = fgsm(net, inputs, labels, threat, loss=settings.loss)
        with torch.no_grad():
            logits.append(net(found).cpu().numpy())
    return np.concatenate(logits)


def _check_examples(
    path: Path, net: Model, settings: Attack, device: torch.device
) -> list[Outcome]:
    file = pq.read_table(path)
    if not file.num_rows:
        message = "attack.examples is 0: nothing was kept to measure again"
        return [Outcome(name, "warn", message) for name in ("budget_exact", "reload_rescore")]
    about = json.loads(file.schema.metadata[b"mmlib"])
    clean, adversarial = (
        to_device(_stored_batch(file, side, about["shapes"]), device)
        for side in ("clean", "adversarial")
    )
    threat = build_threat(file["threat"][0].as_py(), settings, 1.0, clean)
    stored = [np.frombuffer(row, np.float32) for row in file["adversarial_scores"].to_pylist()]
    scores = torch.from_numpy(np.stack(stored)).to(device)
    return [
        stored_checks.budget_exact(clean, adversarial, threat),
        stored_checks.reload_rescore(net, adversarial, scores, batch_size=1),
    ]


def _stored_batch(file: Any, side: str, shapes: dict[str, list[int]]) -> Batch:
    def tensor(name: str, shape: list[int]) -> Tensor:
        rows = [np.frombuffer(row, np.float32) for row in file[f"{side}_{name}"].to_pylist()]
        return torch.from_numpy(np.stack(rows)).view(-1, *shape)

    batch = {name: tensor(name, shape) for name, shape in shapes.items()}
    present = {
        f"{name}_present": torch.tensor(file[f"{name}_present"].to_pylist()) for name in shapes
    }
    return batch | present
