"""Start this program once for each process that is to train, and end all when one fails."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

import torch
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from mmlib.runtime.errors import UserError

LAUNCHER = "MMLIB_LAUNCHER"
"""Environment variable: the process that started this one, and speaks for those that cannot."""
SILENT = 3
"""Exit status of a process that ends because of another, and says nothing."""

_POLL_S = 0.1
_GRACE_S = 5.0
"""How long the others may take to notice, before they are ended."""


def launch(count: int, resumes: str) -> None:
    """Run this program's command line as `count` processes, which meet here as under torchrun.

    Returns once all have ended well. When one fails, the others are ended too: UserError, ending in
    `resumes`, if it was killed; else it has said itself what was wrong, and this process exits.
    """
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    command = [sys.executable, *sys.orig_argv[1:]]
    children: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(count):
            environment = os.environ | _place(rank, count, store.port)
            # In groups of their own: of a Ctrl-C this process hears alone, and ends them.
            children.append(subprocess.Popen(command, env=environment, process_group=0))
        while any(child.poll() is None for child in children) and not _failed(children):
            time.sleep(_POLL_S)
        _wait(children, _GRACE_S if _failed(children) else 0.0)
        ended = [child.poll() for child in children]
    finally:
        _end(children)
    if any(ended):
        _explain(ended, resumes)


def _place(rank: int, count: int, port: int) -> dict[str, str]:
    """What torchrun tells a process of its place."""
    threads = str(max(1, torch.get_num_threads() // count))
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
        "OMP_NUM_THREADS": threads,
        LAUNCHER: str(os.getpid()),
    }


def _failed(children: Sequence[subprocess.Popen[bytes]]) -> bool:
    return any(child.poll() for child in children)


def _wait(children: Sequence[subprocess.Popen[bytes]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(child.poll() is None for child in children) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    _wait(children, _GRACE_S)
    for child in children:
        child.kill()
        child.wait()


def _explain(ended: Sequence[int | None], resumes: str) -> None:
    """Say what no process could say itself; `ended`: their statuses, None for those ended here."""
    statuses = [status or 0 for status in ended]
    if any(status > 0 and status != SILENT for status in statuses):
        sys.exit(1)
    for rank, status in enumerate(statuses):
        if status < 0:
            raise UserError(
                f"process {rank} of {len(ended)} was killed (signal {-status}), most often for "
                f"lack of memory; {resumes}"
            )
    raise UserError(f"the {len(ended)} processes have lost one another; {resumes}")
