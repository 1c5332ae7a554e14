"""Which files make a model of one's own: what its factory imports and reads beside its own file."""

import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmlib.params.training import ModelRow
from mmlib.runtime.scratch import fingerprint

_ROOT = Path(__file__).resolve().parent.parent
_OURS = tuple(_ROOT / name for name in ("mmlib", "stages", "tools"))
_SYSTEM = tuple(
    Path(place).resolve()
    for place in (
        *(sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib")),
        *("/dev", "/etc", "/proc", "/run", "/sys", "/usr"),
    )
)
"""What is installed, and what is no file of a user's."""


@contextmanager
def reading() -> Iterator[set[str]]:
    """Note each file that is imported, or that Python opens to read.

    What libraries open by themselves, past Python, is not seen.
    """
    found: set[str] = set()
    known = set(sys.modules)
    listens = True

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if listens and event == "open":
            path, _, flags = arguments
            if isinstance(path, str | os.PathLike) and flags & os.O_ACCMODE == os.O_RDONLY:
                found.add(str(Path(path).resolve()))

    # Such a hook stays for the life of the process.
    sys.addaudithook(note)
    try:
        yield found
    finally:
        listens = False
        files = (getattr(sys.modules[name], "__file__", None) for name in {*sys.modules} - known)
        found.update(file for file in files if file)


def fingerprints(row: ModelRow, read: set[str]) -> dict[str, str]:
    """Of the user's files that were `read`, and those that options name: path -> fingerprint.

    Without those that DVC watches by themselves: as `ModelRow.watched`.
    """
    options = (value for value in row.options.values() if isinstance(value, str) and value)
    places = {Path(place).resolve() for place in (*read, *options)}
    known = {Path(place).resolve() for place in (row.code, row.weights, row.classes)}
    return {
        str(path): fingerprint(path)
        for path in sorted(places - known)
        if path.is_file() and path.suffix != ".pyc" and not _installed(path)
    }


def absolute(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options whose values name files here, such that they name them in any folder."""
    return {
        name: str(Path(value).resolve())
        if isinstance(value, str) and Path(value).suffix and Path(value).is_file()
        else value
        for name, value in options.items()
    }


def _installed(path: Path) -> bool:
    return "site-packages" in path.parts or any(
        path.is_relative_to(place) for place in (*_OURS, *_SYSTEM)
    )
