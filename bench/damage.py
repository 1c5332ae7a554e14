"""Time to damage: the mAP that attacks leave, against the processor time that they take.

The pipeline's own fused model and eval clips (needs the outs of `dvc repro`; --root: where they
are), attacked at one budget by torchattacks, foolbox, ART and adversarial-library at several
numbers of steps, by our PGD on each clip's BCE, by the set attack behind the headline at several
efforts, and by the yardstick of `bench/set_attack.py`. The peers know one label and are given BCE
(`bench/peers.py`). mAP is counted by scikit-learn on what each returned.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from bench import attacks, peers
from bench.set_attack import mean_ap, set_attack
from bench.tables import table
from mmlib.attacks import Budget, pgd, ranked
from mmlib.batch import Batch, LabelledBatch
from mmlib.evaluation.attacked import frozen
from mmlib.models.base import Model
from mmlib.threats import THREATS

STEPS = (12, 50, 100)
EFFORTS = ((0, 0, 0), (4, 1, 4), (4, 2, 4), (4, 4, 5), (4, 6, 5), (4, 8, 10), (4, 16, 10))
"""Of the set attack: steps on each clip's BCE, then rounds and steps in each."""


class Point(NamedTuple):
    """What one attack at one effort took and left."""

    attack: str
    effort: str
    seconds: float
    left: float


def left_by(model: Model, clips: list[LabelledBatch], found: list[Batch]) -> float:
    """The mAP that is left, scored on the model itself."""
    with torch.no_grad():
        pairs = zip(clips, found, strict=True)
        logits = torch.cat([model({**c.inputs, **attacked}) for c, attacked in pairs])
    return mean_ap(torch.cat([c.labels for c in clips]) > 0.5, logits)


def set_of(clips: list[LabelledBatch]) -> LabelledBatch:
    """All clips as one batch."""
    ids = tuple(clip for chunk in clips for clip in chunk.clip_ids)
    inputs = {name: torch.cat([c.inputs[name] for c in clips]) for name in clips[0].inputs}
    return LabelledBatch(ids, inputs, torch.cat([c.labels for c in clips]))


def ours(
    model: Model, clips: list[LabelledBatch], threat: str, eps: float, effort: tuple[int, int, int]
) -> list[Batch]:
    """The set attack as the sweep runs it at one budget, from the clean clips."""
    first, rounds, steps = effort
    names, every = THREATS[threat], set_of(clips)
    net = frozen.frozen(model, clips[0].inputs)
    batch, forward = frozen.cached(net, every.inputs, None, names)
    budgets = {name: Budget(eps) for name in names}
    found = batch
    if first:
        options: dict[str, Any] = {"steps": first, "step_size": 1.0, "momentum": 0.75}
        places = torch.split(torch.arange(len(every.labels)), attacks.BATCH)
        parts = [{name: tensor[place] for name, tensor in batch.items()} for place in places]
        made = [
            pgd(forward, part, every.labels[place], budgets, start=part, **options)
            for part, place in zip(parts, places, strict=True)
        ]
        found = {name: torch.cat([each[name] for each in made]) for name in names}
        found = ranked(
            forward, batch, every.labels, budgets, rounds=rounds, steps=steps, start=found,
            batch_size=attacks.BATCH,
        )  # fmt: skip
    sizes = [len(chunk.labels) for chunk in clips]
    split = {name: torch.split(found[name], sizes) for name in names}
    return [{name: split[name][place] for name in names} for place in range(len(clips))]


def points(model: Model, clips: list[LabelledBatch], threat: str, options: Any) -> Iterator[Point]:
    """Every attack at every effort."""
    for effort in EFFORTS:
        start = time.process_time()
        found = ours(model, clips, threat, options.eps, effort)
        seconds = time.process_time() - start
        called = "{} + {} x {}".format(*effort) if effort[0] else "none (clean)"
        yield Point("set attack", called, seconds, left_by(model, clips, found))
    for name, peer in peers.here(model, clips[0], options.peers).items():
        for steps in STEPS:
            torch.manual_seed(0)
            np.random.seed(0)  # noqa: NPY002 (ART draws from it)
            start = time.process_time()
            found = peer(model, clips, threat, options.eps, steps)
            seconds = time.process_time() - start
            called = "our PGD on BCE" if name == "ours" else name
            yield Point(called, f"{steps} steps", seconds, left_by(model, clips, found))
    if options.restarts:
        start = time.process_time()
        net = frozen.frozen(model, clips[0].inputs)
        size = {"steps": options.steps, "restarts": options.restarts}
        _, found = set_attack(net, clips, THREATS[threat], options.eps, **size)
        seconds = time.process_time() - start
        called = f"{options.restarts} x {options.steps} steps"
        yield Point("yardstick", called, seconds, left_by(model, clips, found))


def main() -> None:
    """Print a table a threat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--run", default="mid")
    parser.add_argument("--eps", type=float, default=0.002)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=200, help="of the yardstick")
    parser.add_argument("--restarts", type=int, default=5, help="of the yardstick; 0: leave it out")
    parser.add_argument("--threats", nargs="+", choices=list(THREATS), default=list(THREATS))
    parser.add_argument("--peers", nargs="*", choices=list(peers.PEERS), help="these alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, clips = attacks.demo(options)
    print(f"run {options.run}, {sum(len(c.labels) for c in clips)} clips, eps {options.eps}")
    for threat in options.threats:
        if set(THREATS[threat]) <= set(model.modalities):
            rows = [
                [p.attack, p.effort, f"{p.seconds:.1f}", f"{p.left:.4f}"]
                for p in points(model, clips, threat, options)
            ]
            print(f"\nthreat {threat}")
            print(table(["attack", "effort", "CPU seconds", "mAP"], rows), flush=True)


if __name__ == "__main__":
    main()
