"""One clip of stage download: fetched as its source does it, or failed, as a row."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmlib.runtime import stores
from mmlib.shards.rows.clips import FAILED, OK, Clip
from mmlib.sources.base import Fetch, Fetched, FetchError, Request


def request_hash(request: Request) -> str:
    """What was asked for, in 16 hex digits."""
    return hashlib.sha256(repr(request).encode()).hexdigest()[:16]


def fetch_clip(request: Request, source: str, fetch: Fetch) -> Clip:
    """Fetch one clip; one that cannot be had gives a failed row."""
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
        path=str(fetched.path.absolute()) if isinstance(fetched.path, Path) else fetched.path,
        sha256=sha256,
        status=OK,
        error=None,
        message=None,
        attempts=fetched.attempts,
    )


def _content_hash(fetched: Fetched) -> str:
    if fetched.media is not None:
        whole = hashlib.sha256(fetched.media).hexdigest()
    elif isinstance(fetched.path, str):
        whole = _object_hash(fetched.path)
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
def _object_hash(address: str) -> str:
    # Of what names it: its content would travel once more than decode needs it.
    try:
        return hashlib.sha256(repr(stores.find(address)).encode()).hexdigest()
    except stores.StoreError as error:
        raise FetchError(error.kind, error.message) from None


@lru_cache(maxsize=64)
def _file_hash(path: Path, size: int, mtime_ns: int) -> str:
    # Many clips may be sections of one long recording: it is read once.
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
