"""The headline mAP of every run and threat beside the yardstick's: is any of them too kind?

Reads the outs of `dvc repro` (--root: where they are): the attacked scores that stage attack
stored, and the models, which `bench/set_attack.py` attacks anew at the headline budget with its own
code. mAP is counted by scikit-learn. For l-infinity budgets of log-mel and pixels.
"""

import argparse
import time
from pathlib import Path

import torch

from bench import attacks
from bench.set_attack import mean_ap, set_attack
from bench.tables import table
from mmlib.evaluation.attacked import frozen
from mmlib.metrics.stored import AttackScores, Condition, read_labels
from mmlib.threats import THREATS


def main() -> None:
    """Print a row a run and threat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--runs", nargs="+", help="these alone")
    parser.add_argument("--threats", nargs="+", choices=list(THREATS), default=list(THREATS))
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=200, help="of the yardstick")
    parser.add_argument("--restarts", type=int, default=1, help="of the yardstick")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = options.root / "data" / "attacks"
    known = sorted(
        f.stem for f in folder.glob("*.parquet") if not f.stem.endswith(("-examples", "-surface"))
    )
    print(f"yardstick: {options.restarts} x {options.steps} steps, one thread")
    rows = []
    for run in options.runs or known:
        options.run = run
        stored = AttackScores(folder / f"{run}.parquet")
        _, labels = read_labels(options.root / "data" / "embeddings" / f"{run}.parquet", "eval")
        model, clips = attacks.demo(options)
        net = frozen.frozen(model, clips[0].inputs)
        for threat in (name for name in options.threats if name in stored.threats):
            scores = stored.scores(Condition(threat, "pgd", 1.0))
            headline = mean_ap(torch.from_numpy(labels), torch.from_numpy(scores))
            start = time.process_time()
            size = {"steps": options.steps, "restarts": options.restarts}
            found, _ = set_attack(net, clips, THREATS[threat], stored.eps, **size)
            figures = f"{headline:.4f}", f"{found:.4f}", f"{headline - found:+.4f}"
            rows.append([run, threat, *figures, f"{time.process_time() - start:.0f}"])
            print(" ".join(rows[-1]), flush=True)
    print(table(["run", "threat", "headline", "yardstick", "too kind by", "CPU seconds"], rows))


if __name__ == "__main__":
    main()
