"""The ffmpeg process: which binary, how it is fed, watched, limited and ended.

The binary comes with the imageio-ffmpeg wheel, so that every machine decodes with the same program;
MMLIB_FFMPEG names another one. Nothing passes through a shell, and file names are never options:
see `files.url`.
"""

import contextlib
import fcntl
import os
import re
import resource
import selectors
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import imageio_ffmpeg

from mmlib.errors import UserError

# Large pipes: ffmpeg is woken once a frame or two, not once in 64 KiB.
_PIPE_BYTES = 1 << 20
_LINE_BYTES = 1 << 16
_LOG = ("-nostdin", "-hide_banner", "-nostats", "-loglevel", "repeat+level+info")
GLOBAL_ARGUMENTS = (*_LOG, "-filter_threads", "1")
# Every message keeps its colour, by which `log.Log` tells errors from what other threads write into
# the same line.
_ENVIRONMENT = {"AV_LOG_FORCE_COLOR": "1"}
_UNSET = ("AV_LOG_FORCE_NOCOLOR", "AV_LOG_FORCE_256COLOR", "FFREPORT")


class MediaError(Exception):
    """A media file that is refused or cannot be decoded; `kind` is the class it is counted by."""

    def __init__(self, kind: str, message: str) -> None:
        # Both go to Exception, so that the error survives pickling between processes.
        super().__init__(kind, message)
        self.kind = kind
        self.message = " ".join(message.split())

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


@dataclass(frozen=True)
class Limits:
    """What one clip may cost: picture size, clip length, wall time and address space."""

    max_pixels: int = 8847360
    max_seconds: float = 60.0
    timeout_s: float = 60.0
    memory_mb: int = 1500


@cache
def binary() -> str:
    """Absolute path of the ffmpeg program; UserError when there is none."""
    name = os.environ.get("MMLIB_FFMPEG")
    if name:
        path = shutil.which(name)
        if path is None:
            raise UserError(f"MMLIB_FFMPEG is {name!r}: no such program; unset it or mend it")
        return str(Path(path).absolute())
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        raise UserError(
            "imageio-ffmpeg has no ffmpeg for this machine: install one and set MMLIB_FFMPEG to it"
        ) from None


@cache
def version() -> str:
    """Version of the program, such as "9.0.2": decoders differ, so it is a part of the result."""
    text = subprocess.run([binary(), "-version"], capture_output=True, check=True).stdout.decode()
    match = re.match(r"ffmpeg version n?(\S+)", text)
    return match[1] if match else text.split("\n")[0]


class Pipe:
    """One output of the process, read whole into memory; over `limit` bytes is a MediaError."""

    def __init__(self, limit: int) -> None:
        self.read_end, self.write_end = os.pipe()
        self.limit = limit
        self.chunks: list[bytes] = []
        self.size = 0
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            # A system may grant less; the default is slower, not wrong.
            with contextlib.suppress(OSError):
                fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    @property
    def url(self) -> str:
        return f"pipe:{self.write_end}"

    def take(self, chunk: bytes) -> None:
        self.chunks.append(chunk)
        self.size += len(chunk)
        if self.size > self.limit:
            raise MediaError("too_long", f"more than the {self.limit} bytes that are allowed")

    def data(self) -> bytes:
        return b"".join(self.chunks)


def run(
    command: Sequence[str],
    *,
    limits: Limits,
    pipes: Sequence[Pipe] = (),
    inherited: Sequence[int] = (),
    on_line: Callable[[str], None] = lambda line: None,
) -> int:
    """Run ffmpeg, drain all its outputs at once, and return its exit status.

    `on_line` sees each line of its log as it comes, and may raise to end the process. Takes over
    the pipes and closes them. MediaError "timeout" after `limits.timeout_s`; memory is bounded by
    `limits.memory_mb` of address space where the system can (ffmpeg then ends with an error).
    """
    environment = {k: v for k, v in os.environ.items() if k not in _UNSET} | _ENVIRONMENT
    fds = [*inherited, *(pipe.write_end for pipe in pipes)]
    with contextlib.ExitStack() as stack:
        for pipe in pipes:
            stack.callback(os.close, pipe.read_end)
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, pass_fds=fds, env=environment,
            )  # fmt: skip
        finally:
            for pipe in pipes:
                os.close(pipe.write_end)
        stack.enter_context(process)
        try:
            _limit(process.pid, limits)
            _drain(process, pipes, on_line, time.monotonic() + limits.timeout_s, limits.timeout_s)
            return process.wait(timeout=limits.timeout_s)
        except subprocess.TimeoutExpired:
            raise MediaError("timeout", f"not done after {limits.timeout_s:g} s") from None
        finally:
            process.kill()


def _limit(pid: int, limits: Limits) -> None:
    # From outside, after the start: a preexec_fn would fork this whole (large) process, and may
    # deadlock next to threads. The CPU limit ends a decoder whose parent was killed.
    if not hasattr(resource, "prlimit"):
        return
    seconds = int(limits.timeout_s) + 5
    memory = limits.memory_mb << 20
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_AS, (memory, memory))
        resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, seconds))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def _drain(
    process: subprocess.Popen[bytes],
    pipes: Sequence[Pipe],
    on_line: Callable[[str], None],
    deadline: float,
    timeout_s: float,
) -> None:
    assert process.stderr is not None
    takers: dict[int, Callable[[bytes], None]] = {pipe.read_end: pipe.take for pipe in pipes}
    log = process.stderr.fileno()
    takers[log] = _Lines(on_line).take
    with selectors.DefaultSelector() as selector:
        for fd in takers:
            selector.register(fd, selectors.EVENT_READ)
        while takers:
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready and time.monotonic() >= deadline:
                raise MediaError("timeout", f"not done after {timeout_s:g} s")
            for key, _ in ready:
                chunk = os.read(key.fd, _PIPE_BYTES)
                takers[key.fd](chunk)
                if not chunk:
                    selector.unregister(key.fd)
                    del takers[key.fd]


class _Lines:
    """Cuts a stream of bytes into lines; a line without end is cut too, so memory stays bounded."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.rest = b""
        self.on_line = on_line

    def take(self, chunk: bytes) -> None:
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        if not chunk or len(self.rest) > _LINE_BYTES:
            lines.append(self.rest)
            self.rest = b""
        for line in lines:
            self.on_line(line.decode("utf-8", "replace"))
