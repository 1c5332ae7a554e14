"""How one run learns, and data and processes that it cannot learn with."""

from dataclasses import dataclass

from mmlib.models import ranks
from mmlib.params.training import Augment, Optimiser
from mmlib.runtime.errors import UserError


@dataclass(frozen=True)
class TrainSettings:
    """How long and how fast one run learns; the rest is shared by all runs.

    `augment` None leaves the inputs as they are. The gradients of `accumulation` batches, each of
    `batch_size` clips, are averaged into one step.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    optimiser: Optimiser
    augment: Augment | None
    accumulation: int = 1

    def check(self, train: int, val: int, steps_per_epoch: int, label: str) -> None:
        """UserError for a split without clips, a process without any, or a warm-up without end.

        `train`, `val`: the clips of the splits; `label` names the run.
        """
        if not train or not val:
            what = "train on" if val else "validate on"
            raise UserError(f"{label}: there is no clip to {what}")
        size, count = min(self.batch_size, train), ranks.place().size
        if size < count:
            raise UserError(
                f"{label}: {count} processes cannot share batches of {size} clips: start fewer "
                "(MMLIB_RANKS, or torchrun's --nproc-per-node), or raise the run's batch_size"
            )
        warmup, steps = self.optimiser.warmup_steps, self.epochs * steps_per_epoch
        if warmup is not None and warmup >= steps:
            raise UserError(
                f"{label}: optimiser.warmup_steps is {warmup}, but the run has {steps} steps: its "
                "learning_rate would never be reached; lower the one, or raise the run's epochs"
            )
