"""A function called in several processes that train together.

They are forked by a process that has imported torch and done nothing with it, which costs less than
to start each of them anew; so tests call it in a process of its own.
"""

import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.distributed import FileStore  # type: ignore[attr-defined]

from mmlib.models import ranks


def together(count: int, function: Callable[[], Any]) -> list[Any]:
    """What the function returns in each of `count` forked processes that train together."""
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        children = [
            context.Process(target=_child, args=(rank, count, Path(folder), function))
            for rank in range(count)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert not any(child.exitcode for child in children), [c.exitcode for c in children]
        return [torch.load(Path(folder) / str(r), weights_only=False) for r in range(count)]


def _child(rank: int, count: int, folder: Path, function: Callable[[], Any]) -> None:
    torch.set_num_threads(1)
    if count > 1:
        store = FileStore(str(folder / "store"), count)
        ranks.join(torch.device("cpu"), store, rank, count)
    torch.save(function(), folder / str(rank))
    if count > 1:
        ranks.leave()
