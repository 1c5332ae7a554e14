"""A stage in two processes of which one fails, or is killed; `python -m` runs it, forked.

Prints the exit statuses; what the processes say is on stderr.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable

import torch
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from mmlib.batch import Rows
from mmlib.models import ranks
from mmlib.models.whole_batch import BatchNorm2d
from mmlib.runtime import stage
from mmlib.runtime.errors import UserError
from mmlib.training.parallel import over_ranks


def one_raises() -> None:
    """The second process has something to say while the first waits for it."""
    if not ranks.is_first():
        raise UserError("no room for the second")
    ranks.wait()


def all_raise() -> None:
    """Both have the same to say."""
    ranks.wait()
    raise UserError("the same in both")


def one_dies() -> None:
    """The second process is killed while the first waits for it."""
    if not ranks.is_first():
        os.kill(os.getpid(), signal.SIGKILL)
    ranks.wait()


def one_dies_in_backward() -> None:
    """As `one_dies`, while the first is in the backward pass of a norm."""
    norm = BatchNorm2d(2)
    with ranks.sharing(Rows(0, 2, 4)):
        y = norm(torch.rand(2, 2, 3, 3, requires_grad=True))
    if not ranks.is_first():
        os.kill(os.getpid(), signal.SIGKILL)
    y.sum().backward()


WAYS: dict[str, Callable[[], None]] = {
    f.__name__: f for f in (one_raises, all_raise, one_dies, one_dies_in_backward)
}


def child(rank: int, port: int, way: str) -> None:
    """One of the processes, as torchrun would start it."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RESTART_COUNT": 0}
    os.environ |= {name: str(value) for name, value in (place | meeting).items()}
    os.environ |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "MMLIB_DEVICE": "cpu"}
    stage.run(over_ranks(lambda _: WAYS[way]()), check=False)


def main(way: str) -> None:
    """Run the two processes to their end."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=child, args=(rank, store.port, way)) for rank in range(2)]
    for each in children:
        each.start()
    for each in children:
        each.join()
    print(*(each.exitcode for each in children))


if __name__ == "__main__":
    main(sys.argv[1])
