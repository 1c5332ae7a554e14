"""Training loop: one epoch after another, resumable to the bit, whatever is optimised."""

import io
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmlib.batch import Clips, LabelledBatch, to_device
from mmlib.models.base import Model
from mmlib.models.devices import training_precision
from mmlib.params.training import Augment, Optimiser
from mmlib.runtime import sealed
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import Scratch
from mmlib.runtime.seeds import derive
from mmlib.runtime.storage import reading
from mmlib.training.assessment import Samples, assess, samples
from mmlib.training.augment import augment
from mmlib.training.average import WeightAverage
from mmlib.training.history import Costs, History, PassCounter, Row, packed, unpacked
from mmlib.training.objectives import Objective

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class TrainSettings:
    """How long and how fast one run learns; the rest is shared by all runs.

    `augment` None leaves the inputs as they are.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    optimiser: Optimiser
    augment: Augment | None


def learning_rate(peak: float, step: int, total: int, warmup_share: float) -> float:
    """Rate of step 0 ... total - 1: linear up to `peak` over the warm-up, then a cosine to 0."""
    warmup = math.ceil(warmup_share * total)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def fit(
    model: Model,
    *,
    settings: TrainSettings,
    batches: Callable[[int], Iterator[LabelledBatch]],
    steps_per_epoch: int,
    train: Clips,
    val: Clips,
    objective: Objective,
    scratch: Scratch,
    seed: int,
    device: torch.device,
    label: str,
    on_epoch: Callable[[History], Row] | None = None,
) -> History:
    """Train the model in place and return its history; its last weights are their average.

    `batches(epoch)` yields the training batches, of which `steps_per_epoch` are used. After each
    epoch the averaged weights are assessed in eval mode, without augmentation: losses and mAP on
    `val`, at most `assessment.MOST_ASSESSED` of its clips, and the training loss on as many clips
    of train, so that the two compare. The mean of what was optimised is the column `objective`.
    `on_epoch` sees the history so far before each epoch and returns columns for the next row.

    All that is random follows from `seed`, the epoch and the step, and each epoch ends with a
    checkpoint in `scratch`: a run that is killed goes on from there, and ends in the same bits.
    Raises UserError when a split is empty and when a loss is not finite.
    """
    if not len(train) or not len(val):
        raise UserError(f"{label}: there is no clip to {'train on' if len(val) else 'validate on'}")
    run = _Run(model, settings, steps_per_epoch, seed, device, label)
    if scratch.has(CHECKPOINT):
        run.restore(scratch.path(CHECKPOINT))
    chosen = samples(train, val, seed)
    for epoch in range(len(run.history.rows), settings.epochs):
        start = time.perf_counter()
        extra = on_epoch(run.history) if on_epoch else {}
        mean = run.epoch(epoch, itertools.islice(batches(epoch), steps_per_epoch), objective)
        row = {"epoch": float(epoch), **run.assess(chosen)}
        run.history.rows.append({**row, "objective": mean, "learning_rate": run.rate, **extra})
        run.history.costs.seconds += time.perf_counter() - start
        scratch.write(CHECKPOINT, run.save)
        run.report(epoch)
    model.load_state_dict(run.average.model.state_dict())
    model.eval()
    return run.history


class _Run:
    """The state of one run between two epochs, and what happens in one."""

    def __init__(
        self,
        model: Model,
        settings: TrainSettings,
        steps_per_epoch: int,
        seed: int,
        device: torch.device,
        label: str,
    ) -> None:
        self.model = model.to(device)
        self.settings, self.seed, self.device, self.label = settings, seed, device, label
        self.steps_per_epoch = steps_per_epoch
        self.average = WeightAverage(model, settings.optimiser.ema_decay)
        self.optimiser = _adamw(model, settings.optimiser.weight_decay)
        self.history = History()
        self.rate = 0.0

    def epoch(self, epoch: int, batches: Iterator[LabelledBatch], objective: Objective) -> float:
        """Train on the batches; return the mean of the objective."""
        total = 0.0
        steps = 0
        self.model.train()
        with PassCounter(self.model, self.history.costs):
            for step, batch in enumerate(batches):
                total += self._step(epoch, step, batch, objective)
                steps += 1
                self.history.costs.optimiser_steps += 1
                self.history.costs.clips_seen += len(batch.clip_ids)
        return total / max(1, steps)

    def _step(self, epoch: int, step: int, batch: LabelledBatch, objective: Objective) -> float:
        # Dropout draws from torch's own generators, everything else from this step's.
        seed = derive(self.seed, epoch, step)
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        inputs = batch.inputs
        if self.settings.augment is not None:
            inputs = augment(inputs, self.settings.augment, generator)
        batch = LabelledBatch(
            batch.clip_ids, to_device(inputs, self.device), batch.labels.to(self.device)
        )
        done = epoch * self.steps_per_epoch + step
        self.rate = learning_rate(
            self.settings.learning_rate,
            done,
            self.settings.epochs * self.steps_per_epoch,
            self.settings.optimiser.warmup_share,
        )
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate
        with training_precision(self.device):
            loss = objective(self.model, batch, generator)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise self._diverged("the objective", value, epoch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.optimiser.clip_norm)
        self.optimiser.step()
        self.average.update(done)
        return value

    def assess(self, chosen: Samples) -> Row:
        """Keep every clip's losses, and return the row of their means and the mAP on val."""
        size, device = self.settings.batch_size, self.device
        row, clips = assess(self.average.model, chosen, batch_size=size, device=device)
        for name, value in row.items():
            if "_loss" in name and not math.isfinite(value):
                raise self._diverged(name.replace("_", " "), value, len(self.history.rows))
        self.history.clips.append(clips)
        return row

    def report(self, epoch: int) -> None:
        """Say on stderr how the epoch went and how long the rest takes."""
        row, done = self.history.rows[-1], epoch + 1
        each = self.history.costs.seconds / done
        print(
            f"{self.label}: epoch {done}/{self.settings.epochs}, loss train "
            f"{row['train_loss']:.4f} val {row['val_loss']:.4f}, mAP {row['val_mAP']:.3f}, "
            f"{each:.1f} s an epoch, {each * (self.settings.epochs - done):.0f} s left",
            file=sys.stderr,
            flush=True,
        )

    def save(self, path: Path) -> None:
        """Write everything that the next epoch depends on."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rows": self.history.rows,
            "clips": packed(self.history.clips),
            "costs": self.history.costs.as_dict(),
        }
        torch.save(state, path)
        sealed.append(path)

    def restore(self, path: Path) -> None:
        """Take up what `save` wrote."""
        with reading(path, "a checkpoint"):
            held = io.BytesIO(sealed.content(path))
        state: dict[str, Any] = torch.load(held, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        costs: Mapping[str, Any] = state["costs"]
        clips = unpacked(state["clips"])
        self.history = History(rows=state["rows"], clips=clips, costs=Costs(**costs))
        print(
            f"{self.label}: resuming after epoch {len(self.history.rows)}",
            file=sys.stderr,
            flush=True,
        )

    def _diverged(self, what: str, value: float, epoch: int) -> UserError:
        return UserError(
            f"{self.label}: training diverged: {what} is {value} in epoch {epoch}; lower the run's "
            f"learning_rate ({self.settings.learning_rate:g}) or optimiser.clip_norm"
        )


def _adamw(model: Model, weight_decay: float) -> torch.optim.AdamW:
    """AdamW whose decay leaves biases, norms and learnt vectors alone."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, fused=True)
