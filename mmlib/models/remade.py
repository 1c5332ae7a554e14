"""A row's net made a second time: weights that are not its file's, and what first calls leave.

A stage makes the net anew in each process, and calls it with other clips first.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from mmlib.batch import Batch
from mmlib.models import own
from mmlib.models.factory import make
from mmlib.params.training import FRESH, ModelRow
from mmlib.runtime.errors import UserError

_MOST_DRAWN = 0.5
"""A net may draw this share of its weights, as a head that is not used: beyond, it is refused."""
_ALIKE = 1e-4
"""Logits of the same clips, of nets that were called with others first."""


def check_loaded(net: nn.Module, row: ModelRow, classes: Sequence[str]) -> None:
    """Tell of weights that are drawn although there is a file of them.

    `net`: as its factory made it, for seed 0. UserError where most are; else a line on stderr.
    """
    if Path(row.weights) == FRESH:
        return
    other = dict(make(row, classes, seed=1).named_parameters())
    weights = dict(net.named_parameters())
    drawn = [name for name, weight in weights.items() if not torch.equal(weight, other[name])]
    if not drawn:
        return
    said = (
        f"{len(drawn)} of its {len(weights)} weights ({drawn[0]} first) are drawn at random, not "
        f"those of {row.weights}: load_state_dict(..., strict=False) passes over names that do "
        "not fit, so print what it returns"
    )
    if sum(weights[name].numel() for name in drawn) > _MOST_DRAWN * sum(
        weight.numel() for weight in weights.values()
    ):
        raise UserError(said)
    print(f"warning: {row.factory}: {said}", file=sys.stderr)


def check_first_calls(model: own.OwnModel, classes: Sequence[str], clips: Batch) -> None:
    """Refuse a net with which something stays of the clips that it was called with first.

    `model` has been called with `clips` first, the net made anew is with others.
    """
    again = own.rebuild(model.description["architecture"], classes).to(model.device)
    with torch.no_grad():
        again({name: values.flip(0) / 2 for name, values in clips.items()})
        expected = model(clips)
        gap = float((again(clips) - expected).abs().max() / expected.abs().max().clamp_min(1e-12))
    if not gap <= _ALIKE:
        raise UserError(
            f"its logits of the same clips differ, by {gap:.2g} of the largest, once it has been "
            "called with other clips first: compute in each forward what is kept from a first call,"
            " or store it with the weights"
        )
