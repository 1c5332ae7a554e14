"""One run of ffmpeg over a file: what came out of its pipes, and what its log says."""

import math
import re
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from mmlib.media.ffmpeg import Limits, MediaError, run
from mmlib.media.files import File, inherited, unnamed_file, url
from mmlib.media.graph import Form, Section, decode_command
from mmlib.media.log import Log
from mmlib.media.skipped_frames import find_unseen
from mmlib.runtime.arrays import Bytes, Floats, Ints, Ints16

_OUTPUTS = {"Video": ("frames", "ticks", "times"), "Audio": ("sound", "begin")}
# The lists of times of a short clip at a low rate need more room than its frames.
_LEAST_BYTES = 16 << 20
_TIME = re.compile(rb"pts_time:(-?[0-9.e+-]+)")


@dataclass(frozen=True)
class Reading:
    """What came of it; times in seconds from the section's start.

    `frames` (n, H, W, 3) with their grid `ticks` (n,); `times` of the source's own frames, of which
    the first is at `video_begin` (infinite: there is none); `sound` (N,) int16, from `begin` on.
    """

    frames: Bytes
    ticks: Ints
    times: Floats
    video_begin: float
    sound: Ints16
    begin: float
    log: Log
    status: int

    @property
    def empty(self) -> bool:
        return not len(self.frames) and not len(self.sound)


def read_tracks(file: File, form: Form, section: Section, limits: Limits) -> Reading:
    """Read both tracks, or the one that the file has; MediaError when a limit is passed."""
    unseen = find_unseen(file, form, section, limits)
    if unseen is not None:
        reading = _read(file, ("Video", "Audio"), form, section, limits, drop=unseen.drop)
        clean = reading.status == 0 and not reading.log.errors
        if clean and np.array_equal(reading.times, unseen.left):
            return replace(reading, times=unseen.times)
    reading = _read(file, ("Video", "Audio"), form, section, limits)
    for kind in ("Video", "Audio"):
        # ffmpeg gives up on both tracks when one is absent or has no decoder: take one alone.
        if reading.empty and reading.log.has(kind):
            reading = _read(file, (kind,), form, section, limits)
    return reading


def _read(
    file: File,
    kinds: tuple[str, ...],
    form: Form,
    section: Section,
    limits: Limits,
    drop: str | None = None,
) -> Reading:
    log = Log()

    def on_line(line: str) -> None:
        # The header comes before the first picture is decoded for output: bombs end here.
        log.read(line)
        log.refuse_large(limits.max_pixels)
        section.refuse(log.duration_s)

    names = [name for kind in kinds for name in _OUTPUTS[kind]]
    with ExitStack() as stack:
        files = {name: stack.enter_context(unnamed_file()) for name in names}
        status = run(
            decode_command(
                url(file), {n: url(f) for n, f in files.items()}, form, section, limits, drop=drop
            ),
            limits=limits,
            inherited=inherited(file, *files.values()),
            output_bytes=_output_bytes(form, section, limits),
            on_line=on_line,
        )
        data = {name: file.read() for name, file in files.items()}
    return _parse(data, form, log, status)


def _parse(data: dict[str, bytes], form: Form, log: Log, status: int) -> Reading:
    ticks = _numbers(data.get("ticks", b"").split()).astype(np.int64)
    times = _numbers(_TIME.findall(data.get("times", b"")))
    picture = form.size**2 * 3
    # A process that was ended may leave half a picture, or a list that is a line short.
    count = min(len(data.get("frames", b"")) // picture, len(ticks)) if len(times) else 0
    frames = np.frombuffer(data.get("frames", b""), np.uint8, count * picture)
    frames, ticks = frames.reshape(count, form.size, form.size, 3), ticks[:count]
    # Where the picture changes its size midway, the filters start anew: `times` then has only what
    # came after, and the grid is filled from its start again, with what is dropped here.
    fresh = np.diff(np.maximum.accumulate(ticks), prepend=-1) > 0
    if not fresh.all():
        frames, ticks = frames[fresh], ticks[fresh]
    sound = data.get("sound", b"")
    begin = _numbers(data.get("begin", b"").split()[:1])
    first = math.inf if count == 0 else times[0] if fresh.all() else min(times[0], 0.0)
    return Reading(
        frames=frames,
        ticks=ticks,
        times=times,
        video_begin=float(first),
        sound=np.frombuffer(sound, "<i2", len(sound) // 2),
        begin=float(begin[0]) if len(begin) else 0.0,
        log=log,
        status=status,
    )


def _output_bytes(form: Form, section: Section, limits: Limits) -> int:
    seconds = limits.max_seconds + section.lead_s + 4.0
    frames = math.ceil(seconds * form.fps) * form.size**2 * 3
    return max(frames, math.ceil(seconds * form.sample_rate_hz) * 2, _LEAST_BYTES)


def _numbers(texts: Sequence[bytes]) -> Floats:
    numbers = np.array(texts, np.float64)
    return numbers[np.isfinite(numbers)]


def refuse_header(log: Log) -> None:
    """Raise MediaError when the log tells of no container, or of no track in it."""
    error = log.errors[0] if log.errors else "no streams found"
    if not log.streams:
        raise MediaError("not_media", f"no container of a known kind: {error}")
    if not log.has("Video") and not log.has("Audio"):
        raise MediaError("no_tracks", "neither a video nor an audio track")


def refuse(reading: Reading, section: Section, limits: Limits) -> None:
    """Raise MediaError when the run gave nothing that can be used."""
    log = reading.log
    if any("Cannot allocate memory" in error for error in log.errors):
        raise MediaError("memory", "the decoder needs more memory than it is allowed")
    if any("exceeds specified max pixel count" in error for error in log.errors):
        raise MediaError("too_large", f"pictures are larger than {limits.max_pixels} pixels")
    if reading.status == -signal.SIGXCPU:
        raise MediaError("timeout", f"not done after {limits.timeout_s:g} s of computing")
    if reading.status < 0:
        raise MediaError("crashed", f"the decoder was ended by signal {-reading.status}")
    refuse_header(log)
    if max(reading.begin, reading.times[-1] if len(reading.times) else 0) > limits.max_seconds + 3:
        raise MediaError("too_long", f"its times go beyond {limits.max_seconds:g} s")
    if not reading.empty:
        return
    if not log.errors and section.start_s > 0:
        raise MediaError("empty_section", f"nothing at {section.start_s:g} s")
    error = log.errors[0] if log.errors else f"ffmpeg ended with status {reading.status}"
    raise MediaError("undecodable", error)
