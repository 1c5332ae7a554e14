"""A whole project's artefacts in their stored formats, made up in a second."""

import csv
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from ruamel.yaml import YAML

from mmlib.metrics.ranking import summary
from mmlib.params.training import FRESH
from mmlib.runtime.parquet import write_table

REPOSITORY = Path(__file__).resolve().parents[2]
CLASSES = (
    *("Church bell", "Tick-tock", "Siren", "Helicopter", "Rain", "Applause"),
    *("Bird", "Fireworks", "Guitar", "Train", "Telephone", "Bouncing ball"),
)
THREATS = {"audio": ("A",), "video": ("V",), "both": ("A", "V", "AV")}
# strength of the clean signal, and how fast each threat destroys it
CHARACTER = {
    "audio": ("audio", 1.5, {"A": 1.5}),
    "video": ("video", 1.3, {"V": 1.7}),
    "mid": ("both", 2.1, {"A": 0.9, "V": 0.6, "AV": 1.6}),
    "gblend": ("both", 2.2, {"A": 0.85, "V": 0.6, "AV": 1.55}),
    "mixup": ("both", 2.05, {"A": 0.6, "V": 0.45, "AV": 1.0}),
    "adversarial": ("both", 1.7, {"A": 0.35, "V": 0.3, "AV": 0.55}),
}
FRAMES, BANDS, STEPS, SIDE = 100, 64, 8, 32


def write(
    root: Path,
    *,
    runs: tuple[str, ...] = tuple(CHARACTER),
    task: str = "multi_label",
    clips: int = 120,
    examples: bool = True,
    seed: int = 0,
) -> Path:
    """Write params.yaml, data/, metrics/ of a finished pipeline below `root`; return `root`."""
    rng = np.random.default_rng(seed)
    params = _params(root, runs, task)
    labels = _labels(rng, clips, task)
    clip_ids = [f"eval-{i:05d}" for i in range(clips)]
    _manifest(root, clip_ids, task, clips)
    _guides(root)
    difficulty = rng.uniform(0.4, 1.4, len(CLASSES))
    for run in runs:
        _run(root, run, params, labels, clip_ids, difficulty, task, rng, examples)
    return root


def _params(root: Path, runs: tuple[str, ...], task: str) -> dict[str, Any]:
    root.mkdir(parents=True, exist_ok=True)
    yaml = YAML()
    values: dict[str, Any] = yaml.load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    for section in ("train", "retrain"):
        values[section] = {name: row for name, row in values[section].items() if name in runs}
    for row in values["train"].values():
        for key in ("audio_start", "video_start"):
            if Path(row[key]).stem not in runs:
                row[key] = str(FRESH)
    for row in values["retrain"].values():
        row["init"] = row["init"] if row["init"] in values["train"] else next(iter(values["train"]))
    if not {"audio", "video", "mid"} <= set(runs):
        values["blend"]["guides"] = values["temperature"]["guides"] = {}
        values["theorem"]["fused"] = {}
    if "gblend" not in runs:
        values["attack"]["surface"]["runs"] = []
    values["data"]["task"] = task
    values["report"]["resamples"] = 200
    values["attack"]["eps"] = 0.02
    values["attack"]["loss"] = {"multi_label": "bce", "single_label": "cross_entropy"}[task]
    with (root / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
    return values


def _labels(rng: np.random.Generator, clips: int, task: str) -> np.ndarray:
    labels = np.zeros((clips, len(CLASSES)), np.uint8)
    for row in labels:
        count = 1 if task == "single_label" else rng.integers(1, 4)
        row[rng.choice(len(CLASSES), count, replace=False)] = 1
    return labels


def _manifest(root: Path, clip_ids: list[str], task: str, clips: int) -> None:
    shards = root / "data/shards"
    shards.mkdir(parents=True)
    digest = hashlib.sha256("\n".join(sorted(clip_ids)).encode()).hexdigest()
    counts = {"train": 4 * clips, "val": clips // 2, "eval": clips}
    manifest = {
        "classes": CLASSES,
        "task": task,
        "audio": {"frames": FRAMES, "bands": BANDS, "mean": [0.4] * BANDS, "std": [0.2] * BANDS},
        "video": {
            "frames": STEPS,
            "height": SIDE,
            "width": SIDE,
            "mean": [0.4] * 3,
            "std": [0.2] * 3,
        },
        "clips": {
            split: {
                "count": n,
                "sha256": digest,
                "requested": n + {"train": 9, "val": 0, "eval": 2}[split],
                "damaged": 1,
                "without_audio": 3,
                "without_video": 0,
            }
            for split, n in counts.items()
        },
        "failed": {"train": {"missing_file": 2}, "val": {}, "eval": {"timeout": 2}},
        "dropped": {"train": {"leak_identical": 7}, "val": {}, "eval": {}},
        "damage": {
            "cut_short": {
                "clips": {"train": 1, "eval": 1},
                "examples": {"train-1": "the decoder says: File ended", "eval-1": "<b>no</b> end"},
            },
            "empty_audio": {"clips": {"val": 1}, "examples": {"val-0": "nothing decodes"}},
        },
        "leaks": {
            kind: {"pairs": pairs, "clips": min(pairs, 7), "groups": min(pairs, 5), "action": act}
            for kind, pairs, act in (
                ("same_source", 0, "stop"),
                ("identical", 9, "drop"),
                ("near_duplicate_sound", 2, "warn"),
                ("near_duplicate_picture", 0, "warn"),
            )
        },
        "decoder": "ffmpeg 9.0.2",
    }
    (shards / "manifest.json").write_text(json.dumps(manifest))
    (root / "data/none").mkdir()
    (root / "data/theorem").mkdir()
    (root / "metrics/theorem").mkdir(parents=True)
    (root / "data/none/subset.csv").write_text("clip_id,status,error\n")


DOSE = {"anchors": 0.08, "lambdas": 0.02, "partners": 0.4, "beta_lo": 1.0, "beta_hi": 1.23}
DOSE |= {"spread": 0.246, "spread_unguided": 0.25, "partner_share": 0.7}


BLEND = {
    "heads": {"A": 0.285, "V": 0.285, "AV": 0.43},
    "shares": {"A": 0.31, "V": 0.26, "AV": 0.43},
    "intervals": {"A": [0.21, 0.36], "V": [0.2, 0.37], "AV": [0.38, 0.47]},
    "alike": [["V", "A"], ["AV"]],
    "why": "V and A share their weight: their intervals overlap",
    "dG": {"A": 0.051, "V": 0.043, "AV": 0.062},
    "dO": {"A": 0.021, "V": 0.022, "AV": 0.019},
    "epochs": [0, 4],
    "clips": {"train": 60, "val": 60},
    "confidence": 0.95,
    "resamples": 1000,
    "init": "mid",
    "passes": {"forward": 960.0, "backward": 920.0},
}


def _guides(root: Path) -> None:
    folder = root / "data/guides"
    folder.mkdir(parents=True)
    for name in ("none", "blend_reference"):
        text = (REPOSITORY / f"data/guides/{name}.json").read_text()
        (folder / f"{name}.json").write_text(text)
    (folder / "temperature.json").write_text(json.dumps({"strength": 1.0, "dose": DOSE}))
    (folder / "blend.json").write_text(json.dumps(BLEND))


def _logits(
    labels: np.ndarray, noise: np.ndarray, difficulty: np.ndarray, strength: float
) -> np.ndarray:
    signal = (labels * 2.0 - 1.0) * difficulty * strength
    return np.asarray(signal + noise - 1.0, np.float32)


def _run(
    root: Path,
    run: str,
    params: Mapping[str, Any],
    labels: np.ndarray,
    clip_ids: list[str],
    difficulty: np.ndarray,
    task: str,
    rng: np.random.Generator,
    examples: bool,
) -> None:
    kind, strength, decay = CHARACTER[run]
    noise = rng.normal(0, 1.2, labels.shape)
    sweep = [params["attack"]["eps"] * multiple for multiple in params["attack"]["sweep"]]
    rows = [("clean", "clean", 0.0, _logits(labels, noise, difficulty, strength))]
    for threat in THREATS[kind]:
        for eps in sweep:
            left = strength * (2.2 * np.exp(-decay[threat] * eps / sweep[2]) - 1.2)
            weak = strength * np.exp(-0.05 * decay[threat] * eps / sweep[2])
            rows.append((threat, "pgd", eps, _logits(labels, noise, difficulty, left)))
            rows.append((threat, "noise", eps, _logits(labels, noise, difficulty, weak)))
    _attacks(root, run, params, rows, clip_ids, kind)
    _embeddings(root, run, rows[0][3], labels, clip_ids, kind, task, rng)
    _metrics(root, run, rows, labels, sweep[2], task)
    _curves(root, run, rows, labels, task)
    _classwise(root, run, rows, labels, sweep[2], difficulty, rng)
    _training(root, run, kind, task, rng)
    if examples:
        _examples(root, run, rows, labels, clip_ids, kind, sweep[2], rng)


def _binary(array: np.ndarray) -> pa.Array:
    rows = np.ascontiguousarray(array)
    return pa.array([row.tobytes() for row in rows], pa.binary(rows[0].nbytes))


def _save(path: Path, columns: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(dict(columns))
    write_table(table.replace_schema_metadata({b"mmlib": json.dumps(metadata).encode()}), path)


def _attacks(
    root: Path, run: str, params: Mapping[str, Any], rows: list[Any], clip_ids: list[str], kind: str
) -> None:
    n = len(clip_ids)
    threat, attack, eps, scores = ([] for _ in range(4))
    for name, method, radius, logits in rows:
        threat += [name] * n
        attack += [method] * n
        eps += [radius] * n
        scores.append(logits)
    stacked = np.concatenate(scores)
    touched = {m: [t in (m[0].upper(), "AV") for t in threat] for m in ("audio", "video")}
    columns: dict[str, Any] = {
        "clip_id": clip_ids * len(rows),
        "threat": threat,
        "attack": attack,
        "eps": pa.array(eps, pa.float64()),
        "multiple": pa.array(np.array(eps) / params["attack"]["eps"], pa.float64()),
        "loss": pa.array(np.abs(stacked).mean(1), pa.float32()),
        "scores": _binary(stacked),
        "quantised_scores": _binary(stacked),
        "psnr_video": pa.array([34.2 if t else None for t in touched["video"]], pa.float32()),
        "ssim_video": pa.array([0.93 if t else None for t in touched["video"]], pa.float32()),
        "snr_log_mel": pa.array([26.1 if t else None for t in touched["audio"]], pa.float32()),
        "snr_waveform": pa.nulls(len(threat), pa.float32()),
    }
    for modality, mask in touched.items():
        norms = [e if hit else None for e, hit in zip(eps, mask, strict=True)]
        columns[f"norm_{modality}"] = pa.array(norms, pa.float32())
        columns[f"mean_abs_{modality}"] = pa.array(norms, pa.float32())
        columns[f"max_abs_{modality}"] = pa.array(norms, pa.float32())
    metadata = {
        "classes": CLASSES,
        "task": "multi_label",
        "run": run,
        "eps": params["attack"]["eps"],
        "threats": THREATS[kind],
    }
    _save(root / f"data/attacks/{run}.parquet", columns, metadata)


def _embeddings(
    root: Path,
    run: str,
    logits: np.ndarray,
    labels: np.ndarray,
    clip_ids: list[str],
    kind: str,
    task: str,
    rng: np.random.Generator,
) -> None:
    name = "fused" if kind == "both" else kind
    columns = {
        "split": ["eval"] * len(clip_ids),
        "clip_id": clip_ids,
        "labels": _binary(labels),
        name: _binary(rng.normal(size=(len(clip_ids), 16)).astype(np.float32)),
        "logits": _binary(logits),
    }
    metadata = {"dims": {name: 16}, "classes": CLASSES, "task": task}
    _save(root / f"data/embeddings/{run}.parquet", columns, metadata)


def _pick(rows: list[Any], threat: str, attack: str, eps: float) -> np.ndarray:
    return np.asarray(next(r[3] for r in rows if r[:3] == (threat, attack, eps)))


def _metrics(
    root: Path, run: str, rows: list[Any], labels: np.ndarray, headline: float, task: str
) -> None:
    keys = ("mAP", "AUC", "dprime") + (("accuracy",) if task == "single_label" else ())
    clean = summary(labels, rows[0][3], task)
    values: dict[str, Any] = {
        "clean": {key: clean[key] for key in keys},
        "noise": {},
        "quantised": {},
        "set": {
            "hash": "0123456789ab",
            "requested": len(labels) + 2,
            "scored": len(labels),
            "missing": 2,
        },
    }
    values["clean"] |= {"mAP_lowest": clean["mAP"] - 0.04, "mAP_highest": clean["mAP"] + 0.02}
    for threat in sorted({r[0] for r in rows} - {"clean"}):
        attacked = summary(labels, _pick(rows, threat, "pgd", headline), task)
        noised = summary(labels, _pick(rows, threat, "noise", headline), task)
        values[threat] = {key: attacked[key] for key in keys}
        values[threat]["relative_drop"] = 1 - attacked["mAP"] / clean["mAP"]
        values["noise"][threat] = noised["mAP"]
        values["quantised"][threat] = attacked["mAP"]
    (root / "metrics").mkdir(exist_ok=True)
    (root / f"metrics/{run}.json").write_text(json.dumps(values, indent=2))


def _curves(root: Path, run: str, rows: list[Any], labels: np.ndarray, task: str) -> None:
    threats = sorted({r[0] for r in rows} - {"clean"}, key=lambda t: (len(t), t))
    table = []
    for eps in sorted({r[2] for r in rows}):
        line: dict[str, Any] = {"eps": eps}
        for threat in threats:
            pair = [
                rows[0][3] if eps == 0 else _pick(rows, threat, attack, eps)
                for attack in ("pgd", "noise")
            ]
            value, floor = (summary(labels, scores, task)["mAP"] for scores in pair)
            line |= {threat: value, f"{threat}_lo": value - 0.03, f"{threat}_hi": value + 0.03}
            line[f"{threat}_noise"] = floor
        table.append(line)
    _csv(root / f"metrics/curves/{run}.csv", table)


def _csv(path: Path, table: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


def _classwise(
    root: Path,
    run: str,
    rows: list[Any],
    labels: np.ndarray,
    headline: float,
    difficulty: np.ndarray,
    rng: np.random.Generator,
) -> None:
    from mmlib.metrics.ranking import (
        average_precision,
        roc_auc,
    )

    clean = average_precision(labels, rows[0][3])
    kappa = np.clip(0.35 + 0.45 * difficulty + rng.normal(0, 0.08, len(CLASSES)), 0, 1)
    table = []
    for k, name in enumerate(CLASSES):
        line: dict[str, Any] = {
            "class": name,
            "n_eval": int(labels[:, k].sum()),
            "class_size": 60 + 5 * k,
            "clean_ap": clean[k],
            "clean_auc": roc_auc(labels, rows[0][3])[k],
        }
        for threat in sorted({r[0] for r in rows} - {"clean"}):
            ap = average_precision(labels, _pick(rows, threat, "pgd", headline))[k]
            line[f"{threat}_ap"] = ap
            line[f"{threat}_drop"] = clean[k] - ap
            line[f"{threat}_relative_drop"] = 1 - ap / clean[k]
        line |= {
            "kappa": kappa[k],
            "kappa_lo": kappa[k] - 0.02,
            "kappa_hi": min(1.0, kappa[k] + 0.02),
        }
        line |= {"kappa_conditioned": min(1.0, kappa[k] + 0.1)}
        line |= {"rho": rng.normal(-1.5, 0.3), "log_density": rng.normal(-2.0, 0.2)}
        table.append(line)
    _csv(root / f"metrics/classwise/{run}.csv", table)


def _training(root: Path, run: str, kind: str, task: str, rng: np.random.Generator) -> None:
    epochs = 6 if run in ("mixup", "adversarial") else 14
    table = []
    for epoch in range(epochs):
        fall = np.exp(-epoch / 4)
        line = {
            "epoch": epoch,
            "train_loss": 0.12 + 0.4 * fall,
            "val_loss": 0.2 + 0.33 * fall + rng.normal(0, 0.006),
            "val_mAP": 0.85 - 0.6 * fall + rng.normal(0, 0.01),
            "learning_rate": 0.002 * (1 - epoch / epochs),
        }
        if run == "gblend":
            for head in THREATS["both"]:
                line |= {
                    f"train_loss_{head}": 0.1 + 0.4 * fall,
                    f"val_loss_{head}": 0.2 + 0.3 * fall,
                }
        table.append(line)
    _csv(root / f"metrics/training/{run}.csv", table)
    passes = epochs * 960
    factor = 2.5 if run == "adversarial" else 1.0
    cost = {
        "forward_passes": int(passes * factor),
        "backward_passes": int(passes * factor),
        "optimiser_steps": epochs * 30,
        "clips_seen": passes,
        "seconds": 9.5 * factor * epochs / 6 * (2 if kind == "both" else 1),
    }
    path = root / f"metrics/costs/{run}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(cost))


def _examples(
    root: Path,
    run: str,
    rows: list[Any],
    labels: np.ndarray,
    clip_ids: list[str],
    kind: str,
    headline: float,
    rng: np.random.Generator,
) -> None:
    count = 2
    threat = THREATS[kind][-1]
    columns: dict[str, Any] = {
        "clip_id": clip_ids[:count],
        "threat": [threat] * count,
        "labels": _binary(labels[:count]),
        "clean_scores": _binary(rows[0][3][:count]),
        "adversarial_scores": _binary(_pick(rows, threat, "pgd", headline)[:count]),
    }
    shapes = {"audio": (FRAMES, BANDS), "video": (3, STEPS, SIDE, SIDE)}
    for modality in ("audio", "video") if kind == "both" else (kind,):
        clean = np.stack([_picture(modality, rng) for _ in range(count)]).astype(np.float32)
        delta = headline * rng.choice([-1.0, 1.0], clean.shape)
        columns[f"clean_{modality}"] = _binary(clean)
        columns[f"{modality}_present"] = [True] * count
        columns[f"adversarial_{modality}"] = _binary(
            np.clip(clean + delta, 0, 1).astype(np.float32)
        )
    _save(
        root / f"data/attacks/{run}-examples.parquet",
        columns,
        {"classes": CLASSES, "run": run, "eps": headline, "shapes": shapes},
    )


def _picture(modality: str, rng: np.random.Generator) -> np.ndarray:
    if modality == "audio":
        time, band = np.mgrid[0:FRAMES, 0:BANDS]
        bells = sum(
            np.exp(-((band - b) ** 2) / 4) * np.exp(-(time % 33) / 14) for b in (14, 25, 41)
        )
        return np.asarray(np.clip(0.25 + 0.1 * rng.random((FRAMES, BANDS)) + 0.6 * bells, 0, 1))
    step, row, column = np.mgrid[0:STEPS, 0:SIDE, 0:SIDE]
    centre = SIDE / 2 + 9 * np.sin(step * 0.9)
    disc = np.exp(-((column - centre) ** 2 + (row - 15) ** 2) / 28)
    channels = [0.25 + 0.6 * disc, 0.3 + 0.3 * row / SIDE, 0.45 - 0.3 * disc]
    return np.stack(channels)
