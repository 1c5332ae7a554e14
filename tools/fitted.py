"""Params of signals that hold what a model of one's own declares, and no more."""

from collections.abc import Mapping
from typing import Any

from mmlib.models.contract import Frames, Input, Waveform

WINDOW_S, HOP_S = 0.025, 0.01
"""Of the log-mel where sound is read as a waveform: none reads it, and any valid one will do."""
SMALLEST = {"decode": 16, "shard": 8}
"""Fewest pixels a side that the sections take."""


def signals(inputs: Mapping[str, Input], params: Mapping[str, Any]) -> dict[str, Any]:
    """What to set of decode and shard, as a part of the params tree; `params` are those as yet."""
    seconds = params["shard"]["seconds"]
    sound, pictures = inputs.get("audio"), inputs.get("video")
    found: dict[str, Any] = {"decode": {}, "shard": {}}
    if isinstance(sound, Waveform):
        seconds = sound.seconds
    if isinstance(pictures, Frames):
        seconds = max(seconds, pictures.count / pictures.rate_hz)
        several = pictures.count > 1
        found["decode"] |= {"size": max(SMALLEST["decode"], pictures.size)}
        found["shard"]["video"] = {
            "frames": pictures.count,
            "size": max(SMALLEST["shard"], pictures.size),
            "rate_hz": pictures.rate_hz if several else None,
        }
        if several:
            found["decode"]["fps"] = pictures.rate_hz
    found["shard"]["seconds"] = seconds
    if isinstance(sound, Waveform):
        rate = sound.rate_hz
        window = round(rate * WINDOW_S)
        found["decode"]["sample_rate_hz"] = rate
        found["shard"]["mel"] = {
            "sample_rate_hz": rate,
            "window": window,
            "hop": round(rate * HOP_S),
            "n_fft": 8 * 2 ** (window - 1).bit_length(),
            "bands": 64,
            "min_hz": 50.0,
            "max_hz": rate / 2,
            "frames": None,
        }
    return found
