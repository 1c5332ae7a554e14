"""Training loop: one epoch after another, resumable to the bit, whatever is optimised."""

import io
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmlib.batch import Clips, LabelledBatch, Rows
from mmlib.models import ranks
from mmlib.models.base import Model
from mmlib.models.devices import training_precision
from mmlib.runtime import sealed
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import Scratch
from mmlib.runtime.seeds import derive
from mmlib.runtime.storage import reading
from mmlib.training.assessment import Samples, assess, samples
from mmlib.training.augment import augment
from mmlib.training.average import WeightAverage
from mmlib.training.history import Costs, History, PassCounter, Row, packed, unpacked
from mmlib.training.mixing import Drawn, learnt_from, on_device
from mmlib.training.objectives import Objective
from mmlib.training.optimiser import adamw, learning_rate
from mmlib.training.settings import TrainSettings

CHECKPOINT = "checkpoint.pt"


def fit(
    model: Model,
    *,
    settings: TrainSettings,
    batches: Callable[[int], Iterator[Drawn]],
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

    `batches(epoch)` yields the training batches, of which those of `steps_per_epoch` steps are
    used; clips that come with partners are mixed with them on the device. After each epoch the
    averaged weights are assessed in eval mode, without augmentation: losses and mAP on `val`, at
    most `assessment.MOST_ASSESSED` of its clips, and the training loss on as many clips of train,
    so that the two compare. The mean of what was optimised is the column `objective`.
    `on_epoch` sees the history so far before each epoch and returns columns for the next row.

    All that is random follows from `seed`, the epoch and the step, and each epoch ends with a
    checkpoint in `scratch`: a run that is killed goes on from there, and ends in the same bits.
    Of several processes (see `models.ranks`) each yields from `batches` its rows of every batch;
    all return the same, which is what one process would, to rounding. Raises UserError when a
    split is empty, when a process would have no clip, and when a loss is not finite.
    """
    settings.check(len(train), len(val), steps_per_epoch, label)
    count = steps_per_epoch * settings.accumulation
    run = _Run(model, settings, steps_per_epoch, seed, device, label)
    run.restore(scratch)
    chosen = samples(train, val, seed)
    for epoch in range(len(run.history.rows), settings.epochs):
        start = time.perf_counter()
        ranks.align(run.average.tensors)
        extra = on_epoch(run.history) if on_epoch else {}
        mean = run.epoch(epoch, itertools.islice(batches(epoch), count), objective)
        row = {"epoch": float(epoch), **run.assess(chosen)}
        run.history.rows.append({**row, "objective": mean, "learning_rate": run.rate, **extra})
        run.history.costs.seconds += time.perf_counter() - start
        if ranks.is_first():
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
        self.optimiser = adamw(model, settings.optimiser.weight_decay)
        self.history = History()
        self.rate = 0.0
        self.pending = torch.zeros(())

    def epoch(self, epoch: int, batches: Iterator[Drawn], objective: Objective) -> float:
        """Train on the batches; return the mean of the objective."""
        total = 0.0
        costs = Costs()
        self.model.train()
        with PassCounter(self.model, costs):
            for number, batch in enumerate(batches):
                total += self._step(epoch, number, batch, objective)
                costs.optimiser_steps += (number + 1) % self.settings.accumulation == 0
                costs.clips_seen += learnt_from(batch)
        self.history.costs.add(costs)
        return total / max(1, costs.optimiser_steps)

    def _step(self, epoch: int, number: int, drawn: Drawn, objective: Objective) -> float:
        """Learn from a batch: the last one of a step takes the step, and returns its objective."""
        step, part = divmod(number, self.settings.accumulation)
        # Dropout draws from torch's own generators, everything else from this batch's.
        seed = derive(self.seed, epoch, number)
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        batch, rows = self._prepared(drawn, generator)
        with training_precision(self.device), ranks.sharing(rows):
            loss = objective(self.model, batch, generator)
        if part == 0:
            self.optimiser.zero_grad(set_to_none=True)
            self.pending = torch.zeros_like(loss.detach())
        self._backward(loss, rows)
        if part + 1 < self.settings.accumulation:
            return 0.0
        value = float(ranks.add_up(list(self.model.parameters()), self.pending))
        if not math.isfinite(value):
            raise self._diverged("the objective", value, epoch)
        self._update(epoch * self.steps_per_epoch + step)
        return value

    def _prepared(
        self, drawn: Drawn, generator: torch.Generator
    ) -> tuple[LabelledBatch, Rows | None]:
        """The batch on the device, mixed and augmented there; its rows of that of all processes."""
        batch = on_device(drawn, self.device)
        rows = ranks.among(len(batch.clip_ids))
        if self.settings.augment is not None:
            inputs = augment(batch.inputs, self.settings.augment, generator, rows)
            batch = batch._replace(inputs=inputs)
        return batch, rows

    def _backward(self, loss: Tensor, rows: Rows | None) -> None:
        """Add to the gradients, and to `pending`, this process's part of the mean over the step."""
        if rows is not None:
            loss = loss * ((rows.stop - rows.start) / rows.total)
        if self.settings.accumulation > 1:
            loss = loss / self.settings.accumulation
        loss.backward()  # type: ignore[no-untyped-call]
        self.pending += loss.detach()

    def _update(self, done: int) -> None:
        """Move the weights and their average, `done` steps having been taken."""
        optimiser = self.settings.optimiser
        self.rate = learning_rate(
            self.settings.learning_rate,
            done,
            self.settings.epochs * self.steps_per_epoch,
            optimiser.warmup_share,
            warmup_steps=optimiser.warmup_steps,
            schedule=optimiser.schedule,
        )
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), optimiser.clip_norm)
        self.optimiser.step()
        self.average.update(done)

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

    def restore(self, scratch: Scratch) -> None:
        """Take up what `save` wrote, if it did, where the first process finds it."""
        held = None
        if ranks.is_first() and scratch.has(CHECKPOINT):
            with reading(scratch.path(CHECKPOINT), "a checkpoint"):
                held = sealed.content(scratch.path(CHECKPOINT))
        held = ranks.as_first(held)
        if held is None:
            return
        state: dict[str, Any] = torch.load(io.BytesIO(held), map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        costs: Mapping[str, Any] = state["costs"]
        clips = unpacked(state["clips"])
        self.history = History(rows=state["rows"], clips=clips, costs=Costs(**costs))
        if ranks.is_first():
            epochs = len(self.history.rows)
            print(f"{self.label}: resuming after epoch {epochs}", file=sys.stderr, flush=True)

    def _diverged(self, what: str, value: float, epoch: int) -> UserError:
        return UserError(
            f"{self.label}: training diverged: {what} is {value} in epoch {epoch}; lower the run's "
            f"learning_rate ({self.settings.learning_rate:g}) or optimiser.clip_norm"
        )
