"""How many eval clips have each class, and what to say where they are few."""

from mmlib.metrics.scores.jackknife import FEW_POSITIVES
from mmlib.report import wording
from mmlib.report.inputs import Inputs
from mmlib.runtime.arrays import Array


def positives(inputs: Inputs) -> Array | None:
    """How many eval clips have each class, (K,), if that is known."""
    return next((r.classwise["n_eval"] for r in inputs.runs if "n_eval" in r.classwise), None)


def warning(inputs: Inputs) -> str:
    """A sentence where classes have too few positives for their AP to be believed, or nothing."""
    counts = positives(inputs)
    if counts is None:
        return ""
    there = counts[counts > 0]
    few = int((there < FEW_POSITIVES).sum())
    if not few:
        return ""
    return (
        f"{wording.count(few)} of {wording.count(len(there))} classes have fewer than"
        f" {FEW_POSITIVES} positive clips: that raises mAP, most where little of it is left. It can"
        " then lie above its interval, and less is said to be lost than a larger set would show."
    )
