"""What is attacked, by name: the modalities of a clip, and the threats on one or all of them."""

from collections.abc import Collection, Mapping

MODALITIES = ("audio", "video")
THREATS: Mapping[str, tuple[str, ...]] = {"A": ("audio",), "V": ("video",), "AV": MODALITIES}
"""The modalities that each threat attacks, single ones first. A model's heads bear these names."""

SINGLE: Mapping[str, str] = {name: both[0] for name, both in THREATS.items() if len(both) == 1}
"""The threats on one modality: name -> modality."""


def threat_names(modalities: Collection[str]) -> list[str]:
    """The threats that a model of these modalities can meet, single ones first."""
    return [name for name, needed in THREATS.items() if set(needed) <= set(modalities)]


def threat_on(modalities: Collection[str]) -> str:
    """The threat on exactly these modalities; KeyError when there is none."""
    for name, attacked in THREATS.items():
        if set(attacked) == set(modalities):
            return name
    raise KeyError(f"no threat on {' and '.join(modalities) or 'nothing'}")


def within(threat: str, other: str) -> bool:
    """Tell whether all that the threat attacks is attacked by the other too."""
    return set(THREATS[threat]) <= set(THREATS[other])


def parts_of(threat: str) -> list[str]:
    """The threats on one modality that a joint threat takes in; none for a single one."""
    return [part for part in SINGLE if part != threat and within(part, threat)]


FULL = threat_on(MODALITIES)
"""The threat on every modality."""
