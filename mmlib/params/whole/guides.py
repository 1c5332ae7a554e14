"""Guides of blend and temperature: who may train with which, and that none waits for itself."""

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from mmlib.params.retraining import AdversarialRun, MixupRun, PlainRun, SmoothedRun
from mmlib.params.study import JointRun
from mmlib.params.training import TrainRun
from mmlib.params.whole.starts import is_made

if TYPE_CHECKING:
    from mmlib.params.whole.file import Params

UNGUIDED = "none"
FOLDER = Path("data/guides")
Row = TrainRun | PlainRun | MixupRun | AdversarialRun | SmoothedRun | JointRun
_STEERS = "which steers mixup"
_WEIGHS = "which weighs the heads A, V and AV"


def _rows(params: "Params") -> Iterable[tuple[str, Row]]:
    """Every row that may have a guide, with its key."""
    for section, found in (
        ("train", params.train),
        ("retrain", params.retrain),
        ("study.rows", params.study.rows),
    ):
        yield from ((f"{section}.{name}", row) for name, row in found.items())


def given_guides(params: "Params") -> list[tuple[str, str, bool]]:
    """Key and name of each guide that no stage makes, and whether it is to steer mixup."""
    made = {UNGUIDED, *params.blend.guides, *params.temperature.guides}
    return [
        (f"{key}.guide", row.guide, isinstance(row, MixupRun))
        for key, row in _rows(params)
        if row.guide not in made
    ]


def faults(params: "Params") -> Iterable[str]:
    """Whatever does not fit, a line each that begins with the key."""
    both = set(params.blend.guides) & set(params.temperature.guides)
    if both:
        yield f"guide {min(both)!r} is in both blend.guides and temperature.guides: rename one"
    for key, row in _rows(params):
        if "/" in row.guide or row.guide in ("", ".", ".."):
            yield f"{key}.guide is {row.guide!r}: name a guide, not a path"
        elif fault := _misfit(params, row):
            yield f"{key}.guide is {row.guide!r}, {fault}"
    for name, guide in params.blend.guides.items():
        start = params.train.get(guide.init)
        if start is not None and start.fusion == "early":
            yield (
                f"blend.guides.{name}.init names {guide.init!r}, which fuses early: its heads A "
                "and V would have no encoders"
            )
    yield from _circles(params)
    eval_split = [
        name
        for name in ("convexity_split", "density_split")
        if getattr(params.geometry, name) == "eval"
    ]
    if params.temperature.guides and eval_split:
        yield (
            f"geometry.{eval_split[0]} is eval, but temperature.guides would train on what it "
            "measures: set it to train or val, or temperature.guides to {}"
        )


def _misfit(params: "Params", row: Row) -> str | None:
    """Why the row cannot train with its guide."""
    if row.guide == UNGUIDED:
        return None
    if isinstance(row, MixupRun):
        kind = f"{_WEIGHS}; mixup takes one of temperature"
        return kind if row.guide in params.blend.guides else None
    kind = "a row of train" if isinstance(row, TrainRun) else row.method
    if row.guide in params.temperature.guides:
        return f"{_STEERS}; {kind} takes one of blend or {UNGUIDED}"
    trained = row if isinstance(row, TrainRun) else params.train.get(row.init)
    if trained is None:
        return None  # said of its init
    if trained.fusion in (None, "early"):
        return f"{_WEIGHS}: that takes both encoders, with fusion mid, sum, gated or late"
    if not isinstance(row, TrainRun | JointRun) and trained.guide == UNGUIDED:
        return f"{_WEIGHS}: its init {row.init!r} was trained without them"
    return None


def _circles(params: "Params") -> Iterable[str]:
    """Runs that would have to be trained before themselves: a circle of them, if there is one."""
    waits: dict[str, dict[str, str]] = {}
    for name, row in params.train.items():
        starts = [f.stem for f in row.starts.values() if is_made(f)]
        waits[name] = {start: f"{name} starts from {start}" for start in starts}
        said = f"{name} waits for the guide {row.guide}, which is made from"
        for run in _made_from(params, row.guide):
            waits[name].setdefault(run, f"{said} {run}")
    try:
        TopologicalSorter({name: list(others) for name, others in waits.items()}).prepare()
    except CycleError as error:
        # Each of them is needed by the next; the last is the first again.
        circle = error.args[1][:0:-1]
        first = circle.index(min(circle, key=list(waits).index))
        circle = [*circle[first:], *circle[: first + 1]]
        steps = "; ".join(waits[name][other] for name, other in pairwise(circle))
        yield f"train.{circle[0]}: {steps}: no run can wait for itself"


def _made_from(params: "Params", guide: str) -> tuple[str, ...]:
    """The runs that a guide is made from, if a stage makes it."""
    if parts := params.temperature.guides.get(guide):
        return parts.audio, parts.video, parts.fused
    return (params.blend.guides[guide].init,) if guide in params.blend.guides else ()
