"""A scene made into frames and samples."""

import numpy as np

from mmlib.params.data import EventsData
from mmlib.runtime.arrays import Bytes, Ints16
from mmlib.sources.events.camera import Camera
from mmlib.sources.events.canvas import Canvas
from mmlib.sources.events.scene import KINDS, Scene
from mmlib.sources.events.waves import Wave, band_noise

PEAK = 0.9
"""No sample is larger than this share of full scale."""


def frames(scene: Scene, settings: EventsData) -> Bytes:
    """Draw the picture: (T, H, W, 3) uint8, frame k showing the scene at k / fps seconds."""
    times_s = np.arange(int(np.ceil(settings.seconds * settings.fps))) / settings.fps
    camera = Camera(np.random.default_rng([scene.seed, 1]), scene, settings, times_s)
    canvas = Canvas(camera.backdrop(), times_s, camera.shift)
    for event in (*scene.distractors, *scene.events):
        if event.seen:
            KINDS[event.name].sight(canvas, event, np.random.default_rng([event.seed, 1]))
    camera.expose(canvas.pixels)
    return canvas.to_bytes()


def samples(scene: Scene, settings: EventsData) -> Ints16:
    """Mix the sound: (N,) int16 mono, no sample beyond PEAK of full scale."""
    rate_hz = settings.sample_rate_hz
    length = round(settings.seconds * rate_hz)
    noise_rms = 10 ** (scene.noise_db / 20)
    mixed = noise_rms * _background(np.random.default_rng([scene.seed, 0]), length, rate_hz)
    for event in (*scene.distractors, *scene.events):
        if event.heard:
            rng = np.random.default_rng([event.seed, 0])
            wave = KINDS[event.name].sound(event, rng, length, rate_hz)
            mixed += wave * (noise_rms * 10 ** (event.snr_db / 20) / _loudest(wave, rate_hz))
    largest = np.abs(mixed).max()
    if largest > PEAK:
        mixed *= PEAK / largest
    return np.rint(mixed * 32767).astype(np.int16)


def _loudest(wave: Wave, rate_hz: int) -> float:
    """RMS of the loudest 50 ms."""
    window = rate_hz // 20
    blocks = wave[: wave.size // window * window].reshape(-1, window)
    return float(np.sqrt((blocks**2).mean(axis=1).max()) + 1e-9)


def _background(rng: np.random.Generator, length: int, rate_hz: int) -> Wave:
    """Room noise of unit RMS: a random slope between white and red, slowly rising and falling."""
    centre, octaves = np.exp(rng.uniform(np.log(100), np.log(2000))), rng.uniform(1.5, 4)
    noise = band_noise(rng, length, rate_hz, float(centre), float(octaves))
    times = np.arange(length) / rate_hz
    sway = 1 + 0.4 * np.sin(2 * np.pi * (rng.uniform(0.1, 0.7) * times + rng.random()))
    return np.asarray(noise * sway / np.sqrt(np.mean(sway**2)))
