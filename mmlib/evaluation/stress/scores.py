"""Scores under every condition as tables: each condition, means over them, and differences."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from mmlib.evaluation.stress.conditions import CORRUPTION, ENCODING, Condition
from mmlib.evaluation.stress.means import (
    CLEAN,
    CLEAN_PLACE,
    Mean,
    Origins,
    Scored,
    differences_csv,
    figures_of,
    mean_row,
    means_of,
    named,
)
from mmlib.evaluation.stress.work import Chunk
from mmlib.metrics.scores.conditions import Score, score_condition
from mmlib.runtime.arrays import Array, Bools, Floats
from mmlib.runtime.errors import UserError
from mmlib.runtime.storage import decimals, records_csv
from mmlib.runtime.workers import map_ordered
from mmlib.shards.read.loader import ShardSet
from mmlib.threats import THREATS


class Tables(NamedTuple):
    """The stage's outs: csv texts by name, and run -> family -> mean mAP."""

    texts: dict[str, str]
    figures: dict[str, dict[str, float | None]]


def score(
    chunks: Sequence[Chunk],
    split: ShardSet,
    listed: Sequence[Condition],
    *,
    confidence: float,
    origins: Origins,
) -> Tables:
    """Score what the chunks hold; UserError where a run's scores are not finite."""
    rows = [row for chunk in chunks for row in chunk.rows]
    labels = split.labels[rows].astype(np.bool_)
    one = partial(_score_run, chunks, labels, split.task, confidence)
    runs = chunks[0].job.runs
    scored = list(map_ordered(one, runs, label="score"))
    levels = {
        name: np.concatenate([chunk.read("facts")[name] for chunk in chunks], axis=1)
        for name in ("audio", "video")
    }
    means = {each.run: means_of(each, listed) for each in scored}
    clean = {each.run: Mean(each.clean.figures["mAP"], each.clean.pseudo, 1) for each in scored}
    every = {run: {CLEAN_PLACE: clean[run]} | means[run] for run in runs}
    texts = {
        "scores": records_csv(row for each in scored for row in _score_rows(each, listed, levels)),
        "means": records_csv(
            mean_row(run, place, mean, clean[run], confidence)
            for run in runs
            for place, mean in every[run].items()
        ),
        "differences": differences_csv(every, origins, confidence),
    }
    return Tables(texts, {run: figures_of(means[run]) for run in runs})


def _score_run(
    chunks: Sequence[Chunk], labels: Bools, task: str, confidence: float, run: str
) -> Scored:
    parts = [chunk.read(run) for chunk in chunks]
    found: dict[tuple[int, str], Score] = {}
    for name in parts[0]:
        place, threat = name.split(" ")
        logits = np.concatenate([part[name] for part in parts])
        _refuse_infinite(run, chunks, logits)
        found[int(place), threat] = score_condition(labels, logits, task, confidence)
    clean = found.pop((-1, CLEAN))
    order = sorted(found, key=lambda at: (at[0], list(THREATS).index(at[1])))
    return Scored(run, clean, {at: found[at] for at in order})


def _refuse_infinite(run: str, chunks: Sequence[Chunk], logits: Array) -> None:
    bad = np.flatnonzero(~np.isfinite(logits).all(1))
    if len(bad):
        row = [row for chunk in chunks for row in chunk.rows][bad[0]]
        raise UserError(
            f"run {run}: its logits of {len(bad)} clips, the first at place {row} of the eval "
            "split, are not finite under a condition of section stress; look for 0 / 0 or log(0) "
            "where a clip is silent or black"
        )


def _score_rows(
    scored: Scored, listed: Sequence[Condition], levels: Mapping[str, Floats]
) -> Iterator[dict[str, str]]:
    for (place, threat), found in scored.found.items():
        condition = listed[place]
        altered = [levels[name][place] for name in THREATS[threat]]
        yield {
            **named(scored.run, condition.family, condition.kind, condition.step, threat),
            "sound": condition.sound if "audio" in THREATS[threat] else "",
            "picture": condition.picture if "video" in THREATS[threat] else "",
            "clips": str(int(np.any([~np.isnan(level) for level in altered], axis=0).sum())),
            "snr_db": _level(condition, levels, "audio", threat, place),
            "psnr_db": _level(condition, levels, "video", threat, place),
            "mAP": decimals(found.figures["mAP"]),
            "mAP_lo": decimals(found.mean_ap.lo),
            "mAP_hi": decimals(found.mean_ap.hi),
            "AUC": decimals(found.figures["AUC"]),
            **{key: decimals(found.figures[key]) for key in ("accuracy",) if key in found.figures},
        }


def _level(
    condition: Condition, levels: Mapping[str, Floats], modality: str, threat: str, place: int
) -> str:
    """Mean over the changed clips, dB; empty where no ratio describes the change."""
    if modality not in THREATS[threat] or condition.family not in (CORRUPTION, ENCODING):
        return ""
    values = levels[modality][place]
    values = values[np.isfinite(values)]
    return decimals(float(values.mean())) if len(values) else ""
