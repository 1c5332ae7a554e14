"""When a clip counts as tagged: the rule that a goal has to cross, and how well it tags."""

from dataclasses import dataclass
from math import inf, log
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmlib.attacks.methods.decisions import AmongTop, ByThreshold, Margins
from mmlib.params.goals import Decision
from mmlib.runtime.arrays import Bools, Floats, Floats32
from mmlib.runtime.errors import UserError
from mmlib.shards.read.manifest import read_manifest


@dataclass(frozen=True)
class Decider:
    """A rule with its numbers: a threshold for each class in logits, or how many are shown.

    A class without a threshold has nan there and is never decided.
    """

    thresholds: tuple[float, ...] | None
    top: int
    best_f1: tuple[float, ...] | None = None
    """Of each class on val, where thresholds were chosen by it."""

    @property
    def margins(self) -> Margins:
        """The rule as attacks take it."""
        if self.thresholds is None:
            return AmongTop(self.top)
        return ByThreshold(torch.tensor(self.thresholds))

    def known(self, classes: int) -> Bools:
        """Which classes have a decision, (K,)."""
        if self.thresholds is None:
            return np.ones(classes, np.bool_)
        return np.logical_not(np.isnan(self.thresholds))


def needs_val(decision: Decision, task: str) -> bool:
    """Whether the rule is chosen on the val split."""
    return task == "multi_label" and decision.rule == "f1"


def refuse_without_val(shards: Path) -> None:
    """UserError where the shards have no val clips to choose thresholds on."""
    if not read_manifest(shards)["clips"].get("val", {}).get("count"):
        raise UserError(
            f"{shards}: the split val has no clips to choose thresholds on; set "
            "goals.decision.rule to probability or top"
        )


def decider(
    decision: Decision, task: str, classes: int, val: tuple[Bools, Floats32] | None
) -> Decider:
    """The rule for a task; `val`: labels and logits (N, K), where `needs_val`.

    Single-label: always the highest score. UserError where top shows every class.
    """
    if task == "single_label":
        return Decider(None, 1)
    if decision.rule == "top":
        if decision.top >= classes:
            raise UserError(
                f"goals.decision.top is {decision.top}, but there are {classes} classes: all tags "
                "would be shown always"
            )
        return Decider(None, decision.top)
    if decision.rule == "probability":
        at = log(decision.probability) - log(1 - decision.probability)
        return Decider((at,) * classes, decision.top)
    assert val is not None
    labels, logits = val
    chosen = [best_f1(labels[:, k], logits[:, k]) for k in range(classes)]
    thresholds, scores = zip(*chosen, strict=True)
    return Decider(tuple(thresholds), 1, tuple(scores))


def best_f1(truth: Bools, scores: Floats32) -> tuple[float, float]:
    """The threshold above which a class is shown with the highest F1, and that F1.

    `truth`, `scores` (N,). Half-way between the scores on its two sides, of several best the
    highest; below all scores where F1 is highest with every clip shown. nan without a positive.
    """
    positives = int(truth.sum())
    if not positives:
        return float("nan"), float("nan")
    order = np.argsort(-scores, kind="stable")
    falling = scores[order].astype(np.float64)
    hits = np.cumsum(truth[order])
    f1: Floats = 2 * hits / (np.arange(1, len(order) + 1) + positives)
    # Equal scores stand on one side together.
    last = np.append(falling[1:] < falling[:-1], True)
    best = int(np.argmax(np.where(last, f1, -inf)))
    if best + 1 == len(falling):
        return float(np.nextafter(np.float32(falling[-1]), np.float32(-inf))), float(f1[best])
    upper, lower = np.float32(falling[best]), np.float32(falling[best + 1])
    middle = np.float32((falling[best] + falling[best + 1]) / 2)
    # Between neighbouring numbers there is none; what equals the threshold is not shown.
    return float(middle if middle < upper else lower), float(f1[best])


def decisions_table(
    found: Decider, classes: list[str], labels: Bools, margins: Floats32
) -> list[dict[str, Any]]:
    """How well each class is tagged on clips of labels and clean margins (N, K), a row each."""
    rows = []
    for k, name in enumerate(classes):
        shown, truth = margins[:, k] > 0, labels[:, k]
        right = int((shown & truth).sum())
        rows.append(
            {
                "class": name,
                "threshold": found.thresholds[k] if found.thresholds else float("nan"),
                "val_f1": found.best_f1[k] if found.best_f1 else float("nan"),
                "n_eval": int(truth.sum()),
                "shown": int(shown.sum()),
                "right": right,
                "precision": right / shown.sum() if shown.any() else float("nan"),
                "recall": right / truth.sum() if truth.any() else float("nan"),
            }
        )
    return rows
