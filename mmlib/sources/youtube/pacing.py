"""How fast, how often and how patiently the site is asked: from the environment, never a result."""

import math
import os
from dataclasses import dataclass

from mmlib.runtime.errors import UserError
from mmlib.runtime.paths import full_path

_PREFIX = "MMLIB_YOUTUBE_"


@dataclass(frozen=True)
class Pacing:
    """Limits over all worker processes together, and of one visit (one try at one video).

    yt-dlp's authors put the limit of a session at about 300 videos an hour, and the lock-out that
    follows at up to an hour: the defaults stay below the one and outlast the other.
    """

    visits_per_s: float = 0.08
    # Tries a clip; only failures that may pass are tried again.
    attempts: int = 4
    # Longest wait before the second try; doubled for each further one.
    backoff_s: float = 10.0
    # Of a visit as a whole, and without a byte.
    timeout_s: float = 300.0
    stall_s: float = 30.0
    # Visits in a row without an answer that open the breaker; first pause; how many pauses.
    refusals: int = 10
    cooldown_s: float = 900.0
    cooldowns: int = 3
    # Reading speed of one visit; 0 is no limit.
    bytes_per_s: float = 0.0
    cookies: str = ""


def pacing() -> Pacing:
    """Read MMLIB_YOUTUBE_VISITS_PER_S and so on; UserError for a value that cannot be meant."""
    default = Pacing()
    cookies = os.environ.get(_PREFIX + "COOKIES", "")
    if cookies and not full_path(cookies).is_file():
        raise UserError(f"{_PREFIX}COOKIES is {cookies!r}: no such file; mend it or unset it")
    return Pacing(
        visits_per_s=_number("VISITS_PER_S", default.visits_per_s, least=1e-4),
        attempts=int(_number("ATTEMPTS", default.attempts, least=1, whole=True)),
        backoff_s=_number("BACKOFF_S", default.backoff_s),
        timeout_s=_number("TIMEOUT_S", default.timeout_s, least=0.1),
        stall_s=_number("STALL_S", default.stall_s, least=0.1),
        refusals=int(_number("REFUSALS", default.refusals, least=1, whole=True)),
        cooldown_s=_number("COOLDOWN_S", default.cooldown_s),
        cooldowns=int(_number("COOLDOWNS", default.cooldowns, whole=True)),
        bytes_per_s=_number("BYTES_PER_S", default.bytes_per_s),
        cookies=str(full_path(cookies)) if cookies else "",
    )


def _number(name: str, default: float, *, least: float = 0.0, whole: bool = False) -> float:
    text = os.environ.get(_PREFIX + name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= least and (not whole or value.is_integer())):
        kind = "a whole number" if whole else "a number"
        raise UserError(f"{_PREFIX}{name} is {text!r}: give {kind} of at least {least:g}")
    return value
