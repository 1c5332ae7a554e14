"""PGD of torchattacks, foolbox, ART and ours, APGD of adversarial-library: one signature for all.

The peers know one tensor and one label a clip, so each is given a wrapper as its user would write
it: the attacked modalities side by side in one tensor, and two logits (0, BCE), whose cross entropy
for label 0 grows with the BCE: the sign of every gradient is that of BCE.
"""

import importlib
import sys
from collections.abc import Callable, Collection
from copy import deepcopy
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from mmlib.attacks.core.losses import bce
from mmlib.attacks.core.threat import Budget
from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import Batch, LabelledBatch
from mmlib.evaluation.attacked import frozen
from mmlib.models.base import Model
from mmlib.threats import THREATS

Attack = Callable[[Model, list[LabelledBatch], str, float, int], list[Batch]]
"""(model, clips in batches, threat, eps, steps) -> the attacked batches."""
OnBatch = Callable[[Model, LabelledBatch, str, float, int], Batch]


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


def ours(
    model: Model, clips: list[LabelledBatch], threat: str, eps: float, steps: int
) -> list[Batch]:
    """As the sweep does it: parameters frozen, norms folded, the other branch encoded once."""
    net, names = frozen.frozen(model, clips[0].inputs), THREATS[threat]
    budgets = {name: Budget(eps) for name in names}
    found = []
    for chunk in clips:
        batch, forward = frozen.cached(net, chunk.inputs, None, names)
        found.append(pgd(forward, batch, chunk.labels, budgets, steps=steps))
    return found


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


def with_adv_lib(model: Model, clips: LabelledBatch, threat: str, eps: float, steps: int) -> Batch:
    """adversarial-library's APGD; its PGD knows logits of one label only, as the others do."""
    # It imports visdom for plots that nothing here asks for, and that package no longer builds.
    sys.modules.setdefault("visdom", ModuleType("visdom"))
    net = OneTensor(model, clips, THREATS[threat])
    library = importlib.import_module("adv_lib.attacks")
    labels = torch.zeros(len(clips.labels), dtype=torch.long)
    options = {"norm": float("inf"), "n_iter": steps, "loss_function": "ce", "best_loss": True}
    return net.split(library.apgd(net, net.join(), labels, eps=eps, **options).detach())


def each(attack: OnBatch) -> Attack:
    """One batch after the other."""

    def over(
        model: Model, clips: list[LabelledBatch], threat: str, eps: float, steps: int
    ) -> list[Batch]:
        return [attack(model, chunk, threat, eps, steps) for chunk in clips]

    return over


PEERS: dict[str, Attack] = {
    "ours": ours,
    "torchattacks": each(with_torchattacks),
    "foolbox": each(with_foolbox),
    "ART": each(with_art),
    "adversarial-library": each(with_adv_lib),
}


def here(model: Model, clips: LabelledBatch, wanted: Collection[str] | None) -> dict[str, Attack]:
    """Ours, and the wanted ones that are installed (None: all).

    Each runs one step, so that no later timing holds its import.
    """
    found = {}
    for name, peer in PEERS.items():
        if wanted is not None and name not in {"ours", *wanted}:
            continue
        try:
            peer(model, [clips], "A", 0.01, 1)
            found[name] = peer
        except ImportError as error:
            print(f"{name} is not here ({error}): pip install '.[bench]'")
    return found
