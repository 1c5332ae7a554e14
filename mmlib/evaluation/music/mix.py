"""Music mixed with a clip's sound at a stated level: inside a search, and exactly.

The signal-to-noise ratio is the power of the clip's sound over that of the music as it arrives, in
dB, over the whole clip; sound below `mixing.QUIETEST_DB` counts as so loud.
"""

import numpy as np
import torch
from torch import Tensor

from mmlib.evaluation.mixing import FULL_SCALE, QUIETEST_DB, mixed, reference
from mmlib.runtime.arrays import Floats, Floats32, Ints16

_SILENCE = 1e-20
PEAK_MUSIC = 0.7
"""Of music that is stored to be heard alone, as a share of full scale."""


def at_snr(sound: Tensor, music: Tensor, snr_db: float) -> Tensor:
    """Clips (B, N) in [-1, 1] with music (B, N) or (1, N), differentiable in the music.

    What goes beyond full scale is cut; the level is found without that cut.
    """
    power = sound.square().mean(-1, keepdim=True).clamp_min(10 ** (QUIETEST_DB / 10))
    strength = music.square().mean(-1, keepdim=True).clamp_min(_SILENCE)
    return (sound + music * torch.sqrt(power / strength) * 10 ** (-snr_db / 20)).clamp(-1, 1)


def exactly(pcm: Ints16, music: Floats32, snr_db: float) -> Ints16:
    """Clips (B, N) int16 with music (B, N) or (1, N) as a file would hold them.

    The level is found with the cut at full scale and the rounding, to 0.02 dB of the ratio. Where
    the cut leaves too little of a piece that is short against a loud clip, the ratio stays higher.
    """
    played = np.broadcast_to(music.astype(np.float64), pcm.shape)
    return np.stack([mixed(one, other, snr_db) for one, other in zip(pcm, played, strict=True)])


def snrs_db(pcm: Ints16, changed: Ints16) -> Floats:
    """The ratio of each clip (B, N) and what was added to it, dB, (B,); inf where nothing was."""
    clean = pcm.astype(np.float64)
    added = np.mean(np.square(changed - clean), axis=1)
    with np.errstate(divide="ignore"):
        powers = np.array([reference(one) for one in clean])
        return np.asarray(10 * np.log10(powers / added))


def waveform(pcm: Ints16) -> Tensor:
    """Stored samples as the nets hear them, (B, N) float32 in [-1, 1)."""
    return torch.from_numpy(pcm.astype(np.float32) / np.float32(FULL_SCALE))


def samples(sound: Tensor) -> Ints16:
    """A sound as it is stored, (B, N), of what the shards hold: the inverse of `waveform`."""
    return np.rint(sound.cpu().numpy() * FULL_SCALE).astype(np.int16)


def stored(music: Floats32, peak: float) -> Ints16:
    """Music (B, N) to be heard alone: each piece with this peak, as int16."""
    most = np.abs(music).max(axis=1, keepdims=True)
    scaled = music / np.maximum(most, _SILENCE) * peak * FULL_SCALE
    return np.asarray(np.rint(scaled), np.int16)
