"""The fifteen corruptions by name, each with its five severities of sound and of picture.

The list of kinds, the ratios of the noises and the levels of the sensor noises and of JPEG are
those that AVRobustBench states; the sceneries, their levels and the ratios of coded sound are ours
[choice]: at 0 dB nothing of it would be left.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mmlib.evaluation.stress.corruptions import ambience, noises, pixels, scenery
from mmlib.runtime.arrays import Bytes, Floats, Ints16

SEVERITIES = 5
_NOISE_DB = (40.0, 30.0, 20.0, 10.0, 0.0)
_AMBIENCE_DB = (20.0, 15.0, 10.0, 5.0, 0.0)
_CODED_DB = (25.0, 20.0, 15.0, 10.0, 5.0)
_LIGHT = (0.2, 0.4, 0.6, 0.8, 1.0)


class Kind(NamedTuple):
    """SNR of the sound in dB, and levels of the picture in `unit`, mild first."""

    snr_db: tuple[float, ...]
    levels: tuple[float, ...]
    unit: str


KINDS: Mapping[str, Kind] = {
    "gaussian": Kind(_NOISE_DB, (0.08, 0.12, 0.18, 0.26, 0.38), "standard deviation, full scale"),
    "impulse": Kind(_NOISE_DB, (0.03, 0.06, 0.09, 0.17, 0.27), "share of values"),
    "shot": Kind(_NOISE_DB, (60.0, 25.0, 12.0, 5.0, 3.0), "photons at full scale"),
    "speckle": Kind(_NOISE_DB, (0.15, 0.2, 0.35, 0.45, 0.6), "standard deviation, of the pixel"),
    "compression": Kind(_CODED_DB, (25.0, 18.0, 15.0, 10.0, 7.0), "JPEG quality"),
    "snow": Kind(_AMBIENCE_DB, (20.0, 45.0, 90.0, 160.0, 280.0), "flakes"),
    "frost": Kind(_AMBIENCE_DB, (0.1, 0.2, 0.35, 0.5, 0.7), "share of the picture"),
    "spatter": Kind(_AMBIENCE_DB, (0.05, 0.1, 0.2, 0.3, 0.45), "share of the picture"),
    "wind": Kind(_AMBIENCE_DB, _LIGHT, "share of the light"),
    "rain": Kind(_AMBIENCE_DB, (15.0, 30.0, 60.0, 100.0, 160.0), "streaks"),
    "underwater": Kind(_AMBIENCE_DB, _LIGHT, "share of the light"),
    "concert": Kind(_AMBIENCE_DB, _LIGHT, "share of the light"),
    "smoke": Kind(_AMBIENCE_DB, (0.2, 0.35, 0.5, 0.7, 0.9), "share of the light"),
    "crowd": Kind(_AMBIENCE_DB, (0.1, 0.2, 0.3, 0.4, 0.5), "share of the height"),
    "interference": Kind(_AMBIENCE_DB, (0.05, 0.1, 0.2, 0.35, 0.5), "share of the lines"),
}


def corrupted_sound(
    kind: str, clean: Ints16, rate_hz: int, severities: Sequence[int], seed: int
) -> list[Ints16]:
    """Sound (N,), mono, at each of the severities, 1 to 5; a severity draws as the others do."""
    ratios = [KINDS[kind].snr_db[severity - 1] for severity in severities]
    rng = np.random.default_rng(seed)
    if kind == "compression":
        return noises.coded(clean, rate_hz, ratios)
    if kind == "impulse":
        return noises.clicking(rng, clean, ratios)
    if kind in noises.NOISES:
        return noises.noisy(rng, clean, kind, ratios)
    return ambience.surrounded(rng, clean, rate_hz, kind, ratios)


def corrupted_pictures(
    kind: str, frames: Bytes, times_s: Floats, severities: Sequence[int], seed: int
) -> list[Bytes]:
    """Frames (T, H, W, 3) at each of the severities, 1 to 5; they are shown at `times_s` (T,)."""
    levels = [KINDS[kind].levels[severity - 1] for severity in severities]
    if kind == "compression":
        return [pixels.coded(frames, int(level)) for level in levels]
    if kind in pixels.PIXELS:
        return [pixels.noisy(np.random.default_rng(seed), frames, kind, x) for x in levels]
    return scenery.veiled(np.random.default_rng(seed), frames, times_s, kind, levels)
