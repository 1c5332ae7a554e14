"""The budgets that section attack gives to a threat, and the threats that a run can meet."""

from collections.abc import Mapping, Sequence
from typing import Literal

from mmlib.attacks.core.threat import Threat, build_threat
from mmlib.batch import Batch
from mmlib.params.attacks import AttackMethod
from mmlib.runtime.errors import UserError
from mmlib.threats import THREATS, threat_names


def threat_at(
    name: str, settings: AttackMethod, multiple: float, shapes: Mapping[str, tuple[int, ...]]
) -> Threat:
    """The budgets of threat A, V or AV at `multiple` times the headline attack.eps.

    `shapes`: modality -> shape of one clip in the attack's domain.
    """
    eps = {
        modality: settings.eps * multiple * getattr(settings.scale, modality)
        for modality in THREATS[name]
    }
    return build_threat(eps, settings.norm, shapes)


def threats_met(
    wanted: Literal["all"] | Sequence[str], inputs: Sequence[str], key: str
) -> list[str]:
    """The threats that a row of params.yaml wants, of a run that reads `inputs`; single ones first.

    UserError where it names one that the run cannot meet; `key` is the row's.
    """
    possible = threat_names(inputs)
    if wanted == "all":
        return possible
    for threat in wanted:
        if threat not in possible:
            raise UserError(
                f"{key}.threats names {threat}, but the run reads {' and '.join(inputs)} only: "
                f"it can meet {', '.join(possible)}"
            )
    return [threat for threat in possible if threat in wanted]


def shapes_of(inputs: Batch) -> dict[str, tuple[int, ...]]:
    """The shape of one clip of each tensor of a batch."""
    return {name: tuple(tensor.shape[1:]) for name, tensor in inputs.items()}
