"""Decoded clips -> training shards with their manifest: what stage shard does."""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from mmlib import features
from mmlib.params.shard import Shard
from mmlib.runtime.arrays import Bools, Bytes, Floats16, Floats32, Ints16
from mmlib.runtime.errors import UserError
from mmlib.runtime.phases import Phase
from mmlib.runtime.pieces import finish, results
from mmlib.runtime.scratch import Scratch, fingerprint
from mmlib.runtime.sealed import json_text
from mmlib.shards.make.account import (
    LEAKS_NAME,
    count,
    damage_of,
    failures,
    leak_facts,
    ledger_tables,
    split_facts,
    write_leaks,
)
from mmlib.shards.make.manifest import ShardSummary, build_manifest, summarise
from mmlib.shards.make.selection import select
from mmlib.shards.make.survey import read_list, write_survey
from mmlib.shards.read.format import (
    Layout,
    Payload,
    ShardReader,
    ShardRow,
    write_shard,
)
from mmlib.shards.read.manifest import MANIFEST_NAME
from mmlib.shards.rows.clips import (
    DecodedClip,
    Vocabulary,
    read_columns,
    read_decoded,
    read_facts,
    read_vocabulary,
    shard_paths,
)
from mmlib.shards.rows.ledger import LEDGER_NAME, write_ledger
from mmlib.shards.rows.splits import check_splits, needed_splits
from mmlib.shards.rows.tally import Ledger

_INPUTS = (
    *("clip_id", "source_id", "split", "labels", "status", "error", "message", "attempts"),
    *("source", "sha256", "frame_count", "audio_s", "audio_present", "video_present", "damage"),
)


@dataclass(frozen=True)
class _Piece:
    """One shard of the stage: its decoded clips, and of them those that it will hold."""

    decoded: Path
    scratch: Scratch
    vocabulary: Vocabulary
    settings: Shard
    kept: Bools

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
    """Turn the shards of the directory `decoded` into shards of the same names, and account for it.

    Beside them lie ledger.parquet, a row for every clip; leaks.csv, the clips that splits share;
    and manifest.json. Clips that failed before, and those that `selection` drops, are left out of
    the shards. Goes on from finished shards after a kill; the bytes depend neither on that nor on
    the number of workers. UserError for settings that contradict each other, repeated ids, leaks
    and classes that the params do not allow, and splits that cannot be used (see `splits`); `out`
    is then left alone.
    """
    _check_length(settings)
    vocabulary = read_vocabulary(decoded)
    paths = shard_paths(decoded)
    key = _progress_key(paths, vocabulary, settings)
    surveys = Scratch("shard-survey", key, scratch_root)
    seen = Phase(paths, lambda place: surveys.has(paths[place].name))
    finish(partial(_survey, surveys), [seen], surveys, label="hash", last=False)
    listed = read_list([surveys.path(path.name) for path in paths], vocabulary)
    selection = select(listed, vocabulary, settings, surveys)
    vocabulary = replace(vocabulary, classes=selection.classes)
    failed, examples = failures(selection)
    facts = split_facts(selection, failed)
    damage = damage_of(selection)
    ledger = count(selection, facts, examples, damage)
    needed = needed_splits(settings.untrained_classes, ledger.rows)
    ledger.warnings += check_splits(ledger.usable, ledger.positives, vocabulary, needed)
    scratch = Scratch("shard", key, scratch_root)
    parts = np.split(selection.kept, listed.ends[:-1])
    pieces = [
        _Piece(path, scratch, vocabulary, settings, kept)
        for path, kept in zip(paths, parts, strict=True)
    ]
    summaries = _make_all(pieces, surveys)
    manifest = build_manifest(summaries, facts, damage, vocabulary, settings)
    manifest |= leak_facts(selection, settings) | {"decoder": read_facts(paths[0]).get("decoder")}
    scratch.write(LEDGER_NAME, lambda path: write_ledger(path, ledger_tables(selection)))
    scratch.write(LEAKS_NAME, lambda path: write_leaks(path, selection))
    text = json_text(json.dumps(manifest, indent=2, allow_nan=False))
    scratch.write(MANIFEST_NAME, lambda path: _write_text(path, text))
    scratch.publish(out)
    surveys.finish()
    return ledger


def _make_all(pieces: Sequence[_Piece], surveys: Scratch) -> list[ShardSummary]:
    """Write every shard; what the manifest needs of each is kept beside the surveys."""
    return results(
        _make_shard,
        pieces,
        surveys,
        names=[f"{piece.name}.summary" for piece in pieces],
        label="shard",
        finished=lambda place: pieces[place].scratch.has(pieces[place].name),
    )


def _survey(surveys: Scratch, decoded: Path) -> None:
    surveys.write(decoded.name, lambda path: write_survey(decoded, path))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


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
    return fingerprint(digest.hexdigest(), vars(vocabulary), settings)


def _make_shard(piece: _Piece) -> ShardSummary:
    """Write one shard unless it is finished; then read back what the manifest needs of it."""
    # A matrix product split over threads may round otherwise, and workers have one thread.
    torch.set_num_threads(1)
    if not piece.scratch.has(piece.name):
        layout, rows = _layout(piece), _rows(piece)
        piece.scratch.write(piece.name, lambda path: write_shard(path, layout, rows))
    return summarise(ShardReader(piece.scratch.path(piece.name)))


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
        jpeg_quality=video.jpeg_quality,
    )


def _rows(piece: _Piece) -> Iterator[ShardRow]:
    places = {name: place for place, name in enumerate(piece.vocabulary.classes)}
    log_mel = features.LogMel(piece.settings.mel)
    heard = piece.split in piece.settings.heard_splits
    for clip, kept in zip(read_decoded(piece.decoded), piece.kept, strict=True):
        if not kept:
            continue
        labels = np.zeros(len(places), np.uint8)
        labels[[places[label] for label in clip.labels if label in places]] = 1
        yield ShardRow(
            clip.clip_id,
            clip.source_id,
            labels,
            _log_mel(clip, log_mel) if clip.audio_present else None,
            _frames(clip, piece) if clip.video_present else None,
            _waveform(clip, log_mel) if clip.audio_present and heard else None,
        )


def _waveform(clip: DecodedClip, log_mel: features.LogMel) -> Ints16:
    pcm = np.frombuffer(clip.pcm or b"", "<i2")[: log_mel.clip_samples]
    return np.pad(pcm, (0, log_mel.clip_samples - len(pcm)))


def _log_mel(clip: DecodedClip, log_mel: features.LogMel) -> Floats16:
    if clip.sample_rate_hz != log_mel.mel.sample_rate_hz:
        raise UserError(
            f"clip {clip.clip_id} was decoded at {clip.sample_rate_hz} Hz, but shard.mel."
            f"sample_rate_hz={log_mel.mel.sample_rate_hz}: set decode.sample_rate_hz to the same"
        )
    waveform = features.waveform_from_pcm(_waveform(clip, log_mel))
    with torch.inference_mode():
        levels: Floats32 = log_mel(torch.from_numpy(waveform)[None])[0].numpy()
    return levels.astype(np.float16)


def _frames(clip: DecodedClip, piece: _Piece) -> Bytes:
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
        rate_hz=video.rate_hz,
    )
