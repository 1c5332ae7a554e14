"""AP, AUC and d' at AudioSet's size against scikit-learn and, where installed, torchmetrics.

`python -m bench.metrics` prints seconds over interleaved rounds, how many times faster ours is
(the ratio is taken within a round), the largest difference from scikit-learn's values, and what a
mAP's pseudo-values, density and convexity cost at the same size.
"""

import argparse
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from bench.tables import quartiles, table
from mmlib.metrics import ranking as metrics
from mmlib.metrics.geometry.bars import class_bars
from mmlib.metrics.geometry.clouds import Clouds
from mmlib.metrics.geometry.spaces import (
    affine_space,
    measure,
)
from mmlib.metrics.scores.jackknife import pseudo_values
from mmlib.runtime.arrays import Bools, Floats, Floats32

Labels = Bools
Scores = Floats32
Values = Floats
Contender = Callable[[Labels, Scores], Values]


def data(clips: int, classes: int, seed: int = 0) -> tuple[Labels, Scores]:
    """Labels as skewed as AudioSet's, a few positives to a third of the clips; scores with ties."""
    rng = np.random.default_rng(seed)
    prevalence = np.clip(0.002 * (1 + rng.pareto(1.2, classes)), 3 / clips, 0.35)
    labels = rng.random((clips, classes)) < prevalence
    labels[0], labels[1] = True, False
    scores = rng.standard_normal((clips, classes)) + 1.5 * labels
    return labels, scores.astype(np.float16).astype(np.float32)


def ours(labels: Labels, scores: Scores) -> Values:
    """AP and AUC of every class, and both forms of d', in one pass."""
    ranking = metrics.rank(labels, scores)
    metrics.summarise(ranking)
    return np.stack(ranking)


def scikit_learn(labels: Labels, scores: Scores) -> Values:
    """Its two calls."""
    precision = average_precision_score(labels, scores, average=None)
    auc = roc_auc_score(labels, scores, average=None)
    metrics.dprime(auc)
    return np.stack([precision, auc])


def torchmetrics(labels: Labels, scores: Scores) -> Values:
    """Its two functional calls."""
    import torch

    peer = import_module("torchmetrics.functional.classification")
    truth, values = torch.from_numpy(labels).long(), torch.from_numpy(scores).sigmoid()
    calls = (peer.multilabel_average_precision, peer.multilabel_auroc)
    found = [f(values, truth, num_labels=labels.shape[1], average=None) for f in calls]
    return np.stack([values.double().numpy() for values in found])


def main() -> None:
    """Run the contenders in turn, so that a busy machine is busy for all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=20_371)
    parser.add_argument("--classes", type=int, default=527)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    labels, scores = data(options.clips, options.classes)
    contenders: dict[str, Contender] = {"mmlib": ours, "scikit-learn": scikit_learn}
    if find_spec("torchmetrics"):
        contenders["torchmetrics"] = torchmetrics
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    values = {}
    for _ in range(options.rounds):
        for name, contender in contenders.items():
            start = time.perf_counter()
            values[name] = contender(labels, scores)
            seconds[name].append(time.perf_counter() - start)
    rows = []
    for name, times in seconds.items():
        ratios = np.divide(times, seconds["mmlib"])
        gap = np.abs(values[name] - values["scikit-learn"]).max()
        rows.append(
            [name, quartiles(np.array(times), "{:.3f}"), quartiles(ratios, "{:.1f}"), f"{gap:.0e}"]
        )
    print(f"AP + AUC + d', {options.clips} clips x {options.classes} classes, float32, ties")
    print(table(["", "seconds", "times ours", "largest gap"], rows))
    start = time.perf_counter()
    pseudo_values(labels, scores)
    print(f"pseudo-values of mAP: {time.perf_counter() - start:.1f} s")
    for task in ("multi_label", "single_label"):
        print(f"density and convexity, {task}: {geometry(labels, scores, task):.1f} s")


def geometry(labels: Labels, logits: Scores, task: str, dims: int = 1024) -> float:
    """Seconds for both taus, the shell and 2000 points a class, twice, on `dims` dimensions."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((len(labels), dims), dtype=np.float32)
    classes = [str(column) for column in range(labels.shape[1])]
    start = time.perf_counter()
    bars = class_bars(task, labels.sum(0), len(labels), threshold=None, odds_ratio=4.0)
    space = affine_space("fused", logits, bars=bars, sample=2000)
    present = np.ones(len(labels), np.bool_)
    measure(
        [space],
        classes,
        labels,
        logits,
        dense=lambda _: [Clouds(labels, {"fused": vectors}, {"fused": present})],
        bars=bars,
        taus=(0.6, 0.8),
        p=2.0,
        seed=0,
    )
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
