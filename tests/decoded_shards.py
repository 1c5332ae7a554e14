"""Decoded shards as stage decode leaves them: noise and moving squares, and all that can fail."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmlib.params.shard import ClipTensor, Leaks, Mel, Shard
from mmlib.shards.rows.clips import (
    DECODED_SCHEMA,
    VOCABULARY_NAME,
    DecodedClip,
    Vocabulary,
    shard_name,
    write_rows,
    write_vocabulary,
)

CLASSES = ("Bell", "Rain", "Siren")
RATE = 8000
SETTINGS = Shard(
    seconds=1.0,
    missing_modality="keep",
    untrained_classes="stop",
    leaks=Leaks(
        same_source="stop",
        identical="drop",
        near_duplicate="warn",
        sound_distance=0.15,
        picture_distance=0.1,
    ),
    mel=Mel(
        sample_rate_hz=RATE,
        window=256,
        hop=400,
        n_fft=512,
        bands=12,
        min_hz=50.0,
        max_hz=4000.0,
        floor_db=80.0,
        frames=20,
    ),
    video=ClipTensor(frames=3, size=8),
)


def clip(split: str, number: int, labels: Sequence[str] = ()) -> DecodedClip:
    """A clip of one second at 4 frames a second; its labels, if not given, go round the classes."""
    rng = np.random.default_rng([sum(map(ord, split)), number])
    frames = rng.integers(0, 256, (4, 12, 12, 3), dtype=np.uint8)
    pcm = (3000 * rng.standard_normal(RATE)).clip(-32768, 32767).astype(np.int16)
    return DecodedClip(
        clip_id=f"{split}-{number}",
        source_id=f"{split}-source-{number}",
        split=split,
        labels=tuple(labels) or (CLASSES[number % len(CLASSES)],),
        pcm=pcm.tobytes(),
        frames=frames.tobytes(),
        frame_count=4,
        frame_times=(0.0, 0.25, 0.5, 0.75),
        height=12,
        width=12,
        fps=4.0,
        sample_rate_hz=RATE,
        audio_s=1.0,
        video_s=1.0,
        offset_s=0.0,
        audio_present=True,
        video_present=True,
        sha256=hashlib.sha256(pcm.tobytes()).hexdigest(),
        source="test",
        status="ok",
        error=None,
        message=None,
        attempts=1,
    )


def without_audio(row: DecodedClip) -> DecodedClip:
    """The same clip, silent film."""
    return replace(row, pcm=None, audio_present=False, audio_s=None)


def without_video(row: DecodedClip) -> DecodedClip:
    """The same clip, sound only."""
    return replace(
        row, frames=None, video_present=False, frame_count=0, frame_times=(), video_s=None
    )


def failed(row: DecodedClip, error: str = "timeout") -> DecodedClip:
    """The same clip, which could not be decoded."""
    row = without_audio(without_video(row))
    return replace(row, status="failed", error=error, message="it took too long")


def clips(train: int = 40, val: int = 6, evaluation: int = 9) -> list[DecodedClip]:
    """All three splits."""
    counts = {"train": train, "val": val, "eval": evaluation}
    return [clip(split, number) for split, count in counts.items() for number in range(count)]


def write_decoded(
    root: Path, rows: Sequence[DecodedClip], *, shard_clips: int = 20, task: str = "multi_label"
) -> Path:
    """Write the rows and classes.json into `root`; returns it."""
    root.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val", "eval"):
        chosen = [row for row in rows if row.split == split]
        for number, first in enumerate(range(0, len(chosen), shard_clips)):
            path = root / shard_name(split, number)
            write_rows(path, DECODED_SCHEMA, chosen[first : first + shard_clips], {})
    write_vocabulary(root / VOCABULARY_NAME, Vocabulary(CLASSES, task))
    return root
