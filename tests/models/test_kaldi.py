"""Kaldi's filter bank for batches, against numpy."""

import numpy as np
import pytest
import torch

from mmlib.models.kaldi import filter_bank
from tests.examples.references import kaldi_log_mel, padded


@pytest.mark.parametrize(("rate_hz", "bands", "frames"), [(16000, 128, 60), (8000, 23, 10)])
def test_each_clip_of_a_batch_gets_its_own_energies(rate_hz: int, bands: int, frames: int) -> None:
    sound = 0.2 * torch.randn(3, rate_hz // 4, generator=torch.Generator().manual_seed(0))
    got = filter_bank(sound.double(), rate_hz=rate_hz, bands=bands, frames=frames)
    expected = [padded(kaldi_log_mel(clip.numpy(), bands, rate_hz), frames) for clip in sound]
    np.testing.assert_allclose(got.numpy(), np.stack(expected), rtol=1e-4, atol=1e-4)


def test_the_layout_of_a_batch_in_memory_does_not_matter() -> None:
    sound = 0.2 * torch.randn(4000, 2, generator=torch.Generator().manual_seed(0)).T
    torch.testing.assert_close(filter_bank(sound), filter_bank(sound.contiguous()))
    one = sound[:1].expand(2, -1)
    torch.testing.assert_close(filter_bank(one), filter_bank(one.contiguous()))
