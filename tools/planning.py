"""What a run over a list of clips would take: shards, rows, disk, time and losses, stage by stage.

Nothing is changed: lists are read, a mirror is looked through, and a few of the clips that are
there are read and decoded to learn their size and the speed of this machine.
"""

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from mmlib import features
from mmlib.media.decode import decode
from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.graph import Form
from mmlib.params.decode import Decode
from mmlib.params.shard import Shard
from mmlib.params.whole.file import Params
from mmlib.runtime import stores
from mmlib.runtime.arrays import Bools, Bytes, Floats, Floats32
from mmlib.runtime.workers import worker_count
from mmlib.shards.read import jpeg
from mmlib.shards.rows.clips import SPLITS
from mmlib.sources.base import ClipList, FetchError
from mmlib.sources.columns import Columns
from mmlib.sources.segments import SegmentRequests


@dataclass(frozen=True)
class Rates:
    """What one clip takes: kB of media in its row, seconds of one core to fetch and to decode it.

    `measured` counts the clips that this was measured on; 0: assumed. `jpeg_share` is what JPEG
    leaves of the frames' bytes.
    """

    media_kb: float = 600.0
    fetch_s: float = 0.01
    decode_s: float = 0.3
    measured: int = 0
    jpeg_share: float = 0.25


SHARD_S = 0.01
"""Seconds of one core for a clip's log-mel and frames: an assumption, decoding takes far longer."""


@dataclass(frozen=True)
class Stage:
    """One stage's share of the plan.

    `bytes_most` is exact for shards without JPEG, else the most or a guess.
    """

    name: str
    shards: int
    rows: int
    bytes_most: float
    seconds: float


def availability(clips: ClipList, columns: Columns, share: float, seed: int) -> tuple[Bools, bool]:
    """Which clips can be had, (N,), and whether that was looked up.

    A mirror and a folder are looked through. Where there is nothing to look at, each clip is there
    with chance `share`, drawn by the seed: a made-up case.
    """
    if isinstance(clips.requests, SegmentRequests):
        found = clips.requests.available()
        if found is not None:
            return found, True
        return np.random.default_rng(seed).random(len(columns)) < share, False
    located = (request.locator for request in clips.requests)
    return np.array(["path" not in held or "size" in held for held in located], bool), True


def measure(clips: ClipList, there: Bools, params: Params, sample: int, seed: int) -> Rates | None:
    """Fetch and decode a few clips that are there, drawn by the seed; None when none works."""
    settings = params.decode
    places = np.flatnonzero(there)
    drawn = np.random.default_rng(seed).permutation(len(places))[:sample]
    form = Form(settings.sample_rate_hz, settings.fps, settings.size)
    limits = Limits(
        settings.max_pixels, settings.max_seconds, settings.timeout_s, settings.memory_mb
    )
    sizes, fetching, decoding, shares = [], [], [], []
    for place in places[drawn]:
        request = clips.requests[int(place)]
        begin = time.perf_counter()
        try:
            fetched = clips.fetch(request)
            half = time.perf_counter()
            media = fetched.media
            with nullcontext(media) if media else stores.local(str(fetched.path)) as source:
                decoded = decode(source, form, limits, start_s=fetched.start_s, end_s=fetched.end_s)
        except (FetchError, MediaError, stores.StoreError):
            continue
        sizes.append(len(fetched.media or b"") / 1000)
        fetching.append(half - begin)
        decoding.append(time.perf_counter() - half)
        if decoded.frames is not None and len(decoded.frames):
            shares.append(_jpeg_share(decoded.frames, params))
    if not sizes:
        return None
    # One slow clip of a few is mostly a busy machine.
    return Rates(
        float(np.mean(sizes)),
        float(np.median(fetching)),
        float(np.median(decoding)),
        len(sizes),
        float(np.mean(shares)) if shares else Rates.jpeg_share,
    )


def _jpeg_share(frames: Bytes, params: Params) -> float:
    """What shard.video.jpeg_quality leaves of the bytes of a decoded clip; 1 where it is null."""
    video = params.shard.video
    if video.jpeg_quality is None:
        return 1.0
    times = np.arange(len(frames)) / params.decode.fps
    seen = features.clip_frames(
        frames,
        times,
        seconds=params.shard.seconds,
        count=video.frames,
        size=video.size,
        rate_hz=video.rate_hz,
    )
    return sum(map(len, jpeg.encode(seen, video.jpeg_quality))) / seen.nbytes


def plan(columns: Columns, there: Bools, classes: int, params: Params, rates: Rates) -> list[Stage]:
    """What download, decode and shard would do. Times are wall time on all workers together."""
    workers = worker_count()
    size = params.data.shard_clips
    files = sum(math.ceil(len(columns.positions(split)) / size) for split in SPLITS)
    rows, usable = len(columns), int(there.sum())
    seconds = np.nan_to_num(columns.seconds, nan=params.shard.seconds)[there]
    kb = rates.media_kb if params.data.media == "copy" else 0.0
    heard = sum(int(there[columns.positions(name)].sum()) for name in params.shard.heard_splits)
    clip_bytes = _clip_bytes(params.shard, classes, rates.jpeg_share)
    shard_bytes = usable * clip_bytes + heard * _wave_bytes(params.shard)
    return [
        Stage("download", files, rows, usable * kb * 1000, usable * rates.fetch_s / workers),
        Stage(
            "decode",
            files,
            rows,
            float(_decoded_bytes(seconds, params.decode).sum()),
            usable * rates.decode_s / workers,
        ),
        Stage("shard", files, usable, shard_bytes, usable * SHARD_S / workers),
    ]


def shard_sizes(params: Params, classes: int, rates: Rates) -> list[tuple[str, float]]:
    """Each split, and the bytes of one full shard of it."""
    clip, wave = _clip_bytes(params.shard, classes, rates.jpeg_share), _wave_bytes(params.shard)
    return [
        (split, params.data.shard_clips * (clip + wave * (split in params.shard.heard_splits)))
        for split in SPLITS
    ]


def _decoded_bytes(seconds: Floats32, settings: Decode) -> Floats:
    pcm = 2.0 * np.round(seconds * settings.sample_rate_hz)
    frames: Floats = np.ceil(seconds * settings.fps) * 3.0 * settings.size**2
    return frames + pcm


def _clip_bytes(settings: Shard, classes: int, jpeg_share: float) -> float:
    share = 1.0 if settings.video.jpeg_quality is None else jpeg_share
    video = settings.video.frames * settings.video.size**2 * 3 * share
    return settings.mel.frames * settings.mel.bands * 2 + video + classes


def _wave_bytes(settings: Shard) -> int:
    return settings.mel.frames * settings.mel.hop * 2


def losses(
    columns: Columns, there: Bools, classes: tuple[str, ...]
) -> list[tuple[str, int, int, int]]:
    """Of each class: name, clips that are asked for, that cannot be had, usable training clips.

    Most missing first, by share.
    """
    of_label = np.repeat(there, columns.label_counts)
    train = np.repeat(columns.splits == SPLITS.index("train"), columns.label_counts)
    asked, had, trained = (
        np.bincount(columns.labels[chosen], minlength=len(classes))
        for chosen in (slice(None), of_label, of_label & train)
    )
    share = 1 - had / np.maximum(asked, 1)
    order = np.lexsort((np.arange(len(classes)), -asked, -share))
    return [(classes[i], int(asked[i]), int(asked[i] - had[i]), int(trained[i])) for i in order]
