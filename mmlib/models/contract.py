"""What a model of your own says of its inputs: docs/own_models.md is the contract in one page."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Waveform:
    """Sound as (B, N) in [-1, 1], N = `samples`: `seconds` at `rate_hz`, mono."""

    rate_hz: int
    seconds: float

    @property
    def samples(self) -> int:
        """Samples a clip."""
        return round(self.rate_hz * self.seconds)


@dataclass(frozen=True)
class LogMel:
    """Sound as the log-mel of the data itself, (B, T, F) in [0, 1], as section shard makes it."""


@dataclass(frozen=True)
class Frames:
    """Pictures as (B, 3, `count`, `size`, `size`) in [0, 1], `rate_hz` frames a second."""

    count: int
    rate_hz: float
    size: int


Input = Waveform | LogMel | Frames
