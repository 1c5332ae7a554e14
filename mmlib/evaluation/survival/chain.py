"""From a clip as an attacker leaves it to what the nets see: a file, and the pipeline on it."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from mmlib.batch import Batch
from mmlib.evaluation.encoded.cut import Tracks, cut
from mmlib.evaluation.survival.canvas import Canvas, pictures_to_tensor, sound_to_tensor
from mmlib.media.encode import LOSSLESS, encode
from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.graph import Form
from mmlib.runtime.arrays import Bytes, Ints16
from mmlib.runtime.errors import UserError


class Quality(NamedTuple):
    """A container with its codecs, the pictures' CRF and the sound's kbit/s."""

    container: str
    crf: int | None
    kbps: int


AS_WRITTEN = Quality(LOSSLESS, None, 0)
"""The file that an attacker uploads: nothing is lost."""


@dataclass(frozen=True)
class Chain:
    """Encodes clips, and decodes and cuts the files as the pipeline does.

    `reads`: the modalities that are put into the file; `threads`: files at once.
    """

    manifest: Mapping[str, Any]
    form: Form
    limits: Limits
    reads: tuple[str, ...]
    threads: int = 1

    def front(self, batch: Batch) -> Batch:
        """What the nets would see of points (`Canvas.inputs`) if nothing were encoded, smoothly.

        Pictures are scaled as stage decode does (its scaler's kernel differs a little) and then as
        stage shard does; sound passes.
        """
        if "video" not in self.reads:
            return batch
        video = batch["video"]
        count, channels, frames, height, width = video.shape
        flat = video.transpose(1, 2).reshape(-1, channels, height, width)
        for size, mode in ((self.form.size, "bicubic"), (self._side, "bilinear")):
            if flat.shape[-1] != size:
                flat = functional.interpolate(
                    flat, size=(size, size), mode=mode, antialias=True, align_corners=False
                )
        scaled = flat.view(count, frames, channels, self._side, self._side).transpose(1, 2)
        return {**batch, "video": scaled.clamp(0, 1)}

    def through(self, canvas: Canvas, pcm: Ints16, frames: Bytes, quality: Quality) -> Batch:
        """What the nets see of clips with this sound and these pictures, encoded and decoded.

        UserError where ffmpeg fails.
        """

        def one(place: int) -> Tracks:
            here = [name for name in self.reads if canvas.present[name][place]]
            if not here:
                return {}
            try:
                file = encode(
                    frames[place] if "video" in here else None,
                    pcm[place] if "audio" in here else None,
                    fps=canvas.fps,
                    sample_rate_hz=canvas.rate_hz,
                    container=quality.container,
                    crf=quality.crf,
                    audio_kbps=quality.kbps,
                )
                return cut(file, self.manifest, self.form, self.limits)
            except MediaError as error:
                raise UserError(
                    f"clip {canvas.clip_ids[place]} cannot be encoded as {quality}: {error}"
                ) from None

        with ThreadPoolExecutor(self.threads) as pool:
            tracks = list(pool.map(one, range(len(canvas))))
        return self._batch(canvas, pcm, tracks)

    def _batch(self, canvas: Canvas, pcm: Ints16, tracks: list[Tracks]) -> Batch:
        silent = np.zeros_like(pcm[0])
        video = self.manifest["video"]
        black = np.zeros((video["frames"], self._side, self._side, 3), np.uint8)
        found: Batch = {}
        if "audio" in self.reads:
            sound: Ints16 = np.stack([each.get("audio", silent) for each in tracks])
            found["audio"] = sound_to_tensor(sound)
        if "video" in self.reads:
            pictures: Bytes = np.stack([each.get("video", black) for each in tracks])
            found["video"] = pictures_to_tensor(pictures)
        for name in self.reads:
            if not canvas.present[name].all():
                found[f"{name}_present"] = torch.from_numpy(canvas.present[name])
        return found

    @property
    def _side(self) -> int:
        return int(self.manifest["video"]["height"])
