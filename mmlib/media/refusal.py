"""What is refused after reading: files that gave nothing, or more than they may."""

import re
from collections.abc import Sequence
from typing import NoReturn

from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.graph import Section
from mmlib.media.log import Log
from mmlib.media.tracks import Reading

_TOO_LARGE = re.compile(r"Picture size (\d+x\d+) exceeds specified max pixel count")


def refuse_kind(log: Log) -> None:
    """Raise MediaError "not_media" when the file is of no known kind."""
    if not log.opened:
        error = next(iter(log.errors), "no streams found")
        raise MediaError("not_media", f"no container of a known kind: {error}")


def refuse(reading: Reading, limits: Limits) -> None:
    """Raise MediaError when the run gave nothing that can be used."""
    errors, statuses = _errors(reading), (reading.pictures.status, reading.sound.status)
    if any("Cannot allocate memory" in error for error in errors):
        raise MediaError("memory", "the decoder needs more memory than it is allowed")
    _refuse_large(errors, limits)
    if min(statuses) < 0:
        raise MediaError("crashed", f"the decoder was ended by signal {-min(statuses)}")
    refuse_kind(reading.pictures.log)
    if not reading.pictures.present and not reading.sound.present:
        raise MediaError("no_tracks", "neither a video nor an audio track")
    if max(reading.sound.begin, reading.pictures.end) > limits.max_seconds + 3:
        raise MediaError("too_long", f"its times go beyond {limits.max_seconds:g} s")


def refuse_empty(reading: Reading, section: Section) -> NoReturn:
    """Raise MediaError that says why neither track gave anything."""
    errors, status = _errors(reading), max(reading.pictures.status, reading.sound.status)
    if unknown := sorted({kind.lower() for log in reading.logs for kind in log.unknown}):
        raise MediaError("undecodable", f"nothing tells how to decode its {' and '.join(unknown)}")
    if not errors and (section.start_s > 0 or section.end_s is not None):
        raise MediaError("empty_section", f"nothing at {section.start_s:g} s")
    raise MediaError("undecodable", errors[0] if errors else f"ffmpeg ended with status {status}")


def _errors(reading: Reading) -> list[str]:
    # The demuxer and the decoder speak as they come to it: the order may vary.
    return sorted({error for log in reading.logs for error in log.errors})


def _refuse_large(errors: Sequence[str], limits: Limits) -> None:
    for error in errors:
        if match := _TOO_LARGE.search(error):
            message = f"pictures of {match[1]}, over {limits.max_pixels} pixels"
            raise MediaError("too_large", message)
