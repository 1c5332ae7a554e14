"""Decode the clips that download fetched, a shard at a time, into rows of PCM and frames."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmlib.clips import (
    DECODED_SCHEMA,
    FAILED,
    OK,
    VOCABULARY_NAME,
    Clip,
    DecodedClip,
    read_clips,
    read_columns,
    read_vocabulary,
    shard_paths,
    write_rows,
    write_vocabulary,
)
from mmlib.executor import map_ordered
from mmlib.ledger import DAMAGED, Ledger, check_failures, read_ledger
from mmlib.media import ffmpeg
from mmlib.media.decode import decode
from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.graph import Form
from mmlib.pieces import publish_pieces
from mmlib.scratch import Scratch, fingerprint
from mmlib.splits import check_splits

_HERE = Path(__file__).parent
# Half a decoding by other code is never gone on with.
_CODE = (*sorted((_HERE / "media").glob("*.py")), _HERE / "clips.py", Path(__file__))
_INPUTS = ("clip_id", "labels", "start_s", "end_s", "path", "sha256", "status", "attempts")


@dataclass(frozen=True)
class _Piece:
    clips: Path
    scratch: Scratch
    form: Form
    limits: Limits


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
    todo = [_Piece(path, scratch, form, limits) for path in shards if not scratch.has(path.name)]
    for _ in map_ordered(_decode_piece, todo, label="decode"):
        pass
    scratch.write(VOCABULARY_NAME, lambda path: write_vocabulary(path, vocabulary))
    before = read_ledger(shards)
    ledger = read_ledger([scratch.path(path.name) for path in shards])
    check_failures(
        ledger.failures - before.failures,
        ledger.examples,
        tried=before.usable.total(),
        largest=max_failed_share,
        param="decode.max_failed_share",
    )
    ledger.warnings += check_splits(ledger.usable, ledger.positives, vocabulary)
    publish_pieces(scratch, out)
    return ledger


def _decode_piece(piece: _Piece) -> None:
    rows = (decode_clip(clip, piece.form, piece.limits) for clip in read_clips(piece.clips))
    facts = {
        "decoder": f"ffmpeg {ffmpeg.version()}",
        "fps": piece.form.fps,
        "sample_rate_hz": piece.form.sample_rate_hz,
        "size": piece.form.size,
    }
    name = piece.clips.name
    piece.scratch.write(name, lambda path: write_rows(path, DECODED_SCHEMA, rows, facts))


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
    }


def _progress_key(shards: list[Path], form: Form, limits: Limits) -> str:
    # The media themselves are not read again: their hashes stand for them.
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(shard.name.encode())
        for row in read_columns(shard, _INPUTS):
            digest.update(repr(row).encode())
    return fingerprint(digest.hexdigest(), vars(form), vars(limits), ffmpeg.version(), *_CODE)
