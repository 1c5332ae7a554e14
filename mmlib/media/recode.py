"""A media file encoded again, as every platform does with what is uploaded."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple

from mmlib.media.encode import (
    AUDIO,
    CONTAINER,
    LIMITS,
    REPEATABLE,
    VIDEO,
    Options,
    refuse_failure,
)
from mmlib.media.ffmpeg import Limits, run
from mmlib.media.files import Source, inherited, open_media, unnamed_file, url
from mmlib.media.graph import Section, compiled, open_input
from mmlib.media.log import Log

# Chroma has half the pictures' resolution: an odd last row or column has none.
_EVEN = "crop=trunc(iw/2)*2:trunc(ih/2)*2"


class Rung(NamedTuple):
    """One quality of a ladder: CRF of the pictures (higher is worse), kbit/s of the sound."""

    crf: int
    kbps: int


def recode(
    source: Source,
    container: str,
    rungs: Sequence[Rung],
    limits: Limits,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
) -> list[bytes]:
    """Encode a file, given as for `decode`, or its section start_s .. end_s, at each rung.

    `container` is "mp4" (H.264 and AAC) or "webm" (VP9 and Opus); pictures keep their size and
    rate, sound its channels. The file is decoded once, and the same file gives the same bytes. Of
    `limits`, those on size and length are the file's; encoders have limits of their own.
    MediaError kinds: as of `decode` for a file that cannot be opened; encode.
    """
    section = Section(start_s or 0.0, end_s, limits.max_seconds)
    section.refuse()
    log = Log()
    with ExitStack() as stack:
        file = stack.enter_context(open_media(source))
        outs = [stack.enter_context(unnamed_file()) for _ in rungs]
        media = open_input(url(file), section, limits)
        graphs = [
            media.output(url(out), **_options(container, rung))
            for out, rung in zip(outs, rungs, strict=True)
        ]
        status = run(
            compiled(graphs),
            limits=replace(limits, timeout_s=LIMITS.timeout_s, memory_mb=LIMITS.memory_mb),
            inherited=inherited(file, *outs),
            on_line=log.read,
        )
        refuse_failure(status, log)
        return [out.read() for out in outs]


def _options(container: str, rung: Rung) -> Options:
    return {
        **CONTAINER[container],
        **REPEATABLE,
        **VIDEO[container],
        "crf": rung.crf,
        "vf": _EVEN,
        "pix_fmt": "yuv420p",
        "flags:v": "+bitexact",
        **AUDIO[container],
        "b:a": f"{rung.kbps}k",
        "flags:a": "+bitexact",
    }
