"""Where clips come from: section data."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mmlib.runtime.settings import Count, Section, Share, Task


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
    events_max: Annotated[int, Field(ge=1, le=40)]
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


Source = Literal["events", "folder", "audioset", "kinetics_sounds"]


class Data(Section):
    """Where clips come from (stage download)."""

    source: Source
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
