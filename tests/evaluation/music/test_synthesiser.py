"""The synthesiser against Karplus and Strong's own loop, and the rooms against a convolution."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mmlib.evaluation.music.instrument import Instrument, Notes
from mmlib.evaluation.music.rooms import heard_in, responses
from mmlib.evaluation.music.score import Score, random_score
from mmlib.evaluation.music.strings import periods, pitch_hz, string
from mmlib.params.music import Piece, Rooms
from mmlib.runtime.arrays import Floats

RATE = 8000
PIECE = Piece(notes=3, lowest=40, highest=76, grid_s=0.02, range_db=20.0, decay_s=(0.05, 1.0))
ROOMS = Rooms(draws=1, unseen=1, rt60_s=(0.2, 0.6), direct_db=(0.0, 12.0))


def loop(burst: Floats, samples: int, fall: float) -> Floats:
    """The string sample by sample: what comes out goes back in after N and N + 1 samples."""
    period, sound = len(burst), np.zeros(samples)
    loss = fall**period
    for n in range(samples):
        former = sound[n - period] if n >= period else 0.0
        older = sound[n - period - 1] if n > period else 0.0
        plucked = burst[n] * fall**n if n < period else 0.0
        sound[n] = plucked + loss * (former + fall * older) / 2
    return sound


def one_hot(place: int, count: int) -> Tensor:
    return torch.eye(count, dtype=torch.float64)[place]


@given(
    period=st.integers(2, 70),
    onset=st.integers(0, 7),
    level=st.floats(-20, 0),
    decay=st.floats(0.05, 1.0),
)
def test_a_note_is_what_the_plain_loop_gives(
    period: int, onset: int, level: float, decay: float
) -> None:
    """Strings, decay, level and onset, for any length: a loop of two neighbours' mean."""
    samples, grid = 390, 50
    instrument = Instrument([5, period], samples, RATE, grid, seed=3).to(dtype=torch.float64)
    instrument.strings[1] = torch.from_numpy(string(period, 400, 3))
    notes = Notes(
        one_hot(1, 2)[None, None],
        one_hot(onset, 8)[None, None],
        torch.tensor([[level]], dtype=torch.float64),
        torch.tensor([[decay]], dtype=torch.float64),
    )
    fall = 10 ** (-3 / (decay * RATE))
    expected = 10 ** (level / 20) * loop(string(period, period, 3), samples, fall)
    found = instrument.play(notes)[0].numpy()
    np.testing.assert_allclose(found[onset * grid :], expected[: samples - onset * grid], atol=1e-9)
    assert not found[: onset * grid].any()


@pytest.mark.parametrize("period", [20, 37, 64])
def test_the_pitch_is_the_rate_over_the_period_and_a_half(period: int) -> None:
    sound = string(period, 2 * RATE, 1) * np.hanning(2 * RATE)
    size = 1 << 17
    power = np.abs(np.fft.rfft(sound, size))
    wanted = pitch_hz(period, RATE)
    near = np.flatnonzero(np.abs(np.fft.rfftfreq(size, 1 / RATE) / wanted - 1) < 0.3)
    found = near[power[near].argmax()] * RATE / size
    assert found == pytest.approx(RATE / (period + 0.5), rel=1e-3)


def test_the_scale_is_in_tune_to_half_a_sample() -> None:
    lengths = periods(40, 76, 16000)
    wanted = 440 * 2 ** ((np.arange(40, 77) - 69) / 12)
    assert len(lengths) == 37
    assert np.all(np.abs(np.array(lengths) + 0.5 - 16000 / wanted) <= 0.5)
    assert pitch_hz(lengths[69 - 40], 16000) == pytest.approx(440, rel=0.01)
    assert min(periods(24, 96, 4000)) >= 2


def test_a_string_holds_no_constant_and_the_seed_says_which_burst() -> None:
    sound = string(24, 4000, 1)
    # What the loop keeps for ever: the last N samples and half of the one before.
    assert abs(sound[-24:].sum() + sound[-25] / 2) < 1e-9
    assert np.array_equal(sound, string(24, 4000, 1))
    assert not np.array_equal(sound, string(24, 4000, 2))


def test_gradients_of_every_figure_are_those_of_finite_differences() -> None:
    instrument = Instrument([4, 7, 9], 48, RATE, 8, seed=1).to(dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    shapes = ((2, 2, 3), (2, 2, 6), (2, 2), (2, 2))
    values = [torch.rand(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    values[3] = values[3] * 0.05 + 0.01
    leaves = [value.requires_grad_() for value in values]
    assert torch.autograd.gradcheck(lambda *parts: instrument.play(Notes(*parts)), leaves)


def test_choices_are_made_forward_and_softened_backward() -> None:
    score = random_score(PIECE, 5, 7, [1, 2]).leaf()
    notes = score.notes(PIECE)
    assert set(notes.pitch.detach().flatten().tolist()) <= {0.0, 1.0}
    assert torch.equal(notes.pitch.argmax(-1), score.pitch.argmax(-1))
    weights = torch.arange(5.0)
    (notes.pitch * weights).sum().backward()  # type: ignore[no-untyped-call]
    soft = score.pitch.detach().requires_grad_()
    (soft.softmax(-1) * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert score.pitch.grad is not None
    torch.testing.assert_close(score.pitch.grad, soft.grad)


def test_random_pieces_fill_their_ranges_and_follow_their_seeds() -> None:
    scores = random_score(PIECE, 4, 3, range(400))
    notes = scores.notes(PIECE)
    assert -20 < notes.level_db.min() < -19.5
    assert -0.5 < notes.level_db.max() < 0
    assert 0.05 < notes.decay_s.min() < 0.06
    assert 0.9 < notes.decay_s.max() < 1
    for chosen in (notes.pitch, notes.onset):
        shares = chosen.mean((0, 1))
        assert (shares - 1 / len(shares)).abs().max() < 0.06
    again: Score = random_score(PIECE, 4, 3, [7])
    assert all(torch.equal(a[7], b[0]) for a, b in zip(scores, again, strict=True))


def test_a_room_has_its_direct_sound_its_ratio_and_its_decay() -> None:
    rooms = responses(ROOMS, RATE, 20, 1, "x").numpy().astype(np.float64)
    assert (rooms[:, 0] == 1).all()
    tails = rooms[:, 1:]
    ratio = -10 * np.log10(np.sum(tails**2, axis=1))
    assert (ratio > -0.01).all()
    assert (ratio < 12.01).all()
    assert np.ptp(ratio) > 6
    # Of an exponential fall the energy that is left falls by as many dB a second.
    left = 10 * np.log10(np.cumsum(tails[:, ::-1] ** 2, axis=1)[:, ::-1] + 1e-30)
    fell = left[:, 100] - left[:, 100 + RATE // 10]
    assert (fell > 60 * 0.1 / 0.6 * 0.7).all()
    assert (fell < 60 * 0.1 / 0.2 * 1.5).all()
    assert np.array_equal(rooms, responses(ROOMS, RATE, 20, 1, "x").numpy())
    assert not np.array_equal(rooms[:1], responses(ROOMS, RATE, 1, 1, "y").numpy())


def test_what_is_heard_in_a_room_is_a_convolution() -> None:
    generator = torch.Generator().manual_seed(1)
    sound = torch.randn(2, 300, generator=generator, dtype=torch.float64)
    rooms = torch.randn(3, 90, generator=generator, dtype=torch.float64)
    found = heard_in(sound, rooms)
    for room in range(3):
        for clip in range(2):
            expected = np.convolve(sound[clip], rooms[room])[:300]
            np.testing.assert_allclose(found[room, clip], expected, atol=1e-9)
