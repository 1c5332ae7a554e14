"""Where runs start: checkpoints of this pipeline, or files from elsewhere."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mmlib.params.training import FRESH, TrainRun
from mmlib.params.whole.published import R2PLUS1D_18, SIZE

if TYPE_CHECKING:
    from mmlib.params.whole.file import Params

MODELS = Path("data/models")
SUFFIXES = (".safetensors", ".pth", ".pt")
PUBLISHED = ("r2plus1d", "cnn14")
"""The nets for which others publish weights, in files without a JSON of ours beside them."""


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
    if str(file).startswith("torchvision:"):
        return f": of torchvision's nets there is one, write {R2PLUS1D_18}"
    if file.suffix not in SUFFIXES:
        return ": name a file of weights, .safetensors or .pth"
    if file == R2PLUS1D_18:
        return _another_size(params, net)
    if not is_made(file):
        return _unpublished(net, file)
    start = params.train.get(file.stem)
    if start is None:
        return f", but train has no row {file.stem!r}"
    if getattr(start, modality) != net:
        has = getattr(start, modality) or f"no {modality} net"
        return f": the run {file.stem!r} has {has}, not {net}"
    if start.fusion == "early":
        return f": the run {file.stem!r} fuses early, so that it has no {modality} encoder"
    return None


def _another_size(params: "Params", net: str) -> str | None:
    """Said before a hundred megabytes are fetched."""
    size = params.model.r2plus1d
    if net != "r2plus1d":
        return f", a video net, not {net}"
    if (size.width, tuple(size.blocks)) == SIZE:
        return None
    width, blocks = SIZE
    return f": set model.r2plus1d.width to {width} and blocks to {', '.join(map(str, blocks))}"


def _unpublished(net: str, file: Path) -> str | None:
    if net in PUBLISHED or file.with_suffix(".json").is_file():
        return None
    return f": there are published weights for {' and '.join(PUBLISHED)}, not for {net}"
