"""Progress that survives a kill, and outs that are whole or absent.

A long stage keeps finished pieces in `scratch/<stage>-<fingerprint>/` (ignored by git and DVC),
each written under a temporary name and renamed, and publishes them at the end. The fingerprint
covers the stage's params and inputs, so pieces of other settings are never taken up.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_BLOCK_BYTES = 1 << 20


def fingerprint(*parts: Any) -> str:
    """Hash params (pydantic sections, JSON values) and the contents of paths into 16 hex digits.

    A `Path` counts by the names and bytes of its files, not by its place or times.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            _hash_path(digest, part)
        else:
            value = part.model_dump(mode="json") if isinstance(part, BaseModel) else part
            digest.update(json.dumps(value, sort_keys=True).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def _hash_path(digest: Any, path: Path) -> None:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        digest.update(str(file.relative_to(path)).encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)


def write_whole(path: Path, writer: Callable[[Path], None]) -> None:
    """Let `writer` fill a temporary file, then rename it to `path`: that is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        writer(temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def publish_file(writer: Callable[[Path], None], path: Path) -> None:
    """Write one out whole; DVC may have left a read-only link there, which the rename replaces."""
    write_whole(path, writer)


def publish_text(text: str, path: Path) -> None:
    """Write one small text out whole, UTF-8 with a final newline."""
    write_whole(path, lambda p: _write_text(p, text if text.endswith("\n") else text + "\n"))


def publish_json(value: Any, path: Path) -> None:
    """Write one JSON out whole; NaN is refused, since JSON has none."""
    publish_text(json.dumps(value, indent=2, allow_nan=False), path)


def publish_directory(source: Path, out: Path) -> None:
    """Put the finished directory `source` in the place of `out`, replacing what is there."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        shutil.rmtree(out)
    source.replace(out)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


class Scratch:
    """The finished pieces of one stage under one fingerprint."""

    def __init__(self, stage: str, fingerprint: str, root: str | Path = "scratch") -> None:
        self.directory = Path(root) / f"{stage}-{fingerprint}"
        self.directory.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Where the piece lies, whether or not it is finished."""
        return self.directory / name

    def has(self, name: str) -> bool:
        """Tell whether the piece is finished."""
        return self.path(name).exists()

    def write(self, name: str, writer: Callable[[Path], None]) -> Path:
        """Finish a piece: `writer` fills a temporary file, which then takes the piece's name."""
        write_whole(self.path(name), writer)
        return self.path(name)

    def clear(self) -> None:
        """Forget every piece; called once the stage's outs are published."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def publish(self, out: Path) -> None:
        """Move all finished pieces to `out`; what a kill left half written is dropped."""
        for unfinished in self.directory.glob(".*.partial"):
            unfinished.unlink()
        publish_directory(self.directory, out)
