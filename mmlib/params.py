"""params.yaml as frozen, checked sections: one a stage, unknown keys refused."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mmlib.errors import UserError


def _listed(value: Any) -> Any:
    """Take a scalar for a list of one: `dvc exp run -S` lets a scalar replace a list."""
    return [value] if isinstance(value, int | float | str) else value


class Section(BaseModel):
    """A frozen section of params.yaml; unknown keys, wrong types, NaN and infinity are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Floats = Annotated[tuple[float, ...], BeforeValidator(_listed), Field(min_length=1)]
Counts = Annotated[tuple[Count, ...], BeforeValidator(_listed), Field(min_length=1)]
Task = Literal["multi_label", "single_label"]

FRESH = Path("data/guides/none.json")
"""As a run's `audio_start` or `video_start`: fresh weights (a file, since DVC needs one)."""


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


class Data(Section):
    """Where clips come from (stage download)."""

    source: str
    path: str | None
    task: Task
    media: Literal["copy", "in_place"]
    val_share: Annotated[float, Field(gt=0, lt=1)]
    max_failed_share: Share
    shard_clips: Count
    events: EventsData


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


class Shard(Section):
    """Decoded clips to training shards (stage shard)."""

    seconds: Positive
    missing_modality: Literal["keep", "drop"]
    mel: Mel
    video: ClipTensor


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


class Embed(Section):
    """Caching embeddings and logits (stage embed)."""

    batch_size: Count


class Scale(Section):
    """Multipliers of attack.eps, one a modality."""

    audio: NotNegative
    video: NotNegative


class Attack(Section):
    """The attack sweep (stage attack); eps in units of full scale."""

    eps: Annotated[float, Field(gt=0, le=1)]
    scale: Scale
    norm: Literal["linf", "l2", "l1"]
    sweep: Floats
    steps: Count
    sweep_steps: Count
    step_size: Annotated[float, Field(gt=0, le=2)]
    restarts: Count
    loss: Literal["bce", "balanced_bce", "ranking", "margin", "cross_entropy", "dlr"]
    batch_size: Count
    examples: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _consistent(self) -> "Attack":
        if 1.0 not in self.sweep:
            raise ValueError("sweep must hold 1.0: that is the headline attack.eps")
        if min(self.sweep) <= 0 or len(set(self.sweep)) < len(self.sweep):
            raise ValueError("sweep must hold distinct positive multiples of attack.eps")
        return self


class Score(Section):
    """Metrics with bootstrap intervals (stage score)."""

    resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]


class Geometry(Section):
    """Class-wise density and convexity (stage geometry)."""

    split: Literal["train", "val", "eval"]
    points: Annotated[int, Field(ge=10)]
    input_points: Annotated[int, Field(ge=0)]
    tau: Floats
    p: Annotated[float, Field(ge=1, allow_inf_nan=True)]
    threshold: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _consistent(self) -> "Geometry":
        if not all(0 < tau < 1 for tau in self.tau) or len(set(self.tau)) < len(self.tau):
            raise ValueError("tau must hold distinct quantiles between 0 and 1")
        return self


class Temperature(Section):
    """How density and convexity steer mixup (stage temperature)."""

    runs: SourceRuns
    gamma: NotNegative | None
    floor: Annotated[float, Field(gt=0, le=1)]
    temperature: Positive | None
    partner_spaces: Annotated[
        tuple[Literal["audio", "video", "fused"], ...],
        BeforeValidator(_listed),
        Field(min_length=1),
    ]
    p: Annotated[float, Field(ge=1)]
    same_class_share: Share
    base: Positive
    limit: Annotated[float, Field(ge=1)]
    kappa_slope: NotNegative
    rho_slope: NotNegative
    threshold_quantile: Share
    tau: Annotated[float, Field(gt=0, lt=1)] | None


class RetrainBase(Section):
    """What every retrained run says: where it starts and how long it goes on."""

    init: str
    guide: str
    epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Positive


class PlainRun(RetrainBase):
    """Continue training as before: the control at equal compute."""

    method: Literal["plain"]


class MixupRun(RetrainBase):
    """Retrain with (guided) multi-modal mixup."""

    method: Literal["mixup"]
    anchors: Literal["guided", "uniform"] = "guided"
    partners: Literal["guided", "uniform"] = "guided"
    beta: Positive | None = None
    shared_lambda: bool = False


class Guard(Section):
    """When single-step adversarial training is checked for catastrophic overfitting, and how."""

    every: Count
    clips: Count
    steps: Annotated[int, Field(ge=2)]
    ratio: Annotated[float, Field(ge=1)]
    rise: Annotated[float, Field(ge=1)]


class AdversarialRun(RetrainBase):
    """Adversarial training; eps in units of full scale."""

    method: Literal["adversarial"]
    attack: Literal["pgd", "fgsm_rs"] = "pgd"
    threat: Literal["A", "V", "AV"] = "AV"
    eps: Annotated[float, Field(gt=0, le=1)]
    norm: Literal["linf", "l2", "l1"] = "linf"
    steps: Count
    adversarial_share: Annotated[float, Field(gt=0, le=1)]
    guard: Guard = Guard(every=10, clips=8, steps=5, ratio=2.0, rise=1.5)


RetrainRun = Annotated[PlainRun | MixupRun | AdversarialRun, Field(discriminator="method")]


class Report(Section):
    """The page (stage report)."""

    title: str
    resamples: Annotated[int, Field(ge=100)]


class Params(Section):
    """The whole of params.yaml."""

    seed: Annotated[int, Field(ge=0)]
    data: Data
    decode: Decode
    shard: Shard
    model: ModelSizes
    optimiser: Optimiser
    augment: Augment
    train: dict[str, TrainRun]
    blend: Blend
    embed: Embed
    attack: Attack
    score: Score
    geometry: Geometry
    temperature: Temperature
    retrain: dict[str, RetrainRun]
    runs: tuple[str, ...]
    report: Report

    @model_validator(mode="after")
    def _consistent(self) -> "Params":
        both = set(self.train) & set(self.retrain)
        if both:
            raise ValueError(f"run {min(both)!r} is in both train and retrain: rename one")
        unknown = set(self.runs) - set(self.train) - set(self.retrain)
        if unknown:
            raise ValueError(f"runs names {min(unknown)!r}, which has no row in train or retrain")
        for name, row in self.retrain.items():
            if row.init not in self.train:
                raise ValueError(
                    f"retrain.{name}.init names {row.init!r}, which has no row in train"
                )
        if self.shard.mel.sample_rate_hz != self.decode.sample_rate_hz:
            raise ValueError(
                f"shard.mel.sample_rate_hz ({self.shard.mel.sample_rate_hz}) differs from "
                f"decode.sample_rate_hz ({self.decode.sample_rate_hz})"
            )
        return self


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check params.yaml.

    YAML 1.2 (ruamel), so that `1e-05`, as DVC writes it, is a number. Raises UserError that names
    the file, the key and what is wrong with it.
    """
    try:
        values = YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the folder that holds it") from None
    except YAMLError as error:
        raise UserError(f"{path}: not YAML: {error}") from None
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {_first_fault(error)}") from None


def _first_fault(error: ValidationError) -> str:
    faults = error.errors()
    first = faults[0]
    key = ".".join(str(part) for part in first["loc"]) or "the file"
    message = first["msg"].removeprefix("Value error, ")
    value = first.get("input")
    shown = f" (it is {value!r})" if isinstance(value, str | int | float | bool | None) else ""
    more = f"; and {len(faults) - 1} more" if len(faults) > 1 else ""
    return f"{key}: {message}{shown}{more}"
