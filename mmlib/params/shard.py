"""What the nets will hear and see, and which clips: section shard."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mmlib.runtime.settings import Count, NotNegative, Positive, Section


class Mel(Section):
    """The log-mel front end; windows and hops in samples, frequencies in Hz, levels in dB."""

    sample_rate_hz: Annotated[int, Field(ge=4000, le=192000)]
    window: Count
    hop: Count
    n_fft: Count
    bands: Count
    min_hz: NotNegative
    max_hz: Positive
    floor_db: Positive
    frames: Count

    @model_validator(mode="after")
    def _consistent(self) -> "Mel":
        if self.n_fft < self.window:
            raise ValueError(f"n_fft ({self.n_fft}) is shorter than window ({self.window})")
        if not self.min_hz < self.max_hz <= self.sample_rate_hz / 2:
            raise ValueError(
                f"min_hz < max_hz <= {self.sample_rate_hz / 2:g} Hz (half the rate) is needed, "
                f"not {self.min_hz:g} and {self.max_hz:g}"
            )
        return self


class ClipTensor(Section):
    """Frames that the video model sees: how many, and pixels a side."""

    frames: Count
    size: Annotated[int, Field(ge=8, le=1024)]


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

    seconds: Positive
    missing_modality: Literal["keep", "drop"]
    untrained_classes: Literal["stop", "drop", "keep"]
    leaks: Leaks
    mel: Mel
    video: ClipTensor

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
