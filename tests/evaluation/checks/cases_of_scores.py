"""Cases of the checks of stored scores and reports: 200 clips, 40 classes, the demo's sweep."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from mmlib.attacks.methods.minimal import Radii, minimal_radius
from mmlib.evaluation.checks import controls, examples, honesty, recomputed
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.evaluation.checks.recomputed import scores_match_scikit_learn
from mmlib.evaluation.checks.sweep import check_sweep
from mmlib.evaluation.threat_card import threat_card
from mmlib.metrics.ranking import Ranking, rank
from mmlib.metrics.stored import Condition
from mmlib.runtime.arrays import Bools, Floats32
from tests.evaluation.checks import demo_size as demo
from tests.evaluation.checks.cases import Case

HEADLINE = Condition("AV", "pgd", 1.0)
Change = Callable[[demo.Stored], None]


@cache
def _outcomes(change: Change) -> list[Outcome]:
    with TemporaryDirectory() as folder:
        stored = demo.sound_sweep()
        change(stored)
        table = demo.write_sweep(Path(folder) / "mid.parquet", stored)
        return check_sweep(table, demo.labels(), demo.ATTACK)


def _swept(change: Change, name: str) -> Outcome:
    return next(outcome for outcome in _outcomes(change) if outcome.name == name)


def _sound(_: demo.Stored) -> None:
    pass


def _lost_start(stored: demo.Stored) -> None:
    """A budget whose attack began anew, and got no further than half of it would."""
    stored[Condition("AV", "pgd", 2.0)] = demo.scores(0.5)


def _stuck(stored: demo.Stored) -> None:
    """However large the budget, the attack gets no further than at the headline."""
    for condition in stored:
        if condition.attack == "pgd" and condition.multiple > 1:
            stored[condition] = stored[condition._replace(multiple=1.0)]


def _wrong_sign(stored: demo.Stored) -> None:
    """The attack on video lowers the loss."""
    for condition in stored:
        if condition.attack == "pgd" and condition.threat == "V":
            stored[condition] = demo.scores(-0.2 * condition.multiple)


def _video_alone(stored: demo.Stored) -> None:
    """A+V moves the video only."""
    for condition in stored:
        if condition[:2] == ("AV", "pgd"):
            stored[condition] = stored[condition._replace(threat="V")]


def _smaller_is_stronger(stored: demo.Stored) -> None:
    """A smaller budget's attack is a little stronger, and was not taken over."""
    stored[Condition("A", "pgd", 1.0)] = demo.scores(0.7 * 0.5 - 0.05)


def _recomputed(ranking: Callable[[Bools, Floats32], Ranking]) -> Outcome:
    with TemporaryDirectory() as folder, patch.object(recomputed, "rank", ranking):
        table = demo.write_sweep(Path(folder) / "mid.parquet", demo.sound_sweep())
        few = 3 * demo.labels().size  # scikit-learn takes its time with every class
        return scores_match_scikit_learn(table, demo.labels(), demo.PARAMS.seed, most=few)


def _interpolated(labels: Bools, scores: Floats32) -> Ranking:
    """The trapezoidal area under precision and recall, in place of average precision."""
    found = rank(labels, scores)
    top = np.take_along_axis(labels, scores.argmax(0)[None], 0)[0]
    between = (1 - top) / (2 * labels.sum(0)) * found.average_precision
    return found._replace(average_precision=found.average_precision - between)


@cache
def _clean() -> Floats32:
    return demo.scores(0.0)


def _beside(embedded: Floats32 | None) -> Callable[[], Outcome]:
    return lambda: honesty.clean_beside_robust(_clean(), embedded)


def _swapped() -> Floats32:
    """The scores of two neighbouring clips in each other's place."""
    rows = np.arange(demo.CLIPS)
    rows[[10, 11]] = 11, 10
    return _clean()[rows]


def _card(**changes: object) -> Outcome:
    card = threat_card(demo.ATTACK, demo.PARAMS.shard.mel.floor_db)
    return honesty.threat_model_card(card, demo.ATTACK.model_copy(update=changes))


def _universal(shared: int) -> Outcome:
    """As many clips of each side as the demo draws; `shared` of them are of the same recording."""
    clips = demo.CHECKS.clips
    val = {"clip": [f"val-{n}" for n in range(clips)], "recording": [f"v{n}" for n in range(clips)]}
    scored = {
        "clip": [f"eval-{n}" for n in range(clips)],
        "recording": [f"{'v' if n < shared else 'e'}{n}" for n in range(clips)],
    }
    return honesty.universal_split(val, scored, "mAP 0.300")


def _norms(over: float) -> Outcome:
    """One clip of 200 under one of the conditions is at `over` of its budget."""
    shapes = {name: tuple(value.shape[1:]) for name, value in demo.few(1).items()}
    run = SimpleNamespace(settings=demo.ATTACK, input_shapes=shapes)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mid.parquet"
        demo.write_sweep(path, demo.sound_sweep(), over=over)
        return examples._norms(path, run)  # type: ignore[arg-type]


def _control(name: str = "", fault: object = None) -> Outcome:
    if not name:
        return controls.known_weak_control(demo.ATTACK.norm)
    with patch.object(controls, name, fault):
        return controls.known_weak_control(demo.ATTACK.norm)


def _two_per_cent_off(*arguments: Any, **settings: Any) -> Radii:
    found = minimal_radius(*arguments, **settings)
    return found._replace(radius=1.02 * found.radius)


CASES = [
    *(
        Case(name, "a sound sweep", "pass", partial(_swept, _sound, name))
        for name in (
            "monotone_eps",
            "large_eps_collapse",
            "random_noise",
            "joint_beats_single",
            "worst_case_per_clip",
        )
    ),
    Case(
        "monotone_eps", "a budget began anew", "fail", lambda: _swept(_lost_start, "monotone_eps")
    ),
    Case(
        "large_eps_collapse",
        "stuck at the headline",
        "fail",
        lambda: _swept(_stuck, "large_eps_collapse"),
    ),
    Case("random_noise", "the wrong sign", "fail", lambda: _swept(_wrong_sign, "random_noise")),
    Case(
        "joint_beats_single",
        "A+V moves the video alone",
        "fail",
        lambda: _swept(_video_alone, "joint_beats_single"),
    ),
    Case(
        "worst_case_per_clip",
        "a smaller budget does more",
        "fail",
        lambda: _swept(_smaller_is_stronger, "worst_case_per_clip"),
    ),
    Case("scores_match_scikit_learn", "ours", "pass", lambda: _recomputed(rank)),
    Case(
        "scores_match_scikit_learn",
        "an interpolated curve",
        "fail",
        lambda: _recomputed(_interpolated),
    ),
    Case("clean_beside_robust", "the same to rounding", "pass", _beside(_clean() * (1 + 1e-5))),
    Case("clean_beside_robust", "weights of a later step", "fail", _beside(1.01 * _clean())),
    Case("clean_beside_robust", "two clips swapped", "fail", _beside(_swapped())),
    Case("clean_beside_robust", "clips of another split", "fail", _beside(None)),
    Case("threat_model_card", "the demo's card", "pass", _card),
    Case("threat_model_card", "other steps than were run", "fail", lambda: _card(steps=99)),
    Case("universal_split", "apart", "pass", lambda: _universal(0)),
    Case("universal_split", "one recording on both sides", "fail", lambda: _universal(1)),
    Case("budget_exact", "norms within", "pass", lambda: _norms(1.0)),
    Case("budget_exact", "one norm 1 % over", "fail", lambda: _norms(1.01)),
    Case("known_weak_control", "sound", "pass", _control),
    Case(
        "known_weak_control",
        "radii 2 % too large",
        "fail",
        lambda: _control("minimal_radius", _two_per_cent_off),
    ),
    Case(
        "known_weak_control",
        "a control that masks nothing",
        "fail",
        lambda: _control("rounding", lambda model: model),
    ),
]
