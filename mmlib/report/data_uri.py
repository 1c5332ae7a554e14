"""Pictures and sounds as data URIs, and a waveform from a log-mel."""

import base64
import io
import wave

import numpy as np
from PIL import Image

from mmlib.params.shard import Mel
from mmlib.runtime.arrays import Array, Floats, Floats32

GRIFFIN_LIM_ROUNDS = 32


def png(rgb: Array) -> str:
    """(H, W, 3) in [0, 1], clipped, as the data URI of a PNG."""
    pixels = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def invert(log_mel: Floats32, mel: Mel) -> Floats:
    """Rebuild a waveform from a log-mel (T, F) in [0, 1]: least squares, then Griffin-Lim.

    The level is arbitrary: scale it before use. Deterministic: the phase starts from a fixed seed.
    """
    import librosa  # takes seconds: only a report with sound pays for it

    power = 10 ** ((log_mel.T.astype(np.float64) * mel.floor_db - mel.floor_db) / 10)
    power[log_mel.T <= 0] = 0
    magnitude = librosa.feature.inverse.mel_to_stft(
        power,
        sr=mel.sample_rate_hz,
        n_fft=mel.n_fft,
        power=2.0,
        fmin=mel.min_hz,
        fmax=mel.max_hz,
    )
    sound = librosa.griffinlim(
        magnitude,
        n_iter=GRIFFIN_LIM_ROUNDS,
        hop_length=mel.hop,
        win_length=mel.window,
        n_fft=mel.n_fft,
        random_state=0,
    )
    return np.asarray(sound, np.float64)


def wav(samples: Floats, rate: int) -> str:
    """Samples in [-1, 1], clipped, as the data URI of a mono 16-bit WAV."""
    pcm = np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(rate)
        stream.writeframes(pcm.tobytes())
    return "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode()
