"""Walking a tree of files, on a disk or a store."""

import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from mmlib.runtime import stores
from mmlib.runtime.errors import UserError

File = tuple[bytes, tuple[int, ...]]
"""The name of a file; of an object its size and time too."""


def walk(root: str) -> Iterator[tuple[str, int, Iterator[File]]]:
    """Each folder below a disk's folder or a store's address once, with its number and its files.

    Links are followed. UserError when a folder or a store cannot be read.
    """
    return _walk_store(root) if stores.is_address(root) else _walk_disk(str(Path(root).absolute()))


def _walk_store(root: str) -> Iterator[tuple[str, int, Iterator[File]]]:
    try:
        held = stores.files(root)
    except stores.StoreError as error:
        raise UserError(f"the mirror {root} cannot be read: {error}") from None
    by_folder = groupby(held, lambda each: each.address.rpartition("/")[0])
    for number, (folder, objects) in enumerate(by_folder):
        yield (
            folder,
            number,
            (
                (each.address.rpartition("/")[2].encode(), (each.size, each.time_ns))
                for each in objects
            ),
        )


def _walk_disk(root: str) -> Iterator[tuple[str, int, Iterator[File]]]:
    waiting, seen, number = [root], set(), 0
    while waiting:
        folder = waiting.pop()
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        below: list[str] = []
        yield folder, number, _files(folder, below)
        waiting += sorted(below, reverse=True)
        number += 1


def _files(folder: str, below: list[str]) -> Iterator[File]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    below.append(entry.path)
                else:
                    yield os.fsencode(entry.name), ()
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from None
