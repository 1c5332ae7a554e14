"""Attacks that are to survive encoding and the like: section survival."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mmlib.params.goals import Threatened
from mmlib.params.stress import H264Crf, Kbps, Vp9Crf
from mmlib.runtime.settings import Count, NotNegative, Section, Share, listed, refuse_twice

Even = Annotated[int, Field(ge=16, le=1024, multiple_of=2)]
Method = Literal["pgd", "apgd", "mim"]
RANGES: dict[str, tuple[float, float, str]] = {
    "gain": (-60, 60, "dB"),
    "resample": (1000, 192000, "Hz"),
    "room": (0.05, 10, "s of reverberation"),
    "resize": (0.05, 1, "of the side"),
    "crop": (0, 0.9, "of the side cut off"),
}
"""Levels of what needs no codec: the least, the largest, and their unit."""


class SurvivalRun(Threatened):
    """The threats that one run meets."""


class Pictures(Section):
    """The form in which pictures are changed and encoded: squares of `side` pixels."""

    side: Even
    fps: Annotated[float, Field(gt=0, le=120)]


class Radii(Section):
    """The budget of each modality, a share of full scale."""

    audio: NotNegative
    video: NotNegative


class _Codec(Section):
    """A codec at some qualities: CRF and kbit/s side by side."""

    crf: tuple[int, ...]
    kbps: tuple[int, ...]

    @property
    def values(self) -> tuple[tuple[int, int], ...]:
        """Its qualities."""
        return tuple(zip(self.crf, self.kbps, strict=True))

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if len(self.crf) != len(self.kbps) or not self.crf:
            raise ValueError(
                f"crf has {len(self.crf)} values and kbps {len(self.kbps)}: they go into one file, "
                "pair by pair, so give as many of each"
            )
        return self


class H264Aac(_Codec):
    """H.264 pictures and AAC sound in MP4."""

    kind: Literal["h264_aac"]
    crf: H264Crf
    kbps: Kbps


class Vp9Opus(_Codec):
    """VP9 pictures and Opus sound in WebM."""

    kind: Literal["vp9_opus"]
    crf: Vp9Crf
    kbps: Kbps


class _Levelled(Section):
    levels: Annotated[tuple[float, ...], BeforeValidator(listed), Field(min_length=1)]

    @property
    def values(self) -> tuple[float, ...]:
        """Its levels."""
        return self.levels

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        refuse_twice("levels", self.levels)
        return self


class Plain(_Levelled):
    """One of the pipeline's own transforms, in its unit (docs/survival.md)."""

    kind: Literal["gain", "resample", "room", "resize", "crop"]

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        least, largest, unit = RANGES[self.kind]
        for level in self.levels:
            if not least <= level <= largest:
                raise ValueError(
                    f"levels of {self.kind} are {least:g} to {largest:g} {unit}, not {level:g}"
                )
        return self


class Own(_Levelled):
    """A function of the file survival.trial.code."""

    kind: Literal["own"]
    function: str
    modality: Literal["audio", "video"]
    differentiable: bool


AnyTransform = Annotated[H264Aac | Vp9Opus | Plain | Own, Field(discriminator="kind")]
Transforms = Annotated[tuple[AnyTransform, ...], Field(min_length=1)]


class SurvivalAttack(Section):
    """The budget, how hard the attacks try, and what those that are to survive it have seen."""

    eps: Radii
    norm: Literal["linf", "l2"]
    methods: Annotated[tuple[Method, ...], BeforeValidator(listed), Field(min_length=1)]
    steps: Count
    momentum: Share
    survive: Transforms
    gradient: Literal["measured", "straight"]
    draws: Count
    hold: Count

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        refuse_twice("methods", self.methods)
        _levels(self.survive, "survive")
        return self


class Trial(Section):
    """The clips, the form in which they are changed and encoded, and what they are put through."""

    clips: Annotated[int, Field(ge=2)] | None
    pictures: Pictures
    score: Transforms
    code: str

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        _levels(self.score, "score")
        return self


class Survival(Section):
    """Attacks that are to survive encoding (stage survival)."""

    runs: dict[str, SurvivalRun]
    attack: SurvivalAttack
    trial: Trial

    @model_validator(mode="after")
    def _unseen(self) -> Self:
        seen = _levels(self.attack.survive, "survive")
        for kind, level in sorted(_levels(self.trial.score, "score")):
            if (kind, level) in seen:
                raise ValueError(
                    f"trial.score holds {kind} {level:g}, and attack.survive does too: what is "
                    "scored must be what the attack has not seen"
                )
        return self


def _levels(transforms: Sequence[AnyTransform], key: str) -> set[tuple[str, float]]:
    """Every level by what it is of; ValueError where one stands twice."""
    found: list[tuple[str, float]] = []
    for each in transforms:
        if isinstance(each, H264Aac | Vp9Opus):
            refuse_twice(f"{key} {each.kind}", each.values)
            parts = {"CRF": set(each.crf), "kbit/s": set(each.kbps)}
            found += [(f"{each.kind} {name}", at) for name in parts for at in parts[name]]
        else:
            name = f"own {each.function}" if isinstance(each, Own) else each.kind
            found += [(name, level) for level in each.levels]
    for kind, level in found:
        if found.count((kind, level)) > 1:
            raise ValueError(f"{key} holds {kind} {level:g} twice")
    return set(found)
