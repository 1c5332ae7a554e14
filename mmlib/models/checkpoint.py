"""Trained models on disk: weights as safetensors, and the JSON that rebuilds the model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mmlib.models import own, public
from mmlib.models.base import Encoder, Model
from mmlib.models.build import build
from mmlib.runtime import sealed
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import (
    publish_file,
    publish_json,
)
from mmlib.runtime.storage import WEIGHTS_CHECK, check_weights, read_json

REQUIRED = ("architecture", "inputs", "classes", "task")


def save(model: Model, path: Path, description: dict[str, Any]) -> None:
    """Write `<path>.safetensors` and then `<path>.json`, each whole or not at all.

    `description` holds at least "classes" (names, in the order of the logits) and "task"; the
    model's architecture, its inputs' shapes and normalisation and its parameter count are added, so
    that the model is rebuilt from its own JSON and never from today's params.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.stored().items()}
    count = sum(parameter.numel() for parameter in model.parameters())
    file = path.with_name(f"{path.name}.safetensors")
    publish_file(lambda p: save_file(weights, p), file)
    publish_json(
        {
            **description,
            **model.description,
            "parameters": count,
            WEIGHTS_CHECK: sealed.crc32_of_file(file),
        },
        path.with_name(f"{path.name}.json"),
    )


def load(path: Path, device: torch.device | str = "cpu") -> tuple[Model, dict[str, Any]]:
    """Rebuild the model of `<path>.json` in eval mode with the weights of `<path>.safetensors`.

    Returns it with its description; a model of section models is made by its factory again. Raises
    UserError when a file is absent, broken, or does not belong to the other.
    """
    description = read_description(path)
    if "factory" in description["architecture"]:
        own_model = own.rebuild(description["architecture"], description["classes"])
        return own_model.to(device), description
    weights_path = path.with_name(f"{path.name}.safetensors")
    check_weights(weights_path)
    try:
        model = build(
            description["architecture"], len(description["classes"]), description["inputs"]
        )
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}.json: describes no model of this version ({error!r}); delete it and run "
            "`dvc repro`"
        ) from None
    try:
        weights = load_file(weights_path)
    except SafetensorError as error:
        raise UserError(f"{weights_path}: {error}; delete it and run `dvc repro`") from None
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        fault = str(error).splitlines()[1].strip()
        raise UserError(
            f"{weights_path} does not fit {path.name}.json: {fault}; delete both, run `dvc repro`"
        ) from None
    return model.to(device).eval(), description


def start_encoder(model: Model, modality: str, weights: Path, *, head: bool = True) -> None:
    """Copy the encoder of one modality from a trained model's `<path>.safetensors`.

    A file without the JSON of a run holds published weights: see `public.start`.

    Its head comes along, unless `head` is False, where it reads that encoder alone and `model` has
    an auxiliary head for it: a fresh one would first undo what the encoder has learnt. Raises
    UserError when that model lacks the modality, or its encoder is of another size.
    """
    if not weights.with_suffix(".json").is_file() and modality in model.encoders:
        public.start(cast(Encoder, model.encoders[modality]), weights)
        return
    source, _ = load(weights.with_suffix(""))
    if modality not in source.encoders or modality not in model.encoders:
        raise UserError(
            f"{weights}: has no {modality} encoder to start from; see params.yaml: train"
        )
    try:
        model.encoders[modality].load_state_dict(source.encoders[modality].state_dict())
        if head and source.main_head in model.auxiliary:
            model.auxiliary[source.main_head].load_state_dict(source.head.state_dict())
    except RuntimeError as error:
        fault = str(error).splitlines()[1].strip()
        raise UserError(
            f"{weights}: its {modality} encoder or head is of another kind or size: {fault}"
        ) from None


def check_classes(
    model: Path, description: dict[str, Any], classes: Sequence[str], shards: Path
) -> None:
    """UserError where a checkpoint was trained on other classes than the shards have."""
    if list(classes) != list(description["classes"]):
        raise UserError(f"{model}: trained on other classes than {shards} has; run `dvc repro`")


def read_description(path: Path) -> dict[str, Any]:
    """Read `<path>.json`; UserError when it is absent or does not describe a model."""
    file = path.with_name(f"{path.name}.json")
    description = read_json(file)
    absent = [key for key in REQUIRED if key not in description]
    if absent:
        raise UserError(f"{file}: has no {absent[0]!r}; delete it and run `dvc repro`")
    return description
