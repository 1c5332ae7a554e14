"""One shard of stage download: its clips are fetched, or taken over from an earlier run."""

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmlib.runtime.scratch import Scratch
from mmlib.shards.retry import (
    Earlier,
    in_order,
    is_whole,
    link,
    merge,
)
from mmlib.shards.rows.clips import (
    CLIP_SCHEMA,
    FAILED,
    OK,
    Clip,
    read_clips,
    write_rows,
)
from mmlib.sources.base import Fetch, Fetched, FetchError, Request


@dataclass(frozen=True)
class Piece:
    """One shard to fetch: its file name, and its clips in order."""

    name: str
    source: str
    requests: tuple[Request, ...]
    fetch: Fetch


def fetch_piece(piece: Piece, scratch: Scratch, made_by: str, earlier: Earlier | None) -> None:
    """Write the piece into `scratch`; rows of `earlier` that are the same and good are kept."""
    rows = earlier.rows(piece.name) if earlier else {}
    asked = [_request_hash(request) for request in piece.requests]
    found = [rows.get(request.clip_id) for request in piece.requests]
    same = [
        place if place and place.row["request"] == hash_ else None
        for place, hash_ in zip(found, asked, strict=True)
    ]
    numbers = in_order(None if p and earlier and earlier.again(p) else p for p in same)
    if earlier and rows and is_whole(numbers, len(rows)):
        link(earlier.folder / piece.name, scratch.path(piece.name))
        return

    def fetch_row(index: int) -> Clip:
        place = same[index]
        before = place.row["attempts"] if place else 0
        clip = _fetch_clip(piece.requests[index], piece.source, piece.fetch)
        return replace(clip, request=asked[index], attempts=clip.attempts + before)

    kept = read_clips(earlier.folder / piece.name) if earlier and rows else iter(())
    facts = {"source": piece.source, "split": piece.requests[0].split, "made_by": made_by}
    merged = merge(kept, numbers, range(len(numbers)), fetch_row)
    scratch.write(piece.name, lambda path: write_rows(path, CLIP_SCHEMA, merged, facts))


def _request_hash(request: Request) -> str:
    return hashlib.sha256(repr(request).encode()).hexdigest()[:16]


def _fetch_clip(request: Request, source: str, fetch: Fetch) -> Clip:
    known: dict[str, Any] = {
        "clip_id": request.clip_id,
        "source_id": request.source_id,
        "split": request.split,
        "labels": request.labels,
        "source": source,
    }
    try:
        fetched = fetch(request)
        sha256 = _content_hash(fetched)
    except FetchError as error:
        return Clip(
            **known,
            start_s=request.start_s,
            end_s=request.end_s,
            media=None,
            path=None,
            sha256=None,
            status=FAILED,
            error=error.kind,
            message=error.message,
            attempts=error.attempts,
        )
    return Clip(
        **known,
        start_s=fetched.start_s,
        end_s=fetched.end_s,
        media=fetched.media,
        path=None if fetched.path is None else str(fetched.path.absolute()),
        sha256=sha256,
        status=OK,
        error=None,
        message=None,
        attempts=fetched.attempts,
    )


def _content_hash(fetched: Fetched) -> str:
    if fetched.media is not None:
        whole = hashlib.sha256(fetched.media).hexdigest()
    else:
        assert fetched.path is not None
        try:
            status = fetched.path.stat()
            whole = _file_hash(fetched.path, status.st_size, status.st_mtime_ns)
        except OSError as error:
            message = f"{error.strerror}: {fetched.path}"
            raise FetchError("unreadable_file", message) from None
    if fetched.start_s is None and fetched.end_s is None:
        return whole
    # Two sections of one file are not the same clip.
    return hashlib.sha256(f"{whole} {fetched.start_s} {fetched.end_s}".encode()).hexdigest()


@lru_cache(maxsize=64)
def _file_hash(path: Path, size: int, mtime_ns: int) -> str:
    # Many clips may be sections of one long recording: it is read once.
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
