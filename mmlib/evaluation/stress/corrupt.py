"""Clips under one kind of corruption, at every severity."""

from collections.abc import Iterator, Sequence

import numpy as np

from mmlib.evaluation.stress.clips import Altered, Clips
from mmlib.evaluation.stress.conditions import Condition
from mmlib.evaluation.stress.corruptions.kinds import corrupted_pictures, corrupted_sound
from mmlib.runtime.seeds import derive


def corrupted(clips: Clips, conditions: Sequence[Condition], seed: int) -> Iterator[Altered]:
    """The clips under the conditions, which are of one kind; each clip draws by its own id."""
    kind = conditions[0].kind
    severities = [int(condition.step) for condition in conditions]
    pcm = np.repeat(clips.pcm[None], len(conditions), axis=0)
    frames = np.repeat(clips.frames[None], len(conditions), axis=0)
    for place, clip_id in enumerate(clips.clip_ids):
        if clips.present["audio"][place]:
            own = derive(seed, clip_id, kind, "sound")
            pcm[:, place] = corrupted_sound(kind, clips.pcm[place], clips.rate_hz, severities, own)
        if clips.present["video"][place]:
            own = derive(seed, clip_id, kind, "picture")
            frames[:, place] = corrupted_pictures(
                kind, clips.frames[place], clips.times_s, severities, own
            )
    for condition, sound, pictures in zip(conditions, pcm, frames, strict=True):
        yield Altered(condition, sound, pictures, clips.present)
