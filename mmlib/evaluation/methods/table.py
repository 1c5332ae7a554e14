"""What every method leaves, adds to PGD, and how near it comes to the best of all, as tables."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from mmlib.attacks.core.losses import resolve
from mmlib.evaluation.methods.members import NOISE, PGD, Entry
from mmlib.evaluation.methods.methods import Attacked, Outcome
from mmlib.metrics.intervals import Interval, jackknife_interval
from mmlib.metrics.scores.conditions import Score, score_condition
from mmlib.metrics.scores.jackknife import ratio
from mmlib.metrics.scores.optimality import areas
from mmlib.metrics.scores.recordings import by_recording
from mmlib.runtime.arrays import Bools, Floats, Floats32
from mmlib.runtime.storage import decimals, records_csv, rounded, significant

STRONGEST = "strongest"
"""For each clip the method of most loss; broken is what any of them breaks."""
_ROUNDING = 1e-5
"""Losses this close, in multiples of 1 + their size, count as equal: batches round differently."""


class Judged(NamedTuple):
    """One entry at M ascending budgets: logits (M, N, K), losses and whether broken, (M, N).

    A clip keeps what a smaller budget did to it: that perturbation is allowed too. Broken: right
    when clean, and no true class is ranked first any more.
    """

    logits: Floats32
    loss: Floats
    broken: Bools


class Judge:
    """What is left of one run's clips under one threat, judged by one loss; `loss` by its name."""

    def __init__(self, outcome: Outcome, attacked: Attacked, loss: str, confidence: float) -> None:
        self.outcome, self.attacked, self.confidence = outcome, attacked, confidence
        self._loss, self._labels = loss, torch.from_numpy(outcome.labels).float()
        self.clean_loss = self._value(loss, attacked.clean)
        self._right = (self._value("top", attacked.clean) <= 0) & outcome.labels.any(1)
        self.judged: dict[str, Judged] = {
            key: self._kept(logits) for key, logits in attacked.logits.items()
        }
        every = np.stack([each.logits for each in self.judged.values()])
        losses = np.stack([each.loss for each in self.judged.values()])
        best = losses.argmax(0)
        broken = np.any([each.broken for each in self.judged.values()], axis=0)
        self.judged[STRONGEST] = self._judge(_taken(every, best))._replace(broken=broken)

    def _value(self, loss: str, logits: Floats32) -> Floats:
        """A loss of (..., N, K) logits, (..., N)."""
        flat = torch.from_numpy(np.ascontiguousarray(logits.reshape(-1, logits.shape[-1])))
        copies = len(flat) // len(self._labels)
        found: Floats = resolve(loss)(flat, self._labels.repeat(copies, 1)).double().numpy()
        return found.reshape(logits.shape[:-1])

    def _kept(self, logits: Floats32) -> Judged:
        losses = self._value(self._loss, logits)
        best = np.zeros(losses.shape, np.intp)
        for place in range(1, len(losses)):
            before = np.take_along_axis(losses, best[place - 1 : place], 0)[0]
            best[place] = np.where(losses[place] > before, place, best[place - 1])
        return self._judge(np.take_along_axis(logits, best[:, :, None], 0))

    def _judge(self, logits: Floats32) -> Judged:
        broken = (self._value("top", logits) > 0) & self._right
        return Judged(logits, self._value(self._loss, logits), np.logical_or.accumulate(broken))

    def score(self, logits: Floats32) -> Score:
        """The scores of logits (N, K)."""
        held = self.outcome
        return score_condition(held.labels, logits, held.task, self.confidence, held.recordings)

    def stronger(self, key: str, place: int) -> Bools:
        """Which clips the entry does more to than PGD, at the budget at this place, (N,)."""
        found, reference = self.judged[key].loss[place], self.judged[PGD].loss[place]
        more: Bools = found - reference > _ROUNDING * (1 + np.abs(reference))
        return more

    def share(self, clips: Bools) -> Interval:
        """The share of the clips (N,) with its interval over recordings."""
        numbers = clips.astype(np.float64)
        pseudo = by_recording(numbers, self.outcome.recordings)
        return _share(jackknife_interval(pseudo, float(numbers.mean()), self.confidence))

    def optimality(self, key: str, *, broken: bool) -> Interval:
        """Its area over the per-clip best's, of broken clips or of the loss's rise: see `areas`."""
        damage = {name: self._damage(each, broken) for name, each in self.judged.items()}
        found = areas(damage[key], list(damage.values()), self.outcome.multiples)
        if not found.best.any():
            return Interval(*[float("nan")] * 3)
        own, best = (by_recording(part, self.outcome.recordings) for part in found)
        return _share(jackknife_interval(ratio(own, best), found.optimality, self.confidence))

    def _damage(self, judged: Judged, broken: bool) -> Floats:
        return judged.broken.astype(np.float64) if broken else judged.loss - self.clean_loss


def _share(found: Interval) -> Interval:
    """An interval of something between 0 and 1."""
    return Interval(found.estimate, *(float(np.clip(end, 0, 1)) for end in found[1:]))


def _taken(every: Floats32, best: np.ndarray[Any, Any]) -> Floats32:
    """Of (E, M, N, K), for each budget and clip the entry at `best` (M, N): (M, N, K)."""
    found: Floats32 = np.take_along_axis(every, best[None, :, :, None], 0)[0]
    return found


class Tables(NamedTuple):
    """metrics/methods/<run>.csv and metrics/optimality/<run>.csv as texts, and the figures."""

    methods: str
    optimality: str
    figures: dict[str, Any]


def tables(outcome: Outcome, loss: str, eps: float, confidence: float) -> Tables:
    """The tables of one run; `loss` is attack.loss, which all methods are judged by."""
    rows, optima = [], []
    figures: dict[str, Any] = {}
    for attacked in outcome.attacked:
        judge = Judge(outcome, attacked, loss, confidence)
        mine = list(_rows(judge, eps))
        found = list(_optima(judge))
        rows += mine
        optima += found
        figures[attacked.threat] = _figures(mine, found)
    return Tables(records_csv(rows), records_csv(optima), figures)


def _entries(judge: Judge) -> list[tuple[str, Entry]]:
    there = [(e.key, e) for e in judge.outcome.entries if e.key in judge.judged]
    return [*there, (STRONGEST, Entry(STRONGEST))]


def _asked(judge: Judge, key: str) -> tuple[int, int]:
    """Gradients, and logits alone, that an entry asks for at one budget; the strongest asks all."""
    if key != STRONGEST:
        return judge.attacked.asked[key]
    gradients, passes = np.sum(list(judge.attacked.asked.values()), axis=0).tolist()
    return gradients, passes


def _rows(judge: Judge, eps: float) -> Iterator[dict[str, str]]:
    """A row per method and budget: what it leaves, and what it adds to PGD."""
    for place, multiple in enumerate(judge.outcome.multiples):
        reference = judge.judged[PGD].logits[place]
        alone = judge.score(reference)
        for key, entry in _entries(judge):
            judged = judge.judged[key]
            score = judge.score(judged.logits[place])
            more = judge.stronger(key, place)
            pair = judge.score(np.where(more[:, None], judged.logits[place], reference))
            gain = alone.figures["mAP"] - pair.figures["mAP"]
            added = jackknife_interval(alone.pseudo - pair.pseudo, gain, judge.confidence)
            better = judge.share(more)
            gradients, passes = _asked(judge, key)
            yield {
                **_named(judge, entry),
                "multiple": significant(multiple),
                "eps": significant(eps * multiple, 8),
                "clips": str(len(more)),
                "gradients": str(gradients),
                "passes": str(passes),
                **_cells("mAP", score.mean_ap),
                **{k: decimals(score.figures[k]) for k in ("accuracy",) if k in score.figures},
                "damage": decimals(float((judged.loss[place] - judge.clean_loss).mean())),
                "broken": decimals(float(judged.broken[place].mean())),
                **_cells("better", better),
                **_cells("added", added),
            }


def _optima(judge: Judge) -> Iterator[dict[str, str]]:
    """A row per method: its optimality over the budgets."""
    for key, entry in _entries(judge):
        yield {
            **_named(judge, entry),
            **_cells("optimality", judge.optimality(key, broken=True)),
            **_cells("loss_optimality", judge.optimality(key, broken=False)),
        }


def _named(judge: Judge, entry: Entry) -> dict[str, str]:
    return {
        "threat": judge.attacked.threat,
        "method": entry.method,
        "setting": "" if entry.setting is None else significant(entry.setting),
    }


def _cells(name: str, found: Interval) -> dict[str, str]:
    return {
        name: decimals(found.estimate),
        f"{name}_lo": decimals(found.lo),
        f"{name}_hi": decimals(found.hi),
    }


def _figures(
    rows: list[dict[str, str]], optima: list[dict[str, str]]
) -> Mapping[str, Mapping[str, float | None]]:
    """Entry -> mAP and what it adds to PGD at the headline budget, and its optimality."""
    found: dict[str, dict[str, float | None]] = {}
    headline = [row for row in rows if float(row["multiple"]) == 1.0]
    for row, optimum in zip(headline, optima, strict=True):
        entry = Entry(row["method"], float(row["setting"]) if row["setting"] else None)
        if entry.method == NOISE:
            continue
        found[entry.key] = {
            "mAP": rounded(float(row["mAP"])),
            "added": rounded(float(row["added"])),
            "optimality": rounded(float(optimum["optimality"] or "nan")),
        }
    return found
