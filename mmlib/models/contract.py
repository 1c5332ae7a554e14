"""What a model of your own says of its inputs: docs/own_models.md is the contract in one page."""

from dataclasses import dataclass
from math import inf
from numbers import Real
from typing import Any

from mmlib.runtime.errors import UserError


@dataclass(frozen=True)
class Waveform:
    """Sound as (B, N) in [-1, 1], N = `samples`: `seconds` at `rate_hz`, mono."""

    rate_hz: int
    seconds: float

    def __post_init__(self) -> None:
        _checked(self, whole=("rate_hz",), positive=("seconds",))

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

    def __post_init__(self) -> None:
        _checked(self, whole=("count", "size"), positive=("rate_hz",))


Input = Waveform | LogMel | Frames


def _checked(declared: Any, *, whole: tuple[str, ...], positive: tuple[str, ...]) -> None:
    """Make the values plain numbers; UserError for one that no signal can have."""
    for name in (*whole, *positive):
        value: Any = getattr(declared, name)
        kind: Any = int if name in whole else float
        number = isinstance(value, Real)
        if not number or not 0 < value < inf or kind(value) != value:
            wanted = "a whole number above 0" if name in whole else "a number above 0"
            raise UserError(f"{declared!r}: {name} must be {wanted}")
        object.__setattr__(declared, name, kind(value))
