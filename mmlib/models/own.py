"""A net from elsewhere as a model of the pipeline: docs/own_models.md says what it must be."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmlib.batch import Batch
from mmlib.models.base import Model
from mmlib.models.contract import Waveform
from mmlib.models.factory import make, source
from mmlib.models.fitting import as_json, fitting
from mmlib.models.users_code import users_code
from mmlib.params.training import ModelRow
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import fingerprint
from mmlib.threats import MODALITIES

Values = Mapping[str, Any]

_ALIKE = 1e-2
"""Imprints of one draw are this near, on any machine; those of two are about 1 apart."""


class OwnModel(Model):
    """A user's net behind what fits clips to it; its outputs in the order of the data's classes.

    `encode` gives what the net reads of one modality. A net that can split, with `encode(modality,
    x)` and `classify(vectors)` of its own, has its branches computed apart, and so cached while
    the other one is attacked; of any other net `classify` is all of it, and nothing is cached.
    """

    foreign = True
    net: Any
    columns: Tensor

    def __init__(self, net: Any, columns: Sequence[int], held: Values) -> None:
        inputs = {name: net.inputs[name] for name in MODALITIES if name in net.inputs}
        fitted: dict[str, Any] = {name: fitting(inputs[name], held) for name in inputs}
        super().__init__({}, fitted, {}, {})
        self.net = net
        self.register_buffer("columns", torch.tensor(columns))
        self.waveform = isinstance(inputs.get("audio"), Waveform)
        self.penultimate = "fused" if len(inputs) > 1 else next(iter(inputs))
        self.splits = callable(getattr(net, "encode", None)) and callable(
            getattr(net, "classify", None)
        )
        self.embeds = callable(getattr(net, "embed", None))
        if self.embeds:
            self.head = _rows(getattr(net, "head", None), columns)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """What the net reads of clips, or, where it splits, its vector of them."""
        fitted: Tensor = self.normalise[modality](x)
        if not self.splits:
            return fitted
        with users_code("its encode"):
            vector: Tensor = self.net.encode(modality, fitted)
        return vector

    def encode_one(self, modality: str, batch: Batch) -> Tensor:
        """As `encode`; a clip that lacks the modality is silent, or black."""
        return self.encode(modality, _filled(modality, batch))

    def fuse(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Refuse: only the net knows how its branches meet."""
        raise NotImplementedError

    def classify(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """The net's logits for the data's classes, (B, K) float32, from the outputs of `encode`."""
        net = self.net.classify if self.splits else self.net
        with users_code("its classify" if self.splits else "its forward"):
            logits = logits_of(net(dict(embeddings))).float()
        return logits.index_select(1, self.columns)

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """The penultimate vector; nothing where the net has no `embed`."""
        if not self.embeds:
            return {}
        with users_code("its embed"):
            return {self.penultimate: self.net.embed(self.fitted(batch)).float()}

    def fitted(self, batch: Batch) -> Batch:
        """The batch as the net reads it."""
        return {name: self.normalise[name](_filled(name, batch)) for name in self.modalities}

    def outputs(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """The penultimate vector, where there is one, and the logits."""
        return super().outputs(batch) if self.embeds else ({}, self(batch))

    def stored(self) -> dict[str, Tensor]:
        """The head alone, if there is one: the other weights stay in the user's file."""
        return {f"head.{n}": t for n, t in self.head.named_parameters()} if self.embeds else {}


def wrap(net: Any, row: ModelRow, columns: Sequence[int], held: Values) -> OwnModel:
    """The net that a row's factory has made, as a model in eval mode whose weights are constants.

    `columns`: the output that stands for each class of the data; `held`: see `fitting.signals`.
    """
    model = OwnModel(net, columns, held)
    model.description = {
        "architecture": {
            **row.model_dump(mode="json"),
            "columns": list(columns),
            "held": dict(held),
            "sha256": _marks(row),
            "imprint": _imprint(net),
        },
        "inputs": {name: as_json(net.inputs[name]) for name in model.modalities},
    }
    return model.requires_grad_(False).eval()


def rebuild(architecture: Values, classes: Sequence[str]) -> OwnModel:
    """The model of a description again; UserError where a file that makes it is another by now."""
    row = ModelRow.model_validate({key: architecture[key] for key in ModelRow.model_fields})
    for file, mark in _marks(row).items():
        if architecture["sha256"].get(file) != mark:
            raise UserError(f"{file} has changed since its model was admitted: run `dvc repro`")
    net = make(row, classes)
    now, then = _imprint(net), architecture["imprint"]
    if len(now) != len(then) or any(abs(a - b) > _ALIKE for a, b in zip(now, then, strict=True)):
        raise UserError(
            f"the factory {row.factory} makes a net of other weights each time: seed the generator "
            "that they are drawn from, or save them in a file"
        )
    return wrap(net, row, architecture["columns"], architecture["held"])


def logits_of(output: Any) -> Tensor:
    """The logits of what a net returns: a tensor, or `logits` of a dict or output object."""
    if isinstance(output, Mapping):
        output = output.get("logits", output)
    found = getattr(output, "logits", output)
    if isinstance(found, Tensor):
        return found
    kind = type(output).__name__
    holds = f" of {', '.join(map(repr, output))}" if isinstance(output, Mapping) else ""
    raise UserError(
        f"its forward returns a {kind}{holds}: return the logits, one tensor (B, K), or an object "
        "or dict that has them as logits"
    )


def _marks(row: ModelRow) -> dict[str, str]:
    """Fingerprints of the files that make the net: its code, its weights, what it reads besides."""
    code = Path(row.code) if row.file else source(row)
    files = sorted(code.rglob("*.py")) if code.is_dir() else [code]
    others = [Path(row.weights), *map(Path, row.watched)]
    return {str(path): fingerprint(path) for path in (*files, *others)}


def _imprint(net: nn.Module) -> list[float]:
    """What tells draws of each weight apart: its sum, signs alternating, over its norm."""
    found = []
    for weight in net.parameters():
        flat = weight.detach().flatten().double()
        norm = float(flat.norm()) or 1.0
        found.append(round(float(flat[::2].sum() - flat[1::2].sum()) / norm, 6))
    return found


def _rows(head: Any, columns: Sequence[int]) -> nn.Linear:
    """The head with the outputs that stand for the data's classes alone."""
    if not isinstance(head, nn.Linear):
        raise UserError(
            f"it has embed, but its head is {type(head).__name__}, not the nn.Linear that reads "
            "what embed returns: name that head, or leave embed out"
        )
    chosen = nn.Linear(head.in_features, len(columns), bias=True)
    with torch.no_grad():
        chosen.weight.copy_(head.weight[list(columns)])
        chosen.bias.copy_(head.bias[list(columns)] if head.bias is not None else torch.zeros(1))
    return chosen


def _filled(modality: str, batch: Batch) -> Tensor:
    """The input, zeros where a clip lacks it."""
    x, mask = batch[modality], batch.get(f"{modality}_present")
    if mask is None or bool(mask.all()):
        return x
    return torch.where(mask.view(-1, *[1] * (x.ndim - 1)), x, 0)
