"""How runs are trained: sections optimiser, augment, train and blend."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmlib.params.values import FRESH, Count, NotNegative, Positive, Section, Share


class Optimiser(Section):
    """AdamW, its schedule and the weight average, shared by all runs."""

    weight_decay: NotNegative
    warmup_share: Share
    clip_norm: Positive
    ema_decay: Annotated[float, Field(ge=0, lt=1)]


class Augment(Section):
    """Random changes of the training inputs that leave the labels alone."""

    audio_shift: Share
    video_shift: Share
    flip: bool
    band_mask: Share
    time_mask: Share


class TrainRun(Section):
    """One training run: which nets, how long, and the guide that steers it."""

    audio: Literal["csn", "cnn14"] | None
    video: Literal["r2plus1d"] | None
    fusion: Literal["mid", "sum", "gated", "early", "late"] | None
    audio_start: str
    video_start: str
    guide: str
    online_every: Count | None = None
    epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Positive

    @model_validator(mode="after")
    def _consistent(self) -> "TrainRun":
        encoders = (self.audio is not None) + (self.video is not None)
        if encoders == 0:
            raise ValueError("name an audio net, a video net or both")
        if (encoders == 2) != (self.fusion is not None):
            raise ValueError(
                "fusion joins two nets: set it with both audio and video, and only then"
            )
        if self.online_every is not None and self.guide == "none":
            raise ValueError("online_every re-estimates a guide's weights: set guide too")
        return self

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that this run reads."""
        return tuple(name for name in ("audio", "video") if getattr(self, name) is not None)

    @property
    def starts(self) -> dict[str, Path]:
        """The trained models whose encoders this run starts from: modality -> weights file."""
        files = {name: Path(getattr(self, f"{name}_start")) for name in self.modalities}
        return {name: file for name, file in files.items() if file != FRESH}


class SourceRuns(Section):
    """The runs that a guide is measured on: each modality's own, and the fused one."""

    audio: str
    video: str
    fused: str


class Blend(Section):
    """Which runs and epochs the Gradient-Blending estimate compares (stage blend)."""

    runs: SourceRuns
    from_epoch: Annotated[int, Field(ge=0)]
    to_epoch: Annotated[int, Field(ge=1)] | None
