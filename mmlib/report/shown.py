"""One clip's audio and video for the page: clean, perturbed, and the difference magnified."""

from typing import NamedTuple

import numpy as np
from matplotlib import colormaps

from mmlib.params.shard import Mel
from mmlib.report import wording
from mmlib.report.data_uri import invert, png, wav
from mmlib.runtime.arrays import Array, Floats32

PEAK = 0.7
# the ends of the red and blue scale are nearly black: stay short of them
MEL_REACH = 0.35
DIFFERENCE_PEAK = 0.2


class Picture(NamedTuple):
    """One `<img>`: its class in the style sheet, data URI, caption and alternative text."""

    kind: str
    source: str
    caption: str
    alt: str


class Sound(NamedTuple):
    """One `<audio>`: data URI and caption."""

    source: str
    caption: str


def spectrograms(clean: Floats32, adversarial: Floats32, mel: Mel, seconds: float) -> list[Picture]:
    """Log-mel of both and their difference; given as log-mel (T, F), or as waveforms (N,).

    `seconds` is the clip's length, for the caption.
    """
    if clean.ndim == 1:
        clean, adversarial = _log_mel(np.stack([clean, adversarial]), mel)
    delta = adversarial - clean
    factor = _magnification(delta, MEL_REACH)
    axes = f"0 to {seconds:g} s, {mel.min_hz:g} to {mel.max_hz:g} Hz"
    largest = float(np.abs(delta).max()) * mel.floor_db
    return [
        _mel_picture(colormaps["magma"](clean.T[::-1]), f"Audio, clean ({axes})"),
        _mel_picture(colormaps["magma"](adversarial.T[::-1]), "Audio, perturbed"),
        _mel_picture(
            colormaps["RdBu_r"](0.5 + factor * delta.T[::-1]),
            f"Difference × {factor}: at most {largest:.1f} dB"
            if largest
            else "No difference: not attacked",
        ),
    ]


def _log_mel(waveforms: Floats32, mel: Mel) -> Floats32:
    """The log-mel that the models read of waveforms (B, N): (B, T, F)."""
    import torch  # takes seconds: only a report on attacked waveforms pays for it

    from mmlib.features import LogMel

    with torch.inference_mode():
        levels: Floats32 = LogMel(mel)(torch.from_numpy(waveforms)).numpy()
    return levels


def _mel_picture(rgba: Array, caption: str) -> Picture:
    return Picture("mel", png(rgba[:, :, :3]), caption, f"Log-mel spectrogram. {caption}")


def strips(clean: Floats32, adversarial: Floats32, most: int = 4) -> list[Picture]:
    """A few frames of both, and of their difference; video is (3, T, H, W) in [0, 1]."""
    steps = np.unique(np.linspace(0, clean.shape[1] - 1, most).round().astype(int))
    delta = adversarial - clean
    factor = _magnification(delta, 0.5)
    largest = float(np.abs(delta).max()) * 255
    captions = (
        f"Video, clean ({len(steps)} of {clean.shape[1]} frames)",
        "Video, perturbed",
        f"Difference × {factor}: at most {largest:.1f} grey levels"
        if largest
        else "No difference: not attacked",
    )
    images = (clean, adversarial, 0.5 + factor * delta)
    return [
        Picture("frames", png(_strip(image[:, steps])), caption, f"Frames of the clip. {caption}")
        for image, caption in zip(images, captions, strict=True)
    ]


def _strip(frames: Floats32) -> Floats32:
    """(3, T, H, W) -> (H, T * (W + 1) - 1, 3), a dark line between frames."""
    padded = np.pad(frames, ((0, 0), (0, 0), (0, 0), (0, 1)))
    channels, steps, height, width = padded.shape
    return padded.transpose(2, 1, 3, 0).reshape(height, steps * width, channels)[:, :-1]


def sounds(clean: Floats32, adversarial: Floats32, mel: Mel) -> list[Sound]:
    """The clip to hear before and after: waveforms (N,) as they are, log-mel (T, F) rebuilt."""
    rate = mel.sample_rate_hz
    changed = not np.array_equal(clean, adversarial)
    if clean.ndim == 1:
        found = [Sound(wav(clean.astype(np.float64), rate), "Clean, as the models hear it")]
        return found + (_attacked(clean, adversarial, rate) if changed else [])
    before = invert(clean, mel)
    gain = PEAK / max(float(np.abs(before).max()), 1e-9)
    found = [Sound(wav(gain * before, rate), "Clean, rebuilt from its log-mel")]
    if changed:
        after = gain * invert(adversarial, mel)
        found.append(Sound(wav(after, rate), "Perturbed, rebuilt from its log-mel"))
    return found


def _attacked(clean: Floats32, adversarial: Floats32, rate: int) -> list[Sound]:
    """The attacked waveform itself, and what was added to it."""
    before = clean.astype(np.float64)
    delta = adversarial.astype(np.float64) - before
    factor = _magnification(delta, DIFFERENCE_PEAK)
    power = np.sum(before**2)
    ratio = 10 * np.log10(power / np.sum(delta**2)) if power else -np.inf
    level = wording.number(20 * float(np.log10(np.abs(delta).max())), 1)
    return [
        Sound(
            wav(before + delta, rate),
            f"Perturbed: the attacked waveform itself, SNR {wording.number(float(ratio), 1)} dB",
        ),
        Sound(wav(factor * delta, rate), f"The perturbation, × {factor}: at most {level} dBFS"),
    ]


def _magnification(delta: Array, reach: float) -> int:
    """The factor that lifts the largest change to `reach`, rounded down to one or two digits."""
    largest = float(np.abs(delta).max())
    if largest == 0:
        return 1
    factor = 1.0002 * reach / largest  # float32 rounds 0.02 up
    return max(1, int(factor) if factor < 10 else int(factor // 5 * 5))
