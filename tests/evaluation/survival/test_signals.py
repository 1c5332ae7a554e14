"""What happens to sound and pictures without a codec, against closed forms."""

import math

import pytest
import torch
from torch import Tensor

from mmlib.evaluation.survival.signals import SIGNALS

RATE = 8000
SEEDS = (3, 4)
LEVELS = {"gain": -6.0, "resample": 4000.0, "room": 0.3, "resize": 0.5, "crop": 0.25}


def tone(hz: float, seconds: float = 1.0) -> Tensor:
    times = torch.arange(round(seconds * RATE)) / RATE
    return 0.3 * torch.sin(2 * math.pi * hz * times).repeat(2, 1)


def through(name: str, x: Tensor, level: float) -> Tensor:
    return SIGNALS[name][1](x, level, SEEDS, RATE)


def rms(x: Tensor) -> float:
    return float(x[:, 500:-500].square().mean().sqrt())


@pytest.mark.parametrize("name", SIGNALS)
def test_shapes_bounds_gradients_and_seeds(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (2, 4000) if SIGNALS[name][0] == "audio" else (2, 3, 2, 12, 12)
    x = torch.rand(shape, generator=generator).requires_grad_()
    found = through(name, x, LEVELS[name])
    assert found.shape == x.shape
    assert float(found.detach().abs().max()) <= 1
    (gradient,) = torch.autograd.grad(found.square().sum(), x)
    assert bool(torch.isfinite(gradient).all())
    assert float(gradient.abs().sum()) > 0
    assert torch.equal(found, through(name, x, LEVELS[name]))
    for place, seed in enumerate(SEEDS):
        alone = SIGNALS[name][1](x[place : place + 1], LEVELS[name], (seed,), RATE)
        assert torch.allclose(alone[0], found[place], atol=1e-5)


def test_six_decibels_are_half() -> None:
    assert torch.allclose(through("gain", tone(440), 20 * math.log10(0.5)), 0.5 * tone(440))
    assert float(through("gain", tone(440), 40).max()) == 1


def test_a_lower_rate_loses_what_lies_above_half_of_it() -> None:
    kept, lost = (through("resample", tone(hz), 4000) for hz in (700, 3000))
    assert rms(kept) == pytest.approx(rms(tone(700)), rel=0.01)
    assert rms(lost) < 0.01 * rms(tone(3000))


def test_a_room_answers_a_click_with_a_decay_of_energy_one() -> None:
    click = torch.zeros(2, RATE)
    click[:, 0] = 1.0
    found = through("room", click, 0.5)
    assert torch.allclose(found.square().sum(1), torch.ones(2), atol=1e-4)
    assert torch.allclose(found[:, 0].square(), torch.full((2,), 0.5), atol=1e-4)
    assert float(found[:, 1:40].abs().max()) < 1e-5, "nothing before the first reflection"
    early, late = (found[:, at : at + 400].square().sum() for at in (100, 2100))
    assert 10 * math.log10(float(early / late)) == pytest.approx(30, abs=3), "a quarter second"
    assert not torch.allclose(found[0], found[1])


def test_flat_pictures_stay_flat_and_a_ramp_is_stretched() -> None:
    flat = torch.full((2, 3, 2, 16, 16), 0.4)
    for name in ("resize", "crop"):
        assert torch.allclose(through(name, flat, LEVELS[name]), flat, atol=1e-6)
    ramp = torch.linspace(0, 1, 16).expand(2, 3, 2, 16, 16).contiguous()
    cut = through("crop", ramp, 0.5)
    assert float(cut[..., -1].mean() - cut[..., 0].mean()) == pytest.approx(0.5, abs=0.06)
    assert torch.equal(through("crop", ramp, 0.0), ramp)
    assert torch.equal(through("resize", ramp, 1.0), ramp)


def test_what_is_finer_than_the_smaller_picture_is_lost() -> None:
    checks = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 1.0
    found = through("resize", checks.expand(2, 3, 2, 16, 16).contiguous(), 0.5)
    assert float((found - 0.5).abs().max()) < 0.1
