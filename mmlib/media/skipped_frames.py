"""Pictures that nobody will look at, left out before they are decoded.

At two frames a second most pictures of a 25 fps file are decoded in vain. Those that other pictures
refer to must be; half of an ordinary H.264 file's are referred to by none. Here the packets are
listed without decoding, those of unseen unreferenced pictures are found, and the decoding run is
told to drop them: the very same frames for 0.6 of the work (bench/decode.py). Any doubt, such as
damage, ends in an ordinary run over all pictures, so a result never depends on this.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import ffmpeg
import numpy as np

from mmlib.media.capture import capture
from mmlib.media.expressions import MOST_TERMS, any_of
from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.files import File, url
from mmlib.media.graph import Form, Section, compiled, copy_options, input_options
from mmlib.media.packets import LIST_BYTES, Track, read_listing
from mmlib.runtime.arrays import Floats

# Listing the packets costs 26 ms: as much as it saves in a file of about this size.
_WORTHWHILE_BYTES = 200_000
_CODECS = ("h264",)
# Less than this share is not worth a second process.
_LEAST_SHARE = 0.15
# In units of the time base: which of two pictures that close to a grid time is seen is a matter of
# how ffmpeg rounds the rate.
_DOUBT = Fraction(1, 4)
# An argument of a command has so many bytes at most.
_ARGUMENT_BYTES = 100_000


@dataclass(frozen=True)
class Unseen:
    """What to leave out: `drop` is a bit stream filter for the decoding run's input.

    `times` (n,) are those of all pictures in order, `left` (m,) those of the ones that stay, in
    seconds with the rounding of ffmpeg's own lists.
    """

    drop: str
    times: Floats
    left: Floats


def find_unseen(file: File, form: Form, section: Section, limits: Limits) -> Unseen | None:
    """List what can be left out of a decoding run over the whole file; None: nothing, or in doubt.

    Looks at MP4 files of a size that makes it worth while, whose pictures are H.264.
    """
    if section.start_s or not _may_pay(file):
        return None
    try:
        listed = capture(
            file, ("every", "referred"), partial(_command, url(file), section, limits), limits,
            LIST_BYTES,
        )  # fmt: skip
    except MediaError:
        # The decoding run meets the same fault, and says what it is.
        return None
    every, referred = (read_listing(listed.data[name]) for name in ("every", "referred"))
    if not listed.clean or len(every) != 1 or len(referred) != 1:
        return None
    if not _is_plain(every[0], section):
        return None
    return _choose(every[0], set(referred[0].times), form)


def _may_pay(file: File) -> bool:
    if isinstance(file, Path):
        with file.open("rb") as stream:
            head, size = stream.read(8), file.stat().st_size
    else:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(8)
        file.seek(0)
    return size >= _WORTHWHILE_BYTES and head[4:] == b"ftyp"


def _command(
    source: str, section: Section, limits: Limits, outputs: Mapping[str, str]
) -> list[str]:
    media = ffmpeg.input(source, t=section.max_seconds + 2.0, **input_options(limits))
    every = copy_options("Video", "framecrc")
    referred = every | {"bsf:v": "filter_units=discard=nonref"}
    lists = (
        media.output(outputs["every"], **every),
        media.output(outputs["referred"], **referred),
    )
    return compiled(lists)


def _is_plain(track: Track, section: Section) -> bool:
    times = track.times
    if track.codec not in _CODECS or track.odd or not times:
        return False
    # Read to its own end: what is cut off in the middle of it has other last pictures.
    read_s = min(section.max_seconds, section.length_s or math.inf)
    return len(set(times)) == len(times) and min(times) >= 0 and track.end_s < read_s


def _choose(track: Track, referred: set[int], form: Form) -> Unseen | None:
    unit = track.base
    ordered = sorted(track.times)
    # The first and the last picture say where the track begins and ends.
    seen = {ordered[0], ordered[-1]}
    fps = Fraction(str(form.fps))
    for tick in range(math.floor(ordered[-1] * unit * fps) + 2):
        exact = tick / fps / unit
        latest = ordered[max(0, bisect_right(ordered, exact) - 1)]
        seen.add(latest)
        if latest != exact:
            for doubt in (-_DOUBT, _DOUBT):
                seen.add(ordered[max(0, bisect_right(ordered, exact + doubt) - 1)])
    drop = [time for time in ordered if time not in referred and time not in seen]
    if len(drop) < _LEAST_SHARE * len(ordered):
        return None
    expression = "noise=drop=" + any_of(f"eq(pts\\,{time})" for time in drop)
    if len(drop) > MOST_TERMS or len(expression) > _ARGUMENT_BYTES:
        return None
    gone = set(drop)
    times = np.array([_printed(time * (unit.numerator / unit.denominator)) for time in ordered])
    left = np.array([time not in gone for time in ordered])
    return Unseen(expression, times, times[left])


def _printed(seconds: float) -> float:
    # As ffmpeg prints a time: six digits after the point, more for a small one.
    small = math.floor(math.log10(abs(seconds))) if seconds else 0
    return float(f"{seconds:.{6 if small >= 0 else 5 - small}f}")
