"""Mixing to the decibel, and composing against models whose answer is known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mmlib.attacks.core.losses import bce
from mmlib.batch import Batch
from mmlib.evaluation.mixing import QUIETEST_DB
from mmlib.evaluation.music.compose import Judge, Search
from mmlib.evaluation.music.instrument import Instrument
from mmlib.evaluation.music.mix import at_snr, exactly, samples, snrs_db, waveform
from mmlib.evaluation.music.rooms import responses
from mmlib.evaluation.music.score import Score, random_score
from mmlib.params.music import Piece, Rooms

RATE, SAMPLES, CLIPS, CLASSES = 4000, 1200, 4, 3
PIECE = Piece(notes=4, lowest=48, highest=72, grid_s=0.02, range_db=20.0, decay_s=(0.05, 1.0))
ROOMS = Rooms(draws=2, unseen=2, rt60_s=(0.05, 0.2), direct_db=(0.0, 12.0))
STRINGS = (12, 17, 23, 31, 40)


def instrument() -> Instrument:
    return Instrument(STRINGS, SAMPLES, RATE, 80, seed=1)


class Linear:
    """Logits that are linear in the waveform, or in the pictures alone."""

    def __init__(self, reads: str = "audio") -> None:
        generator = torch.Generator().manual_seed(3)
        self.reads = reads
        self.weights = torch.randn(SAMPLES, CLASSES, generator=generator) / 5

    def __call__(self, inputs: Batch) -> Tensor:
        return inputs[self.reads] @ self.weights


def judge(model: Linear) -> Judge:
    generator = torch.Generator().manual_seed(4)
    sound = {n: 0.1 * torch.randn(CLIPS, SAMPLES, generator=generator) for n in ("audio", "video")}
    labels = (torch.rand(CLIPS, CLASSES, generator=generator) < 0.5).float()
    return Judge(model, sound, labels, bce)


def search(model: Linear, draws: int, *, shared: bool = False, steps: int = 25) -> Search:
    def rooms(count: int, step: int) -> Tensor | None:
        return responses(ROOMS, RATE, count, 5, step) if count else None

    return Search(instrument(), PIECE, [judge(model)], rooms, draws, steps, shared)


def random(*seeds: int) -> Score:
    return random_score(PIECE, len(STRINGS), instrument().places, seeds)


@given(
    snr_db=st.floats(-5, 40),
    level_db=st.floats(-50, -12),
    seed=st.integers(0, 10**6),
)
def test_the_ratio_is_as_asked_after_the_cut_and_the_rounding(
    snr_db: float, level_db: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sound = rng.standard_normal((2, 2000)) * 10 ** (level_db / 20)
    pcm = samples(torch.from_numpy(sound.clip(-1, 0.99)))
    music = rng.standard_normal((2, 2000)).astype(np.float32)
    assert snrs_db(pcm, exactly(pcm, music, snr_db)) == pytest.approx(snr_db, abs=0.1)


def test_loud_clips_are_cut_and_the_ratio_holds_all_the_same() -> None:
    times = np.arange(4000)
    pcm = samples(torch.from_numpy(np.sin(times / 9.0)[None] * 0.99))
    music = np.random.default_rng(1).standard_normal((1, 4000)).astype(np.float32)
    mixed = exactly(pcm, music, 3.0)
    assert mixed.max() == 32767
    assert snrs_db(pcm, mixed) == pytest.approx(3.0, abs=0.1)


def test_silence_counts_as_60_db_below_full_scale() -> None:
    silent = np.zeros((1, 4000), np.int16)
    music = np.random.default_rng(1).standard_normal((1, 4000)).astype(np.float32)
    mixed = exactly(silent, music, 0.0)
    level = 20 * np.log10(np.sqrt(np.mean((mixed / 32768.0) ** 2)))
    assert level == pytest.approx(QUIETEST_DB, abs=0.1)
    assert snrs_db(silent, mixed) == pytest.approx(0.0, abs=0.1)
    assert torch.equal(waveform(mixed), torch.from_numpy(mixed / np.float32(32768)))


def test_inside_a_search_the_ratio_is_that_of_the_uncut_mix() -> None:
    generator = torch.Generator().manual_seed(1)
    sound = 0.05 * torch.randn(3, 500, generator=generator, dtype=torch.float64)
    music = torch.randn(1, 500, generator=generator, dtype=torch.float64)
    added = at_snr(sound, music, 6.0) - sound
    ratio = 10 * torch.log10(sound.square().mean(1) / added.square().mean(1))
    torch.testing.assert_close(ratio, torch.full_like(ratio, 6.0))


@pytest.mark.parametrize("draws", [0, 2])
def test_composed_music_does_more_than_random_music_to_a_linear_model(draws: int) -> None:
    start = random(*range(CLIPS))
    found = search(Linear(), draws)
    composed = found.compose([start], 10.0, beside=[start])
    unseen = responses(ROOMS, RATE, 3, 6, "unseen") if draws else None
    before, after = (found.losses(score, 10.0, unseen) for score in (start, composed))
    assert (after > before + 0.01).all()


def test_one_piece_for_all_clips_does_more_than_a_random_one() -> None:
    start = random(1)
    found = search(Linear(), 0, shared=True)
    composed = found.compose([start], 10.0, beside=[start])
    assert len(composed.level) == 1
    assert found.losses(composed, 10.0, None) > found.losses(start, 10.0, None) + 0.05
    each = search(Linear(), 0).compose([random(*range(CLIPS))], 10.0, beside=[random(1, 1, 1, 1)])
    own = search(Linear(), 0).losses(each, 10.0, None).sum()
    assert own > found.losses(composed, 10.0, None)


def test_what_is_composed_is_never_worse_than_what_stands_beside() -> None:
    start = random(*range(CLIPS))
    found = search(Linear(), 0, steps=1)
    best = found.compose([start], 10.0, beside=[start, random(*range(9, 9 + CLIPS))])
    for score in (start, random(*range(9, 9 + CLIPS))):
        assert (found.losses(best, 10.0, None) >= found.losses(score, 10.0, None)).all()


def test_a_model_that_ignores_sound_is_untouched() -> None:
    start = random(*range(CLIPS))
    found = search(Linear("video"), 0, steps=2)
    composed = found.compose([start], -5.0, beside=[start])
    model, clips = Linear("video"), found.judges[0].inputs
    clean = bce(model(clips), found.judges[0].labels)
    assert torch.equal(found.losses(composed, -5.0, None), clean)


def test_the_gradient_is_that_of_finite_differences() -> None:
    """Of the loss, through the mix and a room, for the levels and decays of the notes."""
    model = Linear()
    model.weights = model.weights.double()
    part = judge(model)
    clips = Judge(model, {n: t.double() for n, t in part.inputs.items()}, part.labels.double(), bce)
    plays = instrument().to(dtype=torch.float64)
    rooms = responses(ROOMS, RATE, 1, 1, "x").double()
    fixed = lambda count, step: rooms  # noqa: E731
    found = Search(plays, PIECE, [clips], fixed, 1, 1, shared=False)
    score = Score(*(t.double() for t in random(*range(CLIPS)))).leaf()
    found.losses(score, 10.0, rooms, descend=True)
    assert score.level.grad is not None
    assert score.decay.grad is not None
    for name in ("level", "decay"):
        moved = []
        for step in (1e-5, -1e-5):
            value = getattr(score, name).detach().clone()
            value[1, 2] += step
            moved.append(found.losses(score._replace(**{name: value}), 10.0, rooms)[1])
        slope = float((moved[0] - moved[1]) / 2e-5)
        assert float(getattr(score, name).grad[1, 2]) == pytest.approx(slope, rel=1e-4, abs=1e-9)
