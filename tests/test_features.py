"""Log-mel against librosa and closed forms; frames picked by time."""

from functools import lru_cache

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn import functional

from mmlib.features import LogMel, clip_frames, waveform_from_pcm
from mmlib.params.shard import Mel
from mmlib.runtime.arrays import Bytes, Floats, Floats32, Reals
from tests.properties import examples

PAPER = Mel(
    sample_rate_hz=16000,
    window=1024,
    hop=400,
    n_fft=4096,
    bands=64,
    min_hz=0.0,
    max_hz=8000.0,
    floor_db=80.0,
    frames=400,
)
DEMO = Mel(
    sample_rate_hz=16000,
    window=800,
    hop=480,
    n_fft=1024,
    bands=64,
    min_hz=50.0,
    max_hz=8000.0,
    floor_db=80.0,
    frames=100,
)
ODD = Mel(
    sample_rate_hz=22050,
    window=301,
    hop=700,
    n_fft=1500,
    bands=13,
    min_hz=200.0,
    max_hz=9000.0,
    floor_db=60.0,
    frames=7,
)
PROFILES = {"paper": PAPER, "demo": DEMO, "odd": ODD}
Waveform = Floats32


@lru_cache
def log_mel(profile: str) -> LogMel:
    """The module of a profile."""
    return LogMel(PROFILES[profile])


def in_db(profile: str, waveform: Waveform) -> Floats32:
    """Our log-mel of one waveform, (T, F), in dB."""
    mel = PROFILES[profile]
    with torch.inference_mode():
        levels: Floats32 = log_mel(profile)(torch.from_numpy(waveform)[None])[0].numpy()
    return (levels - 1.0) * np.float32(mel.floor_db)


def librosa_power(mel: Mel, waveform: Waveform) -> Floats32:
    """The mel power of the clip's length of the waveform by librosa, (T, F)."""
    length = mel.frames * mel.hop
    clip = np.pad(waveform[:length], (0, max(0, length - len(waveform))))
    power: Floats32 = librosa.feature.melspectrogram(
        y=clip,
        sr=mel.sample_rate_hz,
        n_fft=mel.n_fft,
        win_length=mel.window,
        hop_length=mel.hop,
        n_mels=mel.bands,
        fmin=mel.min_hz,
        fmax=mel.max_hz,
        pad_mode="constant",
    )
    return power[:, : mel.frames].T


def sine(mel: Mel, hz: float, amplitude: float = 1.0) -> Waveform:
    """A sine of the clip's length."""
    times = np.arange(mel.frames * mel.hop) / mel.sample_rate_hz
    return (amplitude * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def band_centres_hz(mel: Mel) -> Floats:
    """Centre frequency of each band."""
    edges = librosa.mel_frequencies(mel.bands + 2, fmin=mel.min_hz, fmax=mel.max_hz)
    return np.asarray(edges[1:-1], np.float64)


def signals(mel: Mel) -> dict[str, Waveform]:
    """Loud, faint, tonal and abrupt sounds, each with many cells above the floor."""
    rng = np.random.default_rng(0)
    length = mel.frames * mel.hop
    times = np.arange(length) / mel.sample_rate_hz
    # The hard case for a float32 spectrum: a full-scale tone sweeps past every band.
    sweep = np.sin(2 * np.pi * (50 * times + 0.48 * mel.max_hz * times**2 / times[-1]))
    found = {
        "noise": 0.1 * rng.standard_normal(length),
        "faint": 10 ** ((25 - mel.floor_db) / 20) * rng.standard_normal(length),
        "sweep": sweep,
        "tone in faint noise": sine(mel, 300.0, 0.9) + 1e-4 * rng.standard_normal(length),
        "clicks": (np.arange(length) % 3001 == 0).astype(np.float64),
        "too long": 0.1 * rng.standard_normal(length + 5000),
        "too short": 0.1 * rng.standard_normal(length // 3),
    }
    return {name: signal.astype(np.float32) for name, signal in found.items()}


@pytest.mark.parametrize("profile", PROFILES)
def test_agrees_with_librosa_within_a_hundredth_of_a_decibel(profile: str) -> None:
    mel = PROFILES[profile]
    # One constant lies between the scales, the same for every cell of every sound.
    noise = signals(mel)["noise"]
    reference_db = np.median(10 * np.log10(librosa_power(mel, noise)) - in_db(profile, noise))
    for name, waveform in signals(mel).items():
        expected = 10 * np.log10(np.maximum(librosa_power(mel, waveform), 1e-20)) - reference_db
        above = (expected > -mel.floor_db + 0.05) & (expected < -0.05)
        assert above.mean() > 0.02, name
        ours = in_db(profile, waveform)
        assert np.abs(ours - expected)[above].max() < 0.01, name
        assert (ours[expected < -mel.floor_db - 0.05] == -mel.floor_db).all(), name


@pytest.mark.parametrize("profile", PROFILES)
def test_a_full_scale_sine_reads_zero_db(profile: str) -> None:
    mel = PROFILES[profile]
    levels = [in_db(profile, sine(mel, hz))[mel.frames // 2].max() for hz in band_centres_hz(mel)]
    assert -0.7 < max(levels) <= 0.0
    # Slaney's bands are equally wide up to 1 kHz, so every one of them reads the same there.
    if mel.window >= 800:
        low = [level for level, hz in zip(levels, band_centres_hz(mel), strict=True) if hz < 950]
        assert min(low[2:]) > -0.7


def test_the_scale_is_absolute() -> None:
    """A sound at a tenth of the amplitude reads 20 dB less, whatever else is in the batch."""
    loud = torch.from_numpy(sine(DEMO, 700.0, 0.5))
    levels = LogMel(DEMO)(torch.stack([loud, 0.1 * loud]))
    both = (levels > 0).all(0)
    assert both.any()
    difference = (levels[0] - levels[1])[both] * DEMO.floor_db
    assert torch.allclose(difference, torch.tensor(20.0), atol=2e-3)


def test_frames_are_centred_on_multiples_of_the_hop() -> None:
    click = torch.zeros(1, DEMO.frames * DEMO.hop)
    click[0, 40 * DEMO.hop] = 1.0
    energy = LogMel(DEMO)(click)[0].mean(1)
    assert int(energy.argmax()) == 40
    assert torch.allclose(energy[39], energy[41], atol=1e-3)
    heard = torch.nonzero(energy).flatten().tolist()
    assert heard == [40]  # the window of 800 reaches 400 samples to each side, the hop is 480


@given(st.integers(0, 60_000), st.integers(1, 3))
@examples(15)
def test_any_length_gives_the_clip_s_shape(samples: int, clips: int) -> None:
    waveform = torch.full((clips, samples), 0.1)
    levels = LogMel(DEMO)(waveform)
    assert levels.shape == (clips, DEMO.frames, DEMO.bands)
    assert levels.dtype == torch.float32
    assert 0.0 <= levels.min() <= levels.max() <= 1.0


def test_silence_is_exactly_zero_and_overload_exactly_one() -> None:
    assert not LogMel(DEMO)(torch.zeros(1, 48000)).any()
    square = torch.sign(torch.from_numpy(sine(DEMO, float(band_centres_hz(DEMO)[4]))))[None]
    assert LogMel(DEMO)(square).max() == 1.0


def test_a_clip_s_result_does_not_depend_on_its_batch() -> None:
    waveforms = 0.1 * torch.randn(3, 48000, generator=torch.Generator().manual_seed(0))
    module = LogMel(DEMO)
    assert torch.equal(module(waveforms)[1], module(waveforms[1:2])[0])


def test_half_precision_around_it_changes_nothing() -> None:
    waveform = 0.1 * torch.randn(1, 48000, generator=torch.Generator().manual_seed(0))
    module = LogMel(DEMO)
    with torch.autocast("cpu", torch.bfloat16):
        inside = module(waveform)
    assert torch.equal(inside, module(waveform))


@pytest.mark.parametrize("profile", ["demo", "odd"])
def test_gradient_equals_finite_differences(profile: str) -> None:
    mel = PROFILES[profile]
    module = LogMel(mel).double()
    length = mel.frames * mel.hop
    generator = torch.Generator().manual_seed(1)
    waveform = 0.1 * torch.randn(1, length, generator=generator)
    direction = torch.randn(1, length, generator=generator)
    weights = torch.rand(mel.frames, mel.bands, generator=generator)

    def total(x: torch.Tensor) -> torch.Tensor:
        levels: torch.Tensor = module(x)
        return (weights * levels[0]).sum()

    point = waveform.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(total(point), point)
    step = 1e-3
    with torch.no_grad():
        ahead, behind = total(waveform + step * direction), total(waveform - step * direction)
    slope = float(ahead - behind) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=0.02)


def test_gradient_is_finite_in_silence_and_alive_above_the_floor() -> None:
    waveform = torch.zeros(2, 48000)
    waveform[1, :24000] = 1e-3 * torch.randn(24000, generator=torch.Generator().manual_seed(0))
    waveform.requires_grad_()
    levels = LogMel(DEMO)(waveform)
    (gradient,) = torch.autograd.grad(levels.sum(), waveform)
    assert torch.isfinite(gradient).all()
    assert not gradient[0].any()
    assert not gradient[1, 25000:].any()
    assert (gradient[1, 1000:23000] != 0).float().mean() > 0.99
    # A faint random start lifts silence over the floor, and the gradient is there.
    start = (
        1e-3 * torch.randn(1, 48000, generator=torch.Generator().manual_seed(1))
    ).requires_grad_()
    (gradient,) = torch.autograd.grad(LogMel(DEMO)(start).sum(), start)
    assert (gradient != 0).float().mean() > 0.99


@pytest.mark.parametrize(
    "waveform", [torch.zeros(100), torch.zeros(2, 100, dtype=torch.int16), torch.zeros(1, 1, 9)]
)
def test_other_shapes_and_integers_are_refused(waveform: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"waveform must be \(B, N\) float"):
        LogMel(DEMO)(waveform)


def test_bands_narrower_than_a_bin_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"bands are narrower than an FFT bin"):
        Mel(**DEMO.model_dump() | {"window": 800, "n_fft": 800, "bands": 300})
    with pytest.raises(ValidationError, match="even"):
        Mel(**DEMO.model_dump() | {"window": 800, "n_fft": 1025})


def test_pcm_covers_minus_one_to_one() -> None:
    pcm = np.array([-32768, 0, 16384, 32767], np.int16)
    assert waveform_from_pcm(pcm).tolist() == [-1.0, 0.0, 0.5, 32767 / 32768]


def counting_frames(count: int, side: int = 4) -> Bytes:
    """Frame k is uniformly of the value k."""
    values = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return np.broadcast_to(values, (count, side, side, 3)).copy()


def picked(times: Reals, seconds: float, count: int) -> list[int]:
    """Which frames `clip_frames` takes."""
    clip = clip_frames(counting_frames(len(times)), times, seconds=seconds, count=count, size=4)
    return [int(value) for value in clip[:, 0, 0, 0]]


def test_frames_are_picked_by_time_not_by_index() -> None:
    even = np.arange(12, dtype=np.float32) / 4
    assert picked(even, 3.0, 4) == [1, 4, 7, 10]  # at 0.375, 1.125, 1.875, 2.625 s
    # The same instants from a stream that stalls between 0.5 and 2.5 s.
    gap = np.array([0.0, 0.25, 0.5, 2.5, 2.75], np.float32)
    assert picked(gap, 3.0, 4) == [1, 2, 3, 3]


def test_frames_at_a_rate_lie_around_the_middle_of_the_clip() -> None:
    times = np.arange(30, dtype=np.float32) / 10

    def at_rate(count: int, rate_hz: float) -> list[int]:
        clip = clip_frames(
            counting_frames(30), times, seconds=3.0, count=count, size=4, rate_hz=rate_hz
        )
        return [int(value) for value in clip[:, 0, 0, 0]]

    assert at_rate(4, 5.0) == [11, 13, 15, 17]
    assert at_rate(30, 10.0) == list(range(30)), "each frame once where the rates are equal"
    assert at_rate(15, 10.0) == list(range(7, 22)), "also where the middle lies between two frames"


def test_short_clips_repeat_the_last_frame_and_long_ones_are_cut() -> None:
    assert picked(np.array([0.0, 0.5], np.float32), 4.0, 8) == [0, 1, 1, 1, 1, 1, 1, 1]
    assert picked(np.array([0.0], np.float32), 4.0, 3) == [0, 0, 0]
    assert max(picked(np.arange(40, dtype=np.float32) / 4, 2.0, 16)) == 7
    assert picked(np.array([5.0, 6.0], np.float32), 2.0, 2) == [0, 0]


@given(st.integers(1, 40), st.integers(1, 20), st.floats(0.5, 20), st.integers(0, 2**32 - 1))
@examples(50)
def test_picked_frames_rise_and_are_the_nearest(
    frames: int, count: int, seconds: float, seed: int
) -> None:
    times = np.sort(np.random.default_rng(seed).uniform(0, 10, frames)).astype(np.float32)
    found = picked(times, seconds, count)
    assert found == sorted(found)
    inside = times[: max(1, np.searchsorted(times, seconds))]
    for index, part in enumerate(found):
        middle = (index + 0.5) * seconds / count
        assert abs(times[part] - middle) <= np.abs(inside - middle).min() + 1e-9


def test_scaling_is_antialiased_and_keeps_the_aspect() -> None:
    stripes = np.zeros((1, 64, 64, 3), np.uint8)
    stripes[:, :, ::2] = 255
    small = clip_frames(stripes, np.zeros(1, np.float32), seconds=1.0, count=1, size=16)
    assert small.shape == (1, 16, 16, 3)
    assert small.dtype == np.uint8
    assert np.abs(small.astype(int) - 127).max() < 16  # grey, where picking pixels gives stripes
    wide = np.zeros((1, 40, 80, 3), np.uint8)
    wide[:, :, 20:60] = 200
    square = clip_frames(wide, np.zeros(1, np.float32), seconds=1.0, count=1, size=20)
    assert (square == 200).all()  # the middle, not squashed


def test_scaling_equals_float_interpolation() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    small = clip_frames(frames, np.arange(3, dtype=np.float32), seconds=3.0, count=3, size=32)
    exact = functional.interpolate(
        torch.from_numpy(frames).permute(0, 3, 1, 2).float(),
        size=(32, 32),
        mode="bilinear",
        antialias=True,
    )
    difference = small - exact.permute(0, 2, 3, 1).numpy()
    assert np.abs(difference).max() <= 1.01


def test_frames_of_the_right_size_are_untouched() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    times = np.array([0.5, 1.5], np.float32)
    assert np.array_equal(clip_frames(frames, times, seconds=2.0, count=2, size=8), frames)
