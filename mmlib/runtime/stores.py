"""Files on object stores, addressed as s3://bucket/key or gs://bucket/key, through pyarrow.

Credentials, region and another server's address (AWS_ENDPOINT_URL) come from where each store's own
tools take them: environment variables, ~/.aws, Google's application default credentials. An address
holds none of them, since addresses stand in params.yaml, which git keeps.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from pyarrow import NativeFile
from pyarrow.fs import (
    AwsStandardS3RetryStrategy,
    FileInfo,
    FileSelector,
    FileSystem,
    FileType,
    GcsFileSystem,
    S3FileSystem,
    resolve_s3_region,
)

# A request to S3 is given up after so many attempts, each of which fails when no connection is made
# for so many seconds, or nothing arrives for so many.
ATTEMPTS = 3
CONNECT_S = 10.0
SILENCE_S = 20.0
# What Google's client would go on trying for a quarter of an hour.
GOOGLE_S = 60.0

_ADDRESS = re.compile(
    r"(s3|gs)://([a-z0-9][a-z0-9._-]{1,220})(?:/(.*))?", re.IGNORECASE | re.DOTALL
)
_SCHEME = re.compile(r"(s3|gs)://", re.IGNORECASE)
_DENIED = re.compile(r"ACCESS_DENIED|HTTP.{0,30}40[13]|INVALID_ACCESS|SIGNATURE|CREDENTIALS|"
                     r"UNAUTHENTICATED|PERMISSION_DENIED", re.IGNORECASE)  # fmt: skip
_REQUEST = re.compile(r" *\(Request ID: [^)]*\)")
_CHUNK = 1 << 20
# The last byte of a buffer before it is filled, attempt by attempt; few files have runs of them.
_MARKS = (0xA5, 0x5A, 0x3C)
_SHORT = "answers are shorter than was asked for"
# What changes when an object of S3 does.
_STATE = ("Content-Length", "ETag", "Last-Modified", "VersionId")
# Google's client says all that it tried, twice.
_LONGEST = 300


class StoreError(Exception):
    """An object cannot be had: `kind` is missing_file, store_denied or store_failed."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = " ".join(message.split())

    def __str__(self) -> str:
        return self.message


class Held(NamedTuple):
    """An object: its address, bytes, and when it was written, in ns since 1970."""

    address: str
    size: int
    time_ns: int


def is_address(text: str) -> bool:
    """Tell whether a text is meant as the address of an object store."""
    return _SCHEME.match(text) is not None


def canonical(address: str) -> str:
    """An address as `files` and `find` spell it, without a slash at its end."""
    scheme, _, place = address.partition("://")
    return f"{scheme.lower()}://{place.rstrip('/')}"


def files(address: str) -> Iterator[Held]:
    """All objects below a folder, in the order of their addresses; StoreError when it has none."""
    system, place = _opened(address)
    with _errors(address):
        found = system.get_file_info(FileSelector(place.rstrip("/"), recursive=True))
    held = [_held(address, info) for info in found if info.type == FileType.File]
    if not held:
        raise StoreError("missing_file", f"there is nothing below {address}")
    return iter(sorted(held))


def find(address: str) -> Held | None:
    """What an address holds; None where that is nothing, or a folder."""
    system, place = _opened(address)
    with _errors(address):
        info = system.get_file_info(place)
    return _held(address, info) if info.type == FileType.File else None


def read(address: str) -> bytes:
    """The bytes of an object; StoreError when it cannot be had whole."""
    with opened(address) as file:
        return file.read()


@contextmanager
def local(place: str) -> Iterator[Path | IO[bytes]]:
    """A file at a path, or a local copy of the object at an address, as `opened` makes it."""
    if is_address(place):
        with opened(place) as file:
            yield file
    else:
        yield Path(place)


@contextmanager
def opened(address: str) -> Iterator[IO[bytes]]:
    """A local copy of an object, seekable, without a name: it is gone when it is closed.

    StoreError when the object cannot be had whole, or changes meanwhile; OSError when the disk
    fails. A change of the content alone, within a second, is seen where the store tells an ETag.
    """
    # Without a buffer of Python's own: ffmpeg moves the place in the file too.
    with TemporaryFile(buffering=0) as file:
        _copy(address, file)
        file.seek(0)
        yield file


def keep(address: str, path: Path) -> None:
    """Copy an object to a file; StoreError and OSError as from `opened`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        _copy(address, file)


def _copy(address: str, file: IO[bytes]) -> None:
    system, place = _opened(address)
    parts = (_s3_parts if isinstance(system, S3FileSystem) else _gs_parts)(system, place)
    while True:
        with _errors(address):
            part = next(parts, None)
        if part is None:
            return
        # What the disk says is said of the disk. One that is all but full takes a part of a part.
        while part:
            part = part[file.write(part) :]


def _s3_parts(system: FileSystem, place: str) -> Iterator[memoryview]:
    source = system.open_input_file(place)
    size, state = source.size(), _state(source)
    buffer = memoryview(bytearray(min(size, _CHUNK)))
    for begin in range(0, size, _CHUNK):
        part = buffer[: size - begin]
        _fill(part, source, begin)
        yield part
    if _state(system.open_input_file(place)) != state:
        raise OSError("it changed while it was read")


def _fill(part: memoryview, source: NativeFile, begin: int) -> None:
    # pyarrow counts an answer that is shorter than was asked for as whole, and leaves the end of
    # the buffer as it was. The last byte of an object may be one of the marks, but not all.
    for mark in _MARKS:
        part[-1] = mark
        source.seek(begin)
        if source.readinto(part) == len(part) and part[-1] != mark:
            return
    raise OSError(_SHORT)


def _gs_parts(system: FileSystem, place: str) -> Iterator[memoryview]:
    # In one request, of one state of the object therefore: Google's client asks for the rest of
    # that state when a connection ends, and compares checksums at the end of it.
    count, source = 0, system.open_input_stream(place, compression=None)
    while part := source.read(_CHUNK):
        count += len(part)
        yield memoryview(part)
    told = source.metadata()
    # What is stored compressed arrives unpacked, and its size is that of the packed bytes.
    if not told.get("Content-Encoding") and count != int(told["size"]):
        raise OSError(_SHORT)


def _state(source: NativeFile) -> dict[str, bytes]:
    told: dict[str, bytes] = source.metadata()
    return {name: told[name] for name in _STATE if name in told}


def _held(address: str, info: FileInfo) -> Held:
    scheme = address.partition("://")[0]
    return Held(canonical(f"{scheme}://{info.path}"), info.size, info.mtime_ns or 0)


def _opened(address: str) -> tuple[FileSystem, str]:
    """The file system of an address, and the place in it: bucket/key."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        shown, hint = address, ""
        if "@" in address:
            shown = f"...@{address.rpartition('@')[2]}"
            hint = ": credentials belong in the environment"
        raise StoreError("missing_file", f"{shown} is no s3://bucket/key or gs://bucket/key{hint}")
    scheme, bucket, key = match[1].lower(), match[2], match[3] or ""
    with _errors(address):
        system = _system(scheme, bucket)
    return system, f"{bucket}/{key}".rstrip("/")


@lru_cache(maxsize=16)
def _system(scheme: str, bucket: str) -> FileSystem:
    if scheme == "gs":
        return GcsFileSystem(retry_time_limit=timedelta(seconds=GOOGLE_S))
    # Neither endpoint nor region is looked for by the constructor. An endpoint's scheme counts.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3", os.environ.get("AWS_ENDPOINT_URL"))
    return S3FileSystem(
        endpoint_override=endpoint,
        # Another server than Amazon's takes AWS_REGION, or that of ~/.aws.
        region=None if endpoint else resolve_s3_region(bucket),
        connect_timeout=CONNECT_S,
        # pyarrow's documentation denies that this works on Linux: curl ends what is so slow.
        request_timeout=SILENCE_S,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )


def forget() -> None:
    """Look up credentials and endpoints anew from now on."""
    _system.cache_clear()


@contextmanager
def _errors(address: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise StoreError("missing_file", f"no such object: {address}") from None
    except (OSError, ValueError) as error:
        said = _REQUEST.sub("", str(error) or type(error).__name__)[:_LONGEST]
        kind = "store_denied" if _DENIED.search(said) else "store_failed"
        if "NO_SUCH_BUCKET" in said:
            kind, said = "missing_file", "no such bucket"
        raise StoreError(kind, f"{said}: {address}") from None
