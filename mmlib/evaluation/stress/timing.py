"""Sound out of time with the picture, another clip's sound, and tracks taken away."""

from collections.abc import Iterator

import numpy as np

from mmlib.evaluation.stress.clips import Altered, Clips, partners, pcm_of
from mmlib.evaluation.stress.conditions import Condition
from mmlib.runtime.arrays import Ints16
from mmlib.shards.read.loader import ShardSet


def shifted(clips: Clips, condition: Condition) -> Altered:
    """Sound later than the picture by `condition.step` seconds, or earlier where that is below 0.

    As in a file whose tracks are out of time: what moves out of the clip is lost, and silence comes
    in its place.
    """
    pcm = delayed(clips.pcm, round(condition.step * clips.rate_hz))
    return Altered(condition, pcm, None, {"audio": clips.present["audio"]})


def delayed(pcm: Ints16, samples: int) -> Ints16:
    """Sound (B, N) later by so many samples, or earlier for fewer than 0; silence where it was."""
    moved = np.zeros_like(pcm)
    count = pcm.shape[1]
    late = min(abs(samples), count)
    if samples >= 0:
        moved[:, late:] = pcm[:, : count - late]
    else:
        moved[:, : count - late] = pcm[:, late:]
    return moved


def swapped(clips: Clips, condition: Condition, split: ShardSet, seed: int) -> Altered:
    """The sound of another clip of the split; a clip without a partner keeps its own."""
    others = partners(split, clips.rows.tolist(), condition.kind, seed)
    there = others >= 0
    pcm = clips.pcm.copy()
    if there.any():
        pcm[there] = pcm_of(split, others[there])
    return Altered(condition, pcm, None, {"audio": there})


def dropped(clips: Clips, condition: Condition) -> Altered:
    """A track less: the clip is marked as lacking it, as one that never had it."""
    there = {condition.kind: clips.present[condition.kind]}
    return Altered(condition, None, None, there, dropped=condition.kind)


def altered(clips: Clips, condition: Condition, split: ShardSet, seed: int) -> Iterator[Altered]:
    """The clips under one of these conditions."""
    if condition.family == "shift":
        yield shifted(clips, condition)
    elif condition.family == "swap":
        yield swapped(clips, condition, split, seed)
    else:
        yield dropped(clips, condition)
