"""Clips whose stored media were encoded again, and decoded as the pipeline decodes."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmlib.evaluation.encoded.cut import Row, Tracks, cut, stored_media
from mmlib.evaluation.stress.clips import Altered, Clips
from mmlib.evaluation.stress.conditions import CONTAINERS, Condition
from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.graph import Form
from mmlib.media.recode import Rung, recode
from mmlib.runtime import stores


@dataclass(frozen=True)
class Recoder:
    """Where the fetched media are, and how the pipeline decodes them and cuts them to clips.

    `threads`: how many files are encoded at once.
    """

    media: Path
    manifest: Mapping[str, Any]
    form: Form
    limits: Limits
    threads: int = 1

    def encoded(
        self,
        clips: Clips,
        conditions: Sequence[Condition],
        rungs: Sequence[Rung],
        failures: dict[str, str],
    ) -> Iterator[Altered]:
        """The clips under the conditions, which are the rungs of one ladder.

        A clip that cannot be encoded or decoded again stays as it was, and is told in `failures`
        with the reason.
        """
        rows = stored_media(self.media, clips.clip_ids)
        kind = conditions[0].kind
        pcm = np.repeat(clips.pcm[None], len(rungs), axis=0)
        frames = np.repeat(clips.frames[None], len(rungs), axis=0)
        changed = {name: np.zeros(len(clips), np.bool_) for name in clips.present}

        def again(clip_id: str) -> list[Tracks] | MediaError | stores.StoreError:
            try:
                return self._again(rows[clip_id], CONTAINERS[kind], rungs)
            except (MediaError, stores.StoreError) as error:
                return error

        with ThreadPoolExecutor(self.threads) as pool:
            for place, found in enumerate(pool.map(again, clips.clip_ids)):
                if isinstance(found, MediaError | stores.StoreError):
                    failures[clips.clip_ids[place]] = f"{kind}: {found}"
                    continue
                for name, target in (("audio", pcm), ("video", frames)):
                    there = [tracks[name] for tracks in found if name in tracks]
                    if clips.present[name][place] and len(there) == len(rungs):
                        target[:, place] = there
                        changed[name][place] = True
        for condition, sound, pictures in zip(conditions, pcm, frames, strict=True):
            yield Altered(condition, sound, pictures, changed)

    def _again(self, row: Row, container: str, rungs: Sequence[Rung]) -> list[Tracks]:
        """One clip at each rung, its tracks cut as stage shard cuts them."""
        section = {"start_s": row["start_s"], "end_s": row["end_s"]}
        held = row["media"]
        with nullcontext(held) if held is not None else stores.local(row["path"]) as source:
            files = recode(source, container, rungs, self.limits, **section)
        return [cut(file, self.manifest, self.form, self.limits) for file in files]
