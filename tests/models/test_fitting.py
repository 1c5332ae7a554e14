"""Clips of the shards as a model of one's own reads them, and what is refused."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly
from torch import nn

from mmlib.models.contract import Frames, Input, LogMel, Waveform
from mmlib.models.fitting import fitting, signals
from mmlib.runtime.errors import UserError

HELD = {
    "seconds": 2.0,
    "sample_rate_hz": 16000,
    "samples": 32000,
    "frames": 30,
    "frame_rate_hz": 15.0,
    "size": 32,
}


def fitted(declared: Input, **changes: Any) -> nn.Module:
    return fitting(declared, {**HELD, **changes})


def test_what_is_declared_as_it_is_held_is_left_alone() -> None:
    for declared in (LogMel(), Waveform(16000, 2.0), Frames(30, 15.0, 32)):
        assert isinstance(fitted(declared), nn.Identity)


@pytest.mark.parametrize("rate", [8000, 11025, 15000])
def test_sound_is_resampled_as_scipy_does_it_and_cut_at_the_end(rate: int) -> None:
    times = torch.arange(32000, dtype=torch.float64) / 16000
    tones = torch.stack([torch.sin(2 * torch.pi * hz * times) for hz in (100.0, 440.0, 1500.0)])
    layer = fitted(Waveform(rate, 1.5))
    found = layer(tones.float())
    assert found.shape == (3, round(1.5 * rate))
    ratio = Fraction(rate, 16000)
    expected = resample_poly(tones.numpy(), ratio.numerator, ratio.denominator, axis=1)
    inside = slice(200, found.shape[1] - 200)
    gap = np.abs(found.numpy()[:, inside] - expected[:, : found.shape[1]][:, inside]).max()
    assert gap < 0.02


def test_a_clip_that_is_a_hop_short_ends_in_silence() -> None:
    found = fitted(Waveform(16000, 2.0), samples=31900)(torch.ones(1, 31900))
    assert found.shape == (1, 32000)
    assert not found[:, 31900:].any()


@pytest.mark.parametrize("declared", [Waveform(8000, 1.0), Frames(4, 5.0, 16)])
def test_the_gradient_is_the_one_of_the_whole_chain(declared: Input) -> None:
    layer = fitted(declared).double()
    shape = (1, 32000) if isinstance(declared, Waveform) else (1, 3, 30, 32, 32)
    generator = torch.Generator().manual_seed(0)
    clip = torch.rand(shape, generator=generator, dtype=torch.float64).requires_grad_()
    weights = torch.randn(layer(clip).shape, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((layer(clip) * weights).sum(), clip)
    step = torch.randn(shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        moved = (layer(clip + 1e-3 * step) - layer(clip - 1e-3 * step)) * weights
    assert float((gradient * step).sum()) == pytest.approx(float(moved.sum()) / 2e-3, rel=1e-6)


@given(
    count=st.integers(1, 40),
    rate=st.sampled_from([1.0, 2.0, 5.0, 7.5, 12.0, 15.0, 25.0]),
    held=st.integers(1, 120),
    held_rate=st.sampled_from([2.0, 5.0, 15.0, 25.0, 30.0]),
)
def test_each_frame_is_the_nearest_one_in_time_and_the_middle_is_kept(
    count: int, rate: float, held: int, held_rate: float
) -> None:
    seconds = held / held_rate
    if count > 1 and (rate > held_rate or count / rate > seconds):
        return
    layer = fitted(Frames(count, rate, 32), frames=held, frame_rate_hz=held_rate, seconds=seconds)
    numbers = torch.arange(held).float().view(1, 1, held, 1, 1).expand(1, 3, held, 32, 32)
    chosen = layer(numbers)[0, 0, :, 0, 0]
    wanted = seconds / 2 + (torch.arange(count) + 0.5 - count / 2) / rate
    found = (chosen + 0.5) / held_rate
    assert float((found - wanted).abs().max()) <= 0.5 / held_rate + 1e-6
    assert bool((chosen.diff() >= 0).all())


def test_pictures_are_scaled_with_antialiasing() -> None:
    board = (torch.arange(32)[:, None] + torch.arange(32)[None]) % 2
    clip = board.float().expand(1, 3, 30, 32, 32)
    found = fitted(Frames(30, 15.0, 8))(clip)
    assert found.shape == (1, 3, 30, 8, 8)
    torch.testing.assert_close(found, torch.full_like(found, 0.5), atol=0.01, rtol=0)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (Waveform(32000, 1.0), "decode.sample_rate_hz and shard.mel.sample_rate_hz to 32000"),
        (Waveform(16000, 10.0), "set shard.seconds to 10"),
        (Frames(16, 15.0, 112), "set shard.video.size to 112 and decode.size"),
        (Frames(16, 25.0, 32), "set shard.video.rate_hz to 25"),
        (Frames(64, 15.0, 32), "set shard.video.frames to 64 or more"),
    ],
)
def test_what_the_shards_do_not_hold_is_refused_with_the_params_to_set(
    declared: Input, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        fitted(declared)


def test_signals_are_those_of_the_manifest() -> None:
    manifest: dict[str, Any] = {
        "seconds": 2.0,
        "mel": {"sample_rate_hz": 16000, "frames": 200, "hop": 160},
        "video": {"frames": 30, "height": 32, "width": 32},
    }
    assert signals(manifest) == HELD
    sparse = {**manifest, "video": {**manifest["video"], "frames": 16, "rate_hz": 15.0}}
    assert signals(sparse)["frame_rate_hz"] == 15.0
