"""Shards of the synthetic clips of `MemoryClips`, as stage shard leaves them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmlib.runtime.scratch import publish_json
from mmlib.shards.read.format import (
    Layout,
    Payload,
    ShardRow,
    write_shard,
)
from mmlib.shards.read.manifest import ids_hash
from tests.memory_clips import MemoryClips
from tests.models.examples import manifest


def write_shards(
    root: Path,
    splits: Mapping[str, MemoryClips],
    *,
    without_audio: Sequence[int] = (),
) -> None:
    """Write one shard a split and the manifest; the clips at some places of each lack audio."""
    root.mkdir(parents=True, exist_ok=True)
    counts = {}
    for split, clips in splits.items():
        name = f"{split}-00000.parquet"
        rows = [_row(clips, place, place in without_audio) for place in range(len(clips))]
        write_shard(root / name, _layout(split, clips), rows)
        counts[split] = {
            "count": len(clips),
            "sha256": ids_hash(clips.clip_ids),
            "files": {name: len(clips)},
        }
    clips = next(iter(splits.values()))
    written = {
        **manifest(),
        "classes": clips.classes,
        "task": clips.task,
        "seconds": 1.0,
        "mel": {},
        "clips": counts,
        "failed": {},
    }
    publish_json(written, root / "manifest.json")


def _row(clips: MemoryClips, place: int, mute: bool) -> ShardRow:
    audio = clips.inputs["audio"][place].numpy().astype(np.float16)
    video = clips.inputs["video"][place].permute(1, 2, 3, 0).numpy()
    frames = np.clip(np.round(video * 255), 0, 255).astype(np.uint8)
    clip_id = clips.clip_ids[place]
    return ShardRow(clip_id, clip_id, clips.labels[place], None if mute else audio, frames, None)


def _layout(split: str, clips: MemoryClips) -> Layout:
    return Layout(
        split=split,
        classes=tuple(clips.classes),
        task=clips.task,
        log_mel=Payload(shape=(36, 32), dtype="float16"),
        frames=Payload(shape=(4, 16, 16, 3), dtype="uint8"),
        sample_rate_hz=16000,
        clip_samples=16000,
    )
