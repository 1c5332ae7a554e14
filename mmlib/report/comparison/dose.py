"""How much a guide of mixup changes, and whether that is enough to say anything of guidance."""

from collections.abc import Mapping
from typing import Any

ENOUGH = 0.1
"""Share of draws, of the anchor's class or of lambda, that a guide must change for a verdict on it.

Mixup as a whole moves mAP by up to .06 on the demo, and one seed by about .01 (docs/results.md):
guidance that changes less than a tenth of what is drawn would have to be worth many times all of
mixup to show. [choice]
"""
NOT_TESTED = "the guidance barely differs from none"

Guides = Mapping[str, Mapping[str, Any]]
"""Guide -> what data/guides/<guide>.json holds."""


def dose_of(guides: Guides, name: str | None) -> Mapping[str, float] | None:
    """The dose of a guide of mixup; None where it is no such guide or says none."""
    found = guides.get(name or "", {}).get("dose")
    return found if isinstance(found, Mapping) else None


def barely(guides: Guides, name: str | None) -> bool:
    """Tell whether density and convexity steer too little to be tested.

    The partners do not count: the share from the anchor's class and the distances move them
    whatever the metrics of the classes are. False where the dose is unknown.
    """
    dose = dose_of(guides, name)
    return dose is not None and max(dose["anchors"], dose["lambdas"]) < ENOUGH


def reason(guides: Guides, name: str | None) -> str:
    """Why there is no verdict, with the figures."""
    dose = dose_of(guides, name)
    assert dose is not None
    return (
        f"not tested: {NOT_TESTED} ({100 * dose['anchors']:.0f} % of the anchors and"
        f" {100 * dose['lambdas']:.0f} % of the λ drawn otherwise)"
    )
