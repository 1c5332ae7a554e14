"""Storing an adversarial clip: on the grid, within the budget, as near as can be."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.attacks.core.region import Region
from mmlib.attacks.core.threat import (
    NORMS,
    Budget,
    Norm,
    Threat,
)
from mmlib.attacks.methods.quantise import quantise
from mmlib.batch import Batch
from tests.attacks import toys
from tests.properties import examples

RADII = {"linf": 1.0, "l2": 8.0, "l1": 60.0}


def stored_batch(seed: int = 0) -> Batch:
    inputs = toys.batch(seed)
    return {
        "audio": inputs["audio"].half().float(),
        "video": (inputs["video"] * 255).round() / 255,
    }


def regions_of(clean: Batch, threat: Threat) -> dict[str, Region]:
    return {name: Region(clean[name], budget, None, name) for name, budget in threat.items()}


@examples(40)
@given(norm=st.sampled_from(NORMS), eps=st.floats(1e-4, 0.3), seed=st.integers(0, 99))
def test_on_the_grid_and_within_the_budget(norm: Norm, eps: float, seed: int) -> None:
    clean = stored_batch(seed)
    threat = {name: Budget(eps * RADII[norm], norm) for name in clean}
    regions = regions_of(clean, threat)
    found = {name: region.random(list(range(toys.CLIPS)), name) for name, region in regions.items()}
    stored = quantise(regions, found)
    assert torch.equal(stored["video"], (stored["video"] * 255).round() / 255)
    assert torch.equal(stored["audio"], stored["audio"].half().float())
    for name, region in regions.items():
        assert bool((region.size(stored[name]) <= region.eps + 1e-6).all())
        assert 0 <= float(stored[name].min()) <= float(stored[name].max()) <= 1
    assert float((stored["video"] - found["video"]).abs().max()) <= 1 / 255 + 1e-6
    assert float((stored["audio"] - found["audio"]).abs().max()) <= 2**-11 + 1e-6


@examples(40)
@given(norm=st.sampled_from(NORMS), eps=st.floats(1e-6, 0.3), seed=st.integers(0, 99))
def test_waveforms_become_int16_within_the_budget(norm: Norm, eps: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(-40000, 40000, (toys.CLIPS, 50), generator=generator)
    clean = levels.clamp(-32768, 32767) / 32768
    radius = eps * {"linf": 1, "l2": 50**0.5, "l1": 50}[norm]
    regions = {"audio": Region(clean, Budget(radius, norm, -1.0, 1.0), None, "audio")}
    for points in (
        regions["audio"].random(list(range(toys.CLIPS)), "audio"),
        regions["audio"].vertex(torch.randn(clean.shape, generator=generator)),
    ):
        stored = quantise(regions, {"audio": points})["audio"]
        pcm = stored.double() * 32768
        assert torch.equal(pcm, pcm.round())
        assert -32768 <= float(pcm.min()) <= float(pcm.max()) <= 32767
        assert bool((regions["audio"].size(stored) <= regions["audio"].eps).all())
        assert float((stored - points).abs().max()) <= 1 / 32768 + 1e-9


def test_a_waveform_s_whole_steps_survive() -> None:
    clean = torch.tensor([[0.0, -1.0, 0.25, 32767 / 32768]])
    regions = {"audio": Region(clean, Budget(3 / 32768, "linf", -1.0, 1.0), None, "audio")}
    moved = clean + torch.tensor([[3.0, 2.0, -3.0, 1.0]]) / 32768
    expected = torch.tensor([[3.0, -32766.0, 8189.0, 32767.0]]) / 32768
    assert torch.equal(quantise(regions, {"audio": moved})["audio"], expected)
    faint = {"audio": Region(clean, Budget(0.9 / 32768, "linf", -1.0, 1.0), None, "audio")}
    assert torch.equal(quantise(faint, {"audio": clean + 0.9 / 32768})["audio"], clean)


def test_whole_levels_survive_and_smaller_ones_vanish() -> None:
    clean = stored_batch()
    moved = {"video": (clean["video"] + 8 / 255).clamp(0, 1)}
    regions = regions_of(clean, {"video": Budget(8 / 255)})
    torch.testing.assert_close(quantise(regions, moved)["video"], moved["video"])
    faint = {"video": (clean["video"] + 0.9 / 255).clamp(0, 1)}
    found = quantise(regions_of(clean, {"video": Budget(0.9 / 255)}), faint)["video"]
    assert torch.equal(found, clean["video"])
