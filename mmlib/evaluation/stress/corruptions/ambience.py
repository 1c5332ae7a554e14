"""Sounds of weather, places and people, rendered from the synthesiser's building blocks.

Each is (N,) of any level. None is a kind of event of the demo set, though some are alike: what is
heard is a sound of the surroundings, which no label names.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.signal import butter, sosfilt

from mmlib.evaluation.mixing import FULL_SCALE, mixed
from mmlib.runtime.arrays import Ints16
from mmlib.sources.events.waves import Wave, at, band_noise, burst, convolve, damped, harmonics

Ambience = Callable[[np.random.Generator, int, int], Wave]

MUFFLED_HZ = 500.0
"""Under water little is heard above this."""
# Of the error that is allowed, so much at most is what water takes away.
_MUFFLED_SHARE = 0.5


def snow(rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """Steps in snow: crunching, twice a second, under a faint wind."""
    step = burst(rng, rate_hz, 1800, 0.9, rise_s=0.03, fall_s=0.08)
    steps = _rhythm(rng, samples, rate_hz, rng.uniform(0.45, 0.6), 0.03)
    grains = _falling(rng, samples, rate_hz, 400, _click(rate_hz, 3000))
    crunch = convolve(steps, step) * (0.3 + np.abs(grains))
    return crunch + 0.1 * wind(rng, samples, rate_hz) * _rms(crunch)


def frost(rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """Ice that cracks: brittle ticks in clusters, each with a ring of its own."""
    cracks = np.zeros(samples)
    for pitch in rng.uniform(2500, 6000, 4):
        cracks += _falling(rng, samples, rate_hz, 9, _click(rate_hz, pitch), steep=3.0)
    return cracks + 0.02 * _rms(cracks) * rng.standard_normal(samples)


def spatter(rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """Splashes: drops that ring as they fall, and a burst of water now and then."""
    drops = np.zeros(samples)
    for pitch in rng.uniform(500, 2200, 6):
        tones, falls = [pitch, 1.6 * pitch], [0.025, 0.012]
        drop = damped(tones, [1.0, 0.4], falls, int(0.15 * rate_hz), rate_hz)
        drops += _falling(rng, samples, rate_hz, 5, drop)
    splash = burst(rng, rate_hz, 1500, 1.2, rise_s=0.004, fall_s=0.09)
    return drops + 2 * _falling(rng, samples, rate_hz, 1.5, splash)


def wind(rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """Gusts: low noise that swells, and a whistle over it that rises with them."""
    gust = _slow(rng, samples, rate_hz, 0.8) ** 2
    low = band_noise(rng, samples, rate_hz, 150, 1.3)
    whistle = band_noise(rng, samples, rate_hz, rng.uniform(500, 900), 0.15)
    return np.asarray(low * (0.2 + gust) + 0.3 * whistle * gust**2)


def rain(rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """A steady hiss, and drops on something hard."""
    hiss = band_noise(rng, samples, rate_hz, 3500, 1.4)
    drops = _falling(rng, samples, rate_hz, 70, _click(rate_hz, 2600))
    return np.asarray(hiss + 1.5 * _even(drops))


def bubbles(rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """Bubbles that rise, and the rumble of water in the ears."""
    rumble = band_noise(rng, samples, rate_hz, 90, 0.9)
    found = np.zeros(samples)
    for pitch in rng.uniform(250, 900, 5):
        tones, falls = [pitch, 1.25 * pitch], [0.03, 0.02]
        ring = damped(tones, [1.0, 0.5], falls, int(0.2 * rate_hz), rate_hz)
        found += _falling(rng, samples, rate_hz, 6, ring)
    return np.asarray(rumble + 1.5 * _even(found))


def concert(rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """Music: a drum at each beat, a bass, and chords that change every four beats."""
    beat = rng.uniform(0.4, 0.6)
    kick = damped([55, 110], [1.0, 0.4], [0.12, 0.05], int(0.5 * rate_hz), rate_hz)
    drum = convolve(_rhythm(rng, samples, rate_hz, beat, 0.0), kick)
    times = np.arange(samples) / rate_hz
    root = 110 * 2 ** (rng.choice([0, 3, 5, 7, 8, 10], 1 + int(times[-1] / (4 * beat))) / 12)
    pitch = root[(times / (4 * beat)).astype(int)]
    chord = np.zeros(samples)
    for ratio in (0.5, 1.0, 1.26, 1.5, 2.0):
        turns = np.cumsum(ratio * pitch) / rate_hz + rng.random()
        chord += harmonics(turns, (1.0, 0.6, 0.4, 0.25, 0.15))
    pluck = 0.3 + np.exp(-3 * ((times / beat) % 1))
    return np.asarray(_even(drum) + _even(chord * pluck))


def fire(rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """A fire near by: a roar that flickers, and crackling."""
    roar = band_noise(rng, samples, rate_hz, 180, 1.2) * (0.4 + _slow(rng, samples, rate_hz, 4.0))
    crackle = _falling(rng, samples, rate_hz, 14, _click(rate_hz, 3200), steep=2.0)
    return np.asarray(roar + 1.5 * _even(crackle))


def crowd(rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """Babble: eight voices, each with its own pitch, vowels and syllables."""
    total = np.zeros(samples)
    for _ in range(8):
        sway = _slow(rng, samples, rate_hz, 3.0)
        turns = np.cumsum(rng.uniform(95, 240) * (0.9 + 0.25 * sway)) / rate_hz
        pulses = np.diff(np.floor(turns), prepend=0.0)
        formant = rng.uniform(350, 800)
        vowel = damped(
            [formant, formant * rng.uniform(1.8, 3.0), 2600],
            [1.0, 0.5, 0.2], [0.006, 0.004, 0.003], int(0.04 * rate_hz), rate_hz,
        )  # fmt: skip
        syllables = np.clip(3 * (_slow(rng, samples, rate_hz, 5.0) - 0.45), 0, 1)
        total += rng.uniform(0.4, 1.0) * convolve(pulses, vowel) * syllables
    return np.asarray(total + 0.1 * _rms(total) * rng.standard_normal(samples))


def interference(rng: np.random.Generator, samples: int, rate_hz: int) -> Wave:
    """Mains hum with its harmonics, and a telephone's radio frames, 217 a second, in bursts."""
    times = np.arange(samples) / rate_hz
    mains = float(rng.choice([50.0, 60.0]))
    hum = harmonics(mains * times + rng.random(), (1.0, 0.7, 0.5, 0.2, 0.3, 0.1, 0.2))
    frames = ((217 * times + rng.random()) % 1 < 0.125).astype(np.float64)
    talk = (_slow(rng, samples, rate_hz, 2.0) > 0.5).astype(np.float64)
    return np.asarray(hum + 2.0 * (frames - frames.mean()) * talk)


AMBIENCES: Mapping[str, Ambience] = {
    "snow": snow,
    "frost": frost,
    "spatter": spatter,
    "wind": wind,
    "rain": rain,
    "underwater": bubbles,
    "concert": concert,
    "smoke": fire,
    "crowd": crowd,
    "interference": interference,
}


def surrounded(
    rng: np.random.Generator, clean: Ints16, rate_hz: int, kind: str, ratios_db: Sequence[float]
) -> list[Ints16]:
    """Sound (N,) with one of `AMBIENCES` at each of some SNR; under water it is muffled as well."""
    noise = AMBIENCES[kind](rng, len(clean), rate_hz)
    if kind != "underwater":
        return [mixed(clean, noise, ratio) for ratio in ratios_db]
    sound = clean / FULL_SCALE
    low = butter(2, min(MUFFLED_HZ, 0.4 * rate_hz), fs=rate_hz, output="sos")
    taken = np.asarray(sosfilt(low, sound) - sound)
    most, held = float(np.sum(taken**2)), float(np.sum(sound**2))
    found = []
    for ratio in ratios_db:
        allowed = _MUFFLED_SHARE * held * 10 ** (-ratio / 10)
        share = min(1.0, float(np.sqrt(allowed / max(most, 1e-12))))
        found.append(mixed(clean, noise, ratio, sound + share * taken))
    return found


def _click(rate_hz: int, pitch_hz: float) -> Wave:
    """A short ring, as of something small and hard."""
    tones = min(pitch_hz, 0.25 * rate_hz) * np.array([1.0, 1.7])
    return damped(tones, [1.0, 0.5], [0.004, 0.002], int(0.03 * rate_hz), rate_hz)


def _falling(
    rng: np.random.Generator,
    samples: int,
    rate_hz: int,
    rate: float,
    grain: Wave,
    steep: float = 1.0,
) -> Wave:
    """The grain at random times, `rate` a second on average and once at least.

    Of random gains: the steeper, the fewer are loud.
    """
    number = 1 + rng.poisson(rate * samples / rate_hz)
    gains = rng.uniform(0.1, 1.0, number) ** steep
    return convolve(at(rng.uniform(0, samples / rate_hz, number), samples, rate_hz, gains), grain)


def _rhythm(
    rng: np.random.Generator, samples: int, rate_hz: int, interval_s: float, jitter_s: float
) -> Wave:
    seconds = samples / rate_hz
    times = np.arange(rng.uniform(0, min(interval_s, seconds / 2)), seconds, interval_s)
    times = times + jitter_s * rng.standard_normal(times.size)
    return at(times, samples, rate_hz, rng.uniform(0.7, 1.0, times.size))


def _slow(rng: np.random.Generator, samples: int, rate_hz: int, hz: float) -> Wave:
    """A smooth random curve in [0, 1] that turns about `hz` times a second."""
    count = max(4, round(2 * hz * samples / rate_hz) + 3)
    knots = np.linspace(0, samples, count)
    curve = np.interp(np.arange(samples), knots, rng.random(count))
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * curve))


def _even(wave: Wave) -> Wave:
    """The wave at unit RMS."""
    return np.asarray(wave / (_rms(wave) + 1e-9))


def _rms(wave: Wave) -> float:
    return float(np.sqrt(np.mean(wave**2)))
