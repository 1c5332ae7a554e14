"""Every stored condition of a run, scored: figures, classes and intervals."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmlib.metrics.intervals import (
    Interval,
    jackknife_interval,
)
from mmlib.metrics.ranking import (
    Ranking,
    accuracy,
    present_mean,
    rank,
    summarise,
)
from mmlib.metrics.scores.common import Labels
from mmlib.metrics.scores.jackknife import pseudo_values
from mmlib.metrics.scores.recordings import by_recording
from mmlib.metrics.stored import (
    CLEAN,
    NOISE,
    AttackScores,
    Condition,
)
from mmlib.runtime.arrays import Floats, Floats32, Ints, Reals, Texts
from mmlib.runtime.errors import UserError

HEADLINE_ATTACK = "pgd"
CLEAN_CONDITION = Condition(CLEAN, CLEAN, 0.0)


@dataclass(frozen=True)
class Score:
    """One condition: its figures by name, its classes' AP and AUC (K,), mAP with its interval.

    `pseudo` are the pseudo-values that the interval is made of, one a recording.
    """

    figures: Mapping[str, float]
    ranking: Ranking
    mean_ap: Interval
    pseudo: Floats


@dataclass(frozen=True)
class RunScore:
    """A run's scores; `attacked` and `noise` map threat -> multiple of the headline `eps` -> score.

    Noise and quantised inputs have mAP alone. `quantised` is the attack at the headline budget
    after storage as uint8 and float16.
    """

    classes: tuple[str, ...]
    task: str
    eps: float
    clips: int
    positives: Ints
    clean: Score
    attacked: Mapping[str, Mapping[float, Score]]
    noise: Mapping[str, Mapping[float, float]]
    quantised: Mapping[str, float]

    def headline(self, threat: str) -> Score:
        """The score under the threat at the headline budget."""
        return self.attacked[threat][1.0]


def score_run(
    attacks: AttackScores,
    clip_ids: Texts,
    labels: Labels,
    *,
    confidence: float,
    recordings: Texts | None = None,
) -> RunScore:
    """Score every condition of a run; `labels` (N, K) belong to `clip_ids`, sorted.

    `recordings` (N,): the clips' own, for the intervals; without them each clip is one.
    Raises UserError when the clips differ from the attacked ones, a score is NaN, the headline
    budget was not attacked, or no class has a positive.
    """
    _refuse(attacks, clip_ids, labels)

    def score(condition: Condition) -> Score:
        scores = _finite(attacks, condition)
        return score_condition(labels, scores, attacks.task, confidence, recordings)

    def mean_ap(condition: Condition, quantised: bool = False) -> float:
        scores = _finite(attacks, condition, quantised)
        return present_mean(rank(labels, scores).average_precision)

    attacked: dict[str, dict[float, Score]] = {}
    noise: dict[str, dict[float, float]] = {}
    quantised: dict[str, float] = {}
    for threat in attacks.threats:
        multiples = attacks.sweep(threat, HEADLINE_ATTACK)
        attacked[threat] = {m: score(Condition(threat, HEADLINE_ATTACK, m)) for m in multiples}
        levels = attacks.sweep(threat, NOISE)
        noise[threat] = {m: mean_ap(Condition(threat, NOISE, m)) for m in levels}
        quantised[threat] = mean_ap(Condition(threat, HEADLINE_ATTACK, 1.0), quantised=True)
    return RunScore(
        attacks.classes,
        attacks.task,
        attacks.eps,
        len(labels),
        labels.sum(axis=0),
        score(CLEAN_CONDITION),
        attacked,
        noise,
        quantised,
    )


def _refuse(attacks: AttackScores, clip_ids: Texts, labels: Labels) -> None:
    """UserError where there is nothing to score, or not the same clips on both sides."""
    if not np.array_equal(clip_ids, attacks.clip_ids):
        raise UserError(
            f"{attacks.path}: {len(attacks.clip_ids)} clips, but embeddings of {len(clip_ids)} "
            "others; run `dvc repro`, which makes both from the same shards"
        )
    if not labels.any():
        raise UserError(f"{attacks.path}: no clip of the eval split has a label; check the data")
    for threat in attacks.threats:
        if 1.0 not in attacks.sweep(threat, HEADLINE_ATTACK):
            raise UserError(
                f"{attacks.path}: threat {threat} was not attacked at the headline eps "
                f"{attacks.eps:g}; put 1.0 into attack.sweep"
            )


def score_condition(
    labels: Labels,
    scores: Reals,
    task: str,
    confidence: float,
    recordings: Texts | None = None,
) -> Score:
    """Score one set of scores (N, K), with the interval of its mAP over clips, or recordings."""
    ranking = rank(labels, scores)
    figures = summarise(ranking)
    if task == "single_label":
        figures["accuracy"] = accuracy(labels, scores)
    pseudo = by_recording(pseudo_values(labels, scores), recordings)
    mean, lo, hi = jackknife_interval(pseudo, figures["mAP"], confidence)
    lo, hi = (float(np.clip(end, 0, 1)) for end in (lo, hi))
    return Score(figures, ranking, Interval(mean, lo, hi), pseudo)


def _finite(attacks: AttackScores, condition: Condition, quantised: bool = False) -> Floats32:
    scores = attacks.scores(condition, quantised=quantised)
    bad = int((~np.isfinite(scores)).any(axis=1).sum())
    if bad:
        eps = attacks.eps_at(condition.multiple)
        raise UserError(
            f"{attacks.path}: {bad} clips have NaN or infinite scores under {condition.threat} at "
            f"eps {eps:g}; the model has diverged: lower its learning_rate"
        )
    return scores
