"""What ffmpeg's log says: complaints, the container, and which output found no track.

Little is read off it, for a log is text among other text: tracks, their forms and their times come
from listings that no tag can reach (`packets`, `capture`). ffmpeg is told to colour its log (see
`ffmpeg.run`): its threads write into each other's lines, and the colours are what still marks every
message's level there. Escape characters of a file's own tags are masked by ffmpeg, so no tag can
imitate a colour, and with it a complaint. The container is named before any tag is printed. Only
the length is not safe from tags, names of which may hold line ends: it serves to ask whether a file
may be too long, and its packets answer that (see `length`).
"""

import re
from dataclasses import dataclass, field

_FORMAT = re.compile(r"\[info\] Input #0, (\S+), from ")
_DURATION = re.compile(r"\[info\]   Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?),")
_HEADER_END = ("[info] Stream mapping:", "[info] Output #")
_COLOUR = re.compile(r"\x1b\[([0-9;]*)m")
_RED = ("1;31", "4;31")
_YELLOW = ("0;33",)
_PLAIN = ("", "0")
_LEVEL = re.compile(r"\[(?:warning|error|fatal|panic)\] ")
_CONTEXT = re.compile(r"\[([^\]]*) @ [^\]]*\] ")
# A container complains in its own name (or as in#0), a decoder that is tried out in the codec's.
_OF_INPUT = "in#"
# An older one names the output in the text, a newer one before it.
_NO_TRACK = re.compile(r"(?:out#(\d+)\S* )?Output file (?:#(\d+) )?does not contain any stream")
# Of what is written, not of the file; of an output that fails for what was said before; of a cover,
# which is no part of the clip; or of a tag that is longer than the container's reader (FLV, NUT)
# takes.
_HARMLESS = re.compile(
    r"non monotonically increasing dts to muxer|Error opening output file|attached pic|mimetype"
    r"|AMF_DATA_TYPE_STRING parsing failed|get_str failed while decoding info header",
    re.IGNORECASE,
)
# Only warned of, but a packet is broken. Transport streams are joined without harm at packets that
# are marked as broken; one that is cut short is told apart by its size.
_CORRUPT = "corrupt input packet"
_CUT_SHORT = "PES packet size mismatch"
# Frames of FLAC are numbered: some are missing, or there twice.
_MISNUMBERED = "number mismatch in adjacent frames"
_JOINED = "mpegts"
# Where its writer did not know the length, the last packet counts as broken; a known one is looked
# at by `ending`.
_OPEN_ENDED = ("wav", "caf")
# Warned of before the container is named; ffmpeg then acts as if there were no such track.
_UNKNOWN = re.compile(r"Could not find codec parameters for stream \d+ \((Video|Audio): (none\b)?")
# In other containers it may be a cover whose code is known that is broken.
_COVERLESS = ("mpegts", "flv")
_MOST_ERRORS = 1000


@dataclass
class Log:
    """The facts gathered so far: the container, the length that its header claims, complaints.

    `errors` are complaints about the file, but for those of decoders that were only tried out on
    it, such as on a cover; `absent` the numbers of the outputs for which the file has no track;
    `unknown` the kinds ("Video", "Audio") of tracks of which nothing tells how to decode them.
    """

    format: str | None = None
    duration_s: float | None = None
    errors: list[str] = field(default_factory=list)
    absent: set[int] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    _early: list[tuple[str, str]] = field(default_factory=list)
    _colour: str = ""
    _context: str = ""
    _in_header: bool = True

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

    def _read_coloured(self, text: str) -> None:
        red = self._colour in _RED
        if not red and (match := _CONTEXT.fullmatch(text)):
            # The outermost names the part of ffmpeg that speaks.
            self._context = self._context or match[1]
        elif not _LEVEL.fullmatch(text) and (text := text.strip()):
            if red or (self._colour in _YELLOW and self._is_broken_packet(text)):
                self._complain(text)
            elif self._colour in _YELLOW:
                self._take_unknown(text)
            self._context = ""

    def _take_unknown(self, text: str) -> None:
        match = _UNKNOWN.match(text)
        if match and (match[2] or self._context.rpartition("/")[2] in _COVERLESS):
            self.unknown.add(match[1])

    def _is_broken_packet(self, text: str) -> bool:
        if _CUT_SHORT in text or _MISNUMBERED in text:
            return True
        return _CORRUPT in text and self.format not in (_JOINED, *_OPEN_ENDED)

    def _complain(self, text: str) -> None:
        if match := _NO_TRACK.fullmatch(f"{self._context} {text}".strip()):
            self.absent.add(int(match[1] or match[2] or 0))
        elif _HARMLESS.search(text):
            return
        elif self.opened:
            _add(self.errors, text)
        elif len(self._early) < _MOST_ERRORS:
            self._early.append((self._context, text))
            _add(self.errors, text)

    def _read_header(self, line: str) -> None:
        if (match := _FORMAT.match(line)) and not self.opened:
            self.format = match[1]
            self._sort_early()
        elif match := _DURATION.match(line):
            self.duration_s = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])

    def _sort_early(self) -> None:
        # Whatever was tried out on packets of a track is decoded again, if it is of the clip.
        self.errors.clear()
        for context, text in self._early:
            if context.startswith(_OF_INPUT) or context == self.format:
                _add(self.errors, text)


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
