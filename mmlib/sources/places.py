"""Where the lists of a source, and the media that they name, lie: on a disk or an object store."""

import os
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from mmlib.runtime import stores
from mmlib.runtime.errors import UserError
from mmlib.runtime.paths import full_path
from mmlib.sources.base import Value

# Copies of lists; they are taken anew each time.
_COPIES = Path("scratch/lists")
_LISTS = (".csv", ".tsv")


class Found(NamedTuple):
    """A file that a list names: its absolute path or address, and whatever changes when it does.

    `keys`: files of which any is equal are one and the same, however they are spelt.
    """

    path: str
    version: Mapping[str, Value]
    keys: tuple[object, ...]


class Place(Protocol):
    """The folder of a list, from which the list's relative paths lead on."""

    def find(self, spelling: str) -> Found | None:
        """The file of that path, if it is there; OSError or ValueError where none can be.

        StoreError when a store refuses or fails, or the path leads out of its bucket.
        """

    def absent(self, spelling: str) -> Found:
        """What to say of a file that is not there."""

    def inside(self, path: str) -> str | None:
        """A file's path from the folder; None when it is outside."""


class Disk:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, spelling: str) -> Found | None:
        """See `Place`."""
        if stores.is_address(spelling):
            return _object(stores.find(spelling))
        path = self._folder / spelling
        status = path.stat()
        version = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
        # Hard links, and file systems to which two spellings are one.
        same = [(status.st_dev, status.st_ino)] if status.st_ino else []
        return Found(str(path), version, (os.path.realpath(path), *same))

    def absent(self, spelling: str) -> Found:
        """See `Place`."""
        path = spelling if stores.is_address(spelling) else str(self._folder / spelling)
        return Found(path, {}, (os.path.realpath(path),))

    def inside(self, path: str) -> str | None:
        """See `Place`."""
        folder = f"{str(self._folder).rstrip(os.sep)}{os.sep}"
        return os.path.relpath(path, self._folder) if path.startswith(folder) else None


class Store:
    """A folder of an object store: listed once."""

    def __init__(self, address: str) -> None:
        self._root = stores.canonical(address)
        self._held = {held.address: held for held in stores.files(address)}

    def find(self, spelling: str) -> Found | None:
        """See `Place`."""
        address = self._whole(spelling)
        known = self._held.get(address)
        if known is None and not address.startswith(f"{self._root}/"):
            known = stores.find(address)
        return _object(known)

    def absent(self, spelling: str) -> Found:
        """See `Place`."""
        address = self._whole(spelling)
        return Found(address, {}, (address,))

    def inside(self, path: str) -> str | None:
        """See `Place`."""
        folder = f"{self._root}/"
        return path.removeprefix(folder) if path.startswith(folder) else None

    def _whole(self, spelling: str) -> str:
        if stores.is_address(spelling):
            return stores.canonical(spelling)
        # To a store `..` is a name like any other.
        folder, place = self._root, posixpath.normpath(spelling)
        while place == ".." or place.startswith("../"):
            folder, place = folder.rpartition("/")[0], place[3:]
            if "://" not in folder:
                said = f"{spelling} leads out of the bucket, from {self._root}"
                raise stores.StoreError("missing_file", said)
        return f"{folder}/{place}"

    def lists(self) -> list[str]:
        """Addresses of the lists that lie in the folder itself."""
        return [
            address
            for address in self._held
            if address.lower().endswith(_LISTS) and "/" not in (self.inside(address) or "/")
        ]


def _object(held: stores.Held | None) -> Found | None:
    if held is None:
        return None
    return Found(held.address, {"size": held.size, "mtime_ns": held.time_ns}, (held.address,))


def lists_at(written: str) -> tuple[Path, Place]:
    """What `data.path` names, a folder of lists or one list, on this machine; and the lists' place.

    Lists of an object store are copied. UserError when it cannot be read, or has none there.
    """
    if not stores.is_address(written):
        path = full_path(written)
        return path, Disk(path if path.is_dir() else path.parent)
    try:
        address = stores.canonical(written)
        if stores.find(address) is not None:
            return _copy(address), Store(address.rpartition("/")[0])
        place = Store(address)
        copies = [_copy(each) for each in place.lists()]
    except stores.StoreError as error:
        raise UserError(f"data.path={written}: {error}") from None
    if not copies:
        raise UserError(f"data.path={written}: there is no list (.csv) in that folder")
    folder = _copy_of(address)
    for left in set(folder.iterdir()) - set(copies):
        # Of a list that the store no longer has.
        if left.is_file():
            left.unlink()
    return folder, place


def _copy(address: str) -> Path:
    path = _copy_of(address)
    stores.keep(address, path)
    return path


def _copy_of(address: str) -> Path:
    return _COPIES / address.replace("://", "/")
