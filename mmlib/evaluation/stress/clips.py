"""The clips that are put to the test: sound and pictures as they are stored, and what changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mmlib.evaluation.stress.conditions import Condition
from mmlib.runtime.arrays import Bools, Bytes, Floats, Indices, Ints16
from mmlib.runtime.seeds import derive
from mmlib.shards.read.loader import ShardSet
from mmlib.threats import MODALITIES

FULL_SCALE = 32768


@dataclass(frozen=True, eq=False)
class Clips:
    """B clips: `pcm` (B, N) int16 at `rate_hz`, `frames` (B, T, H, W, 3) uint8 shown at `times_s`.

    `present`: modality -> (B,) bool; what a clip lacks is zeros. `rows` are their places in the
    split.
    """

    rows: Indices
    clip_ids: tuple[str, ...]
    pcm: Ints16
    frames: Bytes
    rate_hz: int
    times_s: Floats
    present: Mapping[str, Bools]

    def __len__(self) -> int:
        return len(self.clip_ids)


class Altered(NamedTuple):
    """Clips under a condition; `pcm` and `frames` None where they are as they were.

    `changed`: modality -> (B,) bool, the clips of which it was changed; `dropped` the modality that
    is taken away.
    """

    condition: Condition
    pcm: Ints16 | None
    frames: Bytes | None
    changed: Mapping[str, Bools]
    dropped: str | None = None


def read_clips(split: ShardSet, manifest: Mapping[str, Any], rows: Indices) -> Clips:
    """The clips at these places of the split, as its shards hold them."""
    video = split.gather(rows, ("video",)).inputs["video"]
    pictures = np.rint(video.permute(0, 2, 3, 4, 1).numpy() * 255).astype(np.uint8)
    return Clips(
        rows,
        tuple(split.clip_ids[row] for row in rows),
        pcm_of(split, rows),
        pictures,
        int(manifest["mel"]["sample_rate_hz"]),
        frame_times(manifest),
        {name: split.present[name][rows] for name in MODALITIES},
    )


def pcm_of(split: ShardSet, rows: Indices) -> Ints16:
    """The stored samples of clips, (B, N) int16."""
    return np.asarray(np.rint(split.waveforms(rows).numpy() * FULL_SCALE), np.int16)


def frame_times(manifest: Mapping[str, Any]) -> Floats:
    """When the frames that the nets see are shown, (T,), in seconds of the clip."""
    count, rate, seconds = (
        manifest["video"]["frames"],
        manifest["video"].get("rate_hz"),
        manifest["seconds"],
    )
    places = np.arange(count)
    if rate is None:
        return np.asarray((places + 0.5) * seconds / count)
    return np.asarray(seconds / 2 + (places - count / 2) / rate)


def partners(split: ShardSet, rows: Sequence[int], swap: str, seed: int) -> Indices:
    """For each clip the place of one whose sound it gets, -1 where there is none: (B,).

    Of the clips of the whole split that have sound, one that shares a label (same_class) or none
    (other_class), drawn by the seed and the clip's id.
    """
    labels = split.labels.astype(np.float32)
    found = np.full(len(rows), -1)
    for place, row in enumerate(rows):
        shares = labels @ labels[row] > 0
        fits = (shares if swap == "same_class" else ~shares) & split.present["audio"]
        fits[row] = False
        candidates = np.flatnonzero(fits)
        if len(candidates) and split.present["audio"][row]:
            rng = np.random.default_rng(derive(seed, split.clip_ids[row], "swap", swap))
            found[place] = rng.choice(candidates)
    return found
