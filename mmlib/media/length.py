"""How long files are, without decoding them.

The length in a header may be a guess from the bit rate, the end of some other track, that of the
first of several parts, or a lie. So it only raises the question, and the packets answer it.
"""

from mmlib.media.ffmpeg import Limits
from mmlib.media.files import File, Source, open_media
from mmlib.media.graph import Section
from mmlib.media.log import Log
from mmlib.media.packets import capture_packets, list_packets, read_listing
from mmlib.media.refusal import refuse_kind

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


def measure(source: Source, most_s: float, limits: Limits) -> float:
    """Seconds to the end of a file's last packet, of those that begin in its first `most_s`.

    Of the sound and the pictures that `decode` would choose; 0 without any. Errors as for `decode`.
    """
    with open_media(source) as file:
        listed = capture_packets(file, None, 0.0, most_s, limits)
    refuse_kind(listed.log)
    return max([0.0, *(track.end_s for track in read_listing(listed.data["packets"]))])


def is_longer(file: File, section: Section, limits: Limits) -> bool:
    """Tell whether a chosen track has packets beyond the longest that a clip may be."""
    beyond = section.start_s + section.longest_s
    tracks = [t for t in list_packets(file, None, beyond, _LOOK_S, limits) if t.times]
    if not any(time >= 0 for track in tracks for time in track.times):
        return False
    # Ogg that ends before that is read from its beginning instead, and this is called 0.
    if any(track.times[0] != 0 for track in tracks):
        return True
    whole = list_packets(file, None, 0.0, beyond + _LOOK_S, limits)
    return any(track.end_s > beyond for track in whole)
