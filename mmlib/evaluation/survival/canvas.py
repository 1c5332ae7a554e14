"""Clips as an attacker finds and leaves them: 16-bit sound, 8-bit pictures of a stored size.

The nets see a few small frames; what is encoded are all pictures, larger. What an attacker adds to
a frame that the nets see is added to every picture of the stretch of time that it stands for: a
pattern laid over the clip, which a codec can predict from one picture to the next.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmlib.batch import Batch
from mmlib.evaluation.encoded.cut import Row, cut_sound, stored_media
from mmlib.features import PCM_FULL_SCALE, picked_frames
from mmlib.media.decode import decode
from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.graph import Form
from mmlib.runtime import stores
from mmlib.runtime.arrays import Bools, Bytes, Indices, Ints16
from mmlib.runtime.errors import UserError
from mmlib.shards.read.loader import ShardSet
from mmlib.threats import MODALITIES

_LEVELS = 255
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Canvas:
    """B clips: `pcm` (B, N) int16 at `rate_hz`, `frames` (B, P, S, S, 3) uint8, `fps` a second.

    `shown` (T,): the pictures that the nets' frames are made of; `stretch` (P,): which of these
    each picture goes with. `present`: modality -> (B,) bool; what a clip lacks is zeros.
    """

    clip_ids: tuple[str, ...]
    pcm: Ints16
    frames: Bytes
    rate_hz: int
    fps: float
    shown: Indices
    stretch: Indices
    present: Mapping[str, Bools]

    def __len__(self) -> int:
        return len(self.clip_ids)

    def inputs(self) -> Batch:
        """What an attack changes: `audio` (B, N) in [-1, 1), `video` (B, 3, T, S, S) in [0, 1]."""
        found = {
            "audio": sound_to_tensor(self.pcm),
            "video": pictures_to_tensor(self.frames[:, self.shown]),
        }
        for name in MODALITIES:
            if not self.present[name].all():
                found[f"{name}_present"] = torch.from_numpy(self.present[name])
        return found

    def written(self, points: Batch) -> tuple[Ints16, Bytes]:
        """The clips with these points in place of `inputs`, as samples and pictures are stored."""
        pcm = to_pcm(points["audio"]) if "audio" in points else self.pcm
        if "video" not in points:
            return pcm, self.frames
        changes = to_pictures(points["video"]).astype(np.int16) - self.frames[:, self.shown]
        pictures = np.clip(self.frames + changes[:, self.stretch], 0, _LEVELS)
        return pcm, pictures.astype(np.uint8)


def sound_to_tensor(pcm: Ints16) -> torch.Tensor:
    """Samples as float32 in [-1, 1)."""
    return torch.from_numpy(pcm.astype(np.float32) / np.float32(PCM_FULL_SCALE))


def to_pcm(sound: torch.Tensor) -> Ints16:
    """Sound in [-1, 1] as int16."""
    levels = np.rint(sound.detach().cpu().numpy().astype(np.float64) * PCM_FULL_SCALE)
    return np.clip(levels, -PCM_FULL_SCALE, PCM_FULL_SCALE - 1).astype(np.int16)


def pictures_to_tensor(pictures: Bytes) -> torch.Tensor:
    """(..., T, H, W, 3) uint8 as (..., 3, T, H, W) in [0, 1]."""
    return torch.from_numpy(np.moveaxis(pictures, -1, -4).astype(np.float32) / _LEVELS)


def to_pictures(video: torch.Tensor) -> Bytes:
    """(..., 3, T, H, W) in [0, 1] as (..., T, H, W, 3) uint8."""
    levels = np.rint(video.detach().cpu().numpy() * np.float32(_LEVELS))
    return np.clip(np.moveaxis(levels, -4, -1), 0, _LEVELS).astype(np.uint8)


@dataclass(frozen=True)
class Reader:
    """Reads eval clips as canvases from the fetched media.

    `side` and `fps` of the pictures; `form` is what the pipeline decodes to, `manifest` the
    shards'.
    """

    media: Path
    manifest: Mapping[str, Any]
    form: Form
    limits: Limits
    side: int
    fps: float
    threads: int = 1

    def read(self, split: ShardSet, rows: Indices) -> Canvas:
        """The clips at these places of the split; UserError where one cannot be decoded."""
        ids = tuple(split.clip_ids[row] for row in rows)
        present = {name: split.present[name][rows] for name in MODALITIES}
        stored = stored_media(self.media, ids)
        shown, stretch = self.places()
        pcm = np.zeros((len(ids), self._samples), np.int16)
        frames = np.zeros((len(ids), len(stretch), self.side, self.side, 3), np.uint8)
        with ThreadPoolExecutor(self.threads) as pool:
            decoded = pool.map(self._decoded, [stored[clip_id] for clip_id in ids])
            for place, (sound, pictures) in enumerate(decoded):
                if present["audio"][place] and sound is not None:
                    pcm[place] = cut_sound(sound, self.manifest)
                if present["video"][place] and pictures is not None:
                    kept = np.minimum(np.arange(len(stretch)), len(pictures) - 1)
                    frames[place] = pictures[kept]
        return Canvas(ids, pcm, frames, self.form.sample_rate_hz, self.fps, shown, stretch, present)

    def places(self) -> tuple[Indices, Indices]:
        """`shown` and `stretch` of a canvas: what decoding and cutting make of its pictures."""
        seconds, video = self.manifest["seconds"], self.manifest["video"]
        count = int(np.ceil(seconds * self.fps - _ROUNDING))
        grid = np.arange(int(np.ceil(count / self.fps * self.form.fps - _ROUNDING))) / self.form.fps
        picked = picked_frames(
            grid, seconds=seconds, count=video["frames"], rate_hz=video.get("rate_hz")
        )
        shown = np.minimum((grid[picked] * self.fps + _ROUNDING).astype(np.intp), count - 1)
        stretch = np.abs(np.arange(count)[:, None] - shown).argmin(1)
        return shown, stretch

    @property
    def _samples(self) -> int:
        return int(self.manifest["mel"]["frames"] * self.manifest["mel"]["hop"])

    def _decoded(self, row: Row) -> tuple[Ints16 | None, Bytes | None]:
        form = Form(self.form.sample_rate_hz, self.fps, self.side)
        held = row["media"]
        try:
            with nullcontext(held) if held is not None else stores.local(row["path"]) as source:
                found = decode(
                    source, form, self.limits, start_s=row["start_s"], end_s=row["end_s"]
                )
        except (MediaError, stores.StoreError) as error:
            raise UserError(f"clip {row['clip_id']} cannot be read again: {error}") from None
        return found.pcm, found.frames
