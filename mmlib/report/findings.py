"""What the report concludes from: paired comparisons of runs, the paper's claims, predictions."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

from mmlib.metrics.intervals import Interval
from mmlib.report.comparison import (
    predictors,
    study_claims,
    theorem,
)
from mmlib.report.comparison.claim import (
    Claim,
    adjusted,
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
        """The run's predictions of the relative drop under its widest threat, one a metric."""
        key = (run.name, run.widest_threat, "relative")
        return [p for p in self.predictions if (p.run, p.threat, p.drop) == key]


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
            resamples=inputs.params.report.resamples,
            confidence=inputs.params.score.confidence,
            seed=inputs.params.seed,
            common_with=inputs.root / inputs.params.score.common_with,
        )
        rows += claims(runs, {role: run.cost for role, run in compared.items() if run.cost})
        differences = list(_differences(runs, compared))
    rows += theorem.claims(inputs.theorem, _theorem_runs(inputs))
    rows += study_claims.claims(inputs.study)
    found = Findings({}, tuple(differences), predictions)
    rows += predictors.claims(found.of(main_run(inputs)))
    return found._replace(claims={claim.key: claim for claim in adjusted(rows)})


def main_run(inputs: Inputs) -> Run:
    """The run that stands for fusion, as in the claims; without one, the first run."""
    return inputs.with_role(*FUSED) or inputs.runs[0]


def _compared(inputs: Inputs) -> dict[str, Run]:
    """Role -> run; a second run of a role stands under its own name. Only runs with scores."""
    found: dict[str, Run] = {}
    for run in inputs.runs:
        files = (f"data/attacks/{run.name}.parquet", f"data/embeddings/{run.name}.parquet")
        if all((inputs.root / file).is_file() for file in files):
            found[run.role if run.role not in found else f"run {run.name}"] = run
    return found


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


def _theorem_runs(inputs: Inputs) -> dict[str, str]:
    """The runs that stage theorem compared: audio, video and fused."""
    for fused, alone in inputs.params.theorem.fused.items():
        return {**alone.model_dump(), "fused": fused}
    return {}
