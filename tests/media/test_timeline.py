"""Sound on the clock, block by block: closed forms, and a slow oracle that looks at each sample."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.media.decode import decode
from mmlib.media.timeline import NO_STAMP, leaps, place
from mmlib.runtime.arrays import Ints, Ints16
from tests.media.making import PICTURES, SOUND, make
from tests.properties import examples
from tests.samples import FORM, LIMITS

RATE = 16000
# What stamps may be off without meaning it.
HAIR = RATE // 100
FAR = 1 << 40


def blocks(stamps: Sequence[int], lengths: Sequence[int]) -> Ints:
    return np.stack([np.array(stamps, np.int64), np.array(lengths, np.int64)], 1)


def counting(count: int) -> Ints16:
    """Samples 1, 2, 3, ...: none of them is silence."""
    return np.arange(1, count + 1).astype(np.int16)


def even(runs: Sequence[tuple[int, int]], length: int = 400) -> tuple[Ints16, Ints]:
    """Runs of (begin, blocks), each of blocks one after the other: samples and blocks."""
    stamps = [begin + length * k for begin, count in runs for k in range(count)]
    return counting(length * len(stamps)), blocks(stamps, [length] * len(stamps))


@pytest.mark.parametrize("begin", [0, -500, 12345])
def test_blocks_one_after_the_other(begin: int) -> None:
    samples, placed = even([(begin, 20)])
    sound, first, _ = place(samples, placed, RATE, FAR)
    np.testing.assert_array_equal(sound, samples)
    assert first == begin


@pytest.mark.parametrize("missing", [HAIR + 1, 1000, 40000])
@pytest.mark.parametrize("before", [1, 2, 7])
def test_a_gap_is_silence(missing: int, before: int) -> None:
    """Also after a single block, which stays where it is."""
    samples, placed = even([(100, before), (100 + 400 * before + missing, 10)])
    sound, first, _ = place(samples, placed, RATE, FAR)
    turn = 400 * before
    expected = [samples[:turn], np.zeros(missing, np.int16), samples[turn:]]
    np.testing.assert_array_equal(sound, np.concatenate(expected))
    assert first == 100


@pytest.mark.parametrize(("peak", "kept"), [(0, False), (3, False), (-3, False), (400, True)])
def test_a_silent_first_block_before_a_gap_is_no_sound(peak: int, kept: bool) -> None:
    samples, placed = even([(0, 1), (3528, 10)])
    samples[:400] = peak
    sound, first, _ = place(samples, placed, RATE, FAR)
    assert first == (0 if kept else 3528)
    np.testing.assert_array_equal(sound[-4000:], samples[400:])


@pytest.mark.parametrize("over", [HAIR + 1, 1000, 2300])
def test_of_an_overlap_the_later_part_is_left_out(over: int) -> None:
    samples, placed = even([(0, 8), (3200 - over, 10)])
    sound, _, lost = place(samples, placed, RATE, FAR)
    np.testing.assert_array_equal(sound, np.concatenate([samples[:3200], samples[3200 + over :]]))
    assert lost == over


@given(st.lists(st.integers(-HAIR // 2, HAIR // 2), min_size=1, max_size=40))
@examples(50)
def test_jitter_moves_nothing(jitter: list[int]) -> None:
    samples, placed = even([(0, len(jitter))])
    placed[:, 0] += jitter
    sound, first, _ = place(samples, placed, RATE, FAR)
    np.testing.assert_array_equal(sound, samples)
    assert first == jitter[0]


@given(
    outlier=st.integers(-100000, 100000).filter(lambda leap: abs(leap) > HAIR),
    at=st.integers(1, 14),
)
@examples(50)
def test_a_single_stamp_that_is_wrong_moves_nothing(outlier: int, at: int) -> None:
    samples, placed = even([(0, 20)])
    placed[at, 0] += outlier
    sound, first, _ = place(samples, placed, RATE, FAR)
    np.testing.assert_array_equal(sound, samples)
    assert first == 0


def test_a_first_stamp_after_all_others_moves_nothing() -> None:
    samples, placed = even([(0, 20)])
    placed[0, 0] += 80000
    sound, first, _ = place(samples, placed, RATE, FAR)
    np.testing.assert_array_equal(sound, samples)
    assert first == 0


def test_blocks_without_a_stamp_follow() -> None:
    samples, placed = even([(700, 5), (9000, 8)])
    placed[1:5, 0] = placed[6:, 0] = -(1 << 63)
    sound, first, _ = place(samples, placed, RATE, FAR)
    expected = [samples[:2000], np.zeros(9000 - 2700, np.int16), samples[2000:]]
    np.testing.assert_array_equal(sound, np.concatenate(expected))
    assert first == 700
    placed[:, 0] = NO_STAMP
    sound, first, _ = place(samples, placed, RATE, FAR)
    np.testing.assert_array_equal(sound, samples)
    assert first == 0


@pytest.mark.parametrize("count", [0, 1, 399, 400, 5000])
def test_samples_that_a_process_did_not_write(count: int) -> None:
    samples, placed = even([(0, 20)])
    sound, _, _ = place(samples[:count], placed, RATE, FAR)
    np.testing.assert_array_equal(sound, samples[:count])


@pytest.mark.parametrize("advance", [267, 341, 368, 435, 600, 800, 1200])
def test_stamps_counted_at_another_rate_move_nothing(advance: int) -> None:
    """Eight blocks of 400 a packet, whose first alone has a stamp of its own."""
    samples, placed = even([(0, 24)])
    placed[:, 0] = [3200 * (k // 8) + advance * (k % 8) for k in range(24)]
    sound, first, lost = place(samples, placed, RATE, FAR)
    np.testing.assert_array_equal(sound, samples)
    assert (first, lost) == (0, 0)


@pytest.mark.parametrize("every", [2, 3])
def test_packets_that_are_missing_one_by_one(every: int) -> None:
    samples, placed = even([(0, 24)])
    placed[:, 0] *= every
    sound, _, lost = place(samples, placed, RATE, FAR)
    assert len(sound) == 400 * (23 * every + 1)
    assert lost == 0


def test_nothing_is_made_for_a_stamp_that_lies_far_off() -> None:
    samples, placed = even([(0, 10), (10**12, 10)])
    sound, _, lost = place(samples, placed, RATE, 60 * RATE)
    np.testing.assert_array_equal(sound, samples[:4000])
    assert lost == 4000


def test_leaps_are_seen() -> None:
    for runs, due in (([(5, 9)], False), ([(0, 3), (1200 + HAIR + 1, 1)], True), ([], False)):
        assert leaps(even(runs)[1], RATE) == due


def test_no_blocks() -> None:
    sound, first, _ = place(counting(0), blocks([], []), RATE, FAR)
    assert len(sound) == first == 0


@pytest.mark.parametrize(("first", "last"), [(30, 50), (40, 41), (1, 3), (30, 74)])
def test_packets_that_are_missing_are_silence(tmp_path: Path, first: int, last: int) -> None:
    """Of 77 of MP2, 26 ms each, beside pictures that are whole; also all but the last two."""
    whole = make(tmp_path / "a.mkv", PICTURES, SOUND, "-c:v mjpeg -c:a mp2")
    drop = Path(f"noise=drop=between(n\\,{first}\\,{last})")
    file = make(tmp_path / "b.mkv", "-i", whole, "-c copy -bsf:a", drop)
    one, other = (decode(path, FORM, LIMITS) for path in (whole, file))
    assert one.pcm is not None
    assert other.pcm is not None
    assert other.damage is None
    assert other.audio_s == pytest.approx(one.audio_s, abs=0.005)
    length, delay = 1152 / 44100 * RATE, 192
    begin, end = round(first * length) - delay, round((last + 1) * length) - delay
    assert np.abs(other.pcm[begin + 50 : end - 50]).max() == 0
    # The sine sounds everywhere else, but where the decoder gets going again.
    loud = np.abs(other.pcm[: len(other.pcm) // 80 * 80]).reshape(-1, 80).max(1) > 3000
    there = np.ones(len(loud), bool)
    there[max(0, begin // 80 - 1) : (end + 900) // 80 + 1] = False
    assert loud[there][3:-1].all()


@given(
    gaps=st.lists(st.tuples(st.integers(-3000, 30000), st.integers(5, 12)), min_size=1, max_size=6),
    begin=st.integers(-1000, 1000),
    length=st.sampled_from([100, 441, 1024]),
)
@examples(15)
def test_any_runs(gaps: list[tuple[int, int]], begin: int, length: int) -> None:
    """Each sample at its own time, the first that claims it; leaps of a hair do not count."""
    runs, at = [], begin
    for gap, count in gaps:
        runs.append((at, count))
        at += length * count + (gap if abs(gap) > HAIR else 0)
    samples, placed = even(runs, length)
    sound, first, lost = place(samples, placed, RATE, FAR)
    expected: dict[int, int] = {}
    end = begin
    for number, (stamp, _) in enumerate(placed.tolist()):
        for offset in range(length):
            if stamp + offset >= end:
                expected[stamp + offset] = int(samples[number * length + offset])
        end = max(end, stamp + length)
    assert first == begin
    assert lost == len(samples) - len(expected)
    assert len(sound) == max(expected) + 1 - begin
    filled = np.zeros(len(sound), np.int16)
    filled[np.array(list(expected)) - begin] = list(expected.values())
    np.testing.assert_array_equal(sound, filled)
