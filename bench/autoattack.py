"""Our single-label ensemble beside AutoAttack (its own package), on nets for 8 x 8 digits.

Two nets, one trained plainly and one adversarially, both here and now from a seed; the same clips,
budget and steps. Robust accuracy is counted by this program on what each returned, and so is the
largest change, in float64. FAB is in AutoAttack's line-up and not in ours.
"""

import argparse
import contextlib
import importlib
import io
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.tables import quartiles, table
from mmlib.attacks import Budget, on_tensor, pgd, strongest
from mmlib.attacks.methods.ensemble import single_label_members

TEST = 297
Attack = Callable[[nn.Module, Tensor, Tensor, Any], Tensor]


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pictures (N, 1, 8, 8) in [0, 1] and labels (N,): for training, then for the test."""
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    pictures = torch.tensor(found.images[order, None] / 16.0, dtype=torch.float32)
    labels = torch.tensor(found.target[order], dtype=torch.long)
    return pictures[TEST:], labels[TEST:], pictures[:TEST], labels[:TEST]


def train(pictures: Tensor, labels: Tensor, eps: float, epochs: int) -> nn.Module:
    """A small convolutional net; eps > 0 trains it on PGD-5 inputs."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1, stride=2),
        nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 10),
    )  # fmt: skip
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(epochs):
        for part in torch.split(torch.randperm(len(labels)), 100):
            x, y = pictures[part], labels[part]
            if eps:
                x = on_tensor(pgd, net, x, y, Budget(eps), loss="cross_entropy", steps=5)
            optimiser.zero_grad()
            loss: Any = cross_entropy(net(x), y)
            loss.backward()
            optimiser.step()
    return net.eval()


def ours(net: nn.Module, pictures: Tensor, labels: Tensor, options: Any) -> Tensor:
    members = single_label_members(options.steps, options.queries)
    budget = Budget(options.eps)
    found: Tensor = on_tensor(
        strongest, net, pictures, labels, budget, members=members, loss="top", broken="top"
    )
    return found


def autoattack(net: nn.Module, pictures: Tensor, labels: Tensor, options: Any) -> Tensor:
    package = importlib.import_module("pyautoattack")
    attack = package.AutoAttack(net, norm="Linf", eps=options.eps, device="cpu", seed=0)
    attack.verbose = False
    attack.apgd.n_iter = attack.apgd_targeted.n_iter = attack.fab.n_iter = options.steps
    attack.square.n_queries = options.queries
    with contextlib.redirect_stdout(io.StringIO()):
        found = attack.run_standard_evaluation(pictures, labels, batch_size=len(labels))
    adversarial: Tensor = found[0] if isinstance(found, tuple) else found
    return adversarial


PEERS: dict[str, Attack] = {"ours": ours, "AutoAttack": autoattack}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eps", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    seen, seen_labels, pictures, labels = digits()
    rows = []
    for kind, eps in (("plain", 0.0), ("adversarial", options.eps)):
        net = train(seen, seen_labels, eps, options.epochs)
        seconds: dict[str, list[float]] = {name: [] for name in PEERS}
        found = {}
        for number in range(options.rounds):
            for name in random.Random(number).sample(list(PEERS), len(PEERS)):
                start = time.perf_counter()
                found[name] = PEERS[name](net, pictures, labels, options)
                seconds[name].append(time.perf_counter() - start)
        for name in PEERS:
            with torch.no_grad():
                right = (net(found[name]).argmax(1) == labels).float().mean()
                clean = (net(pictures).argmax(1) == labels).float().mean()
            over = float((found[name].double() - pictures.double()).abs().max()) / options.eps - 1
            times = np.array(seconds[name])
            ratio = quartiles(times / np.array(seconds["ours"]), "{:.2f}")
            accuracy = f"{100 * float(right):.2f}"
            rows.append([kind, f"{100 * float(clean):.2f}", name, accuracy, ratio, f"{over:.1e}"])
    print(f"linf {options.eps}, {TEST} digits, {options.steps} steps, {options.queries} queries")
    print(table(["net", "clean %", "", "robust %", "time / ours", "over budget"], rows))


if __name__ == "__main__":
    main()
