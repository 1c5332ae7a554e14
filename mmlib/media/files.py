"""How ffmpeg is given a file: by absolute path, or as an unnamed file that holds some bytes."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from mmlib.media.ffmpeg import MediaError

File = IO[bytes] | Path


@contextlib.contextmanager
def unnamed_file(data: bytes = b"") -> Iterator[IO[bytes]]:
    """A seekable file without a name, in memory where the system can: a kill leaves nothing."""
    # Without a buffer of Python's own: ffmpeg moves the place in the file too.
    with _unbuffered() as file:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]
        yield file


def _unbuffered() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("media"), "w+b", buffering=0)
    return TemporaryFile(buffering=0)


Source = bytes | File
"""Media: the bytes of a file, its path, or an unnamed file that holds them."""


def open_media(source: Source) -> AbstractContextManager[File]:
    """Give ffmpeg something seekable: the file itself, or an unnamed file with the bytes.

    MediaError when there is nothing to read: missing_file, not_a_file, empty_file, unreadable_file.
    """
    if isinstance(source, Path):
        _check(source)
        return nullcontext(source)
    size = len(source) if isinstance(source, bytes) else os.fstat(source.fileno()).st_size
    if not size:
        raise MediaError("empty_file", "the file has no bytes")
    return unnamed_file(source) if isinstance(source, bytes) else nullcontext(source)


def url(file: File) -> str:
    """What ffmpeg opens; the protocol in front keeps a name from being an option or an address."""
    return f"file:{file.absolute()}" if isinstance(file, Path) else f"file:/dev/fd/{file.fileno()}"


def sink(file: IO[bytes]) -> str:
    """Where ffmpeg writes to an unnamed file: after what is there, however often it is opened."""
    return f"pipe:{file.fileno()}"


def inherited(*files: File) -> list[int]:
    """Descriptors that the process must be given for the urls to work."""
    return [file.fileno() for file in files if not isinstance(file, Path)]


def _check(path: Path) -> None:
    try:
        if not path.exists():
            raise MediaError("missing_file", f"no such file: {path}")
        if not path.is_file():
            raise MediaError("not_a_file", f"not an ordinary file: {path}")
        if path.stat().st_size == 0:
            raise MediaError("empty_file", f"the file has no bytes: {path}")
    except (OSError, ValueError) as error:
        # A name that is too long or holds a zero byte, or a folder that may not be entered.
        raise MediaError("unreadable_file", f"{error}: {path}") from None
