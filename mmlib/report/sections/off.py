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
    if "study" not in shown:
        yield Off("Comparison over several seeds", STUDY)
    for section, asked in _ASKED.items():
        if section not in shown and inputs.runs:
            yield Off(asked.title, asked.reason(inputs))
    if "checks" not in shown and inputs.runs:
        yield Off("Checks", _not_there("metrics/checks.json", "check"))
    if "clips" not in shown:
        yield Off("What became of every clip", _not_there("data/shards/manifest.json", "shard"))


STUDY = (
    "With one trained model per method, a better method cannot be told from a luckier seed; the"
    " study, which trains every method under several seeds, is off: “make profile NAME=study”"
    " switches it on, and “dvc repro” adds its tables to this page."
)


class _Asked(NamedTuple):
    """What a stage that runs only when asked for would show: where it is asked for, in `key`."""

    title: str
    sentence: str
    key: str
    profile: str
    file: str

    def reason(self, inputs: Inputs) -> str:
        """Why it is not there, and how to have it."""
        stage, _, part = self.key.partition(".")
        if getattr(getattr(inputs.params, stage), part):
            return _not_there(self.file, stage)
        return (
            f"{self.sentence}, because {self.key} in params.yaml is empty: “make profile"
            f" NAME={self.profile}” changes that."
        )


_ASKED: Mapping[str, _Asked] = {
    "methods": _Asked(
        "Several attacks on the same clips",
        "What other attacks add to PGD was not measured",
        *("methods.runs", "methods", "metrics/methods/<run>.csv"),
    ),
    "goals": _Asked(
        "Which tags can be hidden or injected",
        "No attack had a goal",
        *("goals.runs", "goals", "metrics/goals/<run>.csv"),
    ),
    "transfer": _Asked(
        "Perturbations made for another model",
        "Neither universal perturbations nor those of other runs were tried",
        *("transfer.rows", "goals", "metrics/transfer/<row>.csv"),
    ),
    "stress": _Asked(
        "Noise, codecs and timing",
        "What corruption, re-encoding and bad timing do without an attacker was not measured",
        *("stress.runs", "stress", "metrics/stress/means.csv"),
    ),
    "survival": _Asked(
        "Attacks that survive encoding",
        "Whether attacks survive encoding was not measured",
        *("survival.runs", "survival", "metrics/survival/<run>.csv"),
    ),
    "music": _Asked(
        "Music that hides what is heard",
        "Adversarial music was not composed",
        *("music.runs", "music", "metrics/music/<run>.csv"),
    ),
    "certificates": _Asked(
        "What no attack can do",
        "Nothing is certified, and all robustness on this page is what attacks have left",
        *("certify.rows", "certify", "metrics/certify/<row>.csv"),
    ),
}
"""Id of a section -> what is said where it is not shown."""


def _not_there(file: str, stage: str) -> str:
    return f"{file} is not there: “dvc repro {stage}” writes it."


def _no_row(stage: str, key: str, names: str = "an audio, a video and a fused run") -> str:
    return (
        f"Stage {stage} is off, because {key} in params.yaml is empty: a row there names {names}."
    )


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
