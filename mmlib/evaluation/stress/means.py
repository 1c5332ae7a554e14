"""Means over conditions, and what retraining changes in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mmlib.evaluation.stress.conditions import (
    CORRUPTION,
    DROP,
    ENCODING,
    SHIFT,
    SWAP,
    Condition,
)
from mmlib.metrics.intervals import Interval, holm, jackknife_interval, jackknife_p
from mmlib.metrics.scores.conditions import Score
from mmlib.metrics.scores.jackknife import ratio
from mmlib.runtime.arrays import Floats
from mmlib.runtime.storage import decimals, records_csv, rounded

CLEAN = "clean"
COMPARED = (CORRUPTION, ENCODING, SHIFT, SWAP)
"""Families whose means `dvc metrics diff` shows."""
Origins = Mapping[str, tuple[str, ...]]
"""Retrained run -> the runs that it is compared with."""


@dataclass(frozen=True)
class Mean:
    """mAP over some conditions: its value, pseudo-values (N,), and of how many it is the mean."""

    value: float
    pseudo: Floats
    count: int


class Place(NamedTuple):
    """What a mean is over: all of a family, one kind of it, or one step; and under which threat.

    An empty kind and no step stand for all of them.
    """

    family: str
    kind: str
    step: float | None
    threat: str


@dataclass(frozen=True)
class Scored:
    """One run: clean, and condition by condition and threat by threat."""

    run: str
    clean: Score
    found: Mapping[tuple[int, str], Score]


CLEAN_PLACE = Place(CLEAN, "", None, CLEAN)
"""Where the clean clips stand among the means."""


def named(run: str, family: str, kind: str, step: float | None, threat: str) -> dict[str, str]:
    """The cells that say which score or mean a row is of."""
    return {
        "run": run,
        "family": family,
        "kind": kind,
        "step": "" if step is None else f"{step:g}",
        "threat": threat,
    }


def means_of(scored: Scored, listed: Sequence[Condition]) -> dict[Place, Mean]:
    """Means over each family, over each kind of it, and over each severity of the corruptions."""
    groups: dict[Place, list[Score]] = {}
    for (place, threat), found in scored.found.items():
        family, kind, step = listed[place][:3]
        over = [Place(family, kind, None, threat)]
        # A clip without sound and one without pictures are two things: they have no mean.
        over += [Place(family, "", None, threat)] if family != DROP else []
        over += [Place(family, "", step, threat)] if family == CORRUPTION else []
        for which in over:
            groups.setdefault(which, []).append(found)
    return {place: _mean(members) for place, members in groups.items()}


def _mean(members: Sequence[Score]) -> Mean:
    value = float(np.mean([member.figures["mAP"] for member in members]))
    return Mean(value, np.mean([member.pseudo for member in members], axis=0), len(members))


def mean_row(run: str, place: Place, mean: Mean, clean: Mean, confidence: float) -> dict[str, str]:
    """A row of means.csv: mAP with its interval, and the share of the clean mAP that is kept."""
    bounds = jackknife_interval(mean.pseudo, mean.value, confidence)
    share = mean.value / clean.value if clean.value else float("nan")
    kept = (
        jackknife_interval(ratio(mean.pseudo, clean.pseudo), share, confidence)
        if place is not CLEAN_PLACE
        else Interval(1.0, 1.0, 1.0)
    )
    lo, hi = (float(np.clip(end, 0, 1)) for end in bounds[1:])
    figures = dict(zip(("mAP", "mAP_lo", "mAP_hi"), (mean.value, lo, hi), strict=True))
    figures |= dict(zip(("kept", "kept_lo", "kept_hi"), kept, strict=True))
    return {
        **named(run, *place),
        "conditions": str(mean.count),
        **{name: decimals(value) for name, value in figures.items()},
    }


def differences_csv(
    means: Mapping[str, Mapping[Place, Mean]], origins: Origins, confidence: float
) -> str:
    """Each retrained run's mean mAP less that of the runs beside it, on the same clips.

    `p_adjusted` is Holm's over all rows.
    """
    rows: list[dict[str, Any]] = []
    for run, others in origins.items():
        for other in others:
            for place, mean in means[run].items():
                whole = place.step is None and (not place.kind or place.family == DROP)
                if not whole or place not in means[other]:
                    continue
                pseudo = mean.pseudo - means[other][place].pseudo
                effect = mean.value - means[other][place].value
                _, lo, hi = jackknife_interval(pseudo, effect, confidence)
                named = {"run": run, "beside": other, "family": place.family, "kind": place.kind}
                bounds = {"effect": decimals(effect), "lo": decimals(lo), "hi": decimals(hi)}
                rows.append(
                    {**named, "threat": place.threat, **bounds, "p": jackknife_p(pseudo, effect)}
                )
    adjusted = holm(np.array([row["p"] for row in rows], np.float64))
    return records_csv(
        {**row, "p": decimals(row["p"]), "p_adjusted": decimals(float(p))}
        for row, p in zip(rows, adjusted, strict=True)
    )


def figures_of(means: Mapping[Place, Mean]) -> dict[str, float | None]:
    """The mean of each family under the widest threat that it has for the run."""
    found: dict[str, float | None] = {}
    for place, mean in means.items():
        if place.family in COMPARED and not place.kind and place.step is None:
            found[place.family] = rounded(mean.value)
    return found
