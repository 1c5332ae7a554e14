"""Pictures that nobody will look at, left out before they are decoded.

At two frames a second most pictures of a 25 fps file are decoded in vain. Those that other pictures
refer to must be; half of an ordinary H.264 file's are referred to by none. Here the packets are
listed without decoding, those of unseen unreferenced pictures are found, and the decoding run is
told to drop them: the very same frames for 0.6 of the work (bench/decode.py). Any doubt, such as
damage, ends in an ordinary run over all pictures, so a result never depends on this.
"""

import math
import re
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import ffmpeg
import numpy as np

from mmlib.media.ffmpeg import GLOBAL_ARGUMENTS, Limits, MediaError, binary, run
from mmlib.media.files import File, inherited, unnamed_file, url
from mmlib.media.graph import Form, Section, input_options
from mmlib.media.log import Log
from mmlib.runtime.arrays import Floats

# Listing the packets costs 26 ms: as much as it saves in a file of about this size.
_WORTHWHILE_BYTES = 200_000
_LIST_BYTES = 4 << 20
_CODECS = ("h264",)
_PACKET = re.compile(r"0, +-?\d+, +(?P<time>-?\d+),(?:.*, F=0x(?P<flags>[0-9a-fA-F]+))?")
_DISCARDED = 4
# Less than this share is not worth a second process.
_LEAST_SHARE = 0.15
# In units of the time base: which of two pictures that close to a grid time is seen is a matter of
# how ffmpeg rounds the rate.
_DOUBT = Fraction(1, 4)
# ffmpeg's expressions: so many terms a bracket, and an argument of a command of so many bytes.
_TERMS = 40
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

    Looks at MP4 files of a size that makes it worth while, with one H.264 track.
    """
    if section.start_s or not _may_pay(file):
        return None
    log = Log()
    try:
        with unnamed_file() as every, unnamed_file() as referred:
            status = run(
                _command(url(file), url(every), url(referred), section, limits),
                limits=limits,
                inherited=inherited(file, every, referred),
                output_bytes=_LIST_BYTES,
                on_line=log.read,
            )
            packets, needed = _packets(every.read()), _packets(referred.read())
    except MediaError:
        # The decoding run meets the same fault, and says what it is.
        return None
    if status or log.errors or not _is_plain(log, section) or packets is None or needed is None:
        return None
    return _choose(*packets, set(needed[0]), form)


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


def _command(source: str, every: str, referred: str, section: Section, limits: Limits) -> list[str]:
    media = ffmpeg.input(source, t=section.max_seconds + 2.0, **input_options(limits))
    options = {"map": "0:v:0", "c": "copy", "f": "framecrc"}
    lists = (
        media.output(every, **options),
        media.output(referred, **options, **{"bsf:v": "filter_units=discard=nonref"}),
    )
    merged = ffmpeg.merge_outputs(*lists).global_args(*GLOBAL_ARGUMENTS)
    command: list[str] = merged.compile(cmd=binary(), overwrite_output=True)
    return command


def _is_plain(log: Log, section: Section) -> bool:
    # Read to its own end: what is cut off in the middle of it has other last pictures.
    read_s = min(section.max_seconds, section.length_s or math.inf)
    videos = [stream for stream in log.streams.values() if stream.kind == "Video"]
    return (
        len(videos) == 1
        and videos[0].codec in _CODECS
        and log.duration_s is not None
        and log.duration_s < read_s
    )


def _packets(listing: bytes) -> tuple[list[int], tuple[int, int]] | None:
    """Presentation times, in units of the time base (numerator, denominator), which comes too."""
    times: list[int] = []
    base: tuple[int, int] | None = None
    for line in listing.decode("ascii", "replace").splitlines():
        if line.startswith("#tb 0: "):
            numerator, _, denominator = line.removeprefix("#tb 0: ").partition("/")
            base = int(numerator), int(denominator)
        elif not line.startswith("#"):
            match = _PACKET.match(line)
            # Of an edit list: decoded, but not shown.
            if not match or int(match["flags"] or "0", 16) & _DISCARDED:
                return None
            times.append(int(match["time"]))
    if base is None or not times or len(set(times)) < len(times) or min(times) < 0:
        return None
    return times, base


def _choose(
    packets: list[int], base: tuple[int, int], referred: set[int], form: Form
) -> Unseen | None:
    unit = Fraction(*base)
    ordered = sorted(packets)
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
    terms = [f"eq(pts\\,{time})" for time in drop]
    brackets = [
        "(" + "+".join(terms[begin : begin + _TERMS]) + ")"
        for begin in range(0, len(terms), _TERMS)
    ]
    expression = "noise=drop=" + "+".join(brackets)
    if len(brackets) > _TERMS or len(expression) > _ARGUMENT_BYTES:
        return None
    gone = set(drop)
    times = np.array([_printed(time * (base[0] / base[1])) for time in ordered])
    left = np.array([time not in gone for time in ordered])
    return Unseen(expression, times, times[left])


def _printed(seconds: float) -> float:
    # As ffmpeg prints a time: six digits after the point, more for a small one.
    small = math.floor(math.log10(abs(seconds))) if seconds else 0
    return float(f"{seconds:.{6 if small >= 0 else 5 - small}f}")
