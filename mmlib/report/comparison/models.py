"""Models trained in different ways, compared as what they are: two models, of one seed each.

Another seed of either method can reverse such a difference, so these rows have an interval over
clips and no verdict on the method. Verdicts on methods come from the study (`study_claims`).
"""

from collections.abc import Iterator, Mapping
from math import nan

from mmlib.metrics.intervals import Interval
from mmlib.report import threats
from mmlib.report.comparison.paired import PairedRuns, Where
from mmlib.report.comparison.verdict import Claim, difference_row

Costs = Mapping[str, Mapping[str, float]]

METHODS = {
    "fusion": "joint training with one loss",
    "gblend": "Gradient-Blending",
    "plain": "further training without it",
    "mixup": "mixup",
    "adversarial": "adversarial training",
}


def blended(runs: PairedRuns) -> Iterator[Claim]:
    """The model with Gradient-Blending beside the one with a single loss, clean."""
    yield from _pair(runs, "gblend", "", Where("gblend"), Where("fusion"))


def retrained(runs: PairedRuns, costs: Costs | None, starts: Mapping[str, str]) -> Iterator[Claim]:
    """The retrained models beside those that they started from, and beside one another.

    `starts`: role of a retrained run -> role of the run that it started from; `costs`: role ->
    its metrics/costs/<run>.json.
    """
    for role, paper in (("mixup", "0.234 against 0.182"), ("adversarial", "0.199 against 0.182")):
        yield from _beside_start(runs, role, paper, starts.get(role))
    if not _alike(runs, "mixup", "adversarial"):
        return
    threat = runs.threats("mixup")[-1]
    for key, paper, condition in (
        ("mixup_adversarial", "0.234 against 0.199" if threat == "AV" else "", threat),
        ("mixup_clean", "0.424 against 0.397", "clean"),
    ):
        pair = Where("mixup", condition), Where("adversarial", condition)
        yield from _pair(runs, key, paper, *pair)
    yield from _costs(runs, costs or {})


def _beside_start(runs: PairedRuns, role: str, paper: str, start: str | None) -> Iterator[Claim]:
    """Under an attack on all that the run reads."""
    for threat in runs.threats(role)[-1:]:
        here = Where(role, threat)
        if start is not None:
            figures = paper if threat == "AV" else ""
            yield from _pair(runs, f"{role}_protects", figures, here, Where(start, threat))
        if _alike(runs, role, "plain"):
            yield from _pair(runs, f"{role}_plain", "", here, Where("plain", threat))


def _pair(runs: PairedRuns, key: str, paper: str, first: Where, second: Where) -> Iterator[Claim]:
    """The difference of two models, stated as one; nothing if either was not scored."""
    if not runs.has(first, second):
        return
    threat = first.threat
    does = "has a higher clean mAP" if threat == "clean" else "retains more mAP"
    under = "" if threat == "clean" else f" under {threats.WORDS[threat]}"
    one, two = (_named(runs, where.role) for where in (first, second))
    statement = f"Of these two models, {one} {does}{under} than {two}."
    yield from difference_row(runs, key, statement, paper, first, second, judge=None)


def _named(runs: PairedRuns, role: str) -> str:
    name = runs.names[role]
    method = METHODS.get(role, name)
    return name if name == method else f"{name} ({method})"


def _alike(runs: PairedRuns, first: str, second: str) -> bool:
    """Tell whether both are there and read the same modalities: were attacked in the same ways."""
    return bool(runs.threats(first)) and set(runs.threats(first)) == set(runs.threats(second))


def _costs(runs: PairedRuns, costs: Costs) -> Iterator[Claim]:
    """Is mixup cheap? Passes are counted, so there is no interval."""
    if "mixup" not in costs or "adversarial" not in costs:
        return
    passes = {
        role: costs[role]["forward_passes"] + costs[role]["backward_passes"]
        for role in ("mixup", "adversarial")
    }
    if not passes["adversarial"]:
        return
    saved = 1 - passes["mixup"] / passes["adversarial"]
    names = {role: runs.names.get(role, role) for role in passes}
    yield Claim(
        key="mixup_cost",
        statement="Mixup costs a fraction of adversarial training (forward and backward passes).",
        paper="“cheap”, no figure",
        compared=", ".join(f"{names[role]} {count:,.0f} passes" for role, count in passes.items()),
        unit="share of passes saved",
        effect=Interval(saved, nan, nan),
        n=int(costs["mixup"].get("clips_seen", 0)),
        verdict="supported" if saved > 0 else "not supported",
    )
