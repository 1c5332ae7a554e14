"""Decode the clips that download fetched, a shard at a time, into rows of PCM and frames."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from mmlib.media import ffmpeg
from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.runtime.code import makes_rows
from mmlib.runtime.phases import Phase
from mmlib.runtime.pieces import finish
from mmlib.runtime.scratch import Scratch, fingerprint
from mmlib.shards.decode_clip import decode_clip
from mmlib.shards.retry.plan import Place, find_earlier
from mmlib.shards.retry.work import Match, Work
from mmlib.shards.rows.clips import (
    DECODED_SCHEMA,
    FAILED,
    Clip,
    DecodedClip,
    read_clips,
    read_columns,
    read_decoded,
    read_vocabulary,
    shard_paths,
)
from mmlib.shards.rows.tally import Ledger, read_ledger

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
    made_by = fingerprint(vars(form), vars(limits), ffmpeg.version(), makes_rows(decode_clip))
    earlier = find_earlier(scratch_root, "decoded", made_by)
    work = Work(scratch, "decoded", DECODED_SCHEMA, read_decoded, earlier)
    decode = partial(decode_piece, work=work, form=form, limits=limits, made_by=made_by)
    phase = Phase(shards, lambda place: scratch.has(shards[place].name))
    finish(decode, [phase], scratch, label="decode")
    return work.publish(
        [path.name for path in shards],
        out,
        vocabulary,
        largest=max_failed_share,
        param="decode.max_failed_share",
        before=read_ledger(shards),
    )


def _progress_key(shards: list[Path], form: Form, limits: Limits) -> str:
    # The media themselves are not read again: their hashes stand for them.
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(shard.name.encode())
        for row in read_columns(shard, _INPUTS):
            digest.update(repr(row).encode())
    return fingerprint(digest.hexdigest(), vars(form), vars(limits), ffmpeg.version())


def decode_piece(
    clips: Path, work: Work[DecodedClip], form: Form, limits: Limits, made_by: str
) -> None:
    """Write the decoded shard of the shard `clips`; good earlier rows are kept."""

    def decode_row(clip: Clip, place: Place | None) -> DecodedClip:
        row = decode_clip(clip, form, limits)
        if place is None or clip.status == FAILED:
            return row
        return replace(row, attempts=max(clip.attempts, place.row["attempts"]) + 1)

    facts = {
        "decoder": f"ffmpeg {ffmpeg.version()}",
        "fps": form.fps,
        "sample_rate_hz": form.sample_rate_hz,
        "size": form.size,
        "made_by": made_by,
    }
    match = partial(_match, clips, work)
    work.write(clips.name, facts, read_clips(clips), match, decode_row)


def _match(clips: Path, work: Work[DecodedClip], rows: Mapping[str, Place]) -> Iterator[Match]:
    """For each clip the earlier row of the same media."""
    for clip in read_columns(clips, _COLUMNS):
        place = rows.get(clip["clip_id"])
        if place and any(place.row[key] != clip[key] for key in ("request", "sha256")):
            place = None
        if place and clip["status"] == FAILED:
            # A failure of the download comes along as it is now.
            good = all(place.row[key] == clip[key] for key in ("error", "attempts"))
        else:
            good = place is not None and not work.again(place)
        yield Match(place, good)
