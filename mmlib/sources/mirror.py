"""A tree of clips or whole videos, on a disk or a store, indexed once by ids and times in names.

Names that are understood, in any folder and with any media extension, for the section 30 to 40 s of
the video `<id>` (YouTube's 11 characters, or whatever the list calls its videos):

    <id>.mp4  Y<id>.mp4                          the section, or the whole video
    <id>_30_40.mp4  <id>_30.000_40.000.mp4       the section, seconds
    <id>_000030_000040.mp4                       the section, Kinetics' six digits
    <id>_30000_40000.mp4                         the section, milliseconds
    <id>_30.mp4  <id>_000030.mp4  <id>_30000.mp4 the section, its start only

A - may stand for each _ between them.
"""

import os
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmlib.runtime import stores
from mmlib.runtime.arrays import Ascii, Bools, Ints, Ints8, Ints32
from mmlib.runtime.errors import UserError
from mmlib.sources.walking import walk

_VIDEO = (b"mp4", b"mkv", b"webm", b"mov", b"m4v", b"avi", b"flv", b"3gp", b"mpg", b"mpeg", b"ts")
_AUDIO = (b"wav", b"flac", b"m4a", b"mp3", b"ogg", b"opus", b"aac", b"aiff", b"aif")
# A clip with pictures is preferred to a sound file of the same name.
_RANK = {name: rank for rank, name in enumerate((*_VIDEO, *_AUDIO))}
_TIMES = rb"(?:[_-](\d{1,12}(?:\.\d{1,6})?))?(?:[_-](\d{1,12}(?:\.\d{1,6})?))?"
_YOUTUBE = re.compile(rb"Y?([\w-]{11})" + _TIMES)
_OTHER = re.compile(rb"([\w-]+?)" + _TIMES)
_NONE = -1
# Names with whole seconds may have been cut or rounded from a time between two.
_SECOND_MS = 1000


@dataclass(frozen=True)
class Mirror:
    """F files, sorted by the `videos` (F,) that they show; times (F,) in ms, -1 for none.

    Times are read as seconds; `whole` tells names without decimals. A file's name is
    `names[name_begins[i] : name_ends[i]]`, in `folders[folder_of[i]]`. Of an object store, `stamps`
    (F, 2) are sizes and times of writing; on a disk they are looked up when asked for.
    """

    folders: list[str]
    videos: Ascii
    start_ms: Ints
    end_ms: Ints
    whole: Bools
    rank: Ints8
    folder_of: Ints32
    names: bytes
    name_begins: Ints
    name_ends: Ints
    stamps: Ints | None

    def __len__(self) -> int:
        return len(self.videos)

    def path(self, number: int) -> str:
        """Absolute path or address of a file."""
        name = self.names[self.name_begins[number] : self.name_ends[number]]
        return f"{self.folders[self.folder_of[number]]}/{os.fsdecode(name)}"

    def version(self, number: int) -> str | None:
        """Size and time of a file: changed, moved or gone, it makes what is stored of it stale."""
        if self.stamps is not None:
            return " ".join(map(str, self.stamps[number].tolist()))
        try:
            status = Path(self.path(number)).stat()
        except OSError:
            return None
        return f"{status.st_size} {status.st_mtime_ns}"

    def is_section(self, number: int) -> bool:
        """Tell whether the name holds times, so that the file is a section."""
        return bool(self.start_ms[number] != _NONE)

    def find(
        self,
        videos: Ascii,
        start_ms: Ints,
        end_ms: Ints,
    ) -> Ints:
        """Find the file of each of N sections, (N,); -1 where there is none.

        A name with both times goes before one with the start only, then whole seconds less than
        one off, then a bare id; then pictures before sound, then the order of paths.
        """
        first = np.searchsorted(self.videos, videos, "left")
        counts = np.searchsorted(self.videos, videos, "right") - first
        wanted = np.repeat(np.arange(len(videos)), counts)
        ends = np.cumsum(counts)
        files = np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - ends + counts, counts)
        score = self._score(files, start_ms[wanted], end_ms[wanted])
        fits = score >= 0
        wanted, files = wanted[fits], files[fits]
        score = score[fits] * len(_RANK) + self.rank[files]
        order = np.lexsort((files, score, wanted))
        wanted, files, score = wanted[order], files[order], score[order]
        found = np.full(len(videos), _NONE, np.int64)
        best = np.flatnonzero(np.diff(wanted, prepend=_NONE))
        found[wanted[best]] = files[best]
        for place in best[self._tied(best, wanted, score)]:
            last = place + 1
            while last < len(wanted) and (wanted[last], score[last]) == (
                wanted[place],
                score[place],
            ):
                last += 1
            found[wanted[place]] = min(files[place:last].tolist(), key=self.path)
        return found

    def _tied(self, best: Ints, wanted: Ints, score: Ints) -> Bools:
        following = np.minimum(best + 1, len(wanted) - 1)
        same: Bools = wanted[following] == wanted[best]
        same &= (score[following] == score[best]) & (following != best)
        return same

    def _score(self, files: Ints, start: Ints, end: Ints) -> Ints:
        """How well files fit sections: 0 best, -1 not at all."""
        has_start, has_end = self.start_ms[files], self.end_ms[files]
        open_end, bare = has_end == _NONE, has_start == _NONE
        exact = np.zeros(len(files), bool)
        for unit in (1, 1000):
            exact |= (has_start == start * unit) & (open_end | (has_end == end * unit))
        near = self.whole[files] & (np.abs(has_start - start) < _SECOND_MS)
        near &= open_end | (np.abs(has_end - end) < _SECOND_MS)
        by_kind = [4, open_end.astype(np.int64), 2 + open_end]
        score: Ints = np.select([bare, exact, near], by_kind, -1)
        return score


def index(root: str, longest_id: int) -> Mirror:
    """Index all media files below `root` whose ids have at most `longest_id` characters.

    Links are followed. UserError when a folder or a store cannot be read.
    """
    if not stores.is_address(root) and not Path(root).is_dir():
        raise UserError(f"{root}: no such folder; the mirror is the folder that holds the media")
    folders: list[str] = []
    videos, names = bytearray(), bytearray()
    start_ms, end_ms, name_ends, name_begins = array("q"), array("q"), array("q"), array("q")
    whole, rank, folder_of, stamps = array("b"), array("b"), array("i"), array("q")
    for folder, number, files in walk(root):
        folders.append(folder)
        for name, stamp in files:
            stem, _, extension = name.rpartition(b".")
            kind = _RANK.get(extension.lower())
            if kind is None:
                continue
            begin = len(names)
            names += name
            for video, begins, ends in _readings(stem):
                if len(video) <= longest_id:
                    videos += video.ljust(longest_id, b"\0")
                    start_ms.append(_milliseconds(begins))
                    end_ms.append(_milliseconds(ends))
                    whole.append(b"." not in (begins or b".") and b"." not in (ends or b""))
                    rank.append(kind)
                    folder_of.append(number)
                    name_begins.append(begin)
                    name_ends.append(len(names))
                    stamps.extend(stamp)
    ids = np.frombuffer(bytes(videos), f"S{longest_id}")
    order = np.argsort(ids, kind="stable")
    return Mirror(
        folders=folders,
        videos=ids[order],
        start_ms=np.array(start_ms, np.int64)[order],
        end_ms=np.array(end_ms, np.int64)[order],
        whole=np.array(whole, bool)[order],
        rank=np.array(rank, np.int8)[order],
        folder_of=np.array(folder_of, np.int32)[order],
        names=bytes(names),
        name_begins=np.array(name_begins, np.int64)[order],
        name_ends=np.array(name_ends, np.int64)[order],
        stamps=np.array(stamps, np.int64).reshape(-1, 2)[order] if stamps else None,
    )


def _readings(stem: bytes) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """What a name may say: id, start, end. YouTube's ids have one reading, others perhaps two."""
    if match := _YOUTUBE.fullmatch(stem):
        yield match[1], match[2], match[3]
        if len(stem) == 12:
            yield stem, None, None
    elif match := _OTHER.fullmatch(stem):
        yield match[1], match[2], match[3]
        if match[2] is not None:
            yield stem, None, None


def _milliseconds(text: bytes | None) -> int:
    return _NONE if text is None else round(float(text) * 1000)
