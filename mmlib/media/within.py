"""What is wrong with a section itself, of a file that is damaged elsewhere.

ffmpeg reads ahead: by the time that the last sample of a section is there, packets after it have
been read and decoded too, how many is chance. So when a run over a section had complaints, the
section's packets are copied (copying ends with the section, by the packets' own times), and what
is heard of them then counts.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import ffmpeg

from mmlib.media.capture import capture
from mmlib.media.ffmpeg import Limits
from mmlib.media.files import File, unnamed_file, url
from mmlib.media.graph import Section, compiled, copy_options, input_options, open_input

# A section's packets: a minute of the largest pictures at a high rate.
_COPY_BYTES = 512 << 20


def errors_within(
    file: File, section: Section, limits: Limits, kinds: Sequence[str]
) -> set[str] | None:
    """Complaints about the packets of a section, of tracks of these kinds ("Video", "Audio").

    None when they cannot be copied. MediaError for a limit passed.
    """
    errors = set[str]()
    for kind in kinds:
        copying = partial(_copy_command, url(file), section, limits, kind)
        copied = capture(file, ("packets",), copying, limits, _COPY_BYTES)
        if copied.status != 0 or not copied.data["packets"]:
            return None
        with unnamed_file(copied.data["packets"]) as part:
            decoding = partial(_decode_command, url(part), limits, kind)
            decoded = capture(part, (), decoding, limits, _COPY_BYTES)
        errors |= {*copied.log.errors, *decoded.log.errors}
    return errors


def _copy_command(
    source: str, section: Section, limits: Limits, kind: str, outputs: Mapping[str, str]
) -> list[str]:
    media = open_input(source, section, limits)
    return compiled([media.output(outputs["packets"], **copy_options(kind, "nut"))])


def _decode_command(
    source: str, limits: Limits, kind: str, outputs: Mapping[str, str]
) -> list[str]:
    media = ffmpeg.input(source, **input_options(limits))
    options = copy_options(kind, "null")
    del options["c"]
    return compiled([media.output("-", **options)])
