"""Density and convexity of every class in every space of a run, a block of classes at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from mmlib.metrics.geometry.bars import class_bars
from mmlib.metrics.geometry.clouds import Parts, stored_clouds
from mmlib.metrics.geometry.head import read_head
from mmlib.metrics.geometry.spaces import ClassGeometry, Space, measure, penultimate_space
from mmlib.metrics.stored import Embeddings, carriers, read_embeddings
from mmlib.params.geometry import Geometry
from mmlib.runtime.arrays import Floats
from mmlib.runtime.parquet import Reader
from mmlib.runtime.paths import checkpoint_files
from mmlib.runtime.pieces import results
from mmlib.runtime.scratch import Scratch, fingerprint
from mmlib.shards.read.manifest import MANIFEST_NAME

# Classes of a block: enough for the threads of a machine, few enough to spread a large set.
_BLOCK = 64


@dataclass(frozen=True)
class RunGeometry:
    """A run to measure: `model` is its checkpoint without suffix."""

    model: Path
    embeddings: Path
    shards: Path
    settings: Geometry
    seed: int

    def progress(self) -> Scratch:
        """Where finished blocks are kept."""
        content = Reader(self.embeddings).identity
        # Only the spaces below the penultimate one need all of these.
        files = [
            path
            for path in (*checkpoint_files(self.model), self.shards / MANIFEST_NAME)
            if path.is_file()
        ]
        mark = fingerprint(self.settings, self.seed, content, *files)
        return Scratch(f"geometry-{self.model.name}", mark)


class _Loaded(NamedTuple):
    cached: Embeddings
    dense: Parts
    bars: Floats | None
    spaces: Sequence[Space]


def measure_run(task: RunGeometry, scratch: Scratch) -> list[ClassGeometry]:
    """Measure every class in every space, spaces outermost; finished blocks stay in `scratch`."""
    loaded = _loaded(task)
    blocks = [
        (space, first)
        for space in range(len(loaded.spaces))
        for first in range(0, len(loaded.cached.classes), _BLOCK)
    ]
    found = results(
        partial(_measure, task),
        blocks,
        scratch,
        names=[f"{space}-{first:05d}" for space, first in blocks],
        label=f"geometry {task.model.name}",
        whole=True,
        device=len(loaded.spaces) > 1,
    )
    return list(chain.from_iterable(found))


def _measure(task: RunGeometry, block: tuple[int, int]) -> list[ClassGeometry]:
    space, first = block
    loaded, settings = _loaded(task), task.settings
    classes = loaded.cached.classes
    return measure(
        [loaded.spaces[space]],
        classes,
        loaded.cached.labels,
        loaded.cached.logits,
        dense=loaded.dense,
        bars=loaded.bars,
        taus=settings.tau,
        p=settings.p,
        seed=task.seed,
        columns=range(first, min(first + _BLOCK, len(classes))),
    )


@lru_cache(maxsize=1)
def _loaded(task: RunGeometry) -> _Loaded:
    settings, embeddings = task.settings, task.embeddings
    cached = read_embeddings(embeddings, settings.convexity_split)
    file = Reader(embeddings)
    head = read_head(task.model.with_name(f"{task.model.name}.safetensors"))
    bars = class_bars(
        cached.task,
        *carriers(file, "train"),
        threshold=settings.threshold,
        odds_ratio=settings.odds_ratio,
    )
    top = penultimate_space(cached, head, str(embeddings), bars=bars, sample=settings.points)
    spaces = [top]
    if len(cached.vectors) > 1 or settings.input_points:
        # Only the spaces further down need torch, whose import takes seconds.
        from mmlib.evaluation.inner_spaces import spaces_below

        spaces += spaces_below(
            cached,
            head,
            task.model,
            task.shards,
            split=settings.convexity_split,
            bars=bars,
            sample=settings.points,
            input_sample=settings.input_points,
        )
    return _Loaded(cached, stored_clouds(file, settings.density_split, head), bars, spaces)
