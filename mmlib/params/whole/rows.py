"""What rows of params.yaml say of one another: starts, inits, guides, and runs that are named."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mmlib.params.checks import Alone
from mmlib.params.retraining import AdversarialRun, MixupRun, RetrainBase
from mmlib.params.study import JointRun
from mmlib.params.training import Parts
from mmlib.threats import MODALITIES, THREATS

if TYPE_CHECKING:
    from mmlib.params.whole.file import Params

MODELS = Path("data/models")
Named = tuple[str, str, tuple[str, ...]]
"""A key, the run that it names, and the modalities that the run must have."""


def is_made(start: Path) -> bool:
    """Tell whether a start is the checkpoint of a run of this pipeline."""
    return start.parent == MODELS


def given_guides(params: "Params") -> list[tuple[str, str]]:
    """Key and name of every guide that no row of blend or temperature makes."""
    made = {"none", *params.blend.guides, *params.temperature.guides}
    return [(key, guide) for key, guide in _guides(params) if guide not in made]


def faults(params: "Params") -> Iterable[str]:
    """Whatever does not fit, a line each that begins with the key."""
    both = set(params.train) & set(params.retrain)
    if both:
        yield f"run {min(both)!r} is in both train and retrain: rename one"
    both = set(params.blend.guides) & set(params.temperature.guides)
    if both:
        yield f"guide {min(both)!r} is in both blend.guides and temperature.guides: rename one"
    for key, guide in _guides(params):
        if "/" in guide or guide in ("", ".", ".."):
            yield f"{key} is {guide!r}: name a guide, not a path"
    yield from _starts(params)
    yield from _retraining(params)
    yield from _named_runs(params)


def _guides(params: "Params") -> Iterable[tuple[str, str]]:
    for section, found in (
        ("train", params.train),
        ("retrain", params.retrain),
        ("study.rows", params.study.rows),
    ):
        yield from ((f"{section}.{name}.guide", row.guide) for name, row in found.items())


def _starts(params: "Params") -> Iterable[str]:
    for name, row in params.train.items():
        for modality, file in row.starts.items():
            key = f"train.{name}.{modality}_start"
            if file.suffix != ".safetensors":
                yield f"{key} is {file}: name a .safetensors file of weights"
            if not is_made(file):
                continue
            start = params.train.get(file.stem)
            if start is None:
                yield f"{key} is {file}, but train has no row {file.stem!r}"
            elif getattr(start, modality) != getattr(row, modality):
                has = getattr(start, modality) or f"no {modality} net"
                yield (
                    f"{key} is the run {file.stem!r}, which has {has}, not {getattr(row, modality)}"
                )
            elif name in _ancestors(params, name):
                yield f"{key} is {file}: the run would start from itself"


def _ancestors(params: "Params", name: str) -> set[str]:
    """The runs that a run starts from, and those that they start from."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        row = params.train.get(waiting.pop())
        fresh = {f.stem for f in row.starts.values() if is_made(f)} - found if row else set()
        found |= fresh
        waiting.extend(fresh)
    return found


def _retraining(params: "Params") -> Iterable[str]:
    for section, found in (("retrain", params.retrain), ("study.rows", params.study.rows)):
        for name, row in found.items():
            key = f"{section}.{name}"
            if row.init not in params.train:
                yield f"{key}.init names {row.init!r}, which has no row in train"
                continue
            yield from _row_faults(params, key, row)


def _row_faults(params: "Params", key: str, row: RetrainBase) -> Iterable[str]:
    has = params.train[row.init].modalities
    if isinstance(row, AdversarialRun) and not set(THREATS[row.threat]) <= set(has):
        yield (
            f"{key}.threat is {row.threat}, but its init {row.init!r} reads {' and '.join(has)} "
            "only"
        )
    if isinstance(row, MixupRun) and row.guide in params.blend.guides:
        yield f"{key}.guide is {row.guide!r}, which weighs heads; mixup takes one of temperature"
    if isinstance(row, JointRun) and row.guide in params.temperature.guides:
        yield f"{key}.guide is {row.guide!r}, which steers mixup; joint takes one of blend"


def _named_runs(params: "Params") -> Iterable[str]:
    plain: list[Named] = []
    made: dict[str, Mapping[str, Parts]] = {
        "blend": params.blend.guides,
        "temperature": params.temperature.guides,
    }
    for section, guides in made.items():
        for name, parts in guides.items():
            key = f"{section}.guides.{name}"
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
            yield f"{key} names {run!r}, which has no row in train or retrain"
        elif (found := params.modalities(run)) not in (None, modalities):
            yield _unlike(key, run, found or (), modalities)


def _parts(key: str, runs: Alone | Parts) -> list[Named]:
    return [(f"{key}.audio", runs.audio, ("audio",)), (f"{key}.video", runs.video, ("video",))]


def _unlike(key: str, run: str, has: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    return f"{key} names {run!r}, a run of {' and '.join(has)}, not of {' and '.join(wanted)}"
