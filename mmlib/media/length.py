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
from mmlib.media.tracks import Fault

# Where packets are looked for: some containers hold them seconds apart.
_LOOK_S = 5.0
# A track that ends so long before the file's header says may have been ended by one wrong stamp.
_EARLY_S = 0.5
_EVER_S = 1e6


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


def find_far(
    file: File, kind: str, end_s: float, log: Log, section: Section, limits: Limits
) -> Fault | None:
    """What is wrong with a track ("Video", "Audio") that ends early, at `end_s`; None: nothing.

    Reading ends at the first time stamp beyond what is asked for, though others that are not may
    follow it. Such a stamp lies beyond the end that the header tells too.
    """
    if log.duration_s is None:
        return None
    told = log.duration_s - section.start_s
    expected = told if section.length_s is None else min(told, section.length_s)
    if end_s > expected - _EARLY_S:
        return None
    most = max(section.start_s + section.read_s, log.duration_s) + _EARLY_S
    tracks = list_packets(file, kind, 0.0, _EVER_S, limits)
    if not any(time * track.base > most for track in tracks for time in track.times):
        return None
    name = {"Video": "the pictures", "Audio": "the sound"}[kind]
    return Fault("times", f"a time stamp of {name} lies far beyond the end of the file")
