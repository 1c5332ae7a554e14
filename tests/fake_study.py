"""A study's files as stage study leaves them, made up."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from ruamel.yaml import YAML

from mmlib.runtime.parquet import write_table

BASE = {"init": "mid", "guide": "none", "batch_size": 32, "learning_rate": 0.001}
SEEDS = (2022, 2023, 2024)
THREATS = ("clean", "A", "V", "AV")
# settings; clean mAP; mAP under A+V; passes of a clip and epoch
ROWS: dict[str, tuple[dict[str, Any], float, float, float]] = {
    "plain": ({"method": "plain", "epochs": 4}, 0.80, 0.20, 1.0),
    "plain_long": ({"method": "plain", "epochs": 10}, 0.81, 0.19, 1.0),
    "mixup": ({"method": "mixup", "epochs": 4, "guide": "temperature"}, 0.79, 0.30, 1.0),
    "mixup_long": ({"method": "mixup", "epochs": 10, "guide": "temperature"}, 0.78, 0.33, 1.0),
    "mixup_double": ({"method": "mixup", "epochs": 4, "guide": "double"}, 0.79, 0.28, 1.0),
    "own": ({"method": "mixup", "epochs": 4, "beta": 1.0}, 0.79, 0.29, 1.0),
    "pgd": ({"method": "adversarial", "epochs": 4, "eps": 0.02, "steps": 3}, 0.75, 0.55, 2.5),
    "joint": ({"method": "joint", "epochs": 5}, 0.77, 0.20, 1.0),
    "blended": ({"method": "joint", "epochs": 5, "guide": "blend"}, 0.82, 0.20, 1.0),
}


def settings(rows: Sequence[str] = tuple(ROWS)) -> dict[str, Any]:
    """The section study of params.yaml."""
    table = {"rows": ["pgd"], "clips": 8, "multiples": [1.0], "steps": [20, 100]}
    found = {name: BASE | ROWS[name][0] for name in rows}
    for row in found.values():
        if row["method"] == "adversarial":
            row["adversarial_share"] = 0.5
    return {"seeds": len(SEEDS), "table": table, "rows": found}


def write(
    root: Path,
    rows: Sequence[str] = tuple(ROWS),
    *,
    seeds: Sequence[int] = SEEDS,
    spread: float = 0.004,
    accuracy: bool = False,
) -> None:
    """Switch the study on in `root`/params.yaml and write the rows' files, `spread` apart."""
    yaml = YAML()
    values = yaml.load((root / "params.yaml").read_text(encoding="utf-8"))
    values["study"] = settings(rows)
    guides = values["temperature"]["guides"]
    if "temperature" in guides:
        guides["double"] = {**guides["temperature"], "strength": 2.0}
    with (root / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
    (root / "metrics/study").mkdir(parents=True, exist_ok=True)
    # the same clips are hard for all rows alike
    clips = np.random.default_rng(1).normal(0, 0.02 * 200**0.5, 200)
    for place, name in enumerate(rows):
        _, clean, attacked, factor = ROWS[name]
        passes = factor * 800 * ROWS[name][0]["epochs"]
        costs = f"{passes:g},{passes:g},100,3200,12.5"
        lines = ["seed,part,threat,eps,steps,mAP,AUC,dprime,forward_passes,backward_passes,"]
        lines[0] += "optimiser_steps,clips_seen,seconds"
        pseudo = []
        luck = np.random.default_rng(place).normal(0, spread, (len(seeds), len(THREATS)))
        for seed, moved in zip(seeds, luck, strict=True):
            for threat, shift in zip(THREATS, moved, strict=True):
                value = shift + (clean if threat == "clean" else attacked)
                eps = 0 if threat == "clean" else 0.02
                lines.append(f"{seed},headline,{threat},{eps},8,{value},0.9,inf,{costs}")
                own = np.random.default_rng([place, seed]).normal(0, spread * 200**0.5, 200)
                values = value + clips - clips.mean() + own - own.mean()
                pseudo.append({"seed": seed, "threat": threat, "pseudo_mAP": values.tolist()})
            lines.append(
                f"{seed},val,AV,0.02,8,{attacked - (name == 'mixup') * 0.1},0.9,inf,{costs}"
            )
        if name == "pgd":
            for eps, steps, value in ((0, 0, clean), (0.02, 20, 0.55), (0.02, 100, 0.53)):
                lines.append(f"{seeds[0]},table,AV,{eps},{steps},{value},0.9,1.8,{costs}")
        if accuracy:
            lines = [f"{line},{'0.625' if at else 'accuracy'}" for at, line in enumerate(lines)]
        path = root / f"metrics/study/{name}.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        write_table(pa.Table.from_pylist(pseudo), path.with_suffix(".parquet"))
