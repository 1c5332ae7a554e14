"""What rows of params.yaml say of one another: what is retrained, and runs that are named."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mmlib.params.checks import Alone
from mmlib.params.retraining import AdversarialRun, SmoothedRun
from mmlib.params.training import Parts
from mmlib.threats import MODALITIES, THREATS

if TYPE_CHECKING:
    from mmlib.params.whole.file import Params

Named = tuple[str, str, tuple[str, ...]]
"""A key, the run that it names, and the modalities that the run must have."""


def faults(params: "Params") -> Iterable[str]:
    """Whatever does not fit, a line each that begins with the key."""
    for section, another in (("train", "retrain"), ("train", "models"), ("retrain", "models")):
        if both := set(getattr(params, section)) & set(getattr(params, another)):
            yield f"run {min(both)!r} is in both {section} and {another}: rename one"
    yield from _retraining(params)
    yield from _named_runs(params)
    yield from _threatened(params)


def _retraining(params: "Params") -> Iterable[str]:
    for section, found in (("retrain", params.retrain), ("study.rows", params.study.rows)):
        for name, row in found.items():
            key = f"{section}.{name}"
            init = params.train.get(row.init)
            if init is None:
                yield f"{key}.init names {row.init!r}, which has no row in train"
            elif isinstance(row, AdversarialRun):
                has = init.modalities
                if not set(THREATS[row.threat]) <= set(has):
                    yield (
                        f"{key}.threat is {row.threat}, but its init {row.init!r} reads "
                        f"{' and '.join(has)} only"
                    )
            elif isinstance(row, SmoothedRun) and not any(
                getattr(row.sigma, name) for name in init.modalities
            ):
                yield (
                    f"{key}.sigma is 0 for {' and '.join(init.modalities)}, which is all that its "
                    f"init {row.init!r} reads"
                )


def _named_runs(params: "Params") -> Iterable[str]:
    plain: list[Named] = [
        (f"blend.guides.{name}.init", guide.init, MODALITIES)
        for name, guide in params.blend.guides.items()
    ]
    for name, parts in params.temperature.guides.items():
        key = f"temperature.guides.{name}"
        plain += [*_parts(key, parts), (f"{key}.fused", parts.fused, MODALITIES)]
    for key, run, modalities in plain:
        if run not in params.train:
            yield f"{key} names {run!r}, which has no row in train"
        elif (has := params.train[run].modalities) != modalities:
            yield _unlike(key, run, has, modalities)
    named: list[Named] = [
        ("attack.surface.runs", r, MODALITIES) for r in params.attack.surface.named
    ]
    for fused, alone in params.theorem.fused.items():
        key = f"theorem.fused.{fused}"
        named += [*_parts(key, alone), ("theorem.fused", fused, MODALITIES)]
    for key, run, modalities in named:
        if run not in params.runs:
            yield f"{key} names {run!r}, which has no row in train, retrain or models"
        elif (found := params.modalities(run)) not in (None, modalities):
            yield _unlike(key, run, found or (), modalities)
    for run in params.stress.named:
        if run not in params.runs:
            yield f"stress.runs names {run!r}, which has no row in train, retrain or models"


def _threatened(params: "Params") -> Iterable[str]:
    """Runs of goals, methods, transfer that are not there, unmet threats, budgets not swept.

    What a row of models reads, only its net knows: its stage refuses it.
    """
    rows = params.transfer.rows
    met = [
        *((f"goals.runs.{run}", run, row.threats) for run, row in params.goals.runs.items()),
        *((f"methods.runs.{run}", run, row.threats) for run, row in params.methods.runs.items()),
        *(
            (f"certify.rows.{name}", row.run, row.threats)
            for name, row in params.certify.rows.items()
        ),
    ]
    named = [("goals.runs", run) for run in params.goals.runs]
    named += [("methods.runs", run) for run in params.methods.runs]
    for name, matrix in rows.items():
        named += [(f"transfer.rows.{name}.runs", run) for run in matrix.named]
    named += [(f"certify.rows.{name}.run", row.run) for name, row in params.certify.rows.items()]
    for key, run in named:
        if run not in params.runs:
            yield f"{key} names {run!r}, which has no row in train, retrain or models"
    for key, run, wanted in met:
        reads, threats = params.modalities(run), () if wanted == "all" else wanted
        for threat in threats:
            if reads is not None and not set(THREATS[threat]) <= set(reads):
                yield (
                    f"{key}.threats names {threat}, but the run reads {' and '.join(reads)} only"
                )
    for name, matrix in rows.items():
        unswept = set(matrix.multiples) - set(params.attack.sweep)
        if matrix.perturbation == "per_clip" and unswept:
            yield (
                f"transfer.rows.{name}.multiples holds {min(unswept):g}, which attack.sweep does "
                "not: stage attack makes no such perturbations"
            )


def _parts(key: str, runs: Alone | Parts) -> list[Named]:
    return [(f"{key}.audio", runs.audio, ("audio",)), (f"{key}.video", runs.video, ("video",))]


def _unlike(key: str, run: str, has: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    return f"{key} names {run!r}, a run of {' and '.join(has)}, not of {' and '.join(wanted)}"
