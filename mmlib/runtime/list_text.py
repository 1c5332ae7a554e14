"""The lines of lists that people keep, if they are text in UTF-8; and errors that name a line."""

from collections.abc import Iterator
from pathlib import Path

from mmlib.runtime.errors import UserError

# What files begin with that are no text, as errors="surrogateescape" leaves it.
_NO_TEXT = (
    ("PK\x03\x04", "a spreadsheet's own format or an archive"),
    ("\udcd0\udccf\x11\udce0", "a spreadsheet's own format"),
    ("\x1f\udc8b", "compressed by gzip"),
    ("BZh", "compressed by bzip2"),
    ("\udcfd7zXZ", "compressed by xz"),
    ("\udcff\udcfe\0\0", "UTF-32"),
    ("\0\0\udcfe\udcff", "UTF-32"),
    ("\udcff\udcfe", "UTF-16"),
    ("\udcfe\udcff", "UTF-16"),
)


def fault(path: Path, line: int, what: str) -> UserError:
    """The error that names a line of a file."""
    return UserError(f"{path}, line {line}: {what}")


def checked_text(path: Path, number: int, line: str) -> str:
    """A line that was decoded with surrogateescape, if it is UTF-8; else UserError with its place.

    A zero byte is refused too: that is what UTF-16 without its mark looks like.
    """
    if number == 1:
        for start, what in _NO_TEXT:
            if line.startswith(start):
                raise fault(path, number, f"{what}, not UTF-8: save the list as csv in UTF-8")
    if not line.isascii():
        try:
            line.encode()
        except UnicodeEncodeError as error:
            byte = ord(line[error.start]) - 0xDC00
            what = f"not UTF-8 (byte 0x{byte:02x})"
            raise fault(path, number, f"{what}: save the list as UTF-8") from None
    if "\0" in line:
        raise fault(path, number, "it holds a zero byte: save the list as UTF-8 text")
    return line


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Each line with its number."""
    with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
        for number, line in enumerate(stream, 1):
            yield number, checked_text(path, number, line)
