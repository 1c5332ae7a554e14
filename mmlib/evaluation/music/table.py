"""What music does to a run, as the files that people compare and the report reads."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mmlib.evaluation.music.mix import PEAK_MUSIC, stored
from mmlib.evaluation.music.music import Outcome
from mmlib.evaluation.music.scene import AS_PLAYED, CLEAN, FIGURES, key
from mmlib.evaluation.music.work import RANDOM
from mmlib.metrics.intervals import Interval, jackknife_interval
from mmlib.metrics.scores.conditions import Score, score_condition
from mmlib.runtime import parquet
from mmlib.runtime.arrays import Array, Floats
from mmlib.runtime.errors import UserError
from mmlib.runtime.storage import decimals, records_csv, rounded

PLAYED, ROOMS = "as_played", "unseen_rooms"
HEARD = (PLAYED, ROOMS)
"""How music reaches the microphone: mixed as it is, or through rooms that no search saw."""
Place = tuple[str, float, str]
"""Kind of music, SNR in dB, one of HEARD."""


class Mean(NamedTuple):
    """A run's score under one kind of music: the mean over rooms; `pseudo` one a recording."""

    figures: Mapping[str, float]
    pseudo: Floats
    levels: Floats
    rooms: int


def scored(outcome: Outcome, run: str, confidence: float) -> tuple[Score, dict[Place, Mean]]:
    """Score the clean clips, and the clips under each kind of music at each level.

    UserError where a run's scores are not finite.
    """

    def score(name: str) -> Score:
        logits = outcome.arrays[name]
        if not np.isfinite(logits).all():
            raise UserError(
                f"run {run}: NaN or infinite scores under music ({name}); the model has diverged: "
                "lower its learning_rate"
            )
        labels, recordings = outcome.labels > 0, outcome.recordings
        return score_condition(labels, logits, outcome.task, confidence, recordings)

    found = {}
    for kind in outcome.kinds:
        for snr_db in outcome.snrs:
            for heard, rooms in zip(HEARD, ((AS_PLAYED,), range(outcome.rooms)), strict=True):
                scores = [score(key("logits", kind, snr_db, room)) for room in rooms]
                levels = [outcome.arrays[key("level", kind, snr_db, room)] for room in rooms]
                found[kind, snr_db, heard] = _mean(scores, np.stack(levels))
    return score(CLEAN), found


def _mean(scores: list[Score], levels: Array) -> Mean:
    figures = {
        name: float(np.mean([score.figures[name] for score in scores]))
        for name in scores[0].figures
    }
    pseudo = np.mean([score.pseudo for score in scores], axis=0)
    return Mean(figures, pseudo, levels, len(scores))


def scores_csv(clean: Score, means: Mapping[Place, Mean], confidence: float) -> str:
    """metrics/music/<run>.csv: a row per kind of music, level and way of hearing, clean first.

    `drop` is clean mAP less mAP; `beyond_random` the mAP under random music of the same level less
    that under this, both of the same clips: above 0 the composing did harm. `snr_db` is the level
    asked for; `snr_lo` and `snr_hi` the least and most that any clip got, `clips` how many changed.
    """
    return records_csv(_rows(clean, means, confidence))


def _rows(clean: Score, means: Mapping[Place, Mean], confidence: float) -> Iterator[dict[str, str]]:
    first = {"music": CLEAN, "snr_db": "", "heard": "", "clips": "", "rooms": ""}
    own = Interval(clean.figures["mAP"], clean.mean_ap.lo, clean.mean_ap.hi)
    yield {**first, **_cells("mAP", own), **_accuracy(clean.figures)}
    for (kind, snr_db, heard), mean in means.items():
        value = mean.figures["mAP"]
        own = jackknife_interval(mean.pseudo, value, confidence)
        own = Interval(value, *(float(np.clip(end, 0, 1)) for end in own[1:]))
        drop = jackknife_interval(clean.pseudo - mean.pseudo, own_drop(clean, mean), confidence)
        levels = mean.levels[np.isfinite(mean.levels)]
        row = {
            "music": kind,
            "snr_db": f"{snr_db:g}",
            "heard": heard,
            "clips": str(int(np.isfinite(mean.levels).all(0).sum())),
            "rooms": str(mean.rooms if heard == ROOMS else 0),
            **_cells("mAP", own),
            **_accuracy(mean.figures),
            **_cells("drop", drop),
        }
        if kind != RANDOM:
            other = means[RANDOM, snr_db, heard]
            gap = other.figures["mAP"] - value
            beyond = jackknife_interval(other.pseudo - mean.pseudo, gap, confidence)
            row |= _cells("beyond_random", beyond)
        if len(levels):
            row |= {"snr_lo": decimals(levels.min()), "snr_hi": decimals(levels.max())}
        yield row


def own_drop(clean: Score, mean: Mean) -> float:
    """Clean mAP less mAP."""
    return clean.figures["mAP"] - mean.figures["mAP"]


def _cells(name: str, found: Interval) -> dict[str, str]:
    ends = zip((name, f"{name}_lo", f"{name}_hi"), found, strict=True)
    return {column: decimals(value) for column, value in ends}


def _accuracy(figures: Mapping[str, float]) -> dict[str, str]:
    return {key: decimals(figures[key]) for key in ("accuracy",) if key in figures}


def figures_of(clean: Score, means: Mapping[Place, Mean]) -> dict[str, Any]:
    """metrics/music/<run>.json: clean mAP, and mAP by kind of music, way of hearing and level."""
    found: dict[str, Any] = {CLEAN: rounded(clean.figures["mAP"])}
    for (kind, snr_db, heard), mean in means.items():
        at = found.setdefault(kind, {}).setdefault(heard, {})
        at[f"{snr_db:g} dB"] = rounded(mean.figures["mAP"])
    return found


def notes_csv(outcome: Outcome) -> str:
    """data/music/<run>.csv: every note of every piece, to be read or played again.

    Pitch in Hz, onset and decay (by 60 dB) in seconds, level in dB below the loudest.
    """
    return records_csv(
        {
            "clip": clip_id,
            "music": kind,
            "snr_db": f"{snr_db:g}",
            "note": str(number),
            **{name: decimals(float(value)) for name, value in zip(FIGURES, note, strict=True)},
        }
        for kind in outcome.kinds
        for snr_db in outcome.snrs
        for clip_id, *pieces in zip(
            outcome.clip_ids,
            *(outcome.arrays[key(name, kind, snr_db)] for name in FIGURES),
            strict=True,
        )
        for number, note in enumerate(zip(*pieces, strict=True))
    )


def write_examples(outcome: Outcome, rate_hz: int, path: Path) -> None:
    """data/music/<run>-examples.parquet: a few clips whole, sound as int16, a row each.

    `clean`; `mixed_<kind>` in the first unseen room; `music_<kind>` as it is played, at a level of
    its own; `scores_<kind>` and `scores_clean`, logits; `labels`. What was played is in the facts.
    """
    places = list(outcome.shown)
    columns: dict[str, Any] = {
        "clip_id": [outcome.clip_ids[place] for place in places],
        "labels": _blobs(outcome.labels[places]),
        "scores_clean": _blobs(outcome.arrays[CLEAN][places]),
    }
    if places:
        columns["clean"] = _blobs(outcome.examples[f"clean {CLEAN}"])
    for kind in outcome.kinds if places else ():
        logits = outcome.arrays[key("logits", kind, outcome.shown_at, 0)][places]
        columns[f"scores_{kind}"] = _blobs(logits)
        columns[f"mixed_{kind}"] = _blobs(outcome.examples[f"mixed {kind}"])
        columns[f"music_{kind}"] = _blobs(stored(outcome.examples[f"music {kind}"], PEAK_MUSIC))
    facts = {
        "classes": list(outcome.classes),
        "kinds": list(outcome.kinds),
        "snr_db": outcome.shown_at,
        "rate_hz": rate_hz,
    }
    table = pa.table(columns).replace_schema_metadata(parquet.metadata(facts))
    parquet.write_table(table, path)


def _blobs(rows: Array) -> list[bytes]:
    return [bytes(np.ascontiguousarray(row).tobytes()) for row in rows]
