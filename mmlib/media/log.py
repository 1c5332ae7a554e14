"""What ffmpeg's log says about a file: there is no ffprobe beside the bundled binary.

ffmpeg is told to colour its log (see `ffmpeg.run`): its threads write into each other's lines, and
the colours are what still marks every message's level there. A file's own tags are quoted in the
log, with control characters masked and further indented, so they are not taken for what is read.
"""

import re
from dataclasses import dataclass, field, replace

from mmlib.media.ffmpeg import MediaError

_FORMAT = re.compile(r"\[info\] Input #0, (\S+), from ")
_DURATION = re.compile(r"\[info\]   Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?),")
_STREAM = re.compile(r"\[info\]   Stream #0:(\d+)\S*: (Video|Audio): ([^\s,]+)(.*)")
_HEADER_END = ("[info] Stream mapping:", "[info] Output #")
_PICTURE = re.compile(r", (\d+)x(\d+)(?=[ ,]|$)")
_FPS = re.compile(r", (\d+(?:\.\d+)?) fps")
_ROTATION = re.compile(r"\[info\] +Display Matrix: rotation of (-?\d+(?:\.\d+)?) degrees")
_RATE = re.compile(r", (\d+) Hz, ([^,]+)")
_COLOURED = re.compile(r"\x1b\[(\d;\d\d)m([^\x1b]*)(?:\x1b\[0m)?")
_RED = ("1;31", "4;31")
# Of what is written, not of the file: the grid starts anew where the picture changes its size.
_OF_OUTPUT = "non monotonically increasing dts to muxer"
_LEVELS = ("[error] ", "[fatal] ", "[panic] ")


@dataclass(frozen=True)
class Stream:
    """One track; `codec` is ffmpeg's name, fields of the other kind of track are None.

    `width` and `height` are pixels as coded, before the turn of `rotation` degrees. A cover picture
    is marked as `attached`: it is no video.
    """

    kind: str
    codec: str
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    rotation: float = 0.0
    sample_rate_hz: int | None = None
    channels: str | None = None
    attached: bool = False


@dataclass
class Log:
    """The facts gathered so far: container, length where the header says it, tracks, complaints."""

    format: str | None = None
    duration_s: float | None = None
    streams: dict[int, Stream] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    _in_header: bool = True
    _latest: int = -1

    def read(self, line: str) -> None:
        """Take up what one line says; most lines say nothing of interest."""
        if "\x1b" in line:
            for colour, text in _COLOURED.findall(line):
                if colour in _RED and text.strip() and text not in _LEVELS:
                    self._complain(text.strip())
            line = _COLOURED.sub("", line)
        if line.startswith(_HEADER_END):
            self._in_header = False
        elif self._in_header:
            self._read_header(line)

    def has(self, kind: str) -> bool:
        """Tell whether there is a track of the kind ("Video", "Audio"), covers not counted."""
        return self.stream(kind) is not None

    def stream(self, kind: str) -> Stream | None:
        """The first track of the kind ("Video", "Audio"), covers not counted."""
        return next((s for s in self.streams.values() if s.kind == kind and not s.attached), None)

    def refuse_large(self, max_pixels: int) -> None:
        """Raise MediaError "too_large" when a picture has more pixels than that."""
        for stream in self.streams.values():
            if (stream.width or 0) * (stream.height or 0) > max_pixels:
                size = f"{stream.width}x{stream.height}"
                raise MediaError("too_large", f"pictures of {size}, over {max_pixels} pixels")

    def _complain(self, text: str) -> None:
        # A broken file may make the decoder complain for every block of every frame.
        if len(self.errors) < 1000 and text not in self.errors and _OF_OUTPUT not in text:
            self.errors.append(text)

    def _read_header(self, line: str) -> None:
        if match := _STREAM.match(line):
            self._latest = int(match[1])
            self.streams[self._latest] = _stream(match[2], match[3], match[4])
        elif match := _FORMAT.match(line):
            self.format = match[1]
        elif match := _DURATION.match(line):
            self.duration_s = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
        elif (match := _ROTATION.match(line)) and self._latest in self.streams:
            turned = replace(self.streams[self._latest], rotation=float(match[1]))
            self.streams[self._latest] = turned


def _stream(kind: str, codec: str, rest: str) -> Stream:
    if kind == "Audio":
        rate = _RATE.search(rest)
        if rate is None:
            return Stream(kind, codec)
        return Stream(kind, codec, sample_rate_hz=int(rate[1]), channels=rate[2].strip())
    picture, fps = _PICTURE.search(rest), _FPS.search(rest)
    return Stream(
        kind,
        codec,
        width=int(picture[1]) if picture else None,
        height=int(picture[2]) if picture else None,
        fps=float(fps[1]) if fps else None,
        attached="(attached pic)" in rest or "(timed thumbnails)" in rest,
    )
