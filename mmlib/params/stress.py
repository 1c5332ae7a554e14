"""What clips meet without an attacker: section stress."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mmlib.runtime.settings import Section, listed, refuse_twice

Corruption = Literal[
    "gaussian",
    "impulse",
    "shot",
    "speckle",
    "compression",
    "snow",
    "frost",
    "spatter",
    "wind",
    "rain",
    "underwater",
    "concert",
    "smoke",
    "crowd",
    "interference",
]
Swap = Literal["same_class", "other_class"]
Track = Literal["audio", "video"]

H264Crf = Annotated[tuple[Annotated[int, Field(ge=0, le=51)], ...], BeforeValidator(listed)]
Vp9Crf = Annotated[tuple[Annotated[int, Field(ge=0, le=63)], ...], BeforeValidator(listed)]
Kbps = Annotated[tuple[Annotated[int, Field(ge=6, le=256)], ...], BeforeValidator(listed)]
Severities = Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], BeforeValidator(listed)]
Shifts = Annotated[tuple[float, ...], BeforeValidator(listed)]


class Encodings(Section):
    """Ladders of re-encoding, rung by rung: CRF of the pictures, kbit/s of the sound beside it."""

    h264_crf: H264Crf
    aac_kbps: Kbps
    vp9_crf: Vp9Crf
    opus_kbps: Kbps

    @model_validator(mode="after")
    def _rungs(self) -> Self:
        for pictures, sound in (("h264_crf", "aac_kbps"), ("vp9_crf", "opus_kbps")):
            one, other = getattr(self, pictures), getattr(self, sound)
            if len(one) != len(other):
                raise ValueError(
                    f"{pictures} has {len(one)} rungs and {sound} {len(other)}: both are encoded "
                    "into one file, rung by rung, so give as many of each"
                )
            if len(set(zip(one, other, strict=True))) < len(one):
                raise ValueError(f"{pictures} with {sound} holds one rung twice")
        return self


class Stress(Section):
    """Corruptions, re-encoding and timing that runs are scored under (stage stress)."""

    runs: Literal["all"] | Annotated[tuple[str, ...], BeforeValidator(listed)]
    clips: Annotated[int, Field(ge=2)] | None
    corruptions: Literal["all"] | Annotated[tuple[Corruption, ...], BeforeValidator(listed)]
    severities: Severities
    encodings: Encodings
    shifts_s: Shifts
    swaps: Annotated[tuple[Swap, ...], BeforeValidator(listed)]
    drops: Annotated[tuple[Track, ...], BeforeValidator(listed)]

    @property
    def named(self) -> tuple[str, ...]:
        """The runs that are named; none for "all"."""
        return () if self.runs == "all" else self.runs

    def chosen(self, runs: tuple[str, ...]) -> tuple[str, ...]:
        """Those of all `runs` that are scored, in the order of params.yaml."""
        return tuple(run for run in runs if self.runs == "all" or run in self.runs)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        kinds = () if self.corruptions == "all" else self.corruptions
        for key, values in (
            ("runs", self.named),
            ("corruptions", kinds),
            ("severities", self.severities),
            ("shifts_s", self.shifts_s),
            ("swaps", self.swaps),
            ("drops", self.drops),
        ):
            refuse_twice(key, values)
        if 0 in self.shifts_s:
            raise ValueError("shifts_s holds 0, which shifts nothing: the clean clips come anyway")
        if self.corruptions and not self.severities:
            raise ValueError("severities is empty: name some of 1 to 5, or set corruptions to []")
        if self.runs and not self._any:
            raise ValueError("runs are named, but nothing to do to their clips: set runs to []")
        return self

    @property
    def _any(self) -> bool:
        ladders = self.encodings
        return bool(
            self.corruptions
            or ladders.h264_crf
            or ladders.vp9_crf
            or self.shifts_s
            or self.swaps
            or self.drops
        )
