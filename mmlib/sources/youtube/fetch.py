"""A section of a video -> a file that is kept, fetched at most once: what sources call."""

import os
import random
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mmlib.params.data import Data
from mmlib.runtime.errors import UserError
from mmlib.runtime.paths import full_path
from mmlib.runtime.scratch import publish_json
from mmlib.runtime.storage import read_json
from mmlib.sources.base import Fetched, FetchError, Request
from mmlib.sources.youtube.gate import Gate
from mmlib.sources.youtube.outcomes import NO_ANSWER, TRANSIENT, Failure
from mmlib.sources.youtube.pacing import Pacing, pacing
from mmlib.sources.youtube.visit import Section, empty_folder, require_yt_dlp, visit

_ID = re.compile(r"[A-Za-z0-9_-]{11}")
# One pace for all experiments of a project at once.
_STATE = Path("scratch/youtube")
_SETTINGS_NAME = "youtube.json"
_LONGEST_BACKOFF_S = 600.0


@dataclass(frozen=True)
class Site:
    """Where videos are and how they are kept.

    `url` is a video's address with {id} for its id; one that is not YouTube's is read as a media
    file. `keep` is the folder of fetched clips; `height` limits the shorter side of pictures, in
    pixels; `copy` stores the bytes in the rows, otherwise the path in `keep`.
    """

    url: str
    keep: str
    height: int
    copy: bool


def site(data: Data) -> Site:
    """The site that the params name."""
    known = data.youtube
    return Site(url=known.url, keep=known.keep, height=known.height, copy=data.media == "copy")


def kept_path(video: str, start_s: float, end_s: float, keep: Path) -> Path:
    """Where a section is kept: `<id>_<start>_<end>.mp4`, in milliseconds."""
    return keep / f"{video}_{round(start_s * 1000)}_{round(end_s * 1000)}.mp4"


def fetch(request: Request, site: Site) -> Fetched:
    """Get the section `start_s` .. `end_s` of the video `locator["video"]`, cut exactly.

    One that is kept already is taken as it is. Otherwise it is tried as often as the environment
    allows (see `pacing`), with waits that grow and vary. FetchError kinds: those of `outcomes`,
    and bad_id. UserError when the site has refused for too long, so that no more rows fail.
    """
    video = str(request.locator["video"])
    if request.start_s is None or request.end_s is None:
        raise ValueError(f"clip {request.clip_id} has no section")
    if not _ID.fullmatch(video):
        raise FetchError("bad_id", f"{video!r} is no video id: 11 letters, digits, - or _")
    kept = kept_path(video, request.start_s, request.end_s, full_path(site.keep))
    _check_settings(kept.parent, site)
    attempts = 1
    if not kept.is_file():
        require_yt_dlp()
        section = Section(
            url=site.url.replace("{id}", video),
            extractor="youtube" if _is_youtube(site.url) else "generic",
            start_s=request.start_s,
            end_s=request.end_s,
            height=site.height,
        )
        attempts = _try(section, kept, pacing())
    if not site.copy:
        return Fetched(path=kept, attempts=attempts)
    return Fetched(media=kept.read_bytes(), attempts=attempts)


def _is_youtube(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "youtu.be" or f".{host}".endswith((".youtube.com", ".youtube-nocookie.com"))


def _try(section: Section, kept: Path, pace: Pacing) -> int:
    """Visit until the section is kept; return how many visits it took, or raise FetchError."""
    gate = Gate(full_path(_STATE), pace)
    for attempt in range(1, pace.attempts + 1):
        gate.enter()
        failure = _visit_once(section, kept, pace)
        refusal = failure if failure and failure.kind in NO_ANSWER else None
        gate.leave(f"{refusal.kind}: {refusal.message}" if refusal else None)
        if failure is None:
            return attempt
        if failure.kind not in TRANSIENT or attempt == pace.attempts:
            raise FetchError(failure.kind, failure.message, attempt)
        time.sleep(_wait_s(attempt, failure, pace))
    raise AssertionError("a clip is tried at least once")


def _visit_once(section: Section, kept: Path, pace: Pacing) -> Failure | None:
    old_s = 2 * pace.timeout_s + 60.0
    folder = empty_folder(kept.parent / ".partial", kept.stem, older_than_s=old_s)
    try:
        result = visit(section, pace, folder, full_path(_STATE) / "cache")
        if isinstance(result, Failure):
            return result
        with result.open("rb+") as stream:
            os.fsync(stream.fileno())
        result.replace(kept)
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_s(attempt: int, failure: Failure, pace: Pacing) -> float:
    # Full jitter: workers that failed together do not come back together.
    longest = min(_LONGEST_BACKOFF_S, pace.backoff_s * 2 ** (attempt - 1))
    asked = min(failure.wait_s or 0.0, _LONGEST_BACKOFF_S)
    return max(asked, random.uniform(0.0, longest))


def _check_settings(keep: Path, site: Site) -> None:
    """Refuse to mix clips of other sizes, or of another site, into one folder."""
    path = keep / _SETTINGS_NAME
    settings = {"url": site.url, "height": site.height}
    if not path.is_file():
        publish_json(settings, path)
    elif read_json(path, "set data.youtube.keep to another folder") != settings:
        raise UserError(
            f"{keep} holds clips that were fetched with other settings ({path} says which): set "
            "data.youtube.keep to another folder, or data.youtube.height and url back"
        )
