"""What manifest.json says: the clips of the shards, those left out, and train's normalisation."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmlib.params.shard import Shard
from mmlib.runtime.arrays import Floats, Ints
from mmlib.shards.read.format import ShardReader
from mmlib.shards.read.manifest import ids_hash
from mmlib.shards.rows.clips import Vocabulary
from mmlib.shards.rows.damage import Damage

# Normalisation divides by this at least: a band that is silent all through train would otherwise
# turn a trace of sound into a huge input [choice; 0.8 dB, 2.55 grey levels].
SMALLEST_STD = 0.01


@dataclass(frozen=True)
class ShardSummary:
    """What the manifest needs of one shard.

    `sums` (2, F): of the log-mel values and of their squares, over `log_mel_frames` frames;
    `pixels` (3, 256): how often a channel has each value. Both of train only, without absent
    modalities.
    """

    name: str
    split: str
    clips: int
    log_mel_frames: int
    sums: Floats
    pixels: Ints


@dataclass(frozen=True)
class SplitFacts:
    """What became of a split's clips: how many were asked for, the ids of those in the shards, the
    others by reason; of those in the shards how many lack a track."""

    requested: int
    clip_ids: Sequence[str]
    failed: Counter[str]
    dropped: Counter[str]
    without_audio: int
    without_video: int


def summarise(reader: ShardReader) -> ShardSummary:
    """Read a finished shard back: the numbers are those of the stored bytes."""
    layout, index = reader.layout, reader.index()
    frames = 0
    sums = np.zeros((2, layout.log_mel.shape[1]))
    pixels = np.zeros((3, 256), np.int64)
    first = 0
    for group, size in enumerate(reader.sizes if layout.split == "train" else ()):
        rows = slice(first, first := first + size)
        heard = reader.read(group, "log_mel")[index.present["audio"][rows]].astype(np.float64)
        frames += heard.shape[0] * heard.shape[1]
        sums += heard.sum((0, 1)), np.square(heard).sum((0, 1))
        seen = reader.read(group, "frames")[index.present["video"][rows]]
        pixels += [np.bincount(seen[..., channel].ravel(), minlength=256) for channel in range(3)]
    return ShardSummary(reader.path.name, layout.split, len(index.clip_ids), frames, sums, pixels)


def build_manifest(
    summaries: Sequence[ShardSummary],
    splits: Mapping[str, SplitFacts],
    damage: Damage,
    vocabulary: Vocabulary,
    settings: Shard,
) -> dict[str, Any]:
    """The manifest of a run's shards, given in their order.

    `audio` and `video` have the shapes and, over train in units of [0, 1], the mean and standard
    deviation of each band and colour; `clips` the count, the files and the hash of the ids of each
    split; `failed` and `dropped` how many clips were left out, by split and reason; `damage`
    how many of those in the shards are damaged, by kind and split, with examples.
    """
    clips = {}
    for split, facts in splits.items():
        files = {shard.name: shard.clips for shard in summaries if shard.split == split}
        clips[split] = {
            "count": len(facts.clip_ids),
            "sha256": ids_hash(facts.clip_ids),
            "files": files,
            "requested": facts.requested,
            "damaged": damage.splits[split],
            "without_audio": facts.without_audio,
            "without_video": facts.without_video,
        }
    mel, video = settings.mel, settings.video
    size = {"frames": video.frames, "height": video.size, "width": video.size}
    form = video.model_dump(include={"rate_hz", "jpeg_quality"}, exclude_none=True)
    return {
        "classes": list(vocabulary.classes),
        "task": vocabulary.task,
        "seconds": settings.seconds,
        "mel": mel.model_dump(mode="json"),
        "waveforms": list(settings.heard_splits),
        "audio": {"frames": mel.frames, "bands": mel.bands, **_audio_moments(summaries)},
        "video": {**size, **form, **_video_moments(summaries)},
        "clips": clips,
        "failed": {name: dict(sorted(facts.failed.items())) for name, facts in splits.items()},
        "dropped": {name: dict(sorted(facts.dropped.items())) for name, facts in splits.items()},
        "damage": {
            kind: {"clips": dict(sorted(damage.kinds[kind].items())), "examples": dict(examples)}
            for kind, _, examples in damage.by_kind()
        },
    }


def _audio_moments(summaries: Sequence[ShardSummary]) -> dict[str, list[float]]:
    count = sum(shard.log_mel_frames for shard in summaries)
    values, squares = np.stack([shard.sums for shard in summaries], axis=2)
    # fsum rounds once, whatever the order of the shards.
    return _moments([*map(math.fsum, values)], [*map(math.fsum, squares)], [count] * len(values))


def _video_moments(summaries: Sequence[ShardSummary]) -> dict[str, list[float]]:
    pixels = np.sum([shard.pixels for shard in summaries], axis=0)
    levels = np.arange(256) / 255.0
    return _moments(
        (pixels @ levels).tolist(), (pixels @ levels**2).tolist(), pixels.sum(1).tolist()
    )


def _moments(
    sums: Sequence[float], squares: Sequence[float], counts: Sequence[int]
) -> dict[str, list[float]]:
    """Means and standard deviations; 0 and 1 where train has nothing to measure."""
    means, deviations = [], []
    for total, square, count in zip(sums, squares, counts, strict=True):
        mean = total / count if count else 0.0
        variance = max(square / count - mean * mean, 0.0) if count else 1.0
        means.append(mean)
        deviations.append(max(math.sqrt(variance), SMALLEST_STD))
    return {"mean": means, "std": deviations}
