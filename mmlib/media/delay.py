"""Pictures that are read too late, for their container has no times of showing.

AVI numbers its packets, no more. ffmpeg takes the number of the packet at which a picture leaves
the decoder; a decoder that puts pictures in order gives the first only some packets later. A file
whose packets follow one another from 0 on shows its first picture there. Where the first is
followed by a hole, the pictures begin late, and the writer has counted the delay in.
"""

import re
from collections.abc import Mapping

from mmlib.media.capture import capture, read_frame_list
from mmlib.media.ffmpeg import Limits
from mmlib.media.files import File, url
from mmlib.media.graph import Section, compiled, copy_options, frame_options, listed, open_input

_FORMAT = "avi"
# Its number, and the time at which it is to be shown, where the number tells it too.
_PACKET = re.compile(rb"^0, +(-?\d+), +(-?\d+),", re.MULTILINE)
_UNTOLD = -(1 << 63)
_OUTPUT_BYTES = 64 << 20


def may_be_late(format_name: str | None, begin_s: float, section: Section) -> bool:
    """Tell whether pictures that begin then, in a container of that name, may be read too late."""
    return format_name == _FORMAT and (section.start_s > 0 or begin_s > 0)


def find_delay(file: File, limits: Limits) -> float:
    """By how many seconds the pictures of an AVI file are read too late. MediaError as `decode`."""

    def command(outputs: Mapping[str, str]) -> list[str]:
        media = open_input(url(file), Section(0.0, None, limits.max_seconds), limits)
        packets = copy_options("Video", "framecrc") | {"frames:v": 3}
        picture = frame_options(listed(outputs["picture"])) | {"f": "null", "frames:v": 1}
        return compiled([media.output(outputs["packets"], **packets), media.output("-", **picture)])

    found = capture(file, ("packets", "picture"), command, limits, _OUTPUT_BYTES).data
    first = [(int(number), int(time)) for number, time in _PACKET.findall(found["packets"])]
    if len(first) != 3 or first[0] != (0, _UNTOLD) or first[2][0] != 2 * first[1][0]:
        return 0.0
    # More than one may have passed by the time that ffmpeg ends.
    times = read_frame_list(found["picture"]).times
    return max(0.0, float(times[0])) if len(times) else 0.0
