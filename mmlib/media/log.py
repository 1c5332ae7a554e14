"""What ffmpeg's log says about a file: there is no ffprobe beside the bundled binary.

ffmpeg is told to colour its log (see `ffmpeg.run`): its threads write into each other's lines, and
the colours are what still marks every message's level there. Escape characters of a file's own tags
are masked by ffmpeg, so no tag can imitate a colour, and with it a complaint. A tag with line ends
can imitate an uncoloured line of the header; so nothing that decides how a clip is decoded, or
whether it is damaged, comes from the header (see `reading`): it serves `decode.probe`.
"""

import re
from dataclasses import dataclass, field, replace

_FORMAT = re.compile(r"\[info\] Input #0, (\S+), from ")
_DURATION = re.compile(r"\[info\]   Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?),")
_STREAM_BEGIN = re.compile(r"\[info\]   Stream #0:\d+")
# Between the number and the kind stands a language, which may be any text.
_STREAM = re.compile(
    r"\[info\]   Stream #0:(\d+).*: (Video|Audio|Subtitle|Data|Attachment|Unknown): ([^\s,]+)(.*)",
    re.DOTALL,
)
_HEADER_END = ("[info] Stream mapping:", "[info] Output #")
_PICTURE = re.compile(r", (\d+)x(\d+)(?=[ ,]|$)")
_FPS = re.compile(r", (\d+(?:\.\d+)?) fps")
_ROTATION = re.compile(r"\[info\] +Display Matrix: rotation of (-?\d+(?:\.\d+)?) degrees")
_RATE = re.compile(r", (\d+) Hz, ([^,]+)")
_COLOUR = re.compile(r"\x1b\[([0-9;]*)m")
_RED = ("1;31", "4;31")
_YELLOW = ("0;33",)
_PLAIN = ("", "0")
_LEVEL = re.compile(r"\[(?:warning|error|fatal|panic)\] ")
_CONTEXT = re.compile(r"\[([^\]]*) @ [^\]]*\] ")
# A container complains in its own name (or as in#0), a decoder that is tried out in the codec's.
_OF_INPUT = "in#"
_OF_OUTPUT = re.compile(r"out#(\d+)|Output file #(\d+)")
_NO_STREAM = "does not contain any stream"
# Of what is written, not of the file; or of a cover, which is no part of the clip.
_HARMLESS = re.compile(
    r"non monotonically increasing dts to muxer|attached pic|mimetype", re.IGNORECASE
)
# Only warned of, but a packet is broken. Transport streams are joined without harm at packets that
# are marked as broken; one that is cut short is told apart by its size.
_CORRUPT = "corrupt input packet"
_CUT_SHORT = "PES packet size mismatch"
_JOINED = "mpegts"
_MOST_ERRORS = 1000
_MOST_LINES = 100


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
    """The facts gathered so far: container, length where the header says it, tracks, complaints.

    `errors` are complaints about the file, but for those of decoders that were only tried out on
    it, such as on a cover; `absent` the numbers of the outputs for which the file has no track.
    """

    format: str | None = None
    duration_s: float | None = None
    streams: dict[int, Stream] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    absent: set[int] = field(default_factory=set)
    _early: list[tuple[str, str]] = field(default_factory=list)
    _colour: str = ""
    _context: str = ""
    _in_header: bool = True
    _latest: int = -1
    _stream_lines: list[str] = field(default_factory=list)

    def read(self, line: str) -> None:
        """Take up what one line says; most lines say nothing of interest."""
        # A message that began on an earlier line ends here: its colour is the one that still holds.
        texts = _COLOUR.split(line)
        plain = texts[0] if self._colour in _PLAIN else ""
        for colour, text in zip(texts[1::2], texts[2::2], strict=True):
            self._colour = colour
            if colour in _PLAIN:
                plain += text
                self._context = "" if text else self._context
            elif text:
                self._read_coloured(text)
        if plain.startswith(_HEADER_END):
            self._in_header = False
        elif self._in_header and plain:
            self._read_header(plain)

    @property
    def opened(self) -> bool:
        """Tell whether the file is of a known kind."""
        return self.format is not None

    def has(self, kind: str) -> bool:
        """Tell whether there is a track of the kind ("Video", "Audio"), covers not counted."""
        return self.stream(kind) is not None

    def stream(self, kind: str) -> Stream | None:
        """The first track of the kind ("Video", "Audio"), covers not counted."""
        return next((s for s in self.streams.values() if s.kind == kind and not s.attached), None)

    def _read_coloured(self, text: str) -> None:
        red = self._colour in _RED
        if not red and (match := _CONTEXT.fullmatch(text)):
            # The outermost names the part of ffmpeg that speaks.
            self._context = self._context or match[1]
        elif not _LEVEL.fullmatch(text) and (text := text.strip()):
            if red or (self._colour in _YELLOW and self._is_broken_packet(text)):
                self._complain(text)
            self._context = ""

    def _is_broken_packet(self, text: str) -> bool:
        return _CUT_SHORT in text or (_CORRUPT in text and self.format != _JOINED)

    def _complain(self, text: str) -> None:
        if _NO_STREAM in text:
            match = _OF_OUTPUT.search(f"{self._context} {text}")
            self.absent.add(int(match[1] or match[2]) if match else 0)
        elif _HARMLESS.search(text):
            return
        elif self.opened:
            _add(self.errors, text)
        elif len(self._early) < _MOST_ERRORS:
            self._early.append((self._context, text))
            _add(self.errors, text)

    def _read_header(self, line: str) -> None:
        if self._stream_lines or _STREAM_BEGIN.match(line):
            self._read_stream(line)
        elif (match := _FORMAT.match(line)) and not self.opened:
            self.format = match[1]
            self._sort_early()
        elif match := _DURATION.match(line):
            self.duration_s = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
        elif (match := _ROTATION.match(line)) and self._latest in self.streams:
            turned = replace(self.streams[self._latest], rotation=float(match[1]))
            self.streams[self._latest] = turned

    def _sort_early(self) -> None:
        # Whatever was tried out on packets of a track is decoded again, if it is of the clip.
        self.errors.clear()
        for context, text in self._early:
            if context.startswith(_OF_INPUT) or context == self.format:
                _add(self.errors, text)

    def _read_stream(self, line: str) -> None:
        # A language with line ends takes several lines.
        self._stream_lines.append(line)
        if match := _STREAM.match("\n".join(self._stream_lines)):
            self._latest = int(match[1])
            self.streams[self._latest] = _stream(match[2], match[3], match[4])
        elif len(self._stream_lines) < _MOST_LINES:
            return
        self._stream_lines.clear()


def _add(errors: list[str], text: str) -> None:
    # A broken file may make the decoder complain for every block of every frame. Which of too many
    # are kept must not depend on the order in which the decoders' threads come to speak.
    if text in errors:
        return
    if len(errors) >= _MOST_ERRORS:
        last = max(errors)
        if text >= last:
            return
        errors.remove(last)
    errors.append(text)


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
