"""Files that are too long, without decoding them.

The length in a header may be a guess from the bit rate, the end of some other track, that of the
first of several parts, or a lie. So it only raises the question, and the packets answer it.
"""

from mmlib.media.ffmpeg import Limits
from mmlib.media.files import File
from mmlib.media.graph import Section
from mmlib.media.log import Log
from mmlib.media.packets import list_packets

# Where packets are looked for: some containers hold them seconds apart.
_LOOK_S = 5.0


class Claim(Exception):
    """The header of a file says that it is too long."""


def refuse_claim(log: Log, section: Section) -> None:
    """Raise Claim when the header tells of more seconds than a clip may have."""
    if section.end_s is None and log.duration_s is not None:
        length = log.duration_s - section.start_s
        if length > section.longest_s:
            raise Claim(f"{length:.1f} s, over {section.max_seconds:g} s")


def is_longer(file: File, section: Section, limits: Limits) -> bool:
    """Tell whether a chosen track has packets beyond the longest that a clip may be."""
    beyond = section.start_s + section.longest_s
    tracks = list_packets(file, None, beyond, _LOOK_S, limits)
    return any(time >= 0 for track in tracks for time in track.times)
