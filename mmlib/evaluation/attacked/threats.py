"""What the sweep may attack: threats A, V and A+V, and their budgets from the settings."""

from collections.abc import Sequence

from mmlib.attacks.core.search import Points
from mmlib.attacks.core.threat import (
    Budget,
    Threat,
    comparable_radius,
)
from mmlib.batch import THREATS, is_waveform
from mmlib.params.attacks import AttackMethod


def threat_names(modalities: Sequence[str]) -> list[str]:
    """The threats that a model of these modalities can meet, single ones first."""
    return [name for name, needed in THREATS.items() if set(needed) <= set(modalities)]


def build_threat(name: str, settings: AttackMethod, multiple: float, inputs: Points) -> Threat:
    """The budgets of threat A, V or AV at `multiple` times the headline eps.

    eps is a change per element in units of full scale: see `comparable_radius`. Values stay in
    [0, 1], those of a waveform in [-1, 1].
    """
    return {
        modality: Budget(
            comparable_radius(
                settings.eps * multiple * getattr(settings.scale, modality),
                settings.norm,
                inputs[modality].shape[1:],
            ),
            settings.norm,
            low=-1.0 if modality == "audio" and is_waveform(inputs[modality]) else 0.0,
        )
        for modality in THREATS[name]
    }
