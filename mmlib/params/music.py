"""Adversarial music: section music."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mmlib.runtime.settings import (
    Count,
    Floats,
    NotNegative,
    Positive,
    Section,
    listed,
    refuse_twice,
)

PieceKind = Literal["per_clip", "universal"]
KINDS: tuple[PieceKind, ...] = ("per_clip", "universal")
Reach = tuple[float, float]


def _named(value: Any) -> Any:
    return KINDS if value == "all" else listed(value)


class MusicRun(Section):
    """Which music is composed against a run: for each clip its own piece, one for all, or both."""

    pieces: Annotated[tuple[PieceKind, ...], BeforeValidator(_named), Field(min_length=1)]

    @property
    def kinds(self) -> tuple[PieceKind, ...]:
        """What is composed, in the order of KINDS."""
        return tuple(kind for kind in KINDS if kind in self.pieces)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        refuse_twice("pieces", self.pieces)
        return self


class Piece(Section):
    """What a piece may be: strings of a chromatic scale by MIDI number, onsets on a grid.

    `range_db`: how far below the loudest note one may lie; `decay_s`: the least and the longest
    time in which a note falls by 60 dB.
    """

    notes: Count
    lowest: Annotated[int, Field(ge=24, le=96)]
    highest: Annotated[int, Field(ge=24, le=96)]
    grid_s: Positive
    range_db: NotNegative
    decay_s: Reach

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        if self.lowest > self.highest:
            raise ValueError(f"lowest ({self.lowest}) is above highest ({self.highest})")
        _rising("decay_s", self.decay_s)
        if self.decay_s[0] <= 0:
            raise ValueError("decay_s must be above 0")
        return self


class Rooms(Section):
    """Random responses between the loudspeaker and the microphone.

    `draws` a step, 0 for none; `unseen`: how many, never drawn by a search, the music is scored in.
    `direct_db`: energy of the direct sound over that of the reverberation.
    """

    draws: Annotated[int, Field(ge=0)]
    unseen: Count
    rt60_s: Reach
    direct_db: Reach

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        _rising("rt60_s", self.rt60_s)
        _rising("direct_db", self.direct_db)
        if self.rt60_s[0] < 0.05:
            raise ValueError("rt60_s begins below 0.05 s: that is no room")
        return self


class Search(Section):
    """How hard music is composed, and for how many clips (null: all)."""

    clips: Annotated[int, Field(ge=2)] | None
    batch_size: Count
    steps: Count
    restarts: Count


class UniversalPiece(Section):
    """How the one piece is composed: on clips of another split than it is scored on."""

    fit_on: Literal["train", "val"]
    clips: Count | None
    steps: Count


class MusicSettings(Section):
    """What all runs share; `snr_db` is the clip's level over the music's."""

    snr_db: Floats
    piece: Piece
    rooms: Rooms
    search: Search
    universal: UniversalPiece
    examples: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _levels(self) -> Self:
        refuse_twice("snr_db", self.snr_db)
        for level in self.snr_db:
            if not -10 <= level <= 60:
                raise ValueError(f"snr_db holds {level:g}: give levels from -10 to 60")
        return self


class Music(MusicSettings):
    """Runs that music is composed against (stage music)."""

    runs: dict[str, MusicRun]


def _rising(key: str, reach: Reach) -> None:
    if reach[0] > reach[1]:
        raise ValueError(f"{key} must rise, from the least to the most")
