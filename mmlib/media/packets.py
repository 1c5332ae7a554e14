"""The packets of a file's tracks, listed without decoding them.

ffmpeg's framecrc format is the one listing of a file that no tag can reach: numbers only, and names
out of ffmpeg's own tables.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import ffmpeg

from mmlib.media.capture import Captured, capture
from mmlib.media.ffmpeg import Limits
from mmlib.media.files import File, url
from mmlib.media.graph import Options, compiled, copy_options, input_options

LIST_BYTES = 16 << 20
_FACT = re.compile(r"#(\w+) (\d+): (.*)")
_PACKET = re.compile(
    r"(?P<track>\d+), +-?\d+, +(?P<time>-?\d+), +(?P<length>\d+), +\d+, 0x[0-9a-f]+"
    r"(?:, F=0x(?P<flags>[0-9a-fA-F]+))?"
)
_LAYOUT = re.compile(r"(\d+) channels|ambisonic (\d+)")
# Of a packet that is decoded, but not shown.
_DISCARDED = 4


@dataclass
class Track:
    """One track; `times` of its packets and their `lengths`, in units of `base` seconds.

    `channels` where the layout says no more than their number, else 0. `odd`: a packet could not be
    read, or is not to be shown.
    """

    codec: str = ""
    base: Fraction = Fraction(0)
    channels: int = 0
    times: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    odd: bool = False

    @property
    def end_s(self) -> float:
        """When the last of its packets ends, in seconds; minus infinity without packets."""
        ends = map(sum, zip(self.times, self.lengths, strict=True))
        return float(max(ends) * self.base) if self.times else -math.inf

    def take(self, name: str, value: str) -> None:
        """Take up a fact of the listing's head."""
        if name == "tb":
            self.base = Fraction(value)
        elif name == "codec_id":
            self.codec = value
        elif name == "channel_layout_name" and (match := _LAYOUT.match(value)):
            self.channels = int(match[1]) if match[1] else (int(match[2]) + 1) ** 2


def read_listing(text: bytes) -> list[Track]:
    """Read a listing: a track for each that has packets or facts, in order."""
    tracks: dict[int, Track] = {}
    for line in text.decode("ascii", "replace").splitlines():
        if match := _FACT.match(line):
            tracks.setdefault(int(match[2]), Track()).take(match[1], match[3])
        elif match := _PACKET.match(line):
            track = tracks.setdefault(int(match["track"]), Track())
            track.times.append(int(match["time"]))
            track.lengths.append(int(match["length"]))
            track.odd |= bool(int(match["flags"] or "0", 16) & _DISCARDED)
        elif not line.startswith("#"):
            for track in tracks.values():
                track.odd = True
    return [tracks[number] for number in sorted(tracks)]


def list_packets(
    file: File, kind: str | None, start_s: float, length_s: float, limits: Limits
) -> list[Track]:
    """The packets of seconds `start_s` .. of a file, timed from there, of the chosen tracks.

    Empty where there is no such track, or the file cannot be read. MediaError for a limit passed.
    """
    return read_listing(capture_packets(file, kind, start_s, length_s, limits).data["packets"])


def capture_packets(
    file: File, kind: str | None, start_s: float, length_s: float, limits: Limits
) -> Captured:
    """The listing of `list_packets` unread, with the log of its making."""
    begin: Options = {"ss": start_s} if start_s else {}

    def command(outputs: Mapping[str, str]) -> list[str]:
        media = ffmpeg.input(url(file), t=length_s, **begin, **input_options(limits))
        return compiled([media.output(outputs["packets"], **copy_options(kind, "framecrc"))])

    return capture(file, ("packets",), command, limits, LIST_BYTES)
