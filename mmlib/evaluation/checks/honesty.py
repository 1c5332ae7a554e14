"""Checks of what is reported, not of the attack: splits apart, clean beside attacked, a card."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from mmlib.evaluation.checks.outcome import Outcome
from mmlib.evaluation.threat_card import (
    Entry,
    settings,
)
from mmlib.params.attacks import Attack
from mmlib.runtime.arrays import Floats32

_AGREEMENT = 1e-3
"""Largest difference of clean logits between two stages, in multiples of the largest logit."""
_ROUNDING = 0.02
"""The same where one of them read log-mel as stored, in float16, and the other made it anew; the
demo's nets differ by 0.003."""


def universal_split(
    fitted: Mapping[str, Collection[str]], scored: Mapping[str, Collection[str]], seen: str
) -> Outcome:
    """No clip, and no recording, may serve a universal perturbation twice: to fit and to score.

    Both map a kind of id (clip, recording) to ids; `seen` says what the perturbation did.
    """
    shared = {kind: set(ids) & set(scored[kind]) for kind, ids in fitted.items()}
    faults = [f"{len(ids)} {kind}s, such as {min(ids)}" for kind, ids in shared.items() if ids]
    if faults:
        return Outcome(
            "universal_split", "fail", f"fitted and scored on the same {'; '.join(faults)}"
        )
    return Outcome("universal_split", "pass", f"fitted and scored on different clips; {seen}")


def clean_beside_robust(
    clean: Floats32, embedded: Floats32 | None, *, rounded: bool = False
) -> Outcome:
    """The clean scores that stand beside the attacked ones must be the model's own.

    `clean` (N, K) are the attack stage's clean logits, of the same clips as every condition;
    `embedded` those of stage embed, by another forward pass, or None where it has other clips.
    `rounded`: the attack read waveforms, and stage embed the log-mel that was stored of them.
    """
    name = "clean_beside_robust"
    if embedded is None:
        return Outcome(name, "fail", "the attacked clips differ from those of stage embed")
    scale = max(float(np.abs(embedded).max()), 1e-12)
    gap = float(np.abs(clean - embedded).max()) / scale
    message = f"clean scores of {len(clean)} clips within {gap:.1g} of those of stage embed"
    return Outcome(
        name, "pass" if gap <= (_ROUNDING if rounded else _AGREEMENT) else "fail", message
    )


def threat_model_card(card: Sequence[Entry], attack: Attack) -> Outcome:
    """The card must state goal, knowledge, budgets with units and every setting of the attack."""
    name = "threat_model_card"
    titles = {entry.title for entry in card if entry.text}
    wanted = ("Goal", "Knowledge", "Norm", "Headline budget ε", "Sweep of ε")
    missing = [title for title in wanted if title not in titles]
    text = "; ".join(entry.text for entry in card)
    missing += [f"the unit {unit}" for unit in ("dB", "grey levels") if unit not in text]
    stated = list(settings(attack.model_dump(mode="json")))
    missing += [setting for setting in stated if setting not in text]
    if missing:
        return Outcome(name, "fail", f"the card does not state {', '.join(missing)}")
    return Outcome(
        name,
        "pass",
        f"the card states goal, knowledge, budgets with units and {len(stated)} settings",
    )
