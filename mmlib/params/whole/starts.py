"""Where runs start: checkpoints of this pipeline, or files from elsewhere."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mmlib.params.training import FRESH, TrainRun

if TYPE_CHECKING:
    from mmlib.params.whole.file import Params

MODELS = Path("data/models")


def is_made(start: Path) -> bool:
    """Tell whether a start is the checkpoint of a run of this pipeline."""
    return start.parent == MODELS


def faults(params: "Params") -> Iterable[str]:
    """Whatever does not fit, a line each that begins with the key."""
    for name, row in params.train.items():
        for modality in ("audio", "video"):
            file = Path(getattr(row, f"{modality}_start"))
            if file != FRESH and (fault := _fault(params, row, modality, file)):
                yield f"train.{name}.{modality}_start is {file}{fault}"


def _fault(params: "Params", row: TrainRun, modality: str, file: Path) -> str | None:
    net = getattr(row, modality)
    if net is None:
        return f", but the run has no {modality} net: set it to {FRESH}"
    if row.fusion == "early":
        return f", but early fusion has no {modality} encoder: set it to {FRESH}"
    if file.suffix != ".safetensors":
        return ": name a .safetensors file of weights"
    if not is_made(file):
        return None
    start = params.train.get(file.stem)
    if start is None:
        return f", but train has no row {file.stem!r}"
    if getattr(start, modality) != net:
        has = getattr(start, modality) or f"no {modality} net"
        return f": the run {file.stem!r} has {has}, not {net}"
    if start.fusion == "early":
        return f": the run {file.stem!r} fuses early, so that it has no {modality} encoder"
    return None
