"""How clips are listed, decoded and stored: sections data, decode and shard."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mmlib.params.values import Count, NotNegative, Positive, Section, Share, Task


class EventsData(Section):
    """The embedded demo set: how many clips, and how they are rendered and encoded."""

    train_clips: Count
    val_clips: Count
    eval_clips: Count
    seconds: Annotated[float, Field(ge=1, le=60)]
    size: Annotated[int, Field(ge=32, le=1024, multiple_of=2)]
    fps: Annotated[float, Field(ge=2, le=60)]
    sample_rate_hz: Literal[16000, 22050, 32000, 44100, 48000]
    webm_share: Share
    events_max: Annotated[int, Field(ge=1, le=12)]
    heard_only_share: Share
    seen_only_share: Share
    distractor_share: Share
    snr_min_db: Annotated[float, Field(ge=-40, le=60)]
    snr_max_db: Annotated[float, Field(ge=-40, le=60)]
    sight_min: Annotated[float, Field(ge=0.02, le=0.5)]
    sight_max: Annotated[float, Field(ge=0.02, le=0.5)]
    opacity_min: Share
    clutter: Annotated[float, Field(ge=0, le=0.5)]
    shake: Annotated[float, Field(ge=0, le=0.2)]
    grain: Annotated[float, Field(ge=0, le=0.5)]

    @model_validator(mode="after")
    def _consistent(self) -> "EventsData":
        for low, high in (("snr_min_db", "snr_max_db"), ("sight_min", "sight_max")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(
                    f"{low} ({getattr(self, low):g}) is above {high} ({getattr(self, high):g})"
                )
        if self.heard_only_share + self.seen_only_share > 1:
            raise ValueError("heard_only_share and seen_only_share add up to more than 1")
        return self


class YoutubeData(Section):
    """What is fetched by yt-dlp; pace and retries are no params (docs/params.md)."""

    keep: Annotated[str, Field(min_length=1)]
    height: Annotated[int, Field(ge=64, le=4320)]
    url: str

    @model_validator(mode="after")
    def _one_id(self) -> "YoutubeData":
        if self.url.count("{id}") != 1 or not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url must be an http(s) address that holds {{id}} once: {self.url}")
        return self


class VideoData(Section):
    """Sections of videos, from a local mirror and from the network: what the sources share."""

    mirror: str | None
    mirror_holds: Literal["clips", "videos", "auto"]
    youtube: bool
    max_train_clips: Count | None
    max_eval_clips: Count | None
    max_share: Annotated[float, Field(gt=0, le=1)]
    subset: Literal["first", "random", "balanced"]
    subset_from: Literal["list", "mirror"]

    @model_validator(mode="after")
    def _has_media(self) -> "VideoData":
        if self.subset_from == "mirror" and not self.mirror:
            raise ValueError("subset_from is mirror, but mirror names no folder")
        return self


class AudioSetData(VideoData):
    """AudioSet: which of its lists, and where the clips come from."""

    train: Literal["balanced", "unbalanced", "both"]
    fetch_lists: bool
    lists_url: str


class KineticsSoundsData(VideoData):
    """Kinetics-Sounds: which list of classes, and where the clips come from."""

    classes: Literal["27", "31", "32", "34"]
    absent_classes: Literal["stop", "drop"]

    @field_validator("classes", mode="before")
    @classmethod
    def _name(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value


class Data(Section):
    """Where clips come from (stage download)."""

    source: str
    path: str | None
    task: Task
    media: Literal["copy", "in_place"]
    val_share: Annotated[float, Field(gt=0, lt=1)]
    max_failed_share: Share
    shard_clips: Count
    watch: str
    youtube: YoutubeData
    events: EventsData
    audioset: AudioSetData
    kinetics_sounds: KineticsSoundsData


class Decode(Section):
    """How media become PCM and frames (stage decode)."""

    sample_rate_hz: Annotated[int, Field(ge=4000, le=192000)]
    fps: Annotated[float, Field(gt=0, le=120)]
    size: Annotated[int, Field(ge=16, le=1024)]
    max_pixels: Count
    max_seconds: Positive
    timeout_s: Positive
    memory_mb: Annotated[int, Field(ge=100)]
    max_failed_share: Share


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
