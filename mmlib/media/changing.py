"""Pictures that change their form midway: another size, shape, colour format.

ffmpeg then sets up its filters anew, and a filter that looks ahead, such as the one for the grid,
loses what it holds. So the frames are listed first, then those are picked that the grid shows, and
only they are cropped and scaled, each by filters of its own form.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mmlib.media.capture import LEAST_BYTES, Captured, capture, read_frame_list
from mmlib.media.expressions import MOST_TERMS, any_of
from mmlib.media.ffmpeg import Limits
from mmlib.media.files import File, url
from mmlib.media.graph import (
    END_MARK,
    Form,
    Section,
    compiled,
    frame_options,
    listed,
    open_input,
    passed_by,
    scaled,
    shift,
)
from mmlib.media.log import Log
from mmlib.media.tracks import Pictures, find_lost
from mmlib.runtime.arrays import Bytes

# Of a time that ffmpeg prints with six digits.
_ROUNDING_S = 1e-6


def read_changing(
    file: File,
    form: Form,
    section: Section,
    limits: Limits,
    output_bytes: int,
    beside: str | None,
) -> Pictures:
    """Read the pictures of a file on the grid, whatever their forms. MediaError as for `decode`.

    `beside`: see `graph.passed_by`.
    """

    def list_command(outputs: Mapping[str, str]) -> list[str]:
        filters = (*shift("setpts", section), END_MARK, *listed(outputs["times"]))
        options = {**frame_options(filters), "f": "null"}
        media = open_input(url(file), section, limits)
        return compiled([media.output("-", **options), *passed_by(media, beside)])

    listing = capture(file, ("times",), list_command, limits, output_bytes)
    found = read_frame_list(listing.data["times"])
    if len(found.times) < 2:
        return Pictures.none(form.size, listing.log, listing.status, present=True)
    order, end = np.argsort(found.times[:-1], kind="stable"), float(found.times[-1])
    stamps, times = found.stamps[order], found.times[order]
    last = min(end, section.read_s)
    ticks = np.arange(max(0, math.ceil(last * form.fps - _ROUNDING_S)))
    shown = np.searchsorted(times, ticks / form.fps + _ROUNDING_S, side="right") - 1
    wanted = stamps[np.maximum(shown, 0)].tolist()
    picked = sorted(set(wanted))
    runs = [
        _pick(file, form, section, limits, picked[low : low + MOST_TERMS], beside)
        for low in range(0, len(picked), MOST_TERMS)
    ]
    pictures = {stamp: frame for run in runs for stamp, frame in _frames(run, form)}
    there = [stamp in pictures for stamp in wanted]
    return Pictures(
        frames=np.array([pictures[stamp] for stamp in wanted if stamp in pictures], np.uint8),
        ticks=ticks[there],
        times=times,
        end=end,
        log=_merged([listing, *runs]),
        fault=find_lost("the pictures", -np.diff(found.times).min(initial=0.0)),
        status=next((run.status for run in [listing, *runs] if run.status), 0),
    )


def _pick(
    file: File,
    form: Form,
    section: Section,
    limits: Limits,
    stamps: Sequence[int],
    beside: str | None,
) -> Captured:
    def command(outputs: Mapping[str, str]) -> list[str]:
        picked = any_of(f"eq(pts\\,{stamp})" for stamp in stamps)
        filters = (
            *shift("setpts", section),
            f"select={picked}",
            *listed(outputs["times"]),
            *scaled(form),
        )
        media = open_input(url(file), section, limits)
        pictures = media.output(outputs["frames"], **frame_options(filters))
        return compiled([pictures, *passed_by(media, beside)])

    output_bytes = (len(stamps) + 2) * form.frame_bytes + LEAST_BYTES
    return capture(file, ("frames", "times"), command, limits, output_bytes)


def _frames(run: Captured, form: Form) -> Iterator[tuple[int, Bytes]]:
    stamps = read_frame_list(run.data["times"]).stamps
    count = min(len(stamps), len(run.data["frames"]) // form.frame_bytes)
    frames = np.frombuffer(run.data["frames"], np.uint8, count * form.frame_bytes)
    return zip(stamps.tolist(), frames.reshape(count, form.size, form.size, 3), strict=False)


def _merged(runs: Sequence[Captured]) -> Log:
    log = runs[0].log
    for run in runs[1:]:
        log.errors += [error for error in run.log.errors if error not in log.errors]
    return log
