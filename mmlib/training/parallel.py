"""A training stage in several processes, one a GPU: started, and ended as one.

Under torchrun, or whatever else sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, the stage runs
in each of its processes. Where several GPUs are visible and nothing of the kind is set, the stage
starts itself once for each, as torchrun does.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NoReturn

import torch
from torch.distributed import rendezvous  # type: ignore[attr-defined]

from mmlib.models import devices, ranks
from mmlib.runtime import shares
from mmlib.runtime.errors import UserError
from mmlib.training.launch import LAUNCHER, SILENT, launch

Main = Callable[[list[str]], None]

RESUMES = "run again: training resumes after its last finished epoch"


def over_ranks(main: Main) -> Main:
    """A stage's main, run by as many processes as are to train together.

    An error of one ends all: it is said once, and the status of each is not 0. UserError in one of
    several processes that share work, but that nothing has told how to meet.
    """

    @wraps(main)
    def started(arguments: list[str]) -> None:
        if shares.processes() > 1:
            with _joined():
                main(arguments)
            return
        if not os.environ.get("WORLD_SIZE"):
            _refuse_shares()
            if (count := _wanted()) > 1:
                launch(count, RESUMES)
                return
        main(arguments)

    return started


def _refuse_shares() -> None:
    """Each task of srun or of an array would train, and write, the same model."""
    if (share := shares.share()).of > 1:
        raise UserError(
            f"{share} would train the whole model, as each of the others: start one process, or "
            "torchrun, which lets several train it together (docs/scaling.md); where each trains "
            "another model, set MMLIB_SHARE=0/1"
        )


def _wanted() -> int:
    """MMLIB_RANKS, or the GPUs that are visible when MMLIB_DEVICE names none."""
    text = os.environ.get("MMLIB_RANKS")
    if not text:
        return 1 if os.environ.get("MMLIB_DEVICE") else torch.cuda.device_count()
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"MMLIB_RANKS is {text!r}: give a whole number of at least 1")
    return int(text)


@contextmanager
def _joined() -> Iterator[None]:
    """Be one of the processes that train together."""
    parent = os.environ.get(LAUNCHER)
    if parent:
        threading.Thread(target=_end_with, args=[int(parent)], daemon=True).start()
    store, rank, count = _meeting()
    try:
        device = devices.select()
        if device.type == "cuda" and os.environ.get("MMLIB_DEVICE"):
            raise UserError(f"MMLIB_DEVICE names one GPU for {count} processes: leave it out")
        ranks.join(device, store, rank, count)
        yield
        ranks.leave()
    except ranks.PeerLost as error:
        if parent:  # who knows more of it
            sys.exit(SILENT)
        _end_unless_first(store)
        raise UserError(f"another of the {count} processes has died; {RESUMES}") from error
    except BaseException:
        _end_unless_first(store)
        raise


def _meeting() -> tuple[Any, int, int]:
    try:
        store, rank, count = next(iter(rendezvous("env://")))
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"the processes that train together do not meet: {reason}") from error
    return store, rank, count


def _end_unless_first(store: Any) -> None:
    """End this process in silence unless it is the first to fail."""
    try:
        first = store.add("mmlib failed", 1) == 1
    except RuntimeError:  # the store went with the process that held it
        first = True
    if not first:
        sys.exit(SILENT)


def _end_with(parent: int) -> NoReturn:
    """End this process once the one that started it is gone."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(SILENT)
