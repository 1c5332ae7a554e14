"""What codecs let through, against filters whose gains are known."""

import pytest
import torch
from torch import Tensor

from mmlib.evaluation.survival.gains import BANDS, LEAST, measured, weighed


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


SENT = {"audio": noise(2, 4096), "video": noise(2, 3, 4, 16, 16)}


@pytest.mark.parametrize("name", BANDS)
def test_taking_apart_and_putting_together_changes_nothing(name: str) -> None:
    sent, bands = SENT[name], BANDS[name]
    assert torch.allclose(bands.composed(bands.analysed(sent), sent), sent, atol=1e-5)
    assert torch.allclose(weighed(bands, sent, torch.ones(())), sent, atol=1e-5)


@pytest.mark.parametrize("name", BANDS)
def test_gains_of_what_is_known(name: str) -> None:
    sent, bands = SENT[name], BANDS[name]
    for arrived, gain in ((sent, 1.0), (0.5 * sent, 0.5), (0 * sent, LEAST), (-sent, LEAST)):
        gains = measured(bands, sent, arrived)
        assert torch.allclose(gains, torch.full_like(gains, gain), atol=1e-4)
    assert torch.equal(measured(bands, 0 * sent, sent), torch.ones_like(gains))


def test_noise_of_the_codec_s_own_is_no_gain() -> None:
    """What does not go with the perturbation averages out."""
    sent = noise(1, 65536)
    gains = measured(BANDS["audio"], sent, 0.3 * sent + noise(1, 65536, seed=1))
    assert float((gains - 0.3).abs().mean()) < 0.05


def test_a_low_pass_of_sound_keeps_the_low_bands_of_each_clip() -> None:
    sent = SENT["audio"]
    spectrum = torch.fft.rfft(sent)
    spectrum[0, 1024:] = 0  # a quarter of the clip's samples: half of its band
    gains = measured(BANDS["audio"], sent, torch.fft.irfft(spectrum, n=4096))
    assert torch.allclose(gains[0, :992], torch.ones(992), atol=1e-3)
    assert torch.allclose(gains[0, 1056:], torch.full((993,), LEAST), atol=1e-3)
    assert torch.allclose(gains[1], torch.ones(2049), atol=1e-3)


def test_grey_stills_alone_get_through_a_codec_that_drops_the_rest() -> None:
    """Of a perturbation in colour and time, the mean over both is grey and still."""
    sent = SENT["video"]
    arrived = sent.mean((1, 2), keepdim=True).expand_as(sent)
    gains = measured(BANDS["video"], sent, arrived)
    assert torch.allclose(gains[:, 0, 0], torch.ones(2, 16, 16), atol=1e-3)
    assert torch.allclose(gains[:, 1:], torch.full((2, 2, 4, 16, 16), LEAST), atol=1e-3)
    assert torch.allclose(gains[:, 0, 1:], torch.full((2, 3, 16, 16), LEAST), atol=1e-3)
    assert torch.allclose(
        weighed(BANDS["video"], sent, gains - LEAST) / (1 - LEAST), arrived, atol=0.1
    )
