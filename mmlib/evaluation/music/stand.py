"""A run that hears, on the clips of a split, with the instrument that plays to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmlib.attacks.core.losses import resolve
from mmlib.batch import to_device
from mmlib.evaluation.attacked import domain
from mmlib.evaluation.attacked.frozen import cached, frozen
from mmlib.evaluation.music.compose import Judge, Search
from mmlib.evaluation.music.instrument import Instrument
from mmlib.evaluation.music.rooms import responses
from mmlib.evaluation.music.score import Score, random_score
from mmlib.evaluation.music.strings import periods
from mmlib.models import devices
from mmlib.models.base import Model
from mmlib.params.music import MusicSettings
from mmlib.runtime.arrays import Indices
from mmlib.runtime.errors import UserError
from mmlib.runtime.seeds import derive
from mmlib.shards.read.loader import ShardSet


@dataclass(frozen=True)
class Plan:
    """What all of a run's music shares; `loss` is what the attacker raises."""

    model: Path
    shards: Path
    settings: MusicSettings
    loss: str
    seed: int

    @property
    def snrs(self) -> tuple[float, ...]:
        """The levels, the quietest music first."""
        return tuple(sorted(self.settings.snr_db, reverse=True))

    @property
    def shown_at(self) -> float:
        """The level at which examples are kept: the middle one, the louder of two."""
        return self.snrs[len(self.snrs) // 2]


@dataclass(frozen=True, eq=False)
class Stand:
    """A run that hears, on the clips of a split, with the instrument that plays to it."""

    model: Model
    clips: ShardSet
    instrument: Instrument
    device: torch.device
    plan: Plan

    @classmethod
    def at(cls, plan: Plan, split: str) -> "Stand":
        """Load the run and tune the strings; UserError where the run does not hear."""
        device = devices.select_in_worker()
        model = domain.load_model(plan.model, device, plan.shards, "waveform")
        if "audio" not in model.modalities:
            raise UserError(f"music.runs names {plan.model.name}, which reads no sound")
        clips = ShardSet(plan.shards, split)
        example = domain.gather(clips, np.arange(1), model.modalities, domain="waveform").inputs
        mel, piece = domain.front_end(plan.shards), plan.settings.piece
        rate = mel.sample_rate_hz
        instrument = Instrument(
            periods(piece.lowest, piece.highest, rate),
            example["audio"].shape[1],
            rate,
            max(1, round(piece.grid_s * rate)),
            plan.seed,
        ).to(device)
        return cls(frozen(model, to_device(example, device)), clips, instrument, device, plan)

    def judge(self, rows: Indices) -> Judge:
        """The model on clips at some places, what it makes of their pictures kept."""
        batch = domain.gather(self.clips, rows, self.model.modalities, domain="waveform")
        inputs, forward = cached(self.model, to_device(batch.inputs, self.device), None, {"audio"})
        return Judge(forward, inputs, batch.labels.to(self.device), resolve(self.plan.loss))

    def random(self, *uses: str) -> Score:
        """A random piece for each use: a clip, or what else it is for."""
        strings, places = len(self.instrument.strings), self.instrument.places
        seeds = [derive(self.plan.seed, "music", use) for use in uses]
        return random_score(self.plan.settings.piece, strings, places, seeds).to(self.device)

    def rooms(self, count: int, use: str, number: int = 0) -> Tensor | None:
        """So many rooms for a use, the same for all clips; None for none."""
        if not count:
            return None
        seed = self.plan.seed, "music", use, number
        settings, rate = self.plan.settings.rooms, self.instrument.rate_hz
        return responses(settings, rate, count, *seed).to(self.device)

    def search(self, judges: Sequence[Judge], steps: int, *, shared: bool) -> Search:
        """How music is composed against the judges: one piece for all clips, or one for each."""
        settings = self.plan.settings
        return Search(
            self.instrument,
            settings.piece,
            judges,
            lambda count, step: self.rooms(count, "search", step),
            settings.rooms.draws,
            steps,
            shared,
        )


@lru_cache(maxsize=2)
def stand_at(plan: Plan, split: str) -> Stand:
    """The run on a split, loaded once a process; UserError as `Stand.at`."""
    return Stand.at(plan, split)
