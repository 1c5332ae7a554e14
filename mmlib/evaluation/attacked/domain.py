"""The form in which sound is attacked: its log-mel, or the waveform through the front end.

In the waveform domain the front end becomes the first layer of the model, so that attacks, checks
and scores know nothing of it: sound is then (B, N) in [-1, 1] instead of (B, T, F) in [0, 1].
"""

from pathlib import Path

import torch
from pydantic import ValidationError
from torch import nn

from mmlib.batch import LabelledBatch
from mmlib.features import LogMel
from mmlib.models import checkpoint
from mmlib.models.base import Model
from mmlib.params.attacks import Domain
from mmlib.params.shard import Mel
from mmlib.runtime.arrays import Indices
from mmlib.runtime.errors import UserError
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import read_manifest
from mmlib.threats import MODALITIES


def load_model(path: Path, device: torch.device, shards: Path, domain: Domain) -> Model:
    """Load the checkpoint `path` (without suffix) as a model of the clips that `gather` gives.

    `shards` is the folder whose clips it will see. Raises UserError as `checkpoint.load` does.
    """
    model = checkpoint.load(path, device)[0]
    if domain == "waveform" and "audio" in model.modalities and not model.waveform:
        hear(model, LogMel(front_end(shards)).to(device))
    return model


def hear(model: Model, log_mel: LogMel) -> None:
    """Put the front end before the model's normalisation, so that it reads waveforms."""
    model.normalise["audio"] = nn.Sequential(log_mel, model.normalise["audio"])


def gather(
    clips: ShardSet,
    rows: Indices,
    modalities: tuple[str, ...] = MODALITIES,
    *,
    domain: Domain,
) -> LabelledBatch:
    """Read clips as the attacked model reads them, sound as its waveform where the domain says so.

    A clip shorter than the others ends in silence, which is as open to attack as the rest.
    """
    batch = clips.gather(rows, modalities)
    if domain == "waveform" and "audio" in modalities:
        batch.inputs["audio"] = clips.waveforms(rows)
    return batch


def input_shapes(clips: ShardSet, shards: Path, domain: Domain) -> dict[str, tuple[int, ...]]:
    """The shape of one clip of each modality, as `gather` gives it."""
    if domain == "log_mel":
        return clips.input_shapes
    mel = front_end(shards)
    return {**clips.input_shapes, "audio": (mel.frames * mel.hop,)}


def front_end(shards: Path) -> Mel:
    """The settings that the log-mel of these shards was made with."""
    try:
        return Mel.model_validate(read_manifest(shards)["mel"])
    except ValidationError as error:
        raise UserError(
            f"{shards}: its manifest does not say how the log-mel was made "
            f"({error.errors()[0]['msg']}); run `dvc repro -f shard`"
        ) from None
