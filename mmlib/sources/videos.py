"""What AudioSet and Kinetics-Sounds share: a list of sections, cut down, found and fetched."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from mmlib.params.data import Data, VideoData
from mmlib.runtime import stores
from mmlib.runtime.arrays import Ints
from mmlib.runtime.paths import full_path
from mmlib.shards.rows.clips import SPLITS
from mmlib.sources.base import ClipList, Fetched, FetchError, Request
from mmlib.sources.local import take_section
from mmlib.sources.mirror import Mirror, index
from mmlib.sources.segments import SegmentRequests, Segments
from mmlib.sources.subset import choose, size_of
from mmlib.sources.validation import carved_splits
from mmlib.sources.youtube.fetch import Site, fetch, site

_TRAIN, _VAL, _EVAL = (SPLITS.index(split) for split in ("train", "val", "eval"))


def video_list(
    source: str,
    segments: Segments,
    classes: Sequence[str],
    settings: VideoData,
    data: Data,
    seed: int,
) -> ClipList:
    """Cut a list down as the params say, find its media, and carve val out of train if it has none.

    A limit on the training clips counts those of val too.
    """
    mirror = None
    if settings.mirror:
        mirror = index(_mirror(settings.mirror), segments.videos.dtype.itemsize)
    files = _files(segments, mirror)
    kept = _kept(segments, classes, settings, files, seed)
    segments, files = segments.take(kept), files[kept]
    if not (segments.splits == _VAL).any():
        columns = SegmentRequests(segments, classes, None, files).columns()
        segments = segments.with_splits(carved_splits(columns, data.val_share))
    return ClipList(
        source=source,
        classes=tuple(classes),
        task=data.task,
        requests=SegmentRequests(segments, classes, mirror, files),
        fetch=partial(
            fetch_section,
            mirror=settings.mirror,
            holds=settings.mirror_holds,
            site=site(data) if settings.youtube else None,
            copy=data.media == "copy",
        ),
    )


def _mirror(written: str) -> str:
    return written if stores.is_address(written) else str(full_path(written))


def _files(segments: Segments, mirror: Mirror | None) -> Ints:
    if mirror is None:
        return np.full(len(segments), -1)
    return mirror.find(segments.videos, segments.start_ms, segments.end_ms)


def _kept(
    segments: Segments,
    classes: Sequence[str],
    settings: VideoData,
    files: Ints,
    seed: int,
) -> Ints:
    """Places of the clips that the limits leave, rising; the limits hold for train and for eval."""
    most = {True: settings.max_eval_clips, False: settings.max_train_clips}
    if settings.max_share == 1 and not any(most.values()) and settings.subset_from == "list":
        return np.arange(len(segments))
    kept = []
    for is_eval, limit in most.items():
        chosen = (segments.splits == _EVAL) == is_eval
        if settings.subset_from == "mirror":
            chosen &= files >= 0
        places = np.flatnonzero(chosen)
        part = SegmentRequests(segments.take(places), classes, None, files[places]).columns()
        size = size_of(len(places), limit, settings.max_share)
        kept.append(places[choose(part, size, settings.subset, seed)])
    return np.sort(np.concatenate(kept))


def fetch_section(
    request: Request, mirror: str | None, holds: str, site: Site | None, copy: bool
) -> Fetched:
    """Take a section from the mirror, or else from the site where there is one.

    FetchError kinds: those of `take_section`; those of the site, or without one not_in_mirror.
    """
    path = request.locator.get("path")
    if path is not None:
        holds = "clips" if request.locator["cut"] else holds
        return take_section(request, str(path), holds=holds, copy=copy)
    if site is not None:
        return fetch(request, site)
    if mirror is None:
        message = "neither a mirror nor youtube is set among the source's params"
    else:
        message = f"no file in {mirror} is named as this section of {request.source_id}"
    raise FetchError("not_in_mirror", message)
