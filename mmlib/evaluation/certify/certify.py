"""One row of section certify: draws, certificates, attacks on them, bounds on heads."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from mmlib.evaluation.attacked.budgets import threats_met
from mmlib.evaluation.attacked.domain import input_shapes
from mmlib.evaluation.attacked.run import SPLIT
from mmlib.evaluation.certify.attack import PairsTask, attack_all, attack_pairs, chosen
from mmlib.evaluation.certify.outcome import Attacked, Certified, OfThreat
from mmlib.evaluation.certify.units import Unit
from mmlib.evaluation.certify.vectors import vector_radii
from mmlib.evaluation.certify.work import (
    CHOICE_DRAWS,
    CHOICE_SPLIT,
    Job,
    Task,
    choice_logits,
    count,
    pieces,
)
from mmlib.evaluation.goals.deciding import Decider, decider, needs_val, refuse_without_val
from mmlib.metrics.smoothing import Decisions, Scores, bound, decide, joint
from mmlib.models import checkpoint, devices
from mmlib.params.attacks import Attack
from mmlib.params.certify import CertifyAttack, CertifyRow, Sampling
from mmlib.params.goals import Decision
from mmlib.runtime.arrays import Bools, Indices, Ints
from mmlib.runtime.errors import UserError
from mmlib.runtime.paths import checkpoint_files
from mmlib.runtime.pieces import results
from mmlib.runtime.scratch import Scratch, fingerprint
from mmlib.runtime.seeds import derive, drawn
from mmlib.shards.read.loader import ShardSet

CHUNK = 8
"""Clips a piece: what is found does not depend on how many processes share them."""
Item = TypeVar("Item")
Result = TypeVar("Result")


class Places(NamedTuple):
    """The folders of the checkpoints, the shards and the embeddings."""

    models: Path
    shards: Path
    embeddings: Path


def certify(
    name: str,
    row: CertifyRow,
    places: Places,
    sampling: Sampling,
    search: CertifyAttack,
    decision: Decision,
    attack: Attack,
    seed: int,
) -> Certified:
    """Certify the decisions of a smoothed run on eval clips, and attack them.

    Goes on from finished pieces after a kill; neither that nor how many processes take part changes
    a result. UserError for threats that the run cannot meet, and without clips to choose on.
    """
    model = places.models / row.run
    description = checkpoint.read_description(model)
    threats = threats_met(row.threats, tuple(description["inputs"]), f"certify.rows.{name}")
    clips = ShardSet(places.shards, SPLIT)
    checkpoint.check_classes(model, description, clips.classes, places.shards)
    if needs_val(decision, clips.task):
        refuse_without_val(places.shards)
    rows = drawn(np.arange(len(clips)), sampling.clips, derive(seed, "certify"))
    labels = clips.labels[rows] > 0
    if not labels.any():
        raise UserError(
            f"certify.sampling.clips={sampling.clips}: none of the clips drawn has a label; take "
            "more, or all (null)"
        )
    inputs = [places.shards / "manifest.json"]
    inputs += sorted(places.shards.glob(f"{SPLIT}-*.parquet"))
    inputs += sorted(places.shards.glob(f"{CHOICE_SPLIT}-*.parquet"))
    files = [*inputs, *checkpoint_files(model)]
    mark = fingerprint(row, sampling, search, decision, attack, seed, *files)
    scratch = Scratch(f"certify-{name}", mark)
    draws = sampling.n0 + sampling.n
    print(f"certify {name}: {len(rows)} clips, {draws} passes each a threat", file=sys.stderr)
    found = []
    for threat in threats:
        job = Job(model, places.shards, attack, row, sampling, search, threat, seed)
        work = _Work(name, job, clips, rows, labels, scratch, last=threat == threats[-1])
        found.append(work.finish(decision, places.embeddings / f"{row.run}.parquet"))
    scratch.finish()
    ids = tuple(clips.clip_ids[place] for place in rows)
    return Certified(tuple(clips.classes), ids, labels, attack.eps, sampling, search, tuple(found))


class _Work(NamedTuple):
    """A row under one threat: N clips at `rows` of the eval split, with their labels (N, K)."""

    name: str
    job: Job
    clips: ShardSet
    rows: Indices
    labels: Bools
    scratch: Scratch
    last: bool

    def finish(self, decision: Decision, embeddings: Path) -> OfThreat:
        """Choose thresholds under noise, count, certify, attack."""
        rule = self._rule(decision)
        work = self._replace(job=replace(self.job, decider=rule))
        first, hits, there = work._counts()
        known = rule.known(len(self.clips.classes))
        sampling, clips = self.job.sampling, len(self.rows)
        every = joint(sampling.alpha, clips * int(known.sum()))
        decisions, together = (
            _certain(decide(first, sampling.n0, hits, sampling.n, chance), there, known)
            for chance in (sampling.alpha, every)
        )
        # Positives' scores are needed from below alone, negatives' from above: a statement each.
        ranked = joint(sampling.alpha, clips * int((known & self.labels.any(0)).sum()))
        scores = _unmoved(bound(hits, sampling.n, ranked), decisions, there)
        shapes = input_shapes(self.clips, self.job.shards, self.job.attack.domain)
        unit = self.job.unit(shapes)
        attacked = work._attacked()
        pairs = work._pairs(decisions, unit)
        heads, lengths = vector_radii(self.job, decision, self.clips, self.rows, embeddings)
        return OfThreat(
            self.job.threat, unit, known, hits, decisions, together, scores, attacked, pairs,
            heads, lengths,
        )  # fmt: skip

    def _rule(self, decision: Decision) -> Decider:
        """The rule of when a tag is shown, its thresholds chosen on val clips under the noise."""
        task, count_of = self.clips.task, len(self.clips.classes)
        if not needs_val(decision, task):
            return decider(decision, task, count_of, None)
        val = ShardSet(self.job.shards, CHOICE_SPLIT)
        tasks = [Task(self.job, part) for part in pieces(np.arange(len(val)), CHUNK)]
        logits = self._done(choice_logits, tasks, "choice")
        labels = np.repeat(val.labels > 0, CHOICE_DRAWS, axis=0)
        return decider(decision, task, count_of, (labels, np.concatenate(logits)))

    def _counts(self) -> tuple[Ints, Ints, Bools]:
        counted = self._done(count, [Task(self.job, part) for part in self._parts], "counts")
        first, hits, there = (np.concatenate(parts) for parts in zip(*counted, strict=True))
        return first, hits, there

    def _attacked(self) -> Ints:
        if not self.job.search.multiples:
            return np.empty((0, *self.labels.shape), np.int64)
        found = self._done(attack_all, [Task(self.job, part) for part in self._parts], "attacked")
        return np.concatenate([np.stack(part) for part in found], axis=1)

    def _pairs(self, decisions: Decisions, unit: Unit) -> Attacked:
        """Attack up to two decisions of each of some clips: a present tag's and an absent one's."""
        clips, tags = chosen(self.labels, decisions, self.job.search.clips, self.job.seed)
        eps = np.array([unit.eps(decisions.reach[at]) for at in zip(clips, tags, strict=True)])
        shown = decisions.shown[clips, tags]
        columns = (self.rows[clips], tags, shown, eps)
        tasks = [
            PairsTask(self.job, *(tuple(c[at : at + CHUNK].tolist()) for c in columns))
            for at in range(0, len(clips), CHUNK)
        ]
        found = self._done(attack_pairs, tasks, "pairs", last=self.last)
        empty = np.empty((len(self.job.search.reaches), 0), np.int64)
        return Attacked(clips, tags, eps, np.concatenate([empty, *found], axis=1))

    @property
    def _parts(self) -> list[tuple[int, ...]]:
        return pieces(self.rows, CHUNK)

    def _done(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        what: str,
        last: bool = False,
    ) -> list[Result]:
        threat = self.job.threat
        return results(
            function,
            items,
            self.scratch,
            names=[f"{threat}-{what}-{number:05d}.pkl" for number in range(len(items))],
            label=f"certify {self.name} {threat} {what}",
            workers=devices.worker_processes(),
            device=True,
            last=last,
        )


def _certain(found: Decisions, there: Bools, known: Bools) -> Decisions:
    """Without end where a clip has nothing to change; none of a class that is never decided."""
    reach = np.where(there[:, None], found.reach, np.inf)
    return Decisions(found.shown, np.where(known, reach, np.nan))


def _unmoved(scores: Scores, decisions: Decisions, there: Bools) -> Scores:
    """Clips that have nothing to change are always or never shown, whatever is done."""
    fixed = np.where(decisions.shown, np.inf, -np.inf)
    low, high = (np.where(there[:, None], side, fixed) for side in scores)
    return Scores(low, high)
