"""The threat model in words: goal, knowledge, budgets with their units, every hyperparameter."""

from collections.abc import Iterator
from math import log10
from typing import Any, NamedTuple

from mmlib.params.attacks import Attack

NORMS = {
    "linf": "linf, the largest change in any value",
    "l2": "l2, given as the root-mean-square change",
    "l1": "l1, given as the mean absolute change",
}
DOMAINS = {
    "log_mel": "audio as the log-mel that the models read; video as pixels",
    "waveform": "audio as its waveform, through the front end; video as pixels",
}
BOXES = {
    "log_mel": "every value stays within [0, 1] of full scale",
    "waveform": "samples stay within [-1, 1] and pixels within [0, 1] of full scale",
}
STARTS_OF_DOMAIN = {
    "log_mel": "",
    "waveform": "; where silence has no gradient, noise of the whole budget",
}
METHODS = {
    "pgd": "PGD",
    "apgd": "Auto-PGD",
    "fgsm": "FGSM",
    "mim": "MI-FGSM",
    "square": "Square",
    "temporal_raise": "the loss with the features' variation over time raised",
    "temporal_lower": "the loss with that variation lowered",
    "misalign": "the loss with the cosine of the two embeddings lowered",
    "sparse": "chosen frames and one stretch of the sound alone",
}

_SCORED = "the score of the whole set (multi-label: mean average precision; single-label: accuracy)"


class Entry(NamedTuple):
    """One line of the card."""

    title: str
    text: str


def threat_card(attack: Attack, floor_db: float) -> list[Entry]:
    """Describe what the attacks of section attack may do; `floor_db` is the range of the log-mel.

    The last entry lists every setting of the section, so that nothing which decides a number is
    left unsaid.
    """
    video = attack.eps * attack.scale.video
    sweep = ", ".join(f"{attack.eps * multiple:.4g}" for multiple in sorted(attack.sweep))
    return [
        Entry("Goal", _goal(attack)),
        Entry("Knowledge", "white-box: weights, gradients and true tags"),
        Entry("Domain", DOMAINS[attack.domain]),
        Entry("Attack", f"{_methods(attack)}{_rounds(attack)}"),
        Entry(
            "Starts",
            "the clean clip; the solution at the next smaller budget; for A+V those of A and V"
            " alone; restarts after the first start at random points"
            + STARTS_OF_DOMAIN[attack.domain],
        ),
        Entry("Norm", f"{NORMS[attack.norm]}, for each clip and each modality separately"),
        Entry(
            "Headline budget ε",
            f"audio {_audio(attack, floor_db)}; video {video:.4g} of full scale ="
            f" {video * 255:.3g} grey levels of 255",
        ),
        Entry("Box", BOXES[attack.domain]),
        Entry("Sweep of ε", sweep),
        Entry("Baseline", "random noise of equal norm, which every attack must beat"),
        Entry("All settings", ", ".join(settings(attack.model_dump(mode="json")))),
    ]


def _goal(attack: Attack) -> str:
    then = f", then lower {_SCORED}" if attack.refine.rounds else ""
    return f"untargeted: maximise the loss on the true tags of each clip{then}"


def _methods(attack: Attack) -> str:
    """What each clip is attacked with for itself, and how the steps go of those that take steps."""
    queries = {"square": f" ({attack.queries} queries)"}
    first, *others = (METHODS[name] + queries.get(name, "") for name in attack.methods)
    beside = f"; for each clip the strongest of it and {', '.join(others)}" if others else ""
    said = [first]
    if set(attack.methods) != {"square"}:
        said.append(
            f"{attack.steps} steps, step size {attack.step_size:g} ε decaying linearly to 0"
        )
        said.append(f"momentum {attack.momentum:g}")
    if "pgd" in attack.methods:
        restarts = "1 restart" if attack.restarts == 1 else f"{attack.restarts} restarts"
        said.append(f"{restarts} (the strongest result for each clip is kept)")
    return f"{', '.join(said)}, loss {attack.loss}{beside}"


def _rounds(attack: Attack) -> str:
    refine = attack.refine
    if not refine.rounds:
        return ""
    return (
        f"; then {refine.rounds} rounds of {refine.steps} steps of PGD in which all clips together"
        f" lower {_SCORED}"
    )


def loudest(attack: Attack, floor_db: float) -> str:
    """The headline budget of the audio in decibels: of log-mel, or a level below full scale."""
    eps = attack.eps * attack.scale.audio
    if attack.domain == "log_mel":
        return f"{eps * floor_db:.2g} dB"
    level = f"{20 * log10(eps):.1f}" if eps else "-∞"
    return f"{level} dBFS".replace("-", "−")


def scales(attack: Attack) -> str:
    """What an axis of ε means where a modality's budget is a multiple of it; else nothing."""
    scale = attack.scale
    if scale.audio == scale.video == 1:
        return ""
    return (
        " ε is before attack.scale: the audio may change by"
        f" {scale.audio:g} ε and the video by {scale.video:g} ε."
    )


def _audio(attack: Attack, floor_db: float) -> str:
    eps = attack.eps * attack.scale.audio
    if attack.domain == "log_mel":
        return f"{eps:.4g} of the {floor_db:g} dB scale = {loudest(attack, floor_db)} of log-mel"
    return f"{eps:.4g} of full-scale amplitude = {loudest(attack, floor_db)}"


def settings(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Spell a section of params out: `name value`, nested names joined by dots."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from settings(value, f"{prefix}{name}.")
        else:
            words = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield f"{prefix}{name} {words or 'none'}"
