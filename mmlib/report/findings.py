"""What the report concludes from: paired comparisons of runs, the paper's claims, predictions."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from mmlib.metrics.intervals import Interval
from mmlib.report.comparison import (
    predictors,
    study_claims,
    theorem,
)
from mmlib.report.comparison.claims import (
    FUSED,
    claims,
)
from mmlib.report.comparison.paired import (
    PairedRuns,
    Where,
)
from mmlib.report.comparison.predictors import Prediction
from mmlib.report.comparison.verdict import (
    Claim,
    adjusted,
)
from mmlib.report.inputs import Inputs, Run

NOISE_KEY = "noise_"


class Difference(NamedTuple):
    """mAP of the run `first` less that of `second` under one condition, on the same clips.

    `p` is two-sided.
    """

    first: str
    second: str
    threat: str
    effect: Interval
    n: int
    p: float


class Findings(NamedTuple):
    """Claims by key in the order of the page, every pairwise difference, every prediction."""

    claims: Mapping[str, Claim]
    differences: tuple[Difference, ...]
    predictions: tuple[Prediction, ...]

    def starting(self, *prefixes: str) -> list[Claim]:
        """The claims whose key starts with one of the prefixes."""
        return [claim for key, claim in self.claims.items() if key.startswith(prefixes)]

    def of(self, run: Run) -> list[Prediction]:
        """The run's predictions of the relative drop under its widest threat, one per metric."""
        key = (run.name, run.widest_threat, "relative")
        return [p for p in self.predictions if (p.run, p.threat, p.drop) == key]

    def of_first(self, runs: Sequence[Run]) -> list[Prediction]:
        """The predictions of the first of the runs that has any that is defined."""
        every = (self.of(run) for run in runs)
        return next((found for found in every if any(p.defined for p in found)), [])


def find(inputs: Inputs) -> Findings:
    """Compare the runs that have attacked scores; empty parts where there is nothing to compare."""
    predictions = tuple(_predictions(inputs))
    rows: list[Claim] = []
    differences: list[Difference] = []
    compared = _compared(inputs)
    if compared:
        runs = PairedRuns(
            inputs.root,
            {role: run.name for role, run in compared.items()},
            confidence=inputs.params.score.confidence,
            common_with=inputs.root / inputs.params.score.common_with,
        )
        costs = {role: run.cost for role, run in compared.items() if run.cost}
        rows += claims(runs, costs, starts=_starts(compared))
        differences = list(_differences(runs, compared))
    rows += theorem.claims(inputs.theorem, inputs.params.theorem.fused)
    rows += study_claims.claims(inputs.study, inputs.guides)
    found = Findings({}, tuple(differences), predictions)
    first = found.of_first(main_runs(inputs))
    rows += predictors.claims(first, inputs.params.score.confidence)
    judged = adjusted(rows, inputs.params.score.confidence)
    return found._replace(claims={claim.key: claim for claim in judged})


def main_runs(inputs: Inputs) -> tuple[Run, ...]:
    """The runs in the order in which they may stand for all: that of the claims on fusion first."""
    first = inputs.with_role(*FUSED)
    others = (run for run in inputs.runs if run is not first)
    return (first, *others) if first else tuple(others)


def _compared(inputs: Inputs) -> dict[str, Run]:
    """Role -> run; a second run of a role stands under its own name. Only runs with scores."""
    found: dict[str, Run] = {}
    for run in inputs.runs:
        files = (f"data/attacks/{run.name}.parquet", f"data/embeddings/{run.name}.parquet")
        if all((inputs.root / file).is_file() for file in files):
            found[run.role if run.role not in found else f"run {run.name}"] = run
    return found


def _starts(compared: Mapping[str, Run]) -> dict[str, str]:
    """Role of a retrained run -> role of the run that it started from, where that is compared."""
    roles = {run.name: role for role, run in compared.items()}
    return {
        role: roles[run.init] for role, run in compared.items() if run.init and run.init in roles
    }


def _differences(runs: PairedRuns, compared: Mapping[str, Run]) -> Iterator[Difference]:
    for one, two in combinations(compared, 2):
        for threat in ("clean", *runs.threats(one)):
            first, second = Where(one, threat), Where(two, threat)
            if runs.has(first, second):
                found = runs.difference(runs.mean_ap(first), runs.mean_ap(second))
                names = compared[one].name, compared[two].name
                yield Difference(*names, threat, found.interval, runs.clips, found.p)


def _predictions(inputs: Inputs) -> Iterator[Prediction]:
    for run in inputs.runs:
        if run.classwise:
            yield from predictors.predict(
                run.name,
                run.classwise,
                run.threats,
                resamples=inputs.params.report.resamples,
                confidence=inputs.params.score.confidence,
                seed=inputs.params.seed,
            )
