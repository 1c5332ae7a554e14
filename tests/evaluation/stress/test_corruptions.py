"""Corruptions: at the stated ratios, worse with each severity, the same from the same seed."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.evaluation import mixing
from mmlib.evaluation.mixing import snr_db
from mmlib.evaluation.stress.corruptions import ambience, fields, noises, pixels
from mmlib.evaluation.stress.corruptions.kinds import (
    KINDS,
    SEVERITIES,
    corrupted_pictures,
    corrupted_sound,
)
from mmlib.evaluation.stress.corruptions.pixels import psnr_db
from mmlib.params.stress import Corruption
from mmlib.runtime.arrays import Bytes, Ints16
from tests.properties import examples

RATE = 16000
ALL = tuple(range(1, SEVERITIES + 1))
STATED = {  # AVRobustBench: digital noise, surroundings
    **dict.fromkeys(("gaussian", "impulse", "shot", "speckle"), (40, 30, 20, 10, 0)),
    **dict.fromkeys(("snow", "frost", "spatter", "wind", "rain", "underwater"), (20, 15, 10, 5, 0)),
    **dict.fromkeys(("concert", "smoke", "crowd", "interference"), (20, 15, 10, 5, 0)),
}


def sound(seed: int, seconds: float = 1.0, peak: float = 0.3) -> Ints16:
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE)) / RATE
    wave = np.sin(2 * np.pi * rng.uniform(200, 2000) * times) * rng.uniform(0.2, 1)
    wave += 0.1 * rng.standard_normal(times.size)
    loud = 32767 * peak * wave / np.abs(wave).max()
    return np.asarray(np.rint(loud), np.int16)


def frames(seed: int, side: int = 24, count: int = 3) -> Bytes:
    """A textured picture that moves."""
    rng = np.random.default_rng(seed)
    texture = np.stack([fields.clouds(rng, (1, side, side), (3, 6)) for _ in range(3)], -1)
    moved = [np.roll(texture, step, axis=1) for step in range(count)]
    return np.asarray(np.rint(20 + 200 * np.stack(moved)), np.uint8)


def times(count: int = 3) -> np.ndarray:
    return (np.arange(count) + 0.5) / count


def test_there_are_fifteen_of_each() -> None:
    assert tuple(KINDS) == get_args(Corruption)
    assert len(KINDS) == 15
    for kind in KINDS.values():
        assert len(kind.snr_db) == len(kind.levels) == SEVERITIES


@pytest.mark.parametrize("kind", STATED)
def test_noise_has_the_stated_ratio(kind: str) -> None:
    assert KINDS[kind].snr_db == STATED[kind]
    for seed in range(3):
        clean = sound(seed)
        found = [snr_db(clean, x) for x in corrupted_sound(kind, clean, RATE, ALL, seed)]
        np.testing.assert_allclose(found, STATED[kind], atol=0.05)


@pytest.mark.parametrize("kind", STATED)
def test_a_loud_clip_is_cut_and_keeps_the_ratio(kind: str) -> None:
    """What goes beyond full scale is cut; the level makes up for it."""
    clean = sound(1, peak=0.95)
    for severity, changed in zip(ALL, corrupted_sound(kind, clean, RATE, ALL, 5), strict=True):
        assert changed.dtype == np.int16
        assert snr_db(clean, changed) == pytest.approx(STATED[kind][severity - 1], abs=0.3)


def test_a_coder_drops_no_more_than_is_stated() -> None:
    """Orthogonal transform: all components give the sound back, fewer the stated error."""
    clean = sound(2, 1.3)
    assert np.array_equal(noises.coded(clean, RATE, [200.0])[0], clean)
    stated = KINDS["compression"].snr_db
    found = [snr_db(clean, x) for x in corrupted_sound("compression", clean, RATE, ALL, 0)]
    assert all(0 <= a - b < 0.5 for a, b in zip(found, stated, strict=True)), found


@pytest.mark.parametrize("kind", KINDS)
@examples(8)
@given(seed=st.integers(0, 10**6), side=st.sampled_from([8, 17, 40]))
def test_pictures_get_worse_with_each_severity(kind: str, seed: int, side: int) -> None:
    clean = frames(seed, side)
    found = [psnr_db(clean, x) for x in corrupted_pictures(kind, clean, times(), ALL, seed)]
    steps = np.diff(found)
    # JPEG and counted photons draw anew what they round: 0.5 dB of 64 pixels is chance.
    allowed = 0.5 if kind in ("compression", "shot") else 1e-9
    assert (steps <= allowed).all(), found
    assert found[-1] < found[0] - 1, found
    assert found[-1] > 4


@pytest.mark.parametrize("kind", KINDS)
def test_sound_gets_worse_with_each_severity(kind: str) -> None:
    clean = sound(9)
    found = [snr_db(clean, x) for x in corrupted_sound(kind, clean, RATE, ALL, 1)]
    assert (np.diff(found) < -4).all(), found


def test_the_sensor_noises_have_the_stated_deviation() -> None:
    grey = np.full((2, 64, 64, 3), 128, np.uint8)
    rng = np.random.default_rng
    for level in KINDS["gaussian"].levels[:3]:
        changed = pixels.noisy(rng(0), grey, "gaussian", level) / 255 - 128 / 255
        assert changed.std() == pytest.approx(level, rel=0.03)
    for level in KINDS["speckle"].levels[:3]:
        changed = pixels.noisy(rng(0), grey, "speckle", level) / 255 - 128 / 255
        assert changed.std() == pytest.approx(level * 128 / 255, rel=0.03)
    for level in KINDS["shot"].levels[:3]:
        changed = pixels.noisy(rng(0), grey, "shot", level) / 255
        assert changed.var() == pytest.approx(128 / 255 / level, rel=0.06)
    for level in KINDS["impulse"].levels:
        salted = pixels.noisy(rng(0), grey, "impulse", level)
        assert (salted != 128).mean() == pytest.approx(level, rel=0.1)
        assert set(np.unique(salted)) == {0, 128, 255}


@pytest.mark.parametrize("kind", ["frost", "spatter", "interference"])
def test_a_share_is_the_share_that_is_covered(kind: str) -> None:
    clean = frames(0, 60, 2)
    for severity in ALL:
        (changed,) = corrupted_pictures(kind, clean, times(2), [severity], 4)
        share = (changed != clean).any(axis=-1).mean()
        assert share == pytest.approx(KINDS[kind].levels[severity - 1], abs=0.05)


def test_frost_comes_from_the_edges_and_the_crowd_from_below() -> None:
    clean = np.full((1, 40, 40, 3), 120, np.uint8)
    (frost,) = corrupted_pictures("frost", clean, times(1), [2], 0)
    changed = (frost != clean).any(-1)[0]
    assert changed[[0, -1]].mean() > 0.5
    assert not changed[15:25, 15:25].any()
    (crowd,) = corrupted_pictures("crowd", clean, times(1), [5], 0)
    changed = (crowd != clean).any(-1)[0]
    assert changed[-8:].all()
    assert not changed[:18].any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_draws_it_and_nothing_else(kind: str) -> None:
    clean, pictures = sound(3), frames(3)
    apart = corrupted_sound(kind, clean, RATE, [4], 7)[0]
    assert np.array_equal(corrupted_sound(kind, clean, RATE, [2, 4], 7)[1], apart)
    shown = corrupted_pictures(kind, pictures, times(), [4], 7)[0]
    assert np.array_equal(corrupted_pictures(kind, pictures, times(), [1, 4], 7)[1], shown)
    if kind != "compression":
        assert not np.array_equal(corrupted_sound(kind, clean, RATE, [4], 8)[0], apart)
        assert not np.array_equal(corrupted_pictures(kind, pictures, times(), [4], 8)[0], shown)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rate", "samples"), [(4000, 1), (8000, 800), (48000, 4800)])
def test_any_rate_and_length(kind: str, rate: int, samples: int) -> None:
    clean = sound(1)[:samples]
    for changed in corrupted_sound(kind, clean, rate, ALL, 0):
        assert changed.shape == clean.shape
        assert changed.dtype == np.int16


def test_silence_counts_as_a_quiet_clip() -> None:
    silence = np.zeros(RATE, np.int16)
    found = corrupted_sound("gaussian", silence, RATE, ALL, 0)
    loudness = [20 * np.log10(np.sqrt(np.mean(x.astype(float) ** 2)) / 32768) for x in found]
    stated = [mixing.QUIETEST_DB - ratio for ratio in KINDS["gaussian"].snr_db]
    np.testing.assert_allclose(loudness[1:], stated[1:], atol=0.1)
    for kind in ("speckle", "shot", "compression"):
        assert not np.any(corrupted_sound(kind, silence, RATE, ALL, 0))


def test_water_muffles_what_is_high() -> None:
    high = np.rint(8000 * np.sin(2 * np.pi * 3000 * np.arange(RATE) / RATE)).astype(np.int16)
    drowned = corrupted_sound("underwater", high, RATE, [5], 0)[0].astype(float)
    spectra = [np.abs(np.fft.rfft(x))[3000] for x in (high.astype(float), drowned)]
    assert spectra[1] < 0.5 * spectra[0]
    assert set(ambience.AMBIENCES) | set(noises.NOISES) | {"compression", "impulse"} == set(KINDS)
