"""The plane of two budgets, one for the sound and one for the picture, over one chunk of clips.

The sweep has solved the axes (A and V) and the diagonal (A+V); here are the points between, and
one budget that both share. Points ascend, and each competes, clip by clip, with the solutions of
its smaller neighbours and of the sweep's conditions that it includes. What that leaves of a score
of the set is for those to judge who see the whole of it (`scores.surface`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from torch import Tensor

from mmlib.attacks.core.region import Region
from mmlib.attacks.core.search import (
    Points,
    Search,
)
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.joint import shared
from mmlib.attacks.methods.pgd import lengths
from mmlib.attacks.methods.rechecked import climb_rechecked
from mmlib.evaluation.attacked import frozen
from mmlib.evaluation.sweep.chunk import ChunkSweep
from mmlib.evaluation.sweep.methods import Solution
from mmlib.evaluation.sweep.table import packed
from mmlib.runtime.parquet import metadata, read_parquet, write_table
from mmlib.runtime.scratch import publish_file
from mmlib.runtime.seeds import derive
from mmlib.threats import FULL, MODALITIES, SINGLE, THREATS

GRID, SHARED = "grid", "shared"
# Of the sweep's: points begin where neighbours have ended, and whole steps lead away. [choice]
_FIRST_STEP = 0.5


class Point(NamedTuple):
    """The clips of one chunk at one point of the plane; tensors have one row per clip, on CPU.

    `audio` and `video` are multiples of the headline budget: those allowed (grid), or those that
    each clip's change spends of the shared one.
    """

    kind: str
    audio: Tensor
    video: Tensor
    loss: Tensor
    scores: Tensor


def attack_surface(sweep: ChunkSweep) -> Iterator[Point]:
    """Attack the points off the axes and the diagonal, then the shared budget.

    `sweep` has run; its model has both modalities.
    """
    multiples = sorted(sweep.settings.surface.multiples)
    solved = _solved(sweep, multiples)
    for audio in multiples:
        for video in multiples:
            if (audio, video) not in solved:
                solved[audio, video] = _between(sweep, solved, multiples, audio, video)
                yield _point(sweep, GRID, solved[audio, video], audio, video)
    if multiples:
        yield _shared(sweep)


def _solved(sweep: ChunkSweep, multiples: Sequence[float]) -> dict[tuple[float, float], Solution]:
    """What the sweep knows of the plane, as points of both modalities."""
    found = {}
    for multiple in multiples:
        for name, attacked in THREATS.items():
            alone = sweep.solutions[name, multiple]
            audio, video = (multiple if part in attacked else 0.0 for part in MODALITIES)
            found[audio, video] = Solution({**sweep.clean.points, **alone.points}, alone.logits)
    return found


def _between(
    sweep: ChunkSweep,
    solved: dict[tuple[float, float], Solution],
    multiples: Sequence[float],
    audio: float,
    video: float,
) -> Solution:
    threat = {
        "audio": sweep.threat(FULL, audio)["audio"],
        "video": sweep.threat(FULL, video)["video"],
    }
    batch, forward = frozen.cached(sweep.model, sweep.inputs, sweep.embeddings, threat)
    both = min(audio, video)
    aim = sweep.aim([*zip(SINGLE, (audio, video), strict=True), (FULL, both)])
    search = Search(forward, batch, sweep.labels, threat, aim)
    axis = [0.0, *multiples]
    neighbours = (axis[axis.index(audio) - 1], video), (audio, axis[axis.index(video) - 1])
    for place in (*neighbours, (audio, 0.0), (0.0, video), (both, both)):
        search.offer(solved[place].points, solved[place].logits)
    sound, picture = solved[audio, 0.0].points, solved[0.0, video].points
    search.losses({"audio": sound["audio"], "video": picture["video"]})
    settings = sweep.settings.surface
    rough = frozen.rough(forward, sweep.labels.device)
    path = lengths(settings.steps, _FIRST_STEP * sweep.settings.step_size)
    climb_rechecked(search, rough, search.best, path, sweep.settings.momentum)
    assert search.best_logits is not None
    return Solution(search.best, search.best_logits)


def _shared(sweep: ChunkSweep) -> Point:
    """One headline budget for both, split for each clip as hurts it most.

    Few steps find the split, many then attack at it: an attacker of one modality gets as many.
    """
    settings = sweep.settings
    threat = sweep.threat(FULL, 1.0)
    batch, forward = frozen.cached(sweep.model, sweep.inputs, sweep.embeddings, threat)
    halved = [(FULL, 0.5)] if (FULL, 0.5) in sweep.solutions else []
    starts = [*((name, 1.0) for name in SINGLE), *halved]
    found = shared(
        forward,
        batch,
        sweep.labels,
        threat,
        splits=settings.surface.splits,
        refinements=settings.surface.refinements,
        last_steps=settings.surface.shared_steps,
        steps=settings.surface.steps,
        step_size=_FIRST_STEP * settings.step_size,
        momentum=settings.momentum,
        loss=sweep.aim(starts),
        seeds=[derive(sweep.seed, clip, "shared") for clip in sweep.clip_ids],
        start=[sweep.solutions[known].points for known in starts],
    )
    points: Points = {name: found[name] for name in threat}
    with torch.no_grad():
        logits = forward({**batch, **points})
    spent = _spent(sweep, threat, points)
    return _point(sweep, SHARED, Solution(points, logits), spent["audio"], spent["video"])


def _spent(sweep: ChunkSweep, threat: Threat, points: Points) -> dict[str, Tensor]:
    sizes = {}
    for name, budget in threat.items():
        region = Region(sweep.inputs[name], budget, None, name)
        sizes[name] = region.size(points[name]) / region.eps.clamp_min(1e-300)
    return sizes


def _point(
    sweep: ChunkSweep, kind: str, found: Solution, audio: float | Tensor, video: float | Tensor
) -> Point:
    clips = len(sweep.clip_ids)
    first, second = (
        torch.as_tensor(value, dtype=torch.float64).expand(clips).cpu() for value in (audio, video)
    )
    loss = sweep.loss(found.logits, sweep.labels)
    return Point(kind, first, second, loss.cpu(), found.logits.cpu())


def write_piece(path: Path, clip_ids: Sequence[str], points: Sequence[Point]) -> None:
    """Write one chunk: one row per clip and point."""
    columns: dict[str, list[Any]] = {}
    for point in points:
        for name, values in (
            ("clip_id", list(clip_ids)),
            ("kind", [point.kind] * len(clip_ids)),
            ("audio", point.audio.tolist()),
            ("video", point.video.tolist()),
            ("loss", point.loss.tolist()),
            ("scores", packed(point.scores).to_pylist()),
        ):
            columns.setdefault(name, []).extend(values)
    width = points[0].scores.shape[1] if points else 1
    write_table(pa.table(columns, schema=_schema(width)), path)


def publish(pieces: Sequence[Path], path: Path, classes: int, facts: dict[str, Any]) -> None:
    """Write data/attacks/<run>-surface.parquet; without pieces it has no rows."""
    schema = _schema(classes)
    tables = [read_parquet(piece) for piece in pieces]
    table = pa.concat_tables(tables) if tables else schema.empty_table()
    whole = table.replace_schema_metadata(metadata(facts))
    publish_file(lambda p: write_table(whole, p), path)


def _schema(classes: int) -> pa.Schema:
    return pa.schema(
        [
            pa.field("clip_id", pa.string(), nullable=False),
            pa.field("kind", pa.string(), nullable=False),
            pa.field("audio", pa.float64(), nullable=False),
            pa.field("video", pa.float64(), nullable=False),
            pa.field("loss", pa.float32(), nullable=False),
            pa.field("scores", pa.binary(4 * classes), nullable=False),
        ]
    )
