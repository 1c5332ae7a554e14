"""Clips whose stored media were encoded again, and decoded as the pipeline decodes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmlib.evaluation.stress.clips import Altered, Clips
from mmlib.evaluation.stress.conditions import CONTAINERS, Condition
from mmlib.features import clip_frames
from mmlib.media.decode import decode
from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.graph import Form
from mmlib.media.recode import Rung, recode
from mmlib.runtime import stores
from mmlib.runtime.arrays import Bytes, Ints16
from mmlib.runtime.errors import UserError
from mmlib.runtime.parquet import Reader
from mmlib.shards.read import jpeg
from mmlib.shards.rows.clips import shard_paths

_COLUMNS = ("clip_id", "media", "path", "start_s", "end_s")
Row = Mapping[str, Any]
Tracks = dict[str, Ints16 | Bytes]


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
        return [self._cut(file) for file in files]

    def _cut(self, file: bytes) -> Tracks:
        decoded = decode(file, self.form, self.limits)
        found: Tracks = {}
        mel, video = self.manifest["mel"], self.manifest["video"]
        if decoded.pcm is not None:
            pcm = decoded.pcm[: mel["frames"] * mel["hop"]]
            found["audio"] = np.pad(pcm, (0, mel["frames"] * mel["hop"] - len(pcm)))
        if decoded.frames is not None:
            pictures = clip_frames(
                decoded.frames,
                np.arange(len(decoded.frames), dtype=np.float32) / np.float32(self.form.fps),
                seconds=self.manifest["seconds"],
                count=video["frames"],
                size=video["height"],
                rate_hz=video.get("rate_hz"),
            )
            if quality := video.get("jpeg_quality"):
                shape = pictures.shape
                pictures = jpeg.decode([jpeg.encode(pictures, quality)], [""], shape)[0]
            found["video"] = pictures
        return found


def stored_media(folder: Path, clip_ids: Collection[str]) -> dict[str, Row]:
    """The rows of data/clips of these eval clips, by id; only the row groups that hold them."""
    found: dict[str, Row] = {}
    for path in shard_paths(folder):
        if not path.name.startswith("eval-"):
            continue
        file = Reader(path, "a shard of clips")
        for group in range(len(file.sizes)):
            names = file.read(["clip_id"], [group])["clip_id"].to_pylist()
            if not set(names).isdisjoint(clip_ids):
                rows = file.read(_COLUMNS, [group]).to_pylist()
                found |= {row["clip_id"]: row for row in rows if row["clip_id"] in clip_ids}
    if lost := set(clip_ids) - found.keys():
        raise UserError(f"{folder}: no clip {min(lost)!r}, which data/shards holds; `dvc repro`")
    return found
