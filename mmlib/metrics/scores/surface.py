"""The plane of two budgets, scored: mAP at each point, and the lines of equal damage."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmlib.metrics.intervals import Interval
from mmlib.metrics.ranking import average_precision, present_mean
from mmlib.metrics.scores.common import Labels
from mmlib.metrics.scores.conditions import (
    CLEAN_CONDITION,
    HEADLINE_ATTACK,
    score_condition,
)
from mmlib.metrics.stored import (
    AttackScores,
    Condition,
)
from mmlib.runtime.arrays import Floats, Floats32, Texts
from mmlib.runtime.errors import UserError
from mmlib.runtime.parquet import numbers_of, read_parquet
from mmlib.runtime.storage import csv_text, decimals, significant
from mmlib.threats import FULL, MODALITIES, threat_on

KEPT = (0.9, 0.75, 0.5, 0.25)
"""The shares of the clean mAP whose lines of equal damage are drawn."""

SHARED = "shared"
"""The kind of the rows under one headline budget that both modalities share."""


class Surface(NamedTuple):
    """mAP over the plane: `axis` (M,) the multiples of both budgets, 0 first; `mean_ap` (M, M) by
    sound, then picture, each with its interval; `shared` under one budget for both, and the mean
    share of it, (sound, picture), that the clips' changes spend.
    """

    axis: tuple[float, ...]
    mean_ap: tuple[tuple[Interval, ...], ...]
    shared: Interval
    spent: tuple[float, float]

    @property
    def values(self) -> Floats:
        """The estimates alone, (M, M)."""
        return np.array([[cell.estimate for cell in row] for row in self.mean_ap])


def score_surface(
    path: Path,
    attacks: AttackScores,
    labels: Labels,
    confidence: float,
    recordings: Texts | None = None,
) -> Surface | None:
    """Score data/attacks/<run>-surface.parquet, the axes and the diagonal from the sweep itself.

    None where the plane was not attacked. `labels` (N, K) are of the clips in order of their id,
    `recordings` as in `score_run`.
    Raises UserError when a clip of `attacks` is missing.
    """
    table = read_parquet(path)
    if not table.num_rows:
        return None

    def interval(scores: Floats32) -> Interval:
        return score_condition(labels, scores, attacks.task, confidence, recordings).mean_ap

    grid = table.filter(pc.equal(table["kind"], "grid"))
    axis = (0.0, *sorted(set(grid["audio"].to_pylist())))

    def found(audio: float, video: float) -> Floats32:
        if audio and video and audio != video:
            there = pc.and_(pc.equal(grid["audio"], audio), pc.equal(grid["video"], video))
            return _scores(path, grid.filter(there), attacks)
        budgets = zip(MODALITIES, (audio, video), strict=True)
        attacked = [name for name, multiple in budgets if multiple]
        if not attacked:
            return attacks.scores(CLEAN_CONDITION)
        condition = Condition(threat_on(attacked), HEADLINE_ATTACK, max(audio, video))
        return attacks.scores(condition)

    cells = [[interval(found(audio, video)) for video in axis] for audio in axis]
    scores, spent = _shared(path, table, attacks, labels)
    return Surface(axis, _settled(cells), interval(scores), spent)


def _settled(cells: Sequence[Sequence[Interval]]) -> tuple[tuple[Interval, ...], ...]:
    """What each pair of budgets leaves, (M, M), both rising: of what it includes, the lowest.

    Points are looked for clip by clip, and what is scored is the set's: where a smaller pair leaves
    the set less, an attacker with more changes the clips no further.
    """
    lowest = [list(line) for line in cells]
    for row, line in enumerate(lowest):
        for place, cell in enumerate(line):
            included = [cell]
            included += [lowest[row - 1][place]] if row else []
            included += [line[place - 1]] if place else []
            line[place] = min(included, key=lambda each: each.estimate)
    return tuple(map(tuple, lowest))


def shared_scores(path: Path, attacks: AttackScores, labels: Labels) -> Floats32 | None:
    """Logits (N, K) under one budget shared by both modalities, clips in order of their id.

    None where data/attacks/<run>-surface.parquet is absent or empty. Raises as `score_surface`.
    """
    table = read_parquet(path) if path.is_file() else None
    if table is None or not table.num_rows:
        return None
    return _shared(path, table, attacks, labels)[0]


def _shared(
    path: Path, table: pa.Table, attacks: AttackScores, labels: Labels
) -> tuple[Floats32, tuple[float, float]]:
    """The logits of the shared attacker, and the mean share of the budget on (sound, picture).

    Spending all on one modality, or half on each, is a way to share: whichever leaves the set the
    lowest mAP, since the splits were looked for clip by clip.
    """
    rows = table.filter(pc.equal(table["kind"], SHARED))
    rows = rows.filter(pc.is_in(rows["clip_id"], pa.array(attacks.clip_ids.tolist())))
    sound, picture = (float(pc.mean(rows[name]).as_py()) for name in ("audio", "video"))
    found = [(_scores(path, rows, attacks), (sound, picture))]
    for threat, multiple, spent in (
        ("A", 1.0, (1.0, 0.0)),
        ("V", 1.0, (0.0, 1.0)),
        (FULL, 0.5, (0.5, 0.5)),
    ):
        condition = Condition(threat, HEADLINE_ATTACK, multiple)
        if condition in attacks.conditions:
            found.append((attacks.scores(condition), spent))
    return min(found, key=lambda pair: present_mean(average_precision(labels, pair[0])))


def _scores(path: Path, rows: pa.Table, attacks: AttackScores) -> Floats32:
    scored = pc.is_in(rows["clip_id"], pa.array(attacks.clip_ids.tolist()))
    ordered = rows.filter(scored).sort_by("clip_id")
    if ordered["clip_id"].to_pylist() != attacks.clip_ids.tolist():
        raise UserError(f"{path}: lacks clips of the sweep; delete it and run `dvc repro`")
    return numbers_of(ordered["scores"], np.float32)


def iso_damage(surface: Surface, kept: float) -> list[tuple[float, float]]:
    """The points (sound, picture), in multiples, at which `kept` of the clean mAP is left.

    Where the surface crosses that height between two neighbours of the grid, by linear
    interpolation along the edge; from the most picture to the most sound. Empty where it never
    comes down so far.
    """
    values, axis = surface.values, surface.axis
    level = kept * values[0, 0]
    points = set()
    for first in range(len(axis)):
        for along in range(len(axis) - 1):
            for swap in (False, True):
                line = values[first] if not swap else values[:, first]
                crossing = _crossing(axis[along : along + 2], line[along : along + 2], level)
                if crossing is not None:
                    fixed = axis[first]
                    points.add((crossing, fixed) if swap else (fixed, crossing))
    return sorted(points, key=lambda point: (point[0] - point[1], point))


def _crossing(places: Sequence[float], heights: Floats, level: float) -> float | None:
    low, high = sorted(float(height) for height in heights)
    if not low <= level <= high or low == high:
        return None
    share = (float(heights[0]) - level) / float(heights[0] - heights[1])
    return float(round(places[0] + share * (places[1] - places[0]), 9))


def surface_csv(surface: Surface | None, eps: float) -> str:
    """metrics/surface/<run>.csv: one row a point of the plane; none where it was not attacked."""
    rows = []
    if surface is not None:
        for audio, line in zip(surface.axis, surface.mean_ap, strict=True):
            for video, cell in zip(surface.axis, line, strict=True):
                rows.append((_budget(audio * eps), _budget(video * eps), *map(decimals, cell)))
    return csv_text(("eps_audio", "eps_video", "mAP", "lo", "hi"), rows)


def iso_csv(surface: Surface | None, eps: float) -> str:
    """metrics/isodamage/<run>.csv: the points of each line of equal damage, in order.

    `kept` is the share of the clean mAP that is left along the line.
    """
    rows = []
    if surface is not None:
        for kept in KEPT:
            points = iso_damage(surface, kept)
            rows += [(f"{kept:g}", _budget(a * eps), _budget(v * eps)) for a, v in points]
    return csv_text(("kept", "eps_audio", "eps_video"), rows)


def _budget(eps: float) -> str:
    return significant(eps, 8)
