"""From params to a description in plain values, and from that to a model."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch

from mmlib.models.base import Encoder, Model, UniModal
from mmlib.models.cnn14 import Cnn14
from mmlib.models.csn import Csn
from mmlib.models.fusion import Early, Fusion, Gated, Late, Mid, Sum
from mmlib.models.layers import Normalise
from mmlib.models.r2plus1d import R2plus1d
from mmlib.params.training import ModelSizes, TrainRun, misfit
from mmlib.runtime.errors import UserError

Values = Mapping[str, Any]
Kind = TypeVar("Kind")


def architecture(run: TrainRun, sizes: ModelSizes, heads: bool = False) -> dict[str, Any]:
    """Describe the model of a training run in JSON values; `heads` adds G-Blend's auxiliary heads.

    {"audio": {"name": ..., sizes} or None, "video": likewise, "fusion": likewise, "heads": bool}.
    """

    def sized(name: str, section: str) -> dict[str, Any]:
        return {"name": name, **getattr(sizes, section).model_dump(mode="json")}

    return {
        "audio": sized(run.audio, run.audio) if run.audio else None,
        "video": sized(run.video, run.video) if run.video else None,
        "fusion": sized(run.fusion, "fusion") if run.fusion else None,
        "heads": heads,
    }


def build(architecture: Values, classes: int, manifest: Values, seed: int = 0) -> Model:
    """Build a model with fresh weights, the same ones for the same seed, on the CPU.

    `manifest` is that of the shards: its "audio" and "video" give the inputs' shapes, means and
    standard deviations. Raises UserError for a net that does not exist or does not fit the data.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _assemble(architecture, classes, manifest)
    model.description = {
        "architecture": dict(architecture),
        "inputs": {name: manifest[name] for name in model.modalities},
    }
    return model.to(memory_format=torch.channels_last)


def _assemble(architecture: Values, classes: int, manifest: Values) -> Model:
    fusion, heads = architecture["fusion"], architecture["heads"]
    modalities = [name for name in ("audio", "video") if architecture[name] is not None]
    normalise = {name: _normalise(name, manifest[name]) for name in modalities}
    if heads and (fusion is None or fusion["name"] == "early"):
        raise UserError(
            "Gradient-Blending needs an encoder for audio and one for video: set guide: none, or "
            "fusion to mid, sum, gated or late"
        )
    if fusion is not None and fusion["name"] == "early":
        encoder = _r2plus1d(architecture["video"], manifest, channels=4)
        shape = manifest["video"]
        grid = shape["frames"], shape["height"], shape["width"]
        return Early(encoder, normalise, classes, grid=grid, dropout=fusion["dropout"])
    encoders = {name: _encoder(name, architecture[name], manifest) for name in modalities}
    if fusion is None:
        (modality,) = modalities
        return UniModal(modality, encoders[modality], normalise[modality], classes)
    model = _known("fusion", fusion["name"], FUSIONS)(
        encoders, normalise, classes, hidden=fusion["hidden"], dropout=fusion["dropout"]
    )
    if heads:
        model.add_auxiliary_heads(classes)
    return model


def _encoder(modality: str, net: Values, manifest: Values) -> Encoder:
    shape = manifest[modality]
    if modality == "audio" and (why := misfit(net["name"], shape["frames"], shape["bands"])):
        raise UserError(f"{net['name']}, {why}")
    return _known(f"{modality} net", net["name"], NETS[modality])(net, manifest)


def _csn(net: Values, manifest: Values) -> Encoder:
    return Csn(
        manifest["audio"]["bands"],
        width=net["width"],
        transformer_blocks=net["transformer_blocks"],
        share_blocks=net["share_blocks"],
        dropout=net["dropout"],
    )


def _cnn14(net: Values, _: Values) -> Encoder:
    return Cnn14(width=net["width"], dropout=net["dropout"])


def _r2plus1d(net: Values, manifest: Values, channels: int = 3) -> Encoder:
    return R2plus1d(width=net["width"], blocks=tuple(net["blocks"]), channels=channels)


def _normalise(modality: str, statistics: Values) -> Normalise:
    shape = (-1,) if modality == "audio" else (-1, 1, 1, 1)  # F, or C, T, H, W
    mean, std = (torch.tensor(statistics[name]).reshape(shape) for name in ("mean", "std"))
    return Normalise(mean, std)


def _known(what: str, name: str, kinds: Mapping[str, Kind]) -> Kind:
    if name not in kinds:
        raise UserError(f"no {what} is named {name!r}; there are: {', '.join(kinds)}")
    return kinds[name]


NETS: dict[str, dict[str, Callable[[Values, Values], Encoder]]] = {
    "audio": {"csn": _csn, "cnn14": _cnn14},
    "video": {"r2plus1d": _r2plus1d},
}

FUSIONS: dict[str, type[Fusion]] = {"mid": Mid, "sum": Sum, "gated": Gated, "late": Late}
