"""Device and precision, chosen by what is there.

On CUDA training runs in bfloat16 autocast, on CPU in float32; both lay convolutions out channels
last. So does the search of an attack; what it finds is evaluated in float32 on either. MMLIB_DEVICE
("cpu", "cuda", "cuda:1") overrides the choice; it is no param, since it must invalidate nothing.
"""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from mmlib.runtime.errors import UserError
from mmlib.runtime.shares import place_among


def select() -> torch.device:
    """Choose the device: MMLIB_DEVICE, else CUDA when there is one, else the CPU.

    Float32 means float32 from here on: TF32, which rounds to 10 bits, would break exact budgets and
    equal metrics. Raises UserError for a device that is not there.
    """
    name = os.environ.get("MMLIB_DEVICE")
    if not name:
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        name = f"cuda:{place_among(there)}" if there else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"MMLIB_DEVICE is {name!r}: set it to cpu, cuda or cuda:N") from None
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise UserError(f"MMLIB_DEVICE is {name!r}, but this machine has {count} CUDA devices")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.deterministic = True
    elif device.type != "cpu":
        raise UserError(f"MMLIB_DEVICE is {name!r}: set it to cpu, cuda or cuda:N")
    return device


def worker_processes() -> int | None:
    """How many processes may share attacks: one drives a GPU; on CPUs None, one a core."""
    return None if select().type == "cpu" else 1


def select_in_worker() -> torch.device:
    """Choose the device as `select`, with one thread on the CPU.

    Sums over several threads would round differently, and results must not depend on how many
    processes share the work.
    """
    device = select()
    if device.type == "cpu":
        torch.set_num_threads(1)
    return device


def training_precision(device: torch.device) -> AbstractContextManager[Any]:
    """The context of a training step: bfloat16 autocast on CUDA, nothing on the CPU."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


def search_precision(device: torch.device) -> torch.dtype:
    """The precision in which attacks look for points: bfloat16 on a CUDA device that has it.

    MMLIB_SEARCH (float32, bfloat16) overrides the choice. Raises UserError for another one.
    """
    name = os.environ.get("MMLIB_SEARCH")
    if name not in (None, "", "float32", "bfloat16"):
        raise UserError(f"MMLIB_SEARCH is {name!r}: set it to float32 or bfloat16")
    if name:
        return torch.bfloat16 if name == "bfloat16" else torch.float32
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if fast else torch.float32


def compiles(device: torch.device) -> bool:
    """Whether attacks compile the encoders: on CUDA, when MMLIB_COMPILE is 1.

    On CPUs it takes longer than it saves.
    """
    return device.type == "cuda" and os.environ.get("MMLIB_COMPILE") == "1"
