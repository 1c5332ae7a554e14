"""What stage music found, as the page and the plots read it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mmlib.metrics.intervals import Interval
from mmlib.report.figures import Line
from mmlib.report.inputs import Inputs, Run
from mmlib.report.stressed import Row, number
from mmlib.runtime.arrays import Array, Bytes, Floats32, Ints16
from mmlib.runtime.parquet import Reader, numbers_of
from mmlib.runtime.storage import read_csv

CLEAN, RANDOM, PER_CLIP, UNIVERSAL = "clean", "random", "per_clip", "universal"
ROOMS, PLAYED = "unseen_rooms", "as_played"


@dataclass(frozen=True)
class Musical:
    """The rows of metrics/music/<run>.csv of the runs of this page that have some."""

    tables: Sequence[tuple[Run, Sequence[Row]]]

    @classmethod
    def read(cls, inputs: Inputs) -> "Musical":
        """Read the table of every row of params.music.runs; UserError where one is damaged."""
        found = []
        for name in inputs.params.music.runs:
            run, path = inputs.named(name), inputs.root / f"metrics/music/{name}.csv"
            if run and path.is_file() and (rows := read_csv(path)):
                found.append((run, rows))
        return cls(found)

    @property
    def runs(self) -> list[Run]:
        """The runs that music was played to."""
        return [run for run, _ in self.tables]

    @property
    def kinds(self) -> list[str]:
        """The kinds of music that any run heard, random first."""
        found = {row["music"] for _, rows in self.tables for row in rows}
        return [kind for kind in (RANDOM, PER_CLIP, UNIVERSAL) if kind in found]

    @property
    def levels(self) -> list[str]:
        """Ratios of clip to music, dB, as the tables have them, the quietest music first."""
        found = {row["snr_db"] for _, rows in self.tables for row in rows if row["snr_db"]}
        return sorted(found, key=float, reverse=True)

    def value(
        self, run: Run, kind: str, heard: str, snr_db: str, figure: str = "mAP"
    ) -> Interval | None:
        """A figure of a run with its interval; clean with "" for what does not apply."""
        for row in next(rows for known, rows in self.tables if known.name == run.name):
            same = (row["music"], row["heard"], row["snr_db"]) == (kind, heard, snr_db)
            if same and row.get(figure):
                return Interval(*(number(row[f"{figure}{end}"]) for end in ("", "_lo", "_hi")))
        return None

    def line(self, run: Run, kind: str, heard: str) -> Line | None:
        """mAP from the clean clips at 0 to the loudest music; dotted under random music."""
        clean = self.value(run, CLEAN, "", "")
        found = [self.value(run, kind, heard, level) for level in self.levels]
        if clean is None or None in found:
            return None
        y, lo, hi = np.array([list(each) for each in (clean, *found) if each]).T
        floor = None
        if kind != RANDOM:
            random = [self.value(run, RANDOM, heard, level) for level in self.levels]
            floor = np.array([each.estimate for each in (clean, *random) if each])
        return Line(run.index, np.arange(len(y), dtype=np.float64), y, lo, hi, floor)


class Heard(NamedTuple):
    """A clip that is kept whole, with `music` of several kinds: sound as int16, logits (K,).

    `mixed` is what the microphone gets in a room that no search saw, `alone` what is played.
    """

    clip_id: str
    classes: Sequence[str]
    labels: Bytes
    snr_db: float
    rate_hz: int
    clean: Ints16
    clean_scores: Floats32
    mixed: Mapping[str, Ints16]
    alone: Mapping[str, Ints16]
    scores: Mapping[str, Floats32]


def read_heard(path: Path) -> Iterator[Heard]:
    """The clips that data/music/<run>-examples.parquet holds; none when there is no file."""
    if not path.is_file():
        return
    file = Reader(path)
    table, facts = file.read(), file.facts()
    kinds = facts["kinds"]
    for place, clip_id in enumerate(table["clip_id"].to_pylist()):
        row = table.slice(place, 1)
        yield Heard(
            clip_id,
            facts["classes"],
            numbers_of(row["labels"], np.uint8)[0],
            facts["snr_db"],
            facts["rate_hz"],
            numbers_of(row["clean"], np.int16)[0],
            numbers_of(row["scores_clean"], np.float32)[0],
            _of_kinds(row, kinds, "mixed", np.int16),
            _of_kinds(row, kinds, "music", np.int16),
            _of_kinds(row, kinds, "scores", np.float32),
        )


def _of_kinds(row: pa.Table, kinds: Sequence[str], what: str, dtype: Any) -> dict[str, Array]:
    return {kind: numbers_of(row[f"{what}_{kind}"], dtype)[0] for kind in kinds}
