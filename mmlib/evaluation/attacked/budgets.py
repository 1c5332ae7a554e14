"""The budgets that section attack gives to a threat, in the attack's domain."""

from collections.abc import Mapping

from mmlib.attacks.core.threat import Threat, build_threat
from mmlib.batch import Batch
from mmlib.params.attacks import AttackMethod
from mmlib.threats import THREATS


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


def shapes_of(inputs: Batch) -> dict[str, tuple[int, ...]]:
    """The shape of one clip of each tensor of a batch."""
    return {name: tuple(tensor.shape[1:]) for name, tensor in inputs.items()}
