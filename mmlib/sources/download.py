"""Fetch the clips of a source, a shard at a time, into rows that hold the media or its path."""

import hashlib
import pickle
from functools import partial
from pathlib import Path

from mmlib.runtime.code import makes_rows
from mmlib.runtime.errors import UserError
from mmlib.runtime.phases import Phase
from mmlib.runtime.pieces import finish
from mmlib.runtime.scratch import (
    Scratch,
    fingerprint,
)
from mmlib.shards.retry.plan import find_earlier
from mmlib.shards.retry.work import Work
from mmlib.shards.rows.clips import (
    CLIP_SCHEMA,
    SPLITS,
    Vocabulary,
    read_clips,
    shard_name,
)
from mmlib.shards.rows.splits import (
    check_splits,
    needed_splits,
    untrained_classes,
)
from mmlib.shards.rows.tally import Ledger
from mmlib.sources.base import ClipList
from mmlib.sources.columns import Columns, check_requests, columns_of
from mmlib.sources.fetched_clip import fetch_clip
from mmlib.sources.fetched_shard import (
    Piece,
    fetch_piece,
)
from mmlib.sources.lazy import Computed


def download(
    clips: ClipList,
    out: Path,
    *,
    shard_clips: int,
    max_failed_share: float,
    same_source: str = "stop",
    absent_classes: str = "stop",
    scratch_root: Path = Path("scratch"),
) -> Ledger:
    """Fetch all clips into `out`: shards of `shard_clips` rows, and classes.json.

    Goes on from finished shards after a kill. UserError for a list that cannot be used (see
    `splits`) and when more than `max_failed_share` of the clips fail; `out` is then left alone.
    With `same_source` or `absent_classes` "stop" a list with a recording in two splits, or with a
    class that train lacks, is refused here already; what else they may say is stage shard's.
    """
    vocabulary = Vocabulary(clips.classes, clips.task)
    columns = columns_of(clips.requests, clips.classes)
    warnings = _check(clips, columns, vocabulary, same_source, absent_classes)
    scratch = Scratch(
        "download", _progress_key(clips, columns, shard_clips), scratch_root, uses=(clips.fetch,)
    )
    made_by = fingerprint(clips.source, _fetch_hash(clips), makes_rows(fetch_clip, clips.fetch))
    earlier = find_earlier(scratch_root, "clips", made_by)
    work = Work(scratch, "clips", CLIP_SCHEMA, read_clips, earlier)
    pieces = Pieces(clips, columns, shard_clips)
    fetch = partial(fetch_piece, work=work, made_by=made_by)
    names = pieces.names
    phase = Phase(pieces, lambda place: scratch.has(names[place]))
    finish(fetch, [phase], scratch, label="download")
    return work.publish(
        names,
        out,
        vocabulary,
        largest=max_failed_share,
        param="data.max_failed_share",
        warnings=warnings,
    )


def _check(
    clips: ClipList,
    columns: Columns,
    vocabulary: Vocabulary,
    same_source: str,
    absent_classes: str,
) -> list[str]:
    """Refuse a list that cannot be used; else what looks wrong in it, a line each."""
    try:
        found = check_requests(columns, vocabulary, same_source=same_source)
        positives = columns.positives(clips.classes)
        listed = columns.clips()
        check_splits(listed, positives, vocabulary, needed_splits(absent_classes, listed))
        untrained_classes(positives["train"], clips.classes, absent_classes)
    except UserError as error:
        # A class without a training clip may be no class, but a list of labels misread.
        raise UserError("; note: ".join([str(error), *clips.warnings])) from None
    return [*clips.warnings, *found]


class Pieces(Computed[Piece]):
    """The shards of a list; a piece's requests are looked up when the piece is taken."""

    def __init__(self, clips: ClipList, columns: Columns, shard_clips: int) -> None:
        self._clips = clips
        self._pieces = [
            (shard_name(split, number), positions[begin : begin + shard_clips])
            for split in SPLITS
            for positions in [columns.positions(split)]
            for number, begin in enumerate(range(0, len(positions), shard_clips))
        ]

    @property
    def names(self) -> list[str]:
        """File names of all shards."""
        return [name for name, _ in self._pieces]

    def __len__(self) -> int:
        return len(self._pieces)

    def item(self, place: int) -> Piece:
        """One shard to fetch."""
        name, positions = self._pieces[place]
        requests = tuple(self._clips.requests[int(position)] for position in positions)
        return Piece(name, self._clips.source, requests, self._clips.fetch)


def _fetch_hash(clips: ClipList) -> str:
    return hashlib.sha256(pickle.dumps(clips.fetch, protocol=5)).hexdigest()


def _progress_key(clips: ClipList, columns: Columns, shard_clips: int) -> str:
    return fingerprint(clips.source, clips.classes, shard_clips, _fetch_hash(clips), columns.digest)
