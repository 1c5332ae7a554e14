"""Adversarial training: part of every batch is attacked before the outer step learns from it.

PGD-AT (Madry et al. 2018) and FGSM with random start (Wong et al. 2020), on one modality or both.
The recipe is ours [choice]: the paper states none.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from mmlib.attacks.core.evaluated import in_eval
from mmlib.attacks.core.search import Search
from mmlib.attacks.core.threat import (
    Threat,
)
from mmlib.batch import LabelledBatch, Rows
from mmlib.models import ranks
from mmlib.models.base import Model
from mmlib.params.retraining import Guard
from mmlib.training.history import (
    History,
    Row,
)
from mmlib.training.objectives import Objective

FGSM_RS_STEP = 1.25
"""Step of FGSM with random start in multiples of eps (Wong et al. 2020)."""
PGD_STEP = 2.5
"""Step of PGD in multiples of eps / steps (Madry et al. 2018)."""


class Probe(NamedTuple):
    """Mean losses of a few clips: clean, after one FGSM-RS step, after several steps of PGD."""

    clean: float
    single: float
    multiple: float

    def collapsed(self, lowest: float, guard: Guard) -> bool:
        """Tell catastrophic overfitting, given the lowest PGD loss of any probe so far.

        The model has learnt to mask the single step's gradient (Wong et al. 2020; Andriushchenko &
        Flammarion 2020): PGD's loss, which training had lowered, jumps back up, and PGD does many
        times the damage of the single step. Either alone is no sign: a model fresh from clean
        training is curved enough for the second, and a hard batch does the first.
        """
        damage = self.multiple - self.clean
        single = max(self.single - self.clean, 0.0)
        return self.multiple > guard.rise * lowest and damage > guard.ratio * single


@contextmanager
def as_attacked(model: nn.Module) -> Iterator[None]:
    """Put the model in eval mode with frozen parameters, and back as every part of it was.

    Eval mode keeps the batch-norm statistics of the inner loop out of the running averages and
    makes the attack see the model that will be evaluated [choice].
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        with in_eval(model):
            yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def ascend(search: Search, steps: int, step_size: float) -> dict[str, Tensor]:
    """Climb `steps` steps from a random start and return the last point, of each modality.

    Training takes the last point, as Madry et al. do, where evaluation takes the best of the path:
    that costs `steps` forward and backward passes and no more, and does not hide a single step
    that has stopped working. `step_size` in multiples of eps / steps.
    """
    points = search.random("train")
    for _ in range(steps):
        _, gradients = search.gradients(points)
        points = search.ascend(points, gradients, step_size / steps)
    return points


class AdversarialObjective:
    """The loss of `objective` on batches of which the leading `share` is attacked first.

    Batches come shuffled, so the leading clips are a random part. Each attacked clip starts at a
    random point of its own, seeded from the step's generator. `attack` "fgsm_rs" is one step,
    watched by `guard`; "pgd" is `steps` steps.
    """

    def __init__(
        self,
        objective: Objective,
        threat: Threat,
        *,
        loss: str,
        attack: Literal["pgd", "fgsm_rs"],
        steps: int,
        share: float,
        guard: Guard,
    ) -> None:
        """`loss`: what the attack maximises, a name of `attacks.losses`."""
        self.objective, self.threat, self.loss = objective, threat, loss
        self.attack, self.steps, self.share = attack, steps, share
        self.guard = guard
        self.begin_epoch(History())

    def begin_epoch(self, history: History) -> Row:
        """Start the next epoch with the chosen attack; return the guard's columns.

        For fgsm_rs they fill during the epoch: `probe_clean`, `probe_single` and `probe_multiple`
        are the last probe's losses, `probe_lowest` the lowest PGD loss of any probe so far, and
        `backed_off` the step from which the epoch trained on PGD (empty: none). What the guard
        remembers is in the history, so that a resumed run goes on with it.
        """
        self.step, self.backed_off = 0, False
        self.columns: Row = {}
        if self.attack == "fgsm_rs":
            lowest = history.rows[-1]["probe_lowest"] if history.rows else math.inf
            self.columns = {"probe_lowest": lowest, "backed_off": math.nan}
        return self.columns

    def __call__(self, model: Model, batch: LabelledBatch, generator: torch.Generator) -> Tensor:
        """Return the loss of the partly attacked batch, a scalar."""
        clips = len(batch.clip_ids)
        rows = ranks.rows() or Rows(0, clips, clips)
        leading = min(rows.total, max(1, round(self.share * rows.total)))
        seeds = torch.randint(2**62, (leading,), generator=generator).tolist()[rows.slice]
        count = len(seeds)  # of this process's clips
        part = {name: tensor[:count] for name, tensor in batch.inputs.items()}
        with as_attacked(model):
            if self.attack == "fgsm_rs" and not self.backed_off:
                self._watch(model, part, batch.labels[:count], seeds, rows.start)
            points = self._attack(model, part, batch.labels[:count], seeds)
        inputs = dict(batch.inputs)
        for modality, attacked in points.items():
            inputs[modality] = torch.cat([attacked, batch.inputs[modality][count:]])
        self.step += 1
        return self.objective(model, batch._replace(inputs=inputs), generator)

    def _attack(
        self, model: Model, part: dict[str, Tensor], labels: Tensor, seeds: list[int]
    ) -> dict[str, Tensor]:
        if not seeds:
            return {}
        search = Search(model, part, labels, self.threat, self.loss, seeds)
        if self.attack == "pgd":
            return ascend(search, self.steps, PGD_STEP)
        if self.backed_off:
            return ascend(search, self.guard.steps, PGD_STEP)
        return ascend(search, 1, FGSM_RS_STEP)

    def _watch(
        self,
        model: Model,
        part: dict[str, Tensor],
        labels: Tensor,
        seeds: list[int],
        start: int,
    ) -> None:
        """Every so many steps, see on a few clips whether the single step still attacks.

        `start`: the place of the first clip in the whole batch, whose leading clips are looked at.
        """
        if self.step % self.guard.every:
            return
        count = max(0, min(len(seeds), self.guard.clips - start))
        few = {name: tensor[:count] for name, tensor in part.items()}
        probe = self._probe(model, few, labels[:count], seeds[:count])
        lowest = min(self.columns["probe_lowest"], probe.multiple)
        self.backed_off = probe.collapsed(lowest, self.guard)
        found = {f"probe_{name}": loss for name, loss in probe._asdict().items()}
        self.columns.update(found, probe_lowest=lowest)
        if self.backed_off:
            self.columns["backed_off"] = float(self.step)

    def _probe(
        self, model: Model, few: dict[str, Tensor], labels: Tensor, seeds: list[int]
    ) -> Probe:
        """The mean losses of the few clips, those of all processes together."""
        count, means = len(seeds), [0.0] * len(Probe._fields)
        if count:
            search = Search(model, few, labels, self.threat, self.loss, seeds)
            attacked = (
                search.clean,
                ascend(search, 1, FGSM_RS_STEP),
                ascend(search, self.guard.steps, PGD_STEP),
            )
            means = [float(search.losses(points).mean()) for points in attacked]
        if ranks.rows() is None:
            return Probe(*means)
        *sums, clips = ranks.total_of(*(count * mean for mean in means), count)
        return Probe(*(each / clips for each in sums))
