"""What the nets will hear and see, and which clips: section shard."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mmlib.runtime.settings import Count, NotNegative, Positive, Section


class Mel(Section):
    """The log-mel front end; windows and hops in samples, frequencies in Hz, levels in dB."""

    sample_rate_hz: Annotated[int, Field(ge=4000, le=192000)]
    window: Count
    hop: Count
    n_fft: Annotated[int, Field(ge=2, le=1 << 18)]
    bands: Annotated[int, Field(ge=1, le=4096)]
    min_hz: NotNegative
    max_hz: Positive
    floor_db: Annotated[float, Field(ge=1, le=300)]
    frames: Count

    @property
    def edges_hz(self) -> list[float]:
        """Where each triangle begins, peaks (where the next begins) and ends: bands + 2 of them."""
        low, high = _mel(self.min_hz), _mel(self.max_hz)
        return [_hz(low + (high - low) * k / (self.bands + 1)) for k in range(self.bands + 2)]

    @property
    def silent_bands(self) -> int:
        """How many triangles hold no FFT bin, and so would always be silent."""
        edges = self.edges_hz
        bin_hz = self.sample_rate_hz / self.n_fft
        return sum(
            math.floor(begin / bin_hz) + 1 >= end / bin_hz
            for begin, end in zip(edges, edges[2:], strict=False)
        )

    @model_validator(mode="after")
    def _consistent(self) -> "Mel":
        if self.n_fft < self.window:
            raise ValueError(f"n_fft ({self.n_fft}) is shorter than window ({self.window})")
        if self.n_fft % 2:
            raise ValueError(f"n_fft is {self.n_fft}: an even number is needed")
        if not self.min_hz < self.max_hz <= self.sample_rate_hz / 2:
            raise ValueError(
                f"min_hz < max_hz <= {self.sample_rate_hz / 2:g} Hz (half the rate) is needed, "
                f"not {self.min_hz:g} and {self.max_hz:g}"
            )
        if silent := self.silent_bands:
            raise ValueError(
                f"{silent} of {self.bands} bands are narrower than an FFT bin and would always be "
                "silent: take fewer bands or a larger n_fft"
            )
        return self


_KNEE_HZ, _KNEE_MEL, _MELS_PER_E = 1000.0, 15.0, 27 / math.log(6.4)


def _mel(hz: float) -> float:
    """Slaney's scale: linear up to 1 kHz, then logarithmic."""
    if hz < _KNEE_HZ:
        return hz * _KNEE_MEL / _KNEE_HZ
    return _KNEE_MEL + _MELS_PER_E * math.log(hz / _KNEE_HZ)


def _hz(mel: float) -> float:
    if mel < _KNEE_MEL:
        return mel * _KNEE_HZ / _KNEE_MEL
    return _KNEE_HZ * math.exp((mel - _KNEE_MEL) / _MELS_PER_E)


class ClipTensor(Section):
    """Frames that the video model sees: how many, pixels a side, and how they are stored."""

    frames: Count
    size: Annotated[int, Field(ge=8, le=1024)]
    rate_hz: Annotated[float, Field(gt=0, le=120)] | None = None
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] | None = None


LeakAction = Literal["drop", "warn", "stop"]


class Leaks(Section):
    """What is done about clips that two splits share, and when two clips count as the same."""

    same_source: LeakAction
    identical: LeakAction
    near_duplicate: LeakAction
    sound_distance: Annotated[float, Field(ge=0, le=0.5)]
    picture_distance: Annotated[float, Field(ge=0, le=1)]


class Shard(Section):
    """Decoded clips to training shards (stage shard)."""

    seconds: Annotated[float, Field(gt=0, le=86400)]
    waveforms: Literal["eval", "all"] = "eval"
    missing_modality: Literal["keep", "drop"]
    untrained_classes: Literal["stop", "drop", "keep"]
    leaks: Leaks
    mel: Mel
    video: ClipTensor

    @property
    def heard_splits(self) -> tuple[str, ...]:
        """The splits whose waveforms are kept."""
        return ("train", "val", "eval") if self.waveforms == "all" else ("eval",)

    @model_validator(mode="after")
    def _frames_fit(self) -> "Shard":
        rate, count = self.video.rate_hz, self.video.frames
        if rate is not None and count / rate > self.seconds * 1.001:
            raise ValueError(
                f"video.frames ({count}) at video.rate_hz ({rate:g}) take {count / rate:g} s, more "
                f"than seconds ({self.seconds:g})"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _as_many_frames_as_seconds(cls, values: Any) -> Any:
        """In the place of `mel.frames: null` put the number that covers `seconds`."""
        mel = values.get("mel") if isinstance(values, dict) else None
        if not isinstance(mel, dict) or mel.get("frames", 0) is not None:
            return values
        try:
            frames = round(values["seconds"] * mel["sample_rate_hz"] / mel["hop"])
        except (KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError):
            # One of them is wrong, and is named when it is checked.
            frames = 1
        return {**values, "mel": {**mel, "frames": max(1, frames)}}
