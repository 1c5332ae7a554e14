"""Sound put on the clock by its own time stamps.

Decoders give blocks of samples, each with a time stamp. Mostly one block begins where the other
ends. Where packets are missing, or a recorder paused, the stamps leap: there the sound has a gap,
filled with silence, or two blocks overlap, and the later one loses what is there already. Stamps
that only jitter, as many recorders write them, move nothing. Nor do those that ffmpeg counted up
at the rate that the sound had before: it changed, and every block overlaps the next one alike.
"""

from itertools import pairwise

import numpy as np

from mmlib.runtime.arrays import Bools, Ints, Ints16

# A leap is farther than this, and the blocks after it agree with it.
_LEAP_S = 0.01
_WITNESSES = 5
# A single first block that is silent, before a gap, is what a decoder needs to get going: it would
# only make the sound begin too early. AAC gives one of some units of 16 bit.
_SILENCE = 164
# Stamps advance alike, to so many samples, and by other than the block's length, to this share.
_ALIKE = 2
_OTHER = 0.05
# ffmpeg's "no time stamp" is the least of all numbers.
NO_STAMP = -(1 << 62)


def place(samples: Ints16, blocks: Ints, rate_hz: int, longest: int) -> tuple[Ints16, int, int]:
    """Samples (N,) in blocks (n, 2) of time stamp and length -> sound without gaps, its begin, and
    how many samples were left out, because others were there already or as too far off.

    Stamps, lengths and the begin are in samples, at `rate_hz`. What lies more than `longest`
    samples after the begin is left out. A block without a stamp follows the one before it.
    """
    starts = np.cumsum(blocks[:, 1]) - blocks[:, 1]
    blocks, starts = blocks[starts < len(samples)], starts[starts < len(samples)]
    if not len(blocks):
        return samples[:0], 0, 0
    stamps = np.where(_counted(blocks), NO_STAMP, blocks[:, 0])
    shifts = _settled(_filled(stamps, starts), round(_LEAP_S * rate_hz))
    turns = (np.flatnonzero(np.diff(shifts)) + 1).tolist()
    first = samples[: blocks[0, 1]].astype(np.int32)
    if turns and turns[0] == 1 and shifts[1] > shifts[0] and np.abs(first).max() < _SILENCE:
        return place(samples[len(first) :], blocks[1:], rate_hz, longest)
    begin = int(shifts[0])
    if not turns:
        return samples, begin, 0
    end, lost, pieces = begin, 0, []
    for low, high in pairwise([0, *turns, len(blocks)]):
        piece = samples[starts[low] : starts[high] if high < len(blocks) else None]
        at = int(starts[low] + shifts[low])
        if at - begin > longest:
            lost += len(samples) - int(starts[low])
            break
        gap, kept = np.zeros(max(0, at - end), np.int16), piece[max(0, end - at) :]
        lost += len(piece) - len(kept)
        added = np.concatenate([gap, kept])
        pieces.append(added)
        end += len(added)
    return np.concatenate(pieces), begin, lost


def leaps(blocks: Ints, rate_hz: int) -> bool:
    """Tell whether any block (see `place`) begins elsewhere than where the one before it ends."""
    if not len(blocks):
        return False
    shifts = blocks[:, 0] - (np.cumsum(blocks[:, 1]) - blocks[:, 1])
    return bool(np.any(np.abs(shifts - shifts[0]) > round(_LEAP_S * rate_hz)))


def _counted(blocks: Ints) -> Bools:
    """Which blocks have a stamp that is counted up at another rate, two at least in a row."""
    advances = np.diff(blocks[:, 0], prepend=blocks[:1, 0])
    lengths = np.concatenate([[0], blocks[:-1, 1]])
    other = np.abs(advances - lengths) > _OTHER * lengths
    pair = other[1:] & other[:-1] & (np.abs(np.diff(advances)) <= _ALIKE)
    pair[:1] = False
    counted: Bools = np.concatenate([[False], pair]) | np.concatenate([pair, [False]])
    turns = np.flatnonzero(np.diff(counted, prepend=False, append=False)).tolist()
    runs = list(zip(turns[::2], turns[1::2], strict=True))
    # Blocks that leave a gap each: packets are missing, unless later stamps make up for it.
    back = any(advances[high] < lengths[high] for _, high in runs if high < len(blocks))
    for low, high in runs:
        counted[low:high] = back or advances[low] < lengths[low]
    return counted


def _filled(stamps: Ints, starts: Ints) -> Ints:
    known = stamps > NO_STAMP
    latest = np.maximum.accumulate(np.where(known, np.arange(len(stamps)), -1))
    return np.where(latest < 0, 0, (stamps - starts)[latest])


def _first(shifts: Ints, leap: int) -> int:
    # One block that claims to come after all that follow it would push them out.
    following = int(np.median(shifts[1 : 1 + _WITNESSES])) if len(shifts) > 1 else int(shifts[0])
    return following if shifts[0] - following > leap else int(shifts[0])


def _settled(shifts: Ints, leap: int) -> Ints:
    """What each block is shifted by: as the one before, unless it leaps and others follow it."""
    if np.all(np.abs(shifts - shifts[0]) <= leap):
        return np.full_like(shifts, shifts[0])
    settled = np.empty_like(shifts)
    current = _first(shifts, leap)
    for index, shift in enumerate(shifts.tolist()):
        if abs(shift - current) > leap:
            ahead = int(np.median(shifts[index : index + _WITNESSES]))
            if abs(ahead - current) > leap:
                current = ahead
        settled[index] = current
    return settled
