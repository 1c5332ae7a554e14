"""PGD speed and strength: ours, torchattacks, foolbox and ART on one model (`bench/peers.py`).

Same model, clips, budget, steps and loss. Each peer in turn attacks all the clips, in random order
in each round; a ratio is taken within a round. Loss and mAP are those of the model on what came
out, scored by this program. Two measurements:

- the pipeline's own fused model and its eval clips (needs the outs of `dvc repro`; --root: where
  they are), and the whole sweep of stage attack;
- a net and clips of the paper's proportions (CSN on 400 x 64 log-mel, R(2+1)D-18 on 16 x 112 x 112
  pixels, both of half the published width, random weights, random clips labelled with the clean
  model's own higher scores). There the picture's net costs about eight times the sound's; in the
  demo's it costs less. So the gain from not running the other branch differs.
"""

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench import gpu, peers
from bench.peers import Attack
from bench.tables import quartiles, table
from mmlib.attacks.core.losses import bce
from mmlib.batch import Batch, LabelledBatch
from mmlib.evaluation.attacked import frozen
from mmlib.evaluation.sweep.chunk import ChunkSweep
from mmlib.metrics.ranking import (
    present_mean,
    rank,
)
from mmlib.models import checkpoint
from mmlib.models.base import Model
from mmlib.params.whole import file as whole
from mmlib.shards.read.loader import ShardSet
from mmlib.threats import THREATS

BATCH = 50
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def demo(options: Any) -> tuple[Model, list[LabelledBatch]]:
    """The pipeline's fused model and its eval clips."""
    model, _ = checkpoint.load(options.root / "data" / "models" / options.run)
    shards = ShardSet(options.root / "data" / "shards", "eval")
    places = np.arange(min(options.clips, len(shards)))
    parts = np.array_split(places, max(1, len(places) // BATCH))
    return model, [shards.gather(part, model.modalities) for part in parts]


def paper(options: Any) -> tuple[Model, list[LabelledBatch]]:
    """A net of the paper's proportions with random weights; clips labelled by its own scores."""
    model = gpu.fused(width=options.width)
    batch, _ = gpu.clips(model, options.paper_clips, torch.device("cpu"))
    labels = gpu.settle(model, batch)
    return model, [LabelledBatch(tuple(map(str, range(len(labels)))), batch, labels)]


def scores(model: Model, clips: list[LabelledBatch], found: list[Batch]) -> tuple[float, float]:
    """Mean BCE and mAP of the model on the attacked clips."""
    with torch.no_grad():
        pairs = zip(clips, found, strict=True)
        logits = torch.cat([model({**c.inputs, **attacked}) for c, attacked in pairs])
    labels = torch.cat([c.labels for c in clips])
    precision = rank(labels.numpy() > 0.5, logits.numpy()).average_precision
    return float(bce(logits, labels).mean()), float(present_mean(precision))


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
    model: Model, clips: list[LabelledBatch], attacks: dict[str, Attack], options: Any, rounds: int
) -> list[list[str]]:
    """Rows of time, ratio, loss and mAP for each threat and for all three."""
    clock, rows = CLOCKS[options.clock], []
    total: dict[str, list[float]] = {name: [0.0] * rounds for name in attacks}
    for threat in THREATS:
        seconds: dict[str, list[float]] = {name: [] for name in attacks}
        found: dict[str, list[Batch]] = {}
        order = list(attacks)
        for number in range(rounds):
            random.Random(number).shuffle(order)
            for name in order:
                torch.manual_seed(number)
                np.random.seed(number)  # noqa: NPY002 (ART draws from it)
                start = clock()
                found[name] = attacks[name](model, clips, threat, options.eps, options.steps)
                seconds[name].append(clock() - start)
        for name in attacks:
            total[name] = [sum(x) for x in zip(total[name], seconds[name], strict=True)]
            loss, precision = scores(model, clips, found[name])
            over = exceeds(clips, found[name], options.eps)
            row = [f"{loss:.4f}", f"{precision:.4f}", f"{over:.1e}"]
            rows.append([threat, name, *_ratio(seconds, name), *row])
        rows.append([threat, "fastest peer", "", _fastest(seconds), "", "", ""])
    rows += [["all three", name, *_ratio(total, name), "", "", ""] for name in attacks]
    return [*rows, ["all three", "fastest peer", "", _fastest(total), "", "", ""]]


Conditions = dict[tuple[str, float], float]
"""(threat, eps) -> mAP."""


def our_sweep(model: Model, clips: list[LabelledBatch]) -> Conditions:
    """Every threat at every budget as stage attack runs them, its noise included."""
    settings = whole.load().attack
    found: dict[tuple[str, float], list[Tensor]] = {}
    net = frozen.frozen(model, clips[0].inputs)
    for chunk in clips:
        for record in ChunkSweep(net, chunk, settings, seed=0).run():
            threat, attack, _ = record.condition
            if attack == "pgd":
                found.setdefault((threat, record.eps), []).append(record.scores)
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
        (threat, eps): scores(model, clips, peer(model, clips, threat, eps, steps))[1]
        for threat, eps in conditions
    }


def measure_sweeps(
    model: Model, clips: list[LabelledBatch], attacks: dict[str, Attack], options: Any
) -> list[list[str]]:
    """Time and mAP of whole sweeps."""
    clock = CLOCKS[options.clock]
    conditions = our_sweep(model, clips)
    seconds: dict[str, list[float]] = {name: [] for name in attacks}
    gaps: dict[str, list[float]] = {}
    for number in range(max(1, options.rounds // 2)):
        for name in random.Random(number).sample(list(attacks), len(attacks)):
            start = clock()
            if name == "ours":
                found = our_sweep(model, clips)
            else:
                found = peer_sweep(attacks[name], model, clips, conditions, options.steps)
            seconds[name].append(clock() - start)
            gaps[name] = [conditions[key] - found[key] for key in conditions]
    rows = [
        [name, *_ratio(seconds, name), f"{max(gaps[name]):+.4f}", f"{np.mean(gaps[name]):+.4f}"]
        for name in attacks
    ]
    return [*rows, ["fastest peer", "", _fastest(seconds), "", ""]]


def _ratio(seconds: dict[str, list[float]], name: str) -> tuple[str, str]:
    times, mine = np.array(seconds[name]), np.array(seconds["ours"])
    return quartiles(times, "{:.2f}"), quartiles(times / mine, "{:.2f}")


def _fastest(seconds: dict[str, list[float]]) -> str:
    """The peer that was fastest in each round, over ours."""
    others = [times for name, times in seconds.items() if name != "ours"]
    if not others:
        return "no peer here"
    return quartiles(np.min(others, axis=0) / np.array(seconds["ours"]), "{:.2f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=["demo", "paper", "both"], default="both")
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--run", default="mid")
    parser.add_argument("--eps", type=float, default=0.008)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5, help="of the demo's size")
    parser.add_argument("--clips", type=int, default=200, help="of the demo's size")
    parser.add_argument("--paper-rounds", type=int, default=2)
    parser.add_argument("--paper-clips", type=int, default=2)
    parser.add_argument("--width", type=int, default=16, help="of CSN; the published one is 32")
    parser.add_argument("--threads", type=int, help="of torch; by default one a core")
    parser.add_argument("--peers", nargs="+", choices=list(peers.PEERS), help="these alone")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: busy machines")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"PGD-{options.steps}, eps {options.eps}, {torch.get_num_threads()} threads")
    head = ["threat", "", "seconds", "time / ours", "loss", "mAP", "over budget"]
    if options.size != "paper":
        model, clips = demo(options)
        attacks = peers.here(model, clips[0], options.peers)
        print(f"\nthe pipeline's model, {sum(len(c.labels) for c in clips)} clips, {BATCH} a batch")
        print(table(head, measure(model, clips, attacks, options, options.rounds)))
        print("\nthe pipeline's sweep: every threat at every budget")
        swept = ["", "seconds", "time / ours", "our mAP less theirs, most", "and on average"]
        print(table(swept, measure_sweeps(model, clips, attacks, options)), flush=True)
    if options.size != "demo":
        model, clips = paper(options)
        attacks = peers.here(model, clips[0], options.peers)
        width = f"CSN width {options.width}, R(2+1)D-18 width {2 * options.width}"
        print(f"\nthe paper's proportions, {width}, {options.paper_clips} clips in one batch")
        print(table(head, measure(model, clips, attacks, options, options.paper_rounds)))


if __name__ == "__main__":
    main()
