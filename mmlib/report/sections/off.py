"""What the page lacks, each in a sentence that says why and how to switch it on."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from mmlib.report.inputs import Inputs
from mmlib.report.sections.blocks import Block, Section


class Off(NamedTuple):
    """Something that is off, and the sentence about it."""

    title: str
    sentence: str


def off(inputs: Inputs, shown: Collection[str]) -> Section | None:
    """A list of what is not among the ids `shown`; None when everything is there."""
    items = [*_of_runs(inputs, shown), *_of_project(inputs, shown)]
    return Section("off", "What is not on this page", [Block("list", items)]) if items else None


def _of_runs(inputs: Inputs, shown: Collection[str]) -> Iterator[Off]:
    """Sections that are about runs; without a run they are off together."""
    if not inputs.runs:
        yield Off(
            "Results",
            "No run was evaluated, because none of train, retrain and models in params.yaml has a"
            " row: add one.",
        )
        return
    for key, (title, reason) in REASONS.items():
        if key not in shown:
            yield Off(title, reason(inputs))
    if "retraining" in shown and not any(run.init for run in inputs.runs):
        yield Off(
            "Retraining",
            "No run here is retrained: add a row to retrain in params.yaml, by mixup or"
            " adversarially.",
        )


def _of_project(inputs: Inputs, shown: Collection[str]) -> Iterator[Off]:
    """Stages that run once."""
    if "blend" not in shown:
        yield Off("Gradient-Blending weights", _blend(inputs))
    if not inputs.params.temperature.guides:
        yield Off("Mixup's guide", _no_row("temperature", "temperature.guides"))
    if "methods" not in shown and inputs.runs:
        yield Off("Several attacks on the same clips", _methods(inputs))
    if "goals" not in shown and inputs.runs:
        yield Off("Which tags can be hidden or injected", _goals(inputs))
    if "transfer" not in shown and inputs.runs:
        yield Off("Perturbations made for another model", _transfer(inputs))
    if "study" not in shown:
        yield Off("Comparison over several seeds", STUDY)
    if "stress" not in shown and inputs.runs:
        yield Off("Noise, codecs and timing", _stress(inputs))
    if "certificates" not in shown and inputs.runs:
        yield Off("What no attack can do", _certificates(inputs))
    if "checks" not in shown and inputs.runs:
        yield Off("Checks", _not_there("metrics/checks.json", "check"))
    if "clips" not in shown:
        yield Off("What became of every clip", _not_there("data/shards/manifest.json", "shard"))


STUDY = (
    "With one trained model per method, a better method cannot be told from a luckier seed; the"
    " study, which trains every method under several seeds, is off: “make profile NAME=study”"
    " switches it on, and “dvc repro” adds its tables to this page."
)


def _stress(inputs: Inputs) -> str:
    if inputs.params.stress.runs:
        return _not_there("metrics/stress/means.csv", "stress")
    return (
        "What corruption, re-encoding and bad timing do without an attacker was not measured,"
        " because stress.runs in params.yaml is empty: “make profile NAME=stress” names all runs."
    )


def _certificates(inputs: Inputs) -> str:
    if inputs.params.certify.rows:
        return _not_there("metrics/certify/<row>.csv", "certify")
    return (
        "Nothing is certified, and all robustness on this page is what attacks have left, because"
        " certify.rows in params.yaml is empty: “make profile NAME=certify” lays some."
    )


def _not_there(file: str, stage: str) -> str:
    return f"{file} is not there: “dvc repro {stage}” writes it."


def _no_row(stage: str, key: str, names: str = "an audio, a video and a fused run") -> str:
    return (
        f"Stage {stage} is off, because {key} in params.yaml is empty: a row there names {names}."
    )


def _goals(inputs: Inputs) -> str:
    if not inputs.params.goals.runs:
        return (
            "Attacks with a goal are off, because goals.runs in params.yaml is empty: “make profile"
            " NAME=goals” switches them on."
        )
    return _not_there("metrics/goals/<run>.csv", "goals")


def _methods(inputs: Inputs) -> str:
    if not inputs.params.methods.runs:
        return (
            "What other attacks add to PGD was not measured, because methods.runs in params.yaml is"
            " empty: “make profile NAME=methods” switches it on."
        )
    return _not_there("metrics/methods/<run>.csv", "methods")


def _transfer(inputs: Inputs) -> str:
    if not inputs.params.transfer.rows:
        return (
            "Universal perturbations and transfer between runs are off, because transfer.rows in"
            " params.yaml is empty: “make profile NAME=goals” switches them on."
        )
    return _not_there("metrics/transfer/<row>.csv", "transfer")


def _plane(inputs: Inputs) -> str:
    if not inputs.fused:
        return "It takes a fused run, and none was evaluated."
    return "It was attacked for no fused run: name one in attack.surface.runs."


def _theorem(inputs: Inputs) -> str:
    if not inputs.params.theorem.fused:
        return _no_row("theorem", "theorem.fused")
    return _not_there("metrics/theorem/<run>.json with data/theorem/<run>.csv", "theorem")


def _classes(inputs: Inputs) -> str:
    if _all_own(inputs):
        return (
            "Density and convexity take an embedding and its head, which a model of section models"
            " gives by embed and head, and clips in the splits train and val."
        )
    return (
        "Density and convexity are not measured, or not defined for enough classes: “dvc repro"
        " geometry” measures them."
    )


def _all_own(inputs: Inputs) -> bool:
    return all(run.own for run in inputs.runs)


def _untrained(inputs: Inputs, file: str, stage: str) -> str:
    if _all_own(inputs):
        return "Nothing was trained here: every run is a row of models in params.yaml."
    return _not_there(file, stage)


def _blend(inputs: Inputs) -> str:
    if not inputs.params.blend.guides:
        return _no_row("blend", "blend.guides", "a fused run")
    return _not_there("data/guides/<guide>.json", "blend")


def _examples(inputs: Inputs) -> str:
    if inputs.params.attack.examples == 0:
        return "No adversarial clip is kept: set attack.examples above 0."
    return _not_there("data/attacks/<run>-examples.parquet", "attack")


REASONS: Mapping[str, tuple[str, Callable[[Inputs], str]]] = {
    "robustness": ("Robustness curves", lambda _: _not_there("metrics/curves/<run>.csv", "score")),
    "plane": ("Audio and video budgets combined", _plane),
    "theorem": ("Theorem 1", _theorem),
    "classes": ("Which classes break", _classes),
    "retraining": (
        "Retraining",
        lambda inputs: _untrained(inputs, "metrics/costs/<run>.json", "train retrain"),
    ),
    "training": (
        "Training curves",
        lambda inputs: _untrained(inputs, "metrics/training/<run>.csv", "train"),
    ),
    "examples": ("Adversarial examples", _examples),
    "claims": (
        "The paper's claims",
        lambda _: "No claim can be tested: “dvc repro” writes the scores in data/attacks.",
    ),
}
"""Id of a section -> its title, and why it is off."""
