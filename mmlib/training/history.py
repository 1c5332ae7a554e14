"""What a training run leaves behind: a row an epoch, and what it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mmlib.models import ranks
from mmlib.models.base import Model
from mmlib.runtime.storage import records_csv, significant
from mmlib.training.gblend import ClipLosses

Row = dict[str, float]


@dataclass
class Costs:
    """Passes and clips of the training steps alone; evaluation is not counted.

    A pass is one clip through all encoders of the model, forward or backward; an attack inside
    training that goes through one of two encoders counts a half. `seconds` is wall time and the
    only figure that differs between two runs of the same seed.
    """

    forward_passes: float = 0.0
    backward_passes: float = 0.0
    optimiser_steps: int = 0
    clips_seen: int = 0
    seconds: float = 0.0

    def add(self, others: "Costs") -> None:
        """Add what some steps took: theirs in all processes that train together, but for time."""
        passes = others.forward_passes, others.backward_passes
        forward, backward, clips = ranks.total_of(*passes, others.clips_seen)
        self.forward_passes += forward
        self.backward_passes += backward
        self.clips_seen += int(clips)
        self.optimiser_steps += others.optimiser_steps
        self.seconds += others.seconds

    def as_dict(self) -> dict[str, float]:
        """The figures by name, as metrics/costs/<run>.json holds them."""
        return asdict(self)


class PassCounter:
    """Adds every pass through a model's encoders to `costs` while the context is open."""

    def __init__(self, model: Model, costs: Costs) -> None:
        self._model = model
        self._costs = costs
        self._hooks: list[Any] = []

    def __enter__(self) -> "PassCounter":
        costs, share = self._costs, 1.0 / len(self._model.encoders)

        def forward(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            passes = share * len(output)
            costs.forward_passes += passes
            if output.requires_grad:
                output.register_hook(  # type: ignore[no-untyped-call]
                    lambda gradient: backward(passes)
                )

        def backward(passes: float) -> None:
            costs.backward_passes += passes

        self._hooks = [
            encoder.register_forward_hook(forward) for encoder in self._model.encoders.values()
        ]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()


@dataclass
class History:
    """One row an epoch, the losses of single clips after each, and what the run has cost so far."""

    rows: list[Row] = field(default_factory=list)
    clips: list[ClipLosses] = field(default_factory=list)
    costs: Costs = field(default_factory=Costs)

    def csv(self) -> str:
        """The rows as CSV, 9 significant digits; an absent or undefined value is empty."""
        return records_csv(
            {name: significant(value, 9) for name, value in row.items()} for row in self.rows
        )


def packed(clips: Sequence[ClipLosses]) -> list[dict[str, dict[str, Tensor]]]:
    """Losses of clips as a checkpoint holds them."""
    return [
        {
            part: {head: torch.from_numpy(losses) for head, losses in heads.items()}
            for part, heads in one._asdict().items()
        }
        for one in clips
    ]


def unpacked(stored: Sequence[Mapping[str, Mapping[str, Tensor]]]) -> list[ClipLosses]:
    """What `packed` was given."""
    return [
        ClipLosses(
            **{part: {h: t.numpy() for h, t in heads.items()} for part, heads in one.items()}
        )
        for one in stored
    ]
