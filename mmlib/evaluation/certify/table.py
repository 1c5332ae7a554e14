"""Certificates as the files that people compare: decisions, curves, attacks, heads, figures."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from mmlib.evaluation.certify.outcome import Certified, OfThreat
from mmlib.evaluation.checks.certified import certified as check
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.metrics.ranking import present_mean, rank
from mmlib.metrics.smoothing import certified_mean_ap, certified_share, largest_reach
from mmlib.runtime.arrays import Floats, Ints
from mmlib.runtime.storage import csv_text, decimals, records_csv, rounded, significant

POINTS, BEYOND = 33, 12
"""Points of a curve: up to the largest budget that the draws can certify, and from there, in equal
factors, up to the largest that a decision can be attacked at."""


def decisions_csv(found: Certified) -> str:
    """data/certify/<row>/decisions.csv: one row per clip, class and threat.

    `votes`: the share of the draws in which the class was shown; `decision`: shown, absent, or
    abstain; `reach` in multiples of sigma, `eps` in the unit of attack.eps, `l2` over the clip's
    elements (empty for several modalities): the radius within which no change turns the decision,
    each wrong with a chance of at most alpha, and `eps_together` with all at once. `inf`: the clip
    lacks what is attacked. `capped`: all draws agreed, and the radius is the largest that so many
    can certify.
    """
    heads = ("threat", "clip_id", "class", "label", "votes", "decision", "reach", "eps", "l2")
    rows = (row for each in found.threats for row in _decisions(found, each))
    return csv_text((*heads, "eps_together", "capped"), rows)


def _decisions(found: Certified, each: OfThreat) -> Iterator[tuple[object, ...]]:
    top = largest_reach(found.sampling.n, found.sampling.alpha)
    for row, clip in enumerate(found.clip_ids):
        for k in np.flatnonzero(each.known).tolist():
            reach = float(each.decisions.reach[row, k])
            word = "shown" if each.decisions.shown[row, k] else "absent"
            l2 = each.unit.l2(reach)
            yield (
                *(each.threat, clip, found.classes[k], int(found.labels[row, k])),
                significant(each.hits[row, k] / found.sampling.n),
                "abstain" if np.isnan(reach) else word,
                significant(reach),
                significant(each.unit.eps(reach)),
                "" if l2 is None else significant(l2),
                significant(each.unit.eps(float(each.together.reach[row, k]))),
                int(np.isfinite(reach) and reach >= top),
            )


def curve_csv(found: Certified) -> str:
    """metrics/certify/<row>.csv: one row per threat and budget (l2), in the unit of attack.eps.

    `mAP_lo`: the certified lower bound of the smoothed mAP under any attack of that budget on every
    clip, true with all of its clips and classes but for a chance of alpha; `mAP_attacked`: what the
    attack left, at the budgets where it was made (0: the clean clips). `shown`: the share of
    present tags whose showing is certified, `absent`: of absent ones likewise. Of the decisions
    that were attacked one by one `pairs_certified` is the share with a certified radius of that
    budget at least, `pairs_standing` the share that no attack within it has turned.
    """
    return records_csv(row for each in found.threats for row in _curve(found, each))


def _curve(found: Certified, each: OfThreat) -> Iterator[dict[str, object]]:
    attacked = {0.0: each.hits / found.sampling.n} | {
        found.eps * multiple: hits / found.search.n
        for multiple, hits in zip(found.multiples, each.attacked, strict=True)
    }
    largest, reaches = found.largest(each), max(found.reaches)
    # Beyond the last certified budget attacks went on; where nothing is certified there is none.
    beyond = reaches > 1 and largest > 0
    grid = np.concatenate(
        [
            np.linspace(0, largest, POINTS),
            np.geomspace(largest, largest * reaches, BEYOND + 1)[1:] if beyond else [],
        ]
    )
    labels, turned = found.scored(each), found.turned_at(each)
    for eps in sorted({*grid.tolist(), *attacked}):
        reach = each.unit.reach(eps)
        shown, absent = _certified(found, each, reach)
        scores = attacked.get(eps)
        yield {
            "threat": each.threat,
            "eps": significant(eps, 8),
            "reach": significant(reach),
            "mAP_lo": decimals(certified_mean_ap(labels, each.scores, reach)),
            "mAP_attacked": "" if scores is None else decimals(_mean_ap(found, each, scores)),
            "shown": decimals(shown),
            "absent": decimals(absent),
            "pairs_certified": decimals(_share(each.pairs.eps >= eps)),
            "pairs_standing": decimals(_share(turned > eps)),
        }


def _certified(found: Certified, each: OfThreat, reach: float) -> list[float]:
    """The shares of present tags and of absent ones that are certified to be decided so."""
    return [
        certified_share(each.decisions, found.labels, among & each.known, reach)
        for among in (found.labels, ~found.labels)
    ]


def _mean_ap(found: Certified, each: OfThreat, scores: Floats) -> float:
    return present_mean(rank(found.scored(each), scores).average_precision)


def _share(holds: Any) -> float:
    return float(np.mean(holds)) if len(holds) else float("nan")


def attacks_csv(found: Certified) -> str:
    """data/certify/<row>/attacks.csv: one row per attacked decision, threat and radius.

    `certified`: its certified budget; `eps`: the attacked one, a multiple `reach` of it; `kept`:
    the share of `attack.n` draws in which the decision is still the same.
    """
    rows = (
        (
            *(each.threat, found.clip_ids[clip], found.classes[tag]),
            *(significant(eps, 8), significant(reach), significant(eps * reach, 8)),
            significant(kept / found.search.n),
        )
        for each in found.threats
        for place, (clip, tag, eps) in enumerate(zip(*each.pairs[:3], strict=True))
        for reach, kept in zip(found.reaches, each.pairs.kept[:, place], strict=True)
    )
    return csv_text(("threat", "clip_id", "class", "certified", "reach", "eps", "kept"), rows)


def heads_csv(found: Certified) -> str:
    """data/certify/<row>/heads.csv: one row per clip, class and threat whose head has a bound.

    `radius`: the l2 length up to which no move of the threat's vectors turns the decision of the
    run itself; `relative`: in lengths of these vectors. inf where they have no part in it.
    """
    rows = (
        (
            *(each.threat, clip, found.classes[k], significant(radii[row, k])),
            significant(radii[row, k] / lengths[row]),
        )
        for each in found.threats
        if (radii := each.heads) is not None and (lengths := each.lengths) is not None
        for row, clip in enumerate(found.clip_ids)
        for k in np.flatnonzero(~np.isnan(radii[row])).tolist()
    )
    return csv_text(("threat", "clip_id", "class", "radius", "relative"), rows)


def outcome(found: Certified) -> Outcome:
    """The check that no attacked decision turned within its certified radius."""
    at = found.reaches.index(1.0)
    kept: Ints = np.concatenate([each.pairs.kept[at] for each in found.threats])
    return check(kept, found.search.n)


def figures(found: Certified) -> dict[str, Any]:
    """metrics/certify/<row>.json: threat -> figures; `passes`: forward passes a clip and threat.

    `mAP` of the smoothed classifier; `certified_mAP` and, where it was attacked there,
    `attacked_mAP` at attack.eps (l2); `shown` and `absent`: the shares of present and of absent
    tags of which that is certified there; `abstained`: the share of decisions; `largest_eps`: the
    most that the draws can certify; `head`: the median radius of the vectors, in their lengths.
    """
    result = outcome(found)
    return {
        "passes": found.sampling.n0 + found.sampling.n,
        "clips": len(found.clip_ids),
        "check": result.status,
        "checked": result.message,
        **{each.threat: _figures(found, each) for each in found.threats},
    }


def _figures(found: Certified, each: OfThreat) -> dict[str, float | None]:
    reach = each.unit.reach(found.eps)
    numbers = {
        "mAP": _mean_ap(found, each, each.hits / found.sampling.n),
        "certified_mAP": certified_mean_ap(found.scored(each), each.scores, reach),
        **dict(zip(("shown", "absent"), _certified(found, each, reach), strict=True)),
        "abstained": float(np.isnan(each.decisions.reach[:, each.known]).mean()),
        "largest_eps": found.largest(each),
    }
    if 1.0 in found.multiples:
        at_eps = each.attacked[found.multiples.index(1.0)] / found.search.n
        numbers["attacked_mAP"] = _mean_ap(found, each, at_eps)
    if each.heads is not None and each.lengths is not None:
        relative = each.heads / each.lengths[:, None]
        numbers["head"] = float(np.nanmedian(relative))
    return {name: rounded(value) for name, value in numbers.items()}
