"""Decode the clips that download fetched, a shard at a time, into rows of PCM and frames."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

from mmlib.media import ffmpeg
from mmlib.media.decode import decode
from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.graph import Form
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import Scratch, fingerprint
from mmlib.runtime.workers import map_ordered
from mmlib.shards.retry import (
    Earlier,
    Place,
    find_earlier,
    in_order,
    is_whole,
    link,
    merge,
    set_aside,
)
from mmlib.shards.rows.clips import (
    DECODED_SCHEMA,
    FAILED,
    OK,
    VOCABULARY_NAME,
    Clip,
    DecodedClip,
    read_clips,
    read_columns,
    read_decoded,
    read_vocabulary,
    shard_paths,
    write_rows,
    write_vocabulary,
)
from mmlib.shards.rows.splits import check_splits
from mmlib.shards.rows.tally import DAMAGED, Ledger, check_failures, read_ledger

_HERE = Path(__file__).parent.parent
# Half a decoding by other code is never gone on with.
_CODE = (
    *sorted((_HERE / "media").glob("*.py")),
    _HERE / "shards/rows/clips.py",
    Path(__file__),
)
_COLUMNS = ("clip_id", "request", "sha256", "status", "error", "attempts")
_INPUTS = (
    *("clip_id", "labels", "start_s", "end_s", "path", "sha256", "status", "attempts"),
    *("request", "error"),
)


def decode_clips(
    clips: Path,
    out: Path,
    form: Form,
    limits: Limits,
    *,
    max_failed_share: float,
    scratch_root: Path = Path("scratch"),
) -> Ledger:
    """Decode the shards of the directory `clips` into shards of the same names in `out`.

    Goes on from finished shards after a kill. UserError when more than `max_failed_share` of the
    clips that were fetched cannot be decoded, or too few are left (see `splits`); `out` is then
    left alone.
    """
    vocabulary = read_vocabulary(clips)
    shards = shard_paths(clips)
    scratch = Scratch("decode", _progress_key(shards, form, limits), scratch_root)
    made_by = fingerprint(vars(form), vars(limits), ffmpeg.version(), *_CODE)
    earlier = find_earlier(scratch_root, "decoded", made_by)
    todo = [
        Piece(path, scratch, form, limits, made_by, earlier)
        for path in shards
        if not scratch.has(path.name)
    ]
    for _ in map_ordered(decode_piece, todo, label="decode"):
        pass
    scratch.write(VOCABULARY_NAME, lambda path: write_vocabulary(path, vocabulary))
    before = read_ledger(shards)
    ledger = read_ledger([scratch.path(path.name) for path in shards])
    failures = ledger.failures - before.failures
    try:
        check_failures(
            failures,
            ledger.examples,
            tried=before.usable.total(),
            largest=max_failed_share,
            param="decode.max_failed_share",
        )
    except UserError:
        set_aside(scratch, [path.name for path in shards], scratch_root, "decoded", failures)
        raise
    ledger.warnings += check_splits(ledger.usable, ledger.positives, vocabulary)
    if earlier:
        earlier.adopt(scratch.path(path.name) for path in shards)
    scratch.publish(out)
    if earlier:
        earlier.finish()
    return ledger


def _progress_key(shards: list[Path], form: Form, limits: Limits) -> str:
    # The media themselves are not read again: their hashes stand for them.
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(shard.name.encode())
        for row in read_columns(shard, _INPUTS):
            digest.update(repr(row).encode())
    return fingerprint(digest.hexdigest(), vars(form), vars(limits), ffmpeg.version(), *_CODE)


@dataclass(frozen=True)
class Piece:
    """One shard to decode: the fetched clips, and how."""

    clips: Path
    scratch: Scratch
    form: Form
    limits: Limits
    made_by: str
    earlier: Earlier | None


def decode_piece(piece: Piece) -> None:
    """Write the decoded shard into the piece's scratch; good earlier rows are kept."""
    name, earlier = piece.clips.name, piece.earlier
    rows = earlier.rows(name) if earlier else {}
    same: Iterable[Place | None] = repeat(None)
    numbers: Iterable[int | None] = repeat(None)
    kept: Iterator[DecodedClip] = iter(())
    if earlier and rows:
        same, numbers = _taken_over(piece.clips, rows, earlier)
        if is_whole(numbers, len(rows)):
            link(earlier.folder / name, piece.scratch.path(name))
            return
        kept = read_decoded(earlier.folder / name)
    facts = {
        "decoder": f"ffmpeg {ffmpeg.version()}",
        "fps": piece.form.fps,
        "sample_rate_hz": piece.form.sample_rate_hz,
        "size": piece.form.size,
        "made_by": piece.made_by,
    }
    work = partial(_decode_row, form=piece.form, limits=piece.limits)
    merged = merge(kept, numbers, zip(read_clips(piece.clips), same, strict=False), work)
    piece.scratch.write(name, lambda path: write_rows(path, DECODED_SCHEMA, merged, facts))


def _taken_over(
    clips: Path, rows: dict[str, Place], earlier: Earlier
) -> tuple[list[Place | None], list[int | None]]:
    """For each clip the earlier row of the same media, and its number if it is good as it is."""
    same: list[Place | None] = []
    good: list[Place | None] = []
    for clip in read_columns(clips, _COLUMNS):
        place = rows.get(clip["clip_id"])
        if place and (place.row["request"], place.row["sha256"]) != (
            clip["request"],
            clip["sha256"],
        ):
            place = None
        same.append(place)
        if place and clip["status"] == FAILED:
            # A failure of the download comes along as it is now.
            fits = all(place.row[key] == clip[key] for key in ("error", "attempts"))
        else:
            fits = place is not None and not earlier.again(place)
        good.append(place if fits else None)
    return same, in_order(good)


def _decode_row(item: tuple[Clip, Place | None], form: Form, limits: Limits) -> DecodedClip:
    clip, place = item
    row = decode_clip(clip, form, limits)
    if place is None or clip.status == FAILED:
        return row
    return replace(row, attempts=max(clip.attempts, place.row["attempts"]) + 1)


def decode_clip(clip: Clip, form: Form, limits: Limits) -> DecodedClip:
    """Decode one clip; one that cannot be decoded, or was never fetched, gives a failed row."""
    if clip.status == FAILED:
        return _failed(clip, form, clip.error, clip.message)
    source = Path(clip.path) if clip.media is None and clip.path else clip.media
    assert source is not None, clip.clip_id
    try:
        decoded = decode(source, form, limits, start_s=clip.start_s, end_s=clip.end_s)
    except MediaError as error:
        return _failed(clip, form, error.kind, error.message)
    frames, pcm = decoded.frames, decoded.pcm
    count = 0 if frames is None else len(frames)
    return DecodedClip(
        **_kept(clip, form),
        pcm=None if pcm is None else pcm.tobytes(),
        frames=None if frames is None else frames.tobytes(),
        frame_count=count,
        frame_times=tuple(index / form.fps for index in range(count)),
        audio_s=decoded.audio_s,
        video_s=decoded.video_s,
        offset_s=decoded.offset_s,
        audio_present=pcm is not None,
        video_present=frames is not None,
        status=OK,
        error=None,
        message=None if decoded.damage is None else DAMAGED + decoded.damage,
    )


def _failed(clip: Clip, form: Form, error: str | None, message: str | None) -> DecodedClip:
    return DecodedClip(
        **_kept(clip, form),
        pcm=None,
        frames=None,
        frame_count=0,
        frame_times=(),
        audio_s=None,
        video_s=None,
        offset_s=None,
        audio_present=False,
        video_present=False,
        status=FAILED,
        error=error,
        message=message,
    )


def _kept(clip: Clip, form: Form) -> dict[str, Any]:
    return {
        "clip_id": clip.clip_id,
        "source_id": clip.source_id,
        "split": clip.split,
        "labels": clip.labels,
        "height": form.size,
        "width": form.size,
        "fps": form.fps,
        "sample_rate_hz": form.sample_rate_hz,
        "sha256": clip.sha256,
        "source": clip.source,
        "attempts": clip.attempts,
        "request": clip.request,
    }
