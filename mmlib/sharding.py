"""Decoded clips -> training shards with their manifest: what stage shard does."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmlib import features
from mmlib.clips import (
    FAILED,
    DecodedClip,
    Vocabulary,
    read_columns,
    read_decoded,
    read_vocabulary,
    shard_paths,
)
from mmlib.errors import UserError
from mmlib.executor import map_ordered
from mmlib.ledger import Ledger
from mmlib.manifest import MANIFEST_NAME, ShardSummary, build_manifest, summarise
from mmlib.params import Shard
from mmlib.pieces import publish_pieces
from mmlib.scratch import Scratch, fingerprint
from mmlib.shards import Layout, Payload, ShardReader, ShardRow, write_shard
from mmlib.splits import check_splits

_HERE = Path(__file__).parent
# Half a set of shards by other code is never gone on with.
_CODE = tuple(_HERE / name for name in ("features.py", "shards.py", "clips.py", "sharding.py"))
_OUTCOME = ("clip_id", "status", "error", "message", "audio_present", "video_present")
_INPUTS = (*_OUTCOME, "source_id", "split", "labels", "sha256", "frame_count", "audio_s")


@dataclass(frozen=True)
class _Piece:
    """One shard of the stage."""

    decoded: Path
    scratch: Scratch
    vocabulary: Vocabulary
    settings: Shard

    @property
    def name(self) -> str:
        """File name, the same as that of the decoded shard."""
        return self.decoded.name

    @property
    def split(self) -> str:
        """The split that the name begins with."""
        return self.name.rsplit("-", 1)[0]


def make_shards(
    decoded: Path, out: Path, settings: Shard, *, scratch_root: Path = Path("scratch")
) -> Ledger:
    """Turn the shards of the directory `decoded` into shards of the same names and manifest.json.

    Clips that failed before, and those that lack a modality where such are dropped, are left out
    and counted. Goes on from finished shards after a kill; the bytes depend neither on that nor on
    the number of workers. UserError for settings that contradict each other, repeated ids, and
    splits that cannot be used (see `splits`); `out` is then left alone.
    """
    _check_length(settings)
    vocabulary = read_vocabulary(decoded)
    paths = shard_paths(decoded)
    scratch = Scratch("shard", _progress_key(paths, vocabulary, settings), scratch_root)
    pieces = [_Piece(path, scratch, vocabulary, settings) for path in paths]
    summaries = list(map_ordered(_make_shard, pieces, label="shard"))
    ledger = _ledger(summaries, vocabulary)
    manifest = build_manifest(summaries, vocabulary, settings)
    text = json.dumps(manifest, indent=2, allow_nan=False)
    scratch.write(MANIFEST_NAME, lambda path: _write_line(path, text))
    publish_pieces(scratch, out)
    return ledger


def _write_line(path: Path, text: str) -> None:
    path.write_text(text + "\n", encoding="utf-8")


def _check_length(settings: Shard) -> None:
    mel = settings.mel
    needed = settings.seconds * mel.sample_rate_hz
    if abs(mel.frames * mel.hop - needed) >= mel.hop:
        covered = mel.frames * mel.hop / mel.sample_rate_hz
        raise UserError(
            f"shard.mel.frames={mel.frames} of hop {mel.hop} cover {covered:g} s, but "
            f"shard.seconds={settings.seconds:g}: set shard.mel.frames={round(needed / mel.hop)}"
        )


def _progress_key(paths: Sequence[Path], vocabulary: Vocabulary, settings: Shard) -> str:
    # The payloads are not read again: the hashes of the media and the file sizes stand for them.
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name} {path.stat().st_size}".encode())
        for row in read_columns(path, _INPUTS):
            digest.update(repr(row).encode())
    return fingerprint(digest.hexdigest(), vars(vocabulary), settings, *_CODE)


def _make_shard(piece: _Piece) -> ShardSummary:
    """Write one shard unless it is finished; then read back what the manifest needs of it."""
    # A matrix product split over threads may round otherwise, and workers have one thread.
    torch.set_num_threads(1)
    if not piece.scratch.has(piece.name):
        layout, rows = _layout(piece), _rows(piece)
        piece.scratch.write(piece.name, lambda path: write_shard(path, layout, rows))
    left_out: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for row in read_columns(piece.decoded, _OUTCOME):
        if reason := _reason(row, piece.settings):
            left_out[reason] += 1
            examples.setdefault(reason, f"{row['clip_id']}: {row['message'] or reason}")
    return summarise(ShardReader(piece.scratch.path(piece.name)), left_out, examples)


def _layout(piece: _Piece) -> Layout:
    mel, video = piece.settings.mel, piece.settings.video
    return Layout(
        split=piece.split,
        classes=piece.vocabulary.classes,
        task=piece.vocabulary.task,
        log_mel=Payload(shape=(mel.frames, mel.bands), dtype="float16"),
        frames=Payload(shape=(video.frames, video.size, video.size, 3), dtype="uint8"),
        sample_rate_hz=mel.sample_rate_hz,
        clip_samples=mel.frames * mel.hop,
    )


def _rows(piece: _Piece) -> Iterator[ShardRow]:
    settings = piece.settings
    places = {name: place for place, name in enumerate(piece.vocabulary.classes)}
    log_mel = features.LogMel(settings.mel)
    for clip in read_decoded(piece.decoded):
        if _reason(vars(clip), settings):
            continue
        labels = np.zeros(len(places), np.uint8)
        labels[[places[label] for label in clip.labels]] = 1
        yield ShardRow(
            clip.clip_id,
            clip.source_id,
            labels,
            _log_mel(clip, log_mel) if clip.audio_present else None,
            _frames(clip, piece) if clip.video_present else None,
            _waveform(clip, log_mel) if clip.audio_present and piece.split == "eval" else None,
        )


def _reason(row: dict[str, Any], settings: Shard) -> str | None:
    """Why the clip is left out: its error, "no_audio" or "no_video"; None when it is not."""
    if row["status"] == FAILED:
        return str(row["error"])
    if settings.missing_modality == "drop":
        for name in ("audio", "video"):
            if not row[f"{name}_present"]:
                return f"no_{name}"
    return None


def _waveform(clip: DecodedClip, log_mel: features.LogMel) -> NDArray[np.int16]:
    pcm = np.frombuffer(clip.pcm or b"", "<i2")[: log_mel.clip_samples]
    return np.pad(pcm, (0, log_mel.clip_samples - len(pcm)))


def _log_mel(clip: DecodedClip, log_mel: features.LogMel) -> NDArray[np.float16]:
    if clip.sample_rate_hz != log_mel.mel.sample_rate_hz:
        raise UserError(
            f"clip {clip.clip_id} was decoded at {clip.sample_rate_hz} Hz, but shard.mel."
            f"sample_rate_hz={log_mel.mel.sample_rate_hz}: set decode.sample_rate_hz to the same"
        )
    waveform = features.waveform_from_pcm(_waveform(clip, log_mel))
    with torch.inference_mode():
        levels: NDArray[np.float32] = log_mel(torch.from_numpy(waveform)[None])[0].numpy()
    return levels.astype(np.float16)


def _frames(clip: DecodedClip, piece: _Piece) -> NDArray[np.uint8]:
    shape = (clip.frame_count, clip.height, clip.width, 3)
    frames = np.frombuffer(clip.frames or b"", np.uint8)
    if frames.size != math.prod(shape) or not 0 < len(clip.frame_times) == clip.frame_count:
        raise UserError(
            f"{piece.decoded}: the frames of clip {clip.clip_id} do not fit their count and size; "
            "run `dvc repro -f decode`"
        )
    video = piece.settings.video
    return features.clip_frames(
        frames.reshape(shape),
        np.array(clip.frame_times),
        seconds=piece.settings.seconds,
        count=video.frames,
        size=video.size,
    )


def _ledger(summaries: Sequence[ShardSummary], vocabulary: Vocabulary) -> Ledger:
    ledger = Ledger()
    seen: set[str] = set()
    for shard in summaries:
        ledger.rows[shard.split] += len(shard.clip_ids) + shard.left_out.total()
        ledger.usable[shard.split] += len(shard.clip_ids)
        ledger.positives[shard.split] += shard.positives
        ledger.failures += shard.left_out
        for error, example in shard.examples.items():
            ledger.examples.setdefault(error, example)
        for clip_id in shard.clip_ids:
            if clip_id in seen:
                raise UserError(f"clip id {clip_id} occurs twice: every clip needs its own")
            seen.add(clip_id)
    ledger.warnings += check_splits(ledger.usable, ledger.positives, vocabulary)
    return ledger
