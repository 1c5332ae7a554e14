"""Progress that survives a kill, and outs that are whole or absent.

A long stage keeps finished pieces in `scratch/<stage>-<mark>-<code>/` (ignored by git and DVC),
each written under a temporary name and renamed, and publishes them at the end. The mark is a
fingerprint of the stage's params and inputs, the code one of the project's files that are at work
(see `code.at_work`), so pieces of other settings or of other code are never taken up.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mmlib.runtime import code, sealed
from mmlib.runtime.errors import UserError
from mmlib.runtime.shares import share

_BLOCK_BYTES = 1 << 20


def fingerprint(*parts: Any) -> str:
    """Hash params (pydantic sections, JSON values) and the contents of paths into 16 hex digits.

    A `Path` counts by the names and bytes of its files, not by its place or times. UserError where
    one is absent.
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
        try:
            with file.open("rb") as stream:
                while block := stream.read(_BLOCK_BYTES):
                    digest.update(block)
        except FileNotFoundError:
            raise UserError(f"{file}: no such file; run `dvc repro`, which makes it") from None


def write_whole(path: Path, writer: Callable[[Path], None]) -> None:
    """Let `writer` fill a temporary file, then rename it to `path`: that is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Processes of several machines may have the same number.
    temporary = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.partial")
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


def publish_json(value: Mapping[str, Any], path: Path) -> None:
    """Write one JSON object out whole, with its `#check`; NaN is refused, since JSON has none."""
    publish_text(sealed.json_text(json.dumps(value, indent=2, allow_nan=False)), path)


def publish_csv(text: str, path: Path) -> None:
    """Write one small csv out whole, with its `#check`."""
    publish_text(sealed.csv_text(text), path)


def publish_directory(source: Path, out: Path) -> None:
    """Put the finished directory `source` in the place of `out`, replacing what is there."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        shutil.rmtree(out)
    source.replace(out)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


class Scratch:
    """The finished pieces of one stage, for one mark and under the code that is at work.

    `uses` are functions of the project that the stage was handed, and whose code counts too. Says
    on stderr when a stage starts anew beside progress that it does not take up.
    """

    def __init__(
        self,
        stage: str,
        mark: str,
        root: str | Path = "scratch",
        *,
        uses: Sequence[Callable[..., Any]] = (),
    ) -> None:
        self._stage, self._code = stage, code.at_work(*uses)
        self.directory = Path(root) / f"{stage}-{mark}-{self._code}"
        self.directory.mkdir(parents=True, exist_ok=True)
        # Of the processes that share the folder one speaks.
        if share().place == 0 and not any(self.directory.iterdir()):
            self._warn()

    @property
    def root(self) -> Path:
        """The folder that holds the progress of all stages."""
        return self.directory.parent

    @property
    def ranks(self) -> Path:
        """Where the processes that share this progress tell one another how they fare."""
        return self.root / ".ranks" / self.directory.name

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
        """Forget every piece."""
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.ranks, ignore_errors=True)

    def finish(self) -> None:
        """Forget every piece, once the stage's outs are published.

        Progress of other code goes too, since nothing takes it up again. That of this code for
        other marks stays: it is taken up when the params are switched back.
        """
        self.clear()
        for path in self._others():
            if not path.name.endswith(self._code):
                shutil.rmtree(path, ignore_errors=True)

    def publish(self, out: Path) -> None:
        """Move all finished pieces to `out` and finish; half-written ones are dropped."""
        for unfinished in self.directory.glob(".*.partial"):
            unfinished.unlink()
        publish_directory(self.directory, out)
        self.finish()

    def _warn(self) -> None:
        others = [str(path) for path in self._others() if any(path.iterdir())]
        if others:
            what = "progress of other code or params is there and is not used"
            print(f"{self._stage}: {what}: {', '.join(others)}", file=sys.stderr)

    def _others(self) -> list[Path]:
        # A stage's name may begin with another's: shard and shard-survey.
        name = re.compile(rf"{re.escape(self._stage)}-\w+-[0-9a-f]{{16}}")
        found = (path for path in self.root.iterdir() if name.fullmatch(path.name))
        return sorted(path for path in found if path != self.directory)
