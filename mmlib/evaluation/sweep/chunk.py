"""Attack one chunk of clips under every threat at every budget, each clip for itself.

What is found does not depend on the number of processes. Within a chunk and a threat
the budgets ascend, and each attack starts from the solution of the budget before, as it is and
scaled up to the new radius; the attack on both modalities also starts from those on one. Starts
compete as candidates, so no clip's loss ever falls as a budget grows, nor when a second modality
may be attacked too. Rounds that look at the whole set may follow: see `refine`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmlib.attacks.core.losses import Loss, resolve
from mmlib.attacks.core.search import Points, Search
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.noise import on_sphere
from mmlib.attacks.methods.pgd import lengths
from mmlib.attacks.methods.quantise import quantise
from mmlib.attacks.methods.rechecked import climb_rechecked
from mmlib.attacks.methods.silence import raised
from mmlib.batch import LabelledBatch, present
from mmlib.evaluation.attacked import frozen
from mmlib.evaluation.attacked.budgets import shapes_of, threat_at
from mmlib.evaluation.sweep.measures import measure
from mmlib.evaluation.sweep.methods import (
    ALONE,
    Path,
    Solution,
    compete,
    features_of,
)
from mmlib.models.base import Model
from mmlib.params.attacks import Attack
from mmlib.runtime.seeds import derive
from mmlib.threats import parts_of, threat_names

Budgeted = tuple[str, float]
"""A threat at a multiple of attack.eps."""

Condition = tuple[str, str, float]
"""Threat, attack and multiple of attack.eps; ("clean", "clean", 0.0) for the clean clips."""


class Record(NamedTuple):
    """The clips of one chunk under one condition; tensors have one row per clip, on the CPU.

    `eps` is the budget of the condition. `quantised_scores` only for the attack at the headline
    budget. `measures`: column -> (B,) float64, NaN where it does not apply.
    """

    condition: Condition
    eps: float
    loss: Tensor
    scores: Tensor
    quantised_scores: Tensor | None
    measures: dict[str, Tensor]


class Example(NamedTuple):
    """One clip, clean and under the model's full threat at the headline budget; no batch axis."""

    clip_id: str
    threat: str
    labels: Tensor
    clean_scores: Tensor
    adversarial_scores: Tensor
    clean: Points
    adversarial: Points
    present: dict[str, bool]


class ChunkSweep:
    """The sweep over one chunk; all on the device of `model` and of the clips' tensors.

    `model` is what an `AttackedRun` holds: frozen, which makes a sweep several times as fast.
    `watched` is the same where its layers can be watched, by default `model` itself.
    """

    def __init__(
        self,
        model: Model,
        clips: LabelledBatch,
        settings: Attack,
        seed: int,
        watched: Model | None = None,
    ) -> None:
        self.settings, self.seed, self.modalities = settings, seed, model.modalities
        self.clip_ids, self.inputs, self.labels = clips
        self.loss = resolve(settings.loss)
        self.aim: Callable[[Sequence[Budgeted]], str | Loss] = lambda _: settings.loss
        """What a point climbs that includes some of the conditions: `settle` sets it."""
        self.model, self.watched = model, watched or model
        with torch.no_grad():
            self.embeddings = self.model.encode_all(self.inputs)
            logits = self.model.classify(self.embeddings)
        self.clean = Solution({name: self.inputs[name] for name in self.modalities}, logits)
        self.solutions: dict[Budgeted, Solution] = {}
        self.members: dict[str, dict[str, Solution]] = {}

    @property
    def conditions(self) -> list[Budgeted]:
        """Every threat at every budget: single modalities first, budgets ascending."""
        return [
            (name, multiple)
            for name in threat_names(self.modalities)
            for multiple in sorted(self.settings.sweep)
        ]

    def run(self) -> list[Record]:
        """Search, then record, with nothing between."""
        self.search()
        return self.records()

    def search(self) -> None:
        """Attack each clip for itself: fills `solutions`, and `members` where methods compete."""
        for name, multiple in self.conditions:
            search, threat = self.begin(name, multiple, self.settings.loss)
            found, members = self._attack(search, threat, name, multiple)
            self.solutions[name, multiple] = found
            if members:
                self.members[name] = members

    def begin(
        self, name: str, multiple: float, loss: str | Loss, *parts: int | str
    ) -> tuple[Search, Threat]:
        """A search of one condition; the seed of each clip follows from `parts` too."""
        threat = self.threat(name, multiple)
        batch, forward = frozen.cached(self.model, self.inputs, self.embeddings, threat)
        seeds = [derive(self.seed, clip, name, str(multiple), *parts) for clip in self.clip_ids]
        return Search(forward, batch, self.labels, threat, loss, seeds), threat

    def records(self) -> list[Record]:
        """Every condition, always in the same order: clean, then by threat and ascending budget."""
        records = [self._record("clean", "clean", 0.0, self.clean, {})]
        for name, multiple in self.conditions:
            records += self._at_budget(name, multiple)
        return records

    def threat(self, name: str, multiple: float) -> Threat:
        """The budgets of a threat at a multiple of the headline budget."""
        return threat_at(name, self.settings, multiple, shapes_of(self.inputs))

    def _at_budget(self, name: str, multiple: float) -> list[Record]:
        """Noise, and what was found, under one threat at one budget."""
        search, threat = self.begin(name, multiple, self.settings.loss)
        found = self.solutions[name, multiple]
        # One draw a clip: over a split, the draws of the clips average out.
        noisy, quantised = on_sphere(search), None
        with torch.no_grad():
            noise_logits = search.model({**search.batch, **noisy})
            if multiple == 1:
                stored = quantise(search.regions, found.points)
                quantised = search.model({**search.batch, **stored})
        members = self.members.get(name, {}) if multiple == 1 else {}
        return [
            self._record(name, "noise", multiple, Solution(noisy, noise_logits), threat),
            self._record(name, "pgd", multiple, found, threat, quantised),
            *(
                self._record(name, f"{method}{ALONE}", multiple, members[method], threat)
                for method in self.settings.methods
                if method in members
            ),
        ]

    def _attack(
        self, search: Search, threat: Threat, name: str, multiple: float
    ) -> tuple[Solution, dict[str, Solution]]:
        """PGD from the best of the starts, and from random points for further restarts.

        Then the other methods of the settings; at the headline budget, where there are several,
        each one's own result comes back beside the strongest for each clip.
        """
        search.offer(search.clean, self.clean.logits)
        begin = search.clean
        smaller = [other for other in self.settings.sweep if other < multiple]
        if smaller:
            before = self.solutions[name, max(smaller)]
            search.offer(before.points, before.logits)
            begin = stretched(search, before.points, multiple / max(smaller))
        parts = parts_of(name)
        if parts:
            joined: Points = {}
            for part in parts:
                alone = self.solutions[part, multiple]
                search.offer({**search.clean, **alone.points}, alone.logits)
                joined |= alone.points
            begin = self._better(search, begin, joined)
        cold = not smaller and not parts
        steps = self.settings.steps if cold or multiple == 1 else self.settings.sweep_steps
        if cold and self.settings.domain == "waveform":
            begin = raised(search, begin)
        # From the clean clip, the first step goes to the edge of the ball.
        path = lengths(steps, max(self.settings.step_size, 1.0 if cold else 0.0))
        rough = frozen.rough(search.model, self.labels.device)
        for restart in range(self.settings.restarts if "pgd" in self.settings.methods else 0):
            points = search.random("restart", restart) if restart else begin
            climb_rechecked(search, rough, points, path, self.settings.momentum)
        seen = features_of(self.watched, self.inputs, self.embeddings, threat, self.settings)
        members = compete(search, threat, self.settings, Path(begin, steps, path[0]), seen)
        assert search.best_logits is not None
        several = multiple == 1 and len(self.settings.methods) > 1
        return Solution(search.best, search.best_logits), members if several else {}

    def _better(self, search: Search, first: Points, second: Points) -> Points:
        return search.merge(search.losses(first) > search.losses(second), first, second)

    def _record(
        self,
        name: str,
        attack: str,
        multiple: float,
        found: Solution,
        threat: Threat,
        quantised: Tensor | None = None,
    ) -> Record:
        return Record(
            (name, attack, multiple),
            self.settings.eps * multiple,
            self.loss(found.logits, self.labels).cpu(),
            found.logits.cpu(),
            None if quantised is None else quantised.cpu(),
            measure(self.inputs, found.points, threat),
        )

    def examples(self, rows: Sequence[int]) -> Iterator[Example]:
        """The clips at `rows`, of a sweep that has run."""
        name = threat_names(self.modalities)[-1]
        found = self.solutions[name, 1.0]
        for row in rows:
            yield Example(
                self.clip_ids[row],
                name,
                self.labels[row].cpu(),
                self.clean.logits[row].cpu(),
                found.logits[row].cpu(),
                {modality: points[row].cpu() for modality, points in self.clean.points.items()},
                {modality: points[row].cpu() for modality, points in found.points.items()},
                {name: bool(present(self.inputs, name)[row]) for name in self.modalities},
            )


def stretched(search: Search, points: Points, factor: float) -> Points:
    """Points of another budget, with `factor` times their change where that is allowed."""
    return search.project(
        {name: clean + factor * (points[name] - clean) for name, clean in search.clean.items()}
    )
