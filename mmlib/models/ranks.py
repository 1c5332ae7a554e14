"""The processes that train one model together, and the rows of a batch that are this one's.

There is one process until `join`. With several, sums over all of them make of each one's part what
one process would have computed of the whole batch; all of it is to be called by all processes, in
the same order. Tensors travel where they are: by NCCL between GPUs, by gloo between CPUs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from mmlib.batch import ALONE, Place, Rows

_PATIENCE = timedelta(hours=1)
"""How long the others wait for one whose disk stalls; one that dies ends them at once."""

_rows: ContextVar[Rows | None] = ContextVar("rows", default=None)


class PeerLost(Exception):
    """Another process has ended, so that no sum over all of them can be had any more."""


def join(device: torch.device, store: Any, rank: int, count: int) -> None:
    """Become the process `rank` of `count` that meet at torch's `store`; `leave` ends it."""
    backend = "cpu:gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
        backend += ",cuda:nccl"
    with _together():
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=count, timeout=_PATIENCE
        )


def leave() -> None:
    """Wait for the others, and be one process again."""
    wait()
    dist.destroy_process_group()


def place() -> Place:
    """Which process this is."""
    if dist.is_available() and dist.is_initialized():
        return Place(dist.get_rank(), dist.get_world_size())
    return ALONE


def is_first() -> bool:
    """Whether this is the process that writes files and speaks."""
    return place().rank == 0


def rows() -> Rows | None:
    """The rows of the batch that the model is trained on now; None where it has the batch alone."""
    return _rows.get()


@contextmanager
def sharing(held: Rows | None) -> Iterator[None]:
    """Tell the layers of a net in training mode which rows of the whole batch they are given."""
    before = _rows.set(held)
    try:
        yield
    finally:
        _rows.reset(before)


@contextmanager
def some_rows(count: int, *, training: bool) -> Iterator[bool]:
    """As `sharing`, of the `count` clips of this process that a part of the net is given.

    Yields whether any process has any. Where the batch is not shared, or not trained on, it says
    so of this process and asks no other.
    """
    if rows() is None or not training:
        yield count > 0
        return
    held = among(count)
    with sharing(held):
        yield held is not None and held.total > 0


def among(count: int) -> Rows | None:
    """The rows that `count` clips of this process are of those of all; None for one process."""
    if place().size == 1:
        return None
    counts = [int(one) for one in gathered(torch.tensor([count])).flatten().tolist()]
    start = sum(counts[: place().rank])
    return Rows(start, start + count, sum(counts))


def total(tensor: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place; the same bits in each."""
    if place().size > 1:
        with _together():
            dist.all_reduce(tensor)
    return tensor


def total_of(*values: float) -> list[float]:
    """The sums of numbers over all processes."""
    found: list[float] = total(torch.tensor(values, dtype=torch.float64)).tolist()
    return found


def gathered(tensor: Tensor) -> Tensor:
    """The tensors of all processes, equal in shape, stacked by rank: (R, ...)."""
    count = place().size
    if count == 1:
        return tensor[None]
    found = [torch.empty_like(tensor) for _ in range(count)]
    with _together():
        dist.all_gather(found, tensor)
    return torch.stack(found)


def values_of_all(value: Any) -> list[Any]:
    """What each process gives, by rank; any picklable values."""
    count = place().size
    if count == 1:
        return [value]
    found: list[Any] = [None] * count
    with _together():
        dist.all_gather_object(found, value)
    return found


def as_first(value: Any) -> Any:
    """What the first process gives, in all of them; any picklable value."""
    if place().size == 1:
        return value
    held = [value]
    with _together():
        dist.broadcast_object_list(held, src=0)
    return held[0]


@torch.no_grad()
def align(tensors: Sequence[Tensor]) -> None:
    """Overwrite the tensors, of one dtype, by those of the first process."""
    if place().size > 1 and tensors:
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _together():
            dist.broadcast(flat, src=0)
        _spread(flat, tensors)


@torch.no_grad()
def add_up(parameters: Sequence[Tensor], value: Tensor) -> Tensor:
    """Sum the gradients of the parameters, and the scalar `value`, over all processes.

    Returns the sum of `value`. A parameter that no process has a gradient of is left without one,
    so that the optimiser passes it over, as it does in one process.
    """
    if place().size == 1:
        return value
    held = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    found = torch.tensor([p.grad is not None for p in parameters]).to(held[0])
    pieces = [gradient.reshape(-1) for gradient in held]
    flat = total(torch.cat([*pieces, found, value.reshape(1).to(found)]))
    _spread(flat, held)
    for parameter, gradient, count in zip(
        parameters, held, flat[-len(held) - 1 : -1].tolist(), strict=True
    ):
        parameter.grad = gradient if count else None
    return flat[-1]


def wait() -> None:
    """Wait until all processes are here."""
    total_of(0.0)


def _spread(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """Copy what `torch.cat` made one, or its beginning, back into its pieces."""
    sizes = [tensor.numel() for tensor in tensors]
    parts = torch.split(flat[: sum(sizes)], sizes)
    shaped = [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]
    torch._foreach_copy_(list(tensors), shaped)


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # gloo's and NCCL's alike
        raise PeerLost(str(error)) from error
