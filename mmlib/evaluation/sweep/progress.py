"""What a chunk hands from one round to the next: its points, and the logits that others need."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load, save_file
from torch import Tensor

from mmlib.evaluation.sweep.chunk import Budgeted, ChunkSweep
from mmlib.evaluation.sweep.methods import Solution
from mmlib.runtime import sealed
from mmlib.runtime.storage import reading

_LOGITS = "logits"


def write_points(path: Path, sweep: ChunkSweep) -> None:
    """Write all that was found: the points and logits of every condition and method."""
    tensors: dict[str, Tensor] = {}
    for (name, multiple), found in sweep.solutions.items():
        tensors |= _tensors(f"{name} {multiple!r}", found)
    for name, members in sweep.members.items():
        for method, found in members.items():
            tensors |= _tensors(f"{name} {method}", found)
    _save(tensors, path)


def read_points(path: Path, sweep: ChunkSweep) -> None:
    """Take up what `write_points` wrote, of the same clips."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in _load(path).items():
        place, _, part = key.rpartition(" ")
        found.setdefault(place, {})[part] = tensor
    multiples = {repr(multiple): multiple for multiple in sweep.settings.sweep}
    for place, tensors in found.items():
        name, _, which = place.partition(" ")
        logits = tensors.pop(_LOGITS).to(sweep.labels.device)
        # In the layout of the clean clips, in which the nets are fastest.
        points = {
            part: torch.empty_like(sweep.inputs[part]).copy_(tensor)
            for part, tensor in tensors.items()
        }
        if which in multiples:
            sweep.solutions[name, multiples[which]] = Solution(points, logits)
        else:
            sweep.members.setdefault(name, {})[which] = Solution(points, logits)


def write_logits(path: Path, sweep: ChunkSweep) -> None:
    """Write the logits of every condition, for `read_logits`."""
    _save(
        {
            f"{name} {multiple!r}": found.logits.cpu().clone()
            for (name, multiple), found in sweep.solutions.items()
        },
        path,
    )


def read_logits(
    paths: Sequence[Path], conditions: Sequence[Budgeted], device: torch.device
) -> Mapping[Budgeted, Tensor]:
    """The logits (N, K) of each condition over all chunks, in the order of the paths."""
    parts: dict[Budgeted, list[Tensor]] = {condition: [] for condition in conditions}
    for path in paths:
        held = _load(path)
        for name, multiple in conditions:
            parts[name, multiple].append(held[f"{name} {multiple!r}"])
    return {condition: torch.cat(rows).to(device) for condition, rows in parts.items()}


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    save_file(tensors, path)
    sealed.append(path)


def _load(path: Path) -> dict[str, Tensor]:
    with reading(path, "a chunk's progress"):
        return load(sealed.content(path))


def _tensors(place: str, found: Solution) -> dict[str, Tensor]:
    named = {**found.points, _LOGITS: found.logits}
    return {
        f"{place} {part}": tensor.cpu().clone(memory_format=torch.contiguous_format)
        for part, tensor in named.items()
    }
