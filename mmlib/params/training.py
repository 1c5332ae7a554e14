"""Nets and how they are trained, or who makes them: sections model to blend, and models."""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from mmlib.runtime.settings import LARGEST, Count, Counts, NotNegative, Positive, Section, Share

FRESH = Path("data/none/start.json")
"""As a run's `audio_start` or `video_start`: fresh weights (a file, since DVC needs one). As the
`weights` of a row of models: its factory is given None."""

BY_NAME = Path("data/none/classes.csv")
"""As a row's `classes`: the model's classes have the names of the data's."""


_LEAST = {"csn": (4, 32), "cnn14": (32, 32)}
"""The fewest frames and bands that an audio net's poolings leave something of."""


def misfit(net: str, frames: int, bands: int) -> str | None:
    """Say why an audio net cannot read a log-mel of so many frames and bands; None when it can."""
    least_frames, least_bands = _LEAST.get(net, (1, 1))
    if frames < least_frames:
        return f"which needs at least {least_frames} mel frames, not {frames}: see shard.mel"
    if bands < least_bands:
        return f"which needs at least {least_bands} mel bands, not {bands}: set shard.mel.bands"
    if net == "csn" and bands % 32:
        return f"which needs a multiple of 32 mel bands, not {bands}: set shard.mel.bands"
    return None


class Csn(Section):
    """Convolutional self-attention network for audio."""

    width: Count
    transformer_blocks: Count
    share_blocks: bool
    dropout: Annotated[float, Field(ge=0, lt=1)]


class Cnn14(Section):
    """CNN14 of PANNs for audio."""

    width: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]


class R2plus1d(Section):
    """R(2+1)D residual network for video."""

    width: Count
    blocks: Counts


class Fusion(Section):
    """The layers after the encoders."""

    hidden: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]


class ModelSizes(Section):
    """Sizes of every net, shared by all runs."""

    csn: Csn
    cnn14: Cnn14
    r2plus1d: R2plus1d
    fusion: Fusion


def _off(value: object) -> bool:
    return value is None


def _usual(value: object) -> bool:
    return value == "cosine"


class Optimiser(Section):
    """AdamW, its schedule and the weight average, shared by all runs.

    What is as if it were not there does not count in fingerprints of the section.
    """

    weight_decay: NotNegative
    warmup_share: Share
    warmup_steps: Annotated[int | None, Field(ge=0, le=LARGEST, exclude_if=_off)] = None
    schedule: Annotated[Literal["cosine", "linear"], Field(exclude_if=_usual)] = "cosine"
    clip_norm: Positive
    ema_decay: Annotated[float, Field(ge=0, lt=1)]


class Augment(Section):
    """Random changes of the training inputs that leave the labels alone."""

    audio_shift: Share
    video_shift: Share
    flip: bool
    band_mask: Share
    time_mask: Share


class Batches(Section):
    """How training clips are drawn into batches, and how many of these make a step and an epoch."""

    sampling: Literal["shuffled", "balanced"] = "shuffled"
    accumulation: Count = 1
    epoch_steps: Count | None = None
    mixup_share: Share = 0.0
    mixup_beta: Positive = 10.0


OFF = Batches()
"""Every clip once an epoch, each batch a step, nothing mixed."""


class Learning(NamedTuple):
    """What every training run shares."""

    optimiser: Optimiser
    augment: Augment
    batches: Batches = OFF

    @property
    def marks(self) -> tuple[Section, ...]:
        """What a fingerprint of it takes."""
        return (self.optimiser, self.augment, *([] if self.batches == OFF else [self.batches]))


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


class Parts(Section):
    """Runs of the two modalities alone, and of both."""

    audio: str
    video: str
    fused: str


class BlendGuide(Section):
    """The run of `train` from whose start, and for whose epochs, the heads are trained together."""

    init: str


class Blend(Section):
    """Guides of Gradient-Blending (stage blend), and which epochs of their heads are compared."""

    guides: dict[str, BlendGuide]
    from_epoch: Annotated[int, Field(ge=0)]
    to_epoch: Annotated[int, Field(ge=1)] | None


class ModelRow(Section):
    """A model of one's own: who makes it, of which files, and what its outputs are called."""

    factory: str
    code: str
    weights: str
    classes: str
    options: dict[str, Any]
    watched: dict[str, str] = Field(default_factory=dict)
    """Other files that make the net -> their fingerprints: `make evaluate` writes them, so that a
    change of one is a change of the row."""

    @property
    def file(self) -> Path | None:
        """The file that holds the factory; None where it is a module of an installed package."""
        place = self.factory.rpartition(":")[0]
        return Path(place) if place.endswith(".py") else None

    @property
    def function(self) -> str:
        """The name of the factory in its file or module."""
        return self.factory.rpartition(":")[2]

    @property
    def module(self) -> str:
        """The module that holds the factory, where that is no file."""
        return self.factory.rpartition(":")[0]

    @model_validator(mode="after")
    def _consistent(self) -> "ModelRow":
        place, colon, function = self.factory.rpartition(":")
        dotted = all(part.isidentifier() for part in place.split("."))
        if not colon or not function.isidentifier() or not (place.endswith(".py") or dotted):
            raise ValueError(
                f"factory is {self.factory!r}: write path/to/file.py:function or "
                "package.module:function"
            )
        if self.file is not None:
            file, code = self.file.absolute(), Path(self.code).absolute()
            if file != code and code not in file.parents:
                raise ValueError(
                    f"code is {self.code}, which does not hold the factory's file: name {self.file}"
                    ", or the folder with all that it imports"
                )
        for reserved in ("weights", "classes"):
            if reserved in self.options:
                raise ValueError(f"options.{reserved}: the factory is given that by the row itself")
        return self
