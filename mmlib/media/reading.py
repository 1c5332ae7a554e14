"""One run of ffmpeg over a file: what came out of its pipes, and what its log says."""

import math
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmlib.media.ffmpeg import Limits, MediaError, run
from mmlib.media.files import File, inherited, unnamed_file, url
from mmlib.media.graph import Form, Section, decode_command
from mmlib.media.log import Log

_OUTPUTS = {"Video": ("frames", "ticks", "times"), "Audio": ("sound", "begin")}
# The lists of times of a short clip at a low rate need more room than its frames.
_LEAST_BYTES = 16 << 20
_TIME = re.compile(rb"pts_time:(-?[0-9.e+-]+)")


@dataclass(frozen=True)
class Reading:
    """What came of it; times in seconds from the section's start.

    `frames` (n, H, W, 3) with their grid `ticks` (n,); `times` of the source's frames; `sound`
    (N,) int16 that begins at `begin`.
    """

    frames: NDArray[np.uint8]
    ticks: NDArray[np.int64]
    times: NDArray[np.float64]
    sound: NDArray[np.int16]
    begin: float
    log: Log
    status: int

    @property
    def empty(self) -> bool:
        return not len(self.frames) and not len(self.sound)


def read_tracks(file: File, form: Form, section: Section, limits: Limits) -> Reading:
    """Read both tracks, or the one that the file has; MediaError when a limit is passed."""
    reading = _read(file, ("Video", "Audio"), form, section, limits)
    for kind in ("Video", "Audio"):
        # ffmpeg gives up on both tracks when one is absent or has no decoder: take one alone.
        if reading.empty and reading.log.has(kind):
            reading = _read(file, (kind,), form, section, limits)
    return reading


def _read(
    file: File, kinds: tuple[str, ...], form: Form, section: Section, limits: Limits
) -> Reading:
    log = Log()

    def on_line(line: str) -> None:
        # The header comes before the first picture is decoded for output: bombs end here.
        log.read(line)
        log.refuse_large(limits.max_pixels)
        section.refuse_long(log.duration_s)

    names = [name for kind in kinds for name in _OUTPUTS[kind]]
    with ExitStack() as stack:
        files = {name: stack.enter_context(unnamed_file()) for name in names}
        status = run(
            decode_command(url(file), {n: url(f) for n, f in files.items()}, form, section, limits),
            limits=limits,
            inherited=inherited(file, *files.values()),
            output_bytes=_output_bytes(form, section, limits),
            on_line=on_line,
        )
        data = {name: file.read() for name, file in files.items()}
    frames = np.frombuffer(data.get("frames", b""), np.uint8)
    picture = form.size**2 * 3
    begin = _numbers(data.get("begin", b"").split())
    return Reading(
        frames[: len(frames) // picture * picture].reshape(-1, form.size, form.size, 3),
        _numbers(data.get("ticks", b"").split()).astype(np.int64),
        _numbers(_TIME.findall(data.get("times", b""))),
        np.frombuffer(data.get("sound", b""), "<i2"),
        float(begin[0]) if len(begin) else 0.0,
        log,
        status,
    )


def _output_bytes(form: Form, section: Section, limits: Limits) -> int:
    seconds = limits.max_seconds + section.lead_s + 4.0
    frames = math.ceil(seconds * form.fps) * form.size**2 * 3
    return max(frames, math.ceil(seconds * form.sample_rate_hz) * 2, _LEAST_BYTES)


def _numbers(texts: Sequence[bytes]) -> NDArray[np.float64]:
    numbers = np.array(texts, np.float64)
    return numbers[np.isfinite(numbers)]


def refuse_header(log: Log) -> None:
    """Raise MediaError when the log tells of no container, or of no track in it."""
    error = log.errors[0] if log.errors else "no streams found"
    if not log.streams:
        raise MediaError("not_media", f"no container of a known kind: {error}")
    if not log.has("Video") and not log.has("Audio"):
        raise MediaError("no_tracks", "neither a video nor an audio track")


def refuse(reading: Reading, section: Section) -> None:
    """Raise MediaError when the run gave nothing that can be used."""
    log = reading.log
    if any("Cannot allocate memory" in error for error in log.errors):
        raise MediaError("memory", "the decoder needs more memory than it is allowed")
    if reading.status < 0:
        raise MediaError("crashed", f"the decoder was ended by signal {-reading.status}")
    refuse_header(log)
    if not reading.empty:
        return
    if not log.errors and section.start_s > 0:
        length = "unknown" if log.duration_s is None else f"{log.duration_s:g} s"
        raise MediaError("empty_section", f"nothing at {section.start_s:g} s; length {length}")
    error = log.errors[0] if log.errors else f"ffmpeg ended with status {reading.status}"
    raise MediaError("undecodable", error)
