"""From a clip as the shards hold it to what a model of one's own declares, differentiably.

A budget thus keeps its unit: a share of full scale of the clip that all runs are given, whatever a
model makes of it.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.transforms import Resample

from mmlib.models.contract import Frames, Input, LogMel, Waveform
from mmlib.runtime.errors import UserError

Values = Mapping[str, Any]

_SLACK = 1e-3
"""Relative: rates and lengths that differ by less are the same."""


def signals(manifest: Values) -> dict[str, Any]:
    """What of the shards' manifest decides how clips are fitted, as JSON values."""
    video, mel = manifest["video"], manifest["mel"]
    return {
        "seconds": manifest["seconds"],
        "sample_rate_hz": mel.get("sample_rate_hz"),
        "samples": mel.get("frames", 0) * mel.get("hop", 0),
        "frames": video["frames"],
        "frame_rate_hz": video.get("rate_hz") or video["frames"] / manifest["seconds"],
        "size": video["height"],
    }


def fitting(declared: Input, held: Values) -> nn.Module:
    """What turns one input of the shards, `held` as `signals`, into the declared one.

    UserError says which params to set where the shards hold less than is declared.
    """
    if isinstance(declared, Waveform):
        return _sound(declared, held)
    if isinstance(declared, Frames):
        return _pictures(declared, held)
    return nn.Identity()


def as_json(declared: Input) -> dict[str, Any]:
    """An input of the contract as JSON values."""
    kinds = {Waveform: "waveform", LogMel: "log_mel", Frames: "frames"}
    return {"kind": kinds[type(declared)], **vars(declared)}


class Sound(nn.Module):
    """(B, N) at one rate to (B, N') at another, cut or ended in silence: torchaudio's resampler."""

    def __init__(self, rate_hz: int, wanted: Waveform) -> None:
        super().__init__()
        self.samples = wanted.samples
        self.resample = Resample(rate_hz, wanted.rate_hz)

    def forward(self, x: Tensor) -> Tensor:
        """Resample."""
        x = self.resample(x)[:, : self.samples]
        return functional.pad(x, (0, self.samples - x.shape[1]))


class Pictures(nn.Module):
    """(B, 3, T, H, W) to the frames at `places`, scaled down bilinearly with antialiasing."""

    places: Tensor

    def __init__(self, places: Tensor, size: int) -> None:
        super().__init__()
        self.register_buffer("places", places)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Choose and scale."""
        count = x.shape[2]
        if len(self.places) != count or bool((self.places != torch.arange(count)).any()):
            x = x.index_select(2, self.places)
        if x.shape[-1] == self.size:
            return x
        flat = x.transpose(1, 2).flatten(0, 1)
        flat = functional.interpolate(
            flat, size=(self.size, self.size), mode="bilinear", antialias=True, align_corners=False
        )
        return flat.reshape(len(x), -1, *flat.shape[1:]).transpose(1, 2)


def _sound(wanted: Waveform, held: Values) -> nn.Module:
    rate, samples = held["sample_rate_hz"], held["samples"]
    if not rate or not samples:
        raise UserError("the shards do not say how sound was sampled: run `dvc repro -f shard`")
    if wanted.rate_hz > rate:
        raise UserError(
            f"it hears {wanted.rate_hz} Hz, and the shards hold {rate}: set decode.sample_rate_hz "
            f"and shard.mel.sample_rate_hz to {wanted.rate_hz}"
        )
    # The waveform covers shard.seconds but for less than one hop of the log-mel.
    if wanted.seconds > held["seconds"] * (1 + _SLACK):
        raise UserError(
            f"it hears {wanted.seconds:g} s, and clips have {held['seconds']:g}: set shard.seconds "
            f"to {wanted.seconds:g} (shorter clips end in silence)"
        )
    if wanted.rate_hz == rate and wanted.samples == samples:
        return nn.Identity()
    return Sound(rate, wanted)


def _pictures(wanted: Frames, held: Values) -> nn.Module:
    count, rate, seconds = held["frames"], held["frame_rate_hz"], held["seconds"]
    if wanted.size > held["size"]:
        raise UserError(
            f"it sees {wanted.size} pixels a side, and the shards hold {held['size']}: set "
            f"shard.video.size to {wanted.size} and decode.size to at least that"
        )
    if wanted.count > 1:
        if wanted.rate_hz > rate * (1 + _SLACK):
            raise UserError(
                f"it sees {wanted.rate_hz:g} frames a second, and the shards hold {rate:g}: set "
                f"shard.video.rate_hz to {wanted.rate_hz:g}, shard.video.frames to "
                f"{wanted.count} or more and decode.fps to at least {wanted.rate_hz:g}"
            )
        if wanted.count / wanted.rate_hz > count / rate * (1 + _SLACK):
            needed = math.ceil(wanted.count / wanted.rate_hz * rate - _SLACK)
            raise UserError(
                f"it sees {wanted.count} frames at {wanted.rate_hz:g} a second, and the shards "
                f"hold {count} at {rate:g}: set shard.video.frames to {needed} or more (of "
                f"shard.seconds, {seconds:g})"
            )
    places = _places(wanted, count, rate)
    same = wanted.size == held["size"] and places.tolist() == list(range(count))
    return nn.Identity() if same else Pictures(places, wanted.size)


def _places(wanted: Frames, count: int, rate_hz: float) -> Tensor:
    """The frame nearest to each wanted time, (wanted.count,); both are centred on the clip."""
    steps = torch.arange(wanted.count, dtype=torch.float64) + 0.5 - wanted.count / 2
    places = steps * (rate_hz / wanted.rate_hz) + count / 2 - 0.5
    # Half way between two frames the earlier one, whatever rounding does.
    return torch.ceil(places - 0.5 - 1e-9).clamp(0, count - 1).long()
