"""Running ffmpeg over a file and taking up all that it writes."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from mmlib.media.ffmpeg import Limits, run
from mmlib.media.files import File, inherited, sink, unnamed_file
from mmlib.media.log import Log
from mmlib.runtime.arrays import Floats, Ints

# The lists of times of a short clip at a low rate need more room than its frames.
LEAST_BYTES = 64 << 20
# See `graph.listed`.
_FRAME = re.compile(rb"frame:(\d+) +pts:(-?\d+) +pts_time:(-?[0-9.e+-]+)")


@dataclass(frozen=True)
class Captured:
    """What one run wrote, by name, and what it said."""

    data: dict[str, bytes]
    log: Log
    status: int

    @property
    def clean(self) -> bool:
        """Tell whether nothing went wrong."""
        return self.status == 0 and not self.log.errors


@dataclass(frozen=True)
class FrameList:
    """Frames that passed through filters: time stamps (n,) in units of the track, and in seconds.

    `parts` counts how often the filters were set up: once, but for a picture that changes its form.
    """

    stamps: Ints
    times: Floats
    parts: int


def capture(
    file: File,
    names: Sequence[str],
    command: Callable[[Mapping[str, str]], list[str]],
    limits: Limits,
    output_bytes: int,
    check: Callable[[Log], None] = lambda log: None,
) -> Captured:
    """Run the `command` for outputs of these names; `check` may raise on what the log says so far.

    MediaError as for `ffmpeg.run`.
    """
    log = Log()

    def on_line(line: str) -> None:
        log.read(line)
        check(log)

    with ExitStack() as stack:
        files = {name: stack.enter_context(unnamed_file()) for name in names}
        status = run(
            command({name: sink(out) for name, out in files.items()}),
            limits=limits,
            inherited=inherited(file, *files.values()),
            output_bytes=output_bytes,
            on_line=on_line,
        )
        data = {name: out.read() for name, out in files.items()}
    return Captured(data, log, status)


def read_frame_list(text: bytes) -> FrameList:
    """Read what `graph.listed` wrote; frames without a time stamp are left out."""
    found = _FRAME.findall(text)
    return FrameList(
        np.array([stamp for _, stamp, _ in found], np.int64),
        np.array([time for _, _, time in found], np.float64),
        sum(int(number) == 0 for number, _, _ in found),
    )


def read_numbers(text: bytes, columns: int = 1) -> Ints:
    """Read rows (n, columns) of whole numbers; a process that was ended may leave part of a row."""
    numbers = np.array(text.split(), np.int64)
    return numbers[: len(numbers) // columns * columns].reshape(-1, columns)
