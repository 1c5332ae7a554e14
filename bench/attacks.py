"""PGD speed and strength on the pipeline's own fused model: ours, torchattacks, foolbox, ART.

Same model, clips, budget, steps and loss. The peers know one tensor and one label a clip, so each
is given a wrapper as its user would write it: the attacked modalities side by side in one tensor,
and two logits (0, BCE), whose cross entropy for label 0 grows with the BCE: the sign of every
gradient is that of BCE. Each peer in turn attacks all the clips, in random order in each round; a
ratio is taken within a round. mAP is that of the model on what came out, scored by this program.
Needs the outs of `dvc repro` (--root: where they are).
"""

import argparse
import importlib
import random
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.tables import quartiles, table
from mmlib import checkpoint, inference, params
from mmlib.attacks.losses import bce
from mmlib.attacks.methods.pgd import pgd
from mmlib.attacks.threat import Budget
from mmlib.batch import Batch, LabelledBatch
from mmlib.loader import ShardSet
from mmlib.metrics import present_mean, rank
from mmlib.models.base import Model
from mmlib.sweep.chunk import ChunkSweep
from mmlib.sweep.threats import THREATS

Attack = Callable[[Model, LabelledBatch, str, float, int], Batch]
BATCH = 50


class OneTensor(nn.Module):
    """The model as a peer sees it: (B, 1, 1, N) -> two logits, of which 0 is the true class."""

    def __init__(self, model: Model, clips: LabelledBatch, names: tuple[str, ...]) -> None:
        super().__init__()
        # A peer may leave its model in training mode, which would change it.
        self.model, self.clips, self.names = deepcopy(model), clips, names
        self.eval()

    def join(self) -> Tensor:
        parts = [self.clips.inputs[name].flatten(1) for name in self.names]
        return torch.cat(parts, 1)[:, None, None]

    def split(self, joined: Tensor) -> Batch:
        sizes = [self.clips.inputs[name][0].numel() for name in self.names]
        parts = torch.split(joined[:, 0, 0], sizes, 1)
        named = zip(self.names, parts, strict=True)
        return {name: part.view_as(self.clips.inputs[name]) for name, part in named}

    def forward(self, joined: Tensor) -> Tensor:
        logits = self.model({**self.clips.inputs, **self.split(joined)})
        losses = bce(logits, self.clips.labels) * logits.shape[1]
        return torch.stack([torch.zeros_like(losses), losses], 1)


def ours(model: Model, clips: LabelledBatch, threat: str, eps: float, steps: int) -> Batch:
    """As the sweep does it: parameters frozen, norms folded, the other branch encoded once."""
    few = {name: tensor[:4] for name, tensor in clips.inputs.items()}
    net = inference.frozen(model, few)
    with torch.no_grad():
        embeddings = net.encode_all(clips.inputs)
    names = THREATS[threat]
    batch, forward = inference.cached(net, clips.inputs, embeddings, names)
    return pgd(forward, batch, clips.labels, {name: Budget(eps) for name in names}, steps=steps)


def with_torchattacks(
    model: Model, clips: LabelledBatch, threat: str, eps: float, steps: int
) -> Batch:
    net = OneTensor(model, clips, THREATS[threat])
    torchattacks = importlib.import_module("torchattacks")
    attack = torchattacks.PGD(net, eps=eps, alpha=2.5 * eps / steps, steps=steps)
    return net.split(attack(net.join(), torch.zeros(len(clips.labels), dtype=torch.long)))


def with_foolbox(model: Model, clips: LabelledBatch, threat: str, eps: float, steps: int) -> Batch:
    net = OneTensor(model, clips, THREATS[threat])
    foolbox = importlib.import_module("foolbox")
    attack = foolbox.attacks.LinfPGD(rel_stepsize=2.5 / steps, steps=steps)
    labels = torch.zeros(len(clips.labels), dtype=torch.long)
    wrapped = foolbox.PyTorchModel(net, bounds=(0, 1))
    return net.split(attack(wrapped, net.join(), labels, epsilons=eps)[1])


def with_art(model: Model, clips: LabelledBatch, threat: str, eps: float, steps: int) -> Batch:
    net = OneTensor(model, clips, THREATS[threat])
    evasion = importlib.import_module("art.attacks.evasion")
    estimators = importlib.import_module("art.estimators.classification")
    joined = net.join().numpy()
    classifier = estimators.PyTorchClassifier(
        net, nn.CrossEntropyLoss(), joined.shape[1:], 2, clip_values=(0.0, 1.0)
    )
    attack = evasion.ProjectedGradientDescentPyTorch(
        classifier,
        eps=eps,
        eps_step=2.5 * eps / steps,
        max_iter=steps,
        num_random_init=1,
        batch_size=len(joined),
        verbose=False,
    )
    labels = np.zeros(len(joined), np.int64)
    return net.split(torch.from_numpy(attack.generate(joined, labels)))


PEERS: dict[str, Attack] = {
    "ours": ours,
    "torchattacks": with_torchattacks,
    "foolbox": with_foolbox,
    "ART": with_art,
}


def mean_ap(model: Model, clips: list[LabelledBatch], found: list[Batch]) -> float:
    """mAP of the model on the attacked clips."""
    with torch.no_grad():
        pairs = zip(clips, found, strict=True)
        scores = torch.cat([model({**c.inputs, **attacked}) for c, attacked in pairs])
    labels = torch.cat([c.labels for c in clips]).numpy() > 0.5
    return float(present_mean(rank(labels, scores.numpy()).average_precision))


def exceeds(clips: list[LabelledBatch], found: list[Batch], eps: float) -> float:
    """How far the largest change lies beyond the budget, as a share of it; in float64."""
    largest = max(
        float((attacked[name].double() - c.inputs[name].double()).abs().max())
        for c, attacked in zip(clips, found, strict=True)
        for name in c.inputs
        if name in attacked and name in ("audio", "video")
    )
    return largest / eps - 1


def measure(
    model: Model, clips: list[LabelledBatch], peers: dict[str, Attack], options: Any
) -> list[list[str]]:
    rows = []
    total: dict[str, list[float]] = {name: [0.0] * options.rounds for name in peers}
    for threat in THREATS:
        seconds: dict[str, list[float]] = {name: [] for name in peers}
        found: dict[str, list[Batch]] = {}
        order = list(peers)
        for number in range(options.rounds):
            random.Random(number).shuffle(order)
            for name in order:
                torch.manual_seed(number)
                np.random.seed(number)  # noqa: NPY002 (ART draws from it)
                start = time.perf_counter()
                found[name] = [
                    peers[name](model, c, threat, options.eps, options.steps) for c in clips
                ]
                seconds[name].append(time.perf_counter() - start)
        for name in peers:
            total[name] = [sum(x) for x in zip(total[name], seconds[name], strict=True)]
            over = exceeds(clips, found[name], options.eps)
            score = f"{mean_ap(model, clips, found[name]):.4f}"
            rows.append([threat, name, *_ratio(seconds, name), score, f"{over:.1e}"])
    rows += [["all three", name, *_ratio(total, name), "", ""] for name in peers]
    return rows


Conditions = dict[tuple[str, float], float]
"""(threat, eps) -> mAP."""


def our_sweep(model: Model, clips: list[LabelledBatch]) -> Conditions:
    """Every threat at every budget as stage attack runs them, its noise included."""
    settings = params.load().attack
    found: dict[tuple[str, float], list[Tensor]] = {}
    for chunk in clips:
        for record in ChunkSweep(model, chunk, settings, seed=0).run():
            threat, attack, eps = record.condition
            if attack == "pgd":
                found.setdefault((threat, eps), []).append(record.scores)
    labels = torch.cat([c.labels for c in clips]).numpy() > 0.5
    return {
        condition: float(present_mean(rank(labels, torch.cat(parts).numpy()).average_precision))
        for condition, parts in found.items()
    }


def peer_sweep(
    peer: Attack, model: Model, clips: list[LabelledBatch], conditions: Conditions, steps: int
) -> Conditions:
    """The same conditions, one attack each."""
    return {
        (threat, eps): mean_ap(model, clips, [peer(model, c, threat, eps, steps) for c in clips])
        for threat, eps in conditions
    }


def measure_sweeps(
    model: Model, clips: list[LabelledBatch], peers: dict[str, Attack], options: Any
) -> list[list[str]]:
    """Time and mAP of whole sweeps."""
    conditions = our_sweep(model, clips)
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    gaps: dict[str, list[float]] = {}
    for number in range(max(1, options.rounds // 2)):
        for name in random.Random(number).sample(list(peers), len(peers)):
            start = time.perf_counter()
            if name == "ours":
                found = our_sweep(model, clips)
            else:
                found = peer_sweep(peers[name], model, clips, conditions, options.steps)
            seconds[name].append(time.perf_counter() - start)
            gaps[name] = [conditions[key] - found[key] for key in conditions]
    return [
        [name, *_ratio(seconds, name), f"{max(gaps[name]):+.4f}", f"{np.mean(gaps[name]):+.4f}"]
        for name in peers
    ]


def _ratio(seconds: dict[str, list[float]], name: str) -> tuple[str, str]:
    times, mine = np.array(seconds[name]), np.array(seconds["ours"])
    return quartiles(times, "{:.2f}"), quartiles(times / mine, "{:.2f}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--run", default="mid")
    parser.add_argument("--eps", type=float, default=0.008)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=200)
    options = parser.parse_args()
    model, _ = checkpoint.load(options.root / "data" / "models" / options.run)
    shards = ShardSet(options.root / "data" / "shards", "eval")
    places = np.arange(min(options.clips, len(shards)))
    parts = np.array_split(places, max(1, len(places) // BATCH))
    clips = [shards.gather(part, model.modalities) for part in parts]
    peers = {}
    for name, peer in PEERS.items():
        try:
            peer(model, clips[0], "A", options.eps, 1)
            peers[name] = peer
        except ImportError as error:
            print(f"{name} is not here ({error}): pip install '.[bench]'")
    print(f"PGD-{options.steps}, eps {options.eps}, {len(places)} clips in batches of {BATCH}")
    rows = measure(model, clips, peers, options)
    print(table(["threat", "", "seconds", "time / ours", "mAP", "over budget"], rows))
    print("\nthe pipeline's sweep: every threat at every budget")
    head = ["", "seconds", "time / ours", "our mAP less theirs, most", "and on average"]
    print(table(head, measure_sweeps(model, clips, peers, options)))


if __name__ == "__main__":
    main()
