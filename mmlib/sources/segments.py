"""Sections of videos as columns, and the lazy list of requests that they make."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmlib.runtime.arrays import Ascii, Bools, Ints, Ints8, Ints32
from mmlib.shards.rows.clips import SPLITS
from mmlib.sources.base import Request, Value
from mmlib.sources.columns import Columns
from mmlib.sources.lazy import Computed
from mmlib.sources.mirror import Mirror


@dataclass(frozen=True)
class Segments:
    """N sections: `videos` (N,) the ids as bytes, times in milliseconds, `splits` as in Columns.

    Clip i has `labels[label_ends[i - 1] : label_ends[i]]` (from 0 for the first), places in the
    class list.
    """

    videos: Ascii
    start_ms: Ints
    end_ms: Ints
    splits: Ints8
    labels: Ints32
    label_ends: Ints

    def __len__(self) -> int:
        return len(self.videos)

    def take(self, places: Ints) -> "Segments":
        """The sections at some places, in that order."""
        counts = np.diff(self.label_ends, prepend=0)[places]
        ends = np.cumsum(counts)
        # Of each label of the result, its place among the labels of this: begin + 0, 1, 2, ...
        begins = np.repeat(self.label_ends[places] - counts, counts)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
        return Segments(
            videos=self.videos[places],
            start_ms=self.start_ms[places],
            end_ms=self.end_ms[places],
            splits=self.splits[places],
            labels=self.labels[begins + within],
            label_ends=ends,
        )

    def with_splits(self, splits: Ints8) -> "Segments":
        """The same sections in other splits."""
        return replace(self, splits=splits)

    def clip_ids(self) -> pa.Array:
        """`<video>_<start>_<end>`, milliseconds: one for each section, whatever the list."""
        videos = pa.array(self.videos.tolist(), pa.binary()).cast(pa.string())
        start, end = (pa.array(times).cast(pa.string()) for times in (self.start_ms, self.end_ms))
        return pc.binary_join_element_wise(videos, start, end, "_")


def join(parts: Sequence[Segments]) -> Segments:
    """One list after the other."""
    columns = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Segments)
        if field.name != "label_ends"
    }
    counts = np.concatenate([np.diff(part.label_ends, prepend=0) for part in parts])
    return Segments(**columns, label_ends=np.cumsum(counts))


class SegmentRequests(Computed[Request]):
    """The requests of sections, made when they are taken; `files` (N,) are places in the mirror.

    A locator holds the video's id, and where the mirror has it (-1: it has not) the path, the
    file's size and time, and whether its name says that it is this very section.
    """

    def __init__(
        self,
        segments: Segments,
        classes: Sequence[str],
        mirror: Mirror | None,
        files: Ints,
    ) -> None:
        self._segments = segments
        self._classes = classes
        self._mirror = mirror
        self._files = files

    def __len__(self) -> int:
        return len(self._segments)

    def item(self, place: int) -> Request:
        """One section as a request."""
        segments = self._segments
        video = segments.videos[place].decode()
        start, end = int(segments.start_ms[place]), int(segments.end_ms[place])
        first = int(segments.label_ends[place - 1]) if place else 0
        labels = segments.labels[first : segments.label_ends[place]]
        return Request(
            clip_id=f"{video}_{start}_{end}",
            source_id=video,
            split=SPLITS[segments.splits[place]],
            labels=tuple(self._classes[label] for label in labels),
            start_s=start / 1000,
            end_s=end / 1000,
            locator={"video": video, **self._file(int(self._files[place]))},
        )

    def _file(self, number: int) -> dict[str, Value]:
        if self._mirror is None or number < 0:
            return {}
        path = self._mirror.path(number)
        version = self._mirror.version(number)
        return {"path": path, "version": version, "cut": self._mirror.is_section(number)}

    def columns(self) -> Columns:
        """The columns of all requests."""
        return self._columns

    @cached_property
    def _columns(self) -> Columns:
        segments = self._segments
        digest = hashlib.sha256(repr(self._classes).encode())
        for field in fields(Segments):
            digest.update(np.ascontiguousarray(getattr(segments, field.name)).tobytes())
        for version in self._versions():
            digest.update(version)
        return Columns(
            clip_ids=segments.clip_ids(),
            source_ids=pa.array(segments.videos.tolist(), pa.binary()).cast(pa.string()),
            splits=segments.splits,
            labels=segments.labels,
            label_ends=segments.label_ends,
            seconds=((segments.end_ms - segments.start_ms) / 1000).astype(np.float32),
            digest=digest.hexdigest(),
        )

    def _versions(self) -> Iterator[bytes]:
        if self._mirror is not None:
            for place in np.flatnonzero(self._files >= 0):
                number = int(self._files[place])
                version = self._mirror.version(number)
                yield os.fsencode(f"{place} {self._mirror.path(number)} {version}\n")

    def available(self) -> Bools | None:
        """Which sections the mirror has, (N,); None without a mirror."""
        return None if self._mirror is None else self._files >= 0
