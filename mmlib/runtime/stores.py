"""Files on object stores, addressed as s3://bucket/key or gs://bucket/key, through pyarrow.

Credentials, region and another server's address (AWS_ENDPOINT_URL) come from where each store's own
tools take them: environment variables, ~/.aws, Google's application default credentials. An address
holds none of them, since addresses stand in params.yaml, which git keeps.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType

_ADDRESS = re.compile(
    r"(s3|gs)://([a-z0-9][a-z0-9._-]{1,220})(?:/(.*))?", re.IGNORECASE | re.DOTALL
)
_SCHEME = re.compile(r"(s3|gs)://", re.IGNORECASE)
# What Google's client would go on trying for a quarter of an hour.
_OPTIONS = {"s3": "", "gs": "?retry_limit_seconds=60"}
_DENIED = re.compile(r"ACCESS_DENIED|HTTP.{0,30}40[13]|INVALID_ACCESS|SIGNATURE|CREDENTIALS|"
                     r"UNAUTHENTICATED|PERMISSION_DENIED", re.IGNORECASE)  # fmt: skip
_REQUEST = re.compile(r" *\(Request ID: [^)]*\)")
_CHUNK = 1 << 20
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
    """A local copy of an object, seekable, without a name: it is gone when it is closed."""
    # Without a buffer of Python's own: ffmpeg moves the place in the file too.
    with TemporaryFile(buffering=0) as file:
        _copy(address, file)
        file.seek(0)
        yield file


def keep(address: str, path: Path) -> None:
    """Copy an object to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        _copy(address, file)


def _copy(address: str, file: IO[bytes]) -> None:
    system, place = _opened(address)
    with _errors(address), system.open_input_stream(place) as stream:
        shutil.copyfileobj(stream, file, _CHUNK)


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
    # From the address of the bucket alone: keys need no quoting then. The constructors would not
    # look for an endpoint in the environment, nor for the bucket's region.
    return FileSystem.from_uri(f"{scheme}://{bucket}{_OPTIONS[scheme]}")[0]


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
