"""mAP of several runs on the same clips, so that differences are paired ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmlib.metrics.intervals import (
    Interval,
    jackknife_interval,
    jackknife_p,
)
from mmlib.metrics.ranking import average_precision, present_mean
from mmlib.metrics.scores.common import shared
from mmlib.metrics.scores.conditions import (
    CLEAN_CONDITION,
    HEADLINE_ATTACK,
)
from mmlib.metrics.scores.jackknife import pseudo_values, ratio
from mmlib.metrics.scores.recordings import by_recording, read_recordings
from mmlib.metrics.scores.surface import SHARED, shared_scores
from mmlib.metrics.stored import (
    CLEAN,
    NOISE,
    AttackScores,
    Condition,
    read_labels,
)
from mmlib.runtime.arrays import Floats, Floats32
from mmlib.runtime.errors import UserError
from mmlib.shards.rows.ledger import LEDGER_NAME


class Where(NamedTuple):
    """A run, by its role, under a condition: `multiple` is that of the headline budget.

    Under the attack `SHARED` both modalities share one headline budget.
    """

    role: str
    threat: str = CLEAN
    attack: str = HEADLINE_ATTACK
    multiple: float = 1.0

    @property
    def condition(self) -> Condition:
        """What stored scores name it."""
        if self.threat == CLEAN:
            return CLEAN_CONDITION
        return Condition(self.threat, self.attack, self.multiple)


class Jackknifed(NamedTuple):
    """A figure of the eval clips with its pseudo-values, one a recording."""

    estimate: float
    pseudo: Floats


class Effect(NamedTuple):
    """A difference with its interval and its two-sided p."""

    interval: Interval
    p: float


class PairedRuns:
    """The attacked scores of runs that share their eval clips.

    `runs` maps roles (audio, video, fusion, gblend, mixup, adversarial, or any other) to the names
    of runs below `root`. Scores are read and ranked when first asked for. `common_with` names a
    manifest: only clips that it lists too are compared (see `metrics.scores.common`). Clips of one
    recording go together, where there is a ledger to tell. Raises UserError when a file is absent
    or the runs' eval clips differ.
    """

    def __init__(
        self,
        root: Path,
        runs: Mapping[str, str],
        *,
        confidence: float,
        common_with: Path | None = None,
    ) -> None:
        if not runs:
            raise UserError("no runs to compare")
        self.names = dict(runs)
        self.confidence = confidence
        self._attacks = {
            role: AttackScores(root / f"data/attacks/{run}.parquet") for role, run in runs.items()
        }
        self._planes = {
            role: root / f"data/attacks/{run}-surface.parquet" for role, run in runs.items()
        }
        first = next(iter(runs.values()))
        ids, self.labels = read_labels(root / f"data/embeddings/{first}.parquet", "eval")
        for attacks in self._attacks.values():
            if not np.array_equal(attacks.clip_ids, ids):
                raise UserError(
                    f"{attacks.path}: other eval clips than those of {first}; run `dvc repro`"
                )
        if common_with is not None:
            chosen = shared(ids, self.labels, common_with)
            ids, self.labels = ids[chosen], self.labels[chosen]
            for attacks in self._attacks.values():
                attacks.restrict(ids)
        ledger = root / "data/shards" / LEDGER_NAME
        self._recordings = read_recordings(ledger, ids) if ledger.is_file() else None
        self._means: dict[Where, Jackknifed] = {}

    @property
    def clips(self) -> int:
        """How many eval clips the runs share."""
        return len(self.labels)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class list."""
        return next(iter(self._attacks.values())).classes

    def threats(self, role: str) -> tuple[str, ...]:
        """The threats that the run was attacked under; none when no run plays the role."""
        return self._attacks[role].threats if role in self._attacks else ()

    def has(self, *wanted: Where) -> bool:
        """Tell whether all of these were scored."""
        return all(where.role in self._attacks and self._scored(where) for where in wanted)

    def _scored(self, where: Where) -> bool:
        if where.attack == SHARED:
            return self._scores(where) is not None
        return where.condition in self._attacks[where.role].conditions

    def _scores(self, where: Where) -> Floats32 | None:
        attacks = self._attacks[where.role]
        if where.attack == SHARED:
            return shared_scores(self._planes[where.role], attacks, self.labels)
        return attacks.scores(where.condition)

    def mean_ap(self, where: Where) -> Jackknifed:
        """mAP with its pseudo-values."""
        if where not in self._means:
            scores = self._scores(where)
            if scores is None:
                plane = self._planes[where.role]
                raise UserError(f"{plane}: no scores for {where}; run `dvc repro`")
            estimate = present_mean(average_precision(self.labels, scores))
            pseudo = by_recording(pseudo_values(self.labels, scores), self._recordings)
            self._means[where] = Jackknifed(estimate, pseudo)
        return self._means[where]

    def relative_drop(self, where: Where) -> Jackknifed:
        """The share of its clean mAP that the run loses under the condition.

        Its pseudo-values are those of the ratio's linear part (delta method).
        """
        clean, attacked = self.mean_ap(Where(where.role)), self.mean_ap(where)
        kept = ratio(attacked.pseudo, clean.pseudo)
        return Jackknifed(1 - attacked.estimate / clean.estimate, 1 - kept)

    def difference(self, first: Jackknifed, second: Jackknifed) -> Effect:
        """first - second, recording by recording."""
        pseudo = first.pseudo - second.pseudo
        estimate = first.estimate - second.estimate
        interval = jackknife_interval(pseudo, estimate, self.confidence)
        return Effect(interval, jackknife_p(pseudo, estimate))


def noise_of(where: Where) -> Where:
    """The same run and budget under equal-norm noise."""
    return where._replace(attack=NOISE)
