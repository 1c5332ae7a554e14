"""A row of params.models on the clips that it will meet: made, fitted, admitted."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mmlib.batch import Batch, to_device
from mmlib.models import devices, own
from mmlib.models.admission import admit, admit_missing
from mmlib.models.factory import make
from mmlib.models.fitting import signals
from mmlib.models.naming import columns
from mmlib.params.training import ModelRow
from mmlib.runtime.errors import UserError
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import filled_splits, read_manifest

CLIPS = 4
"""As many clips try the contract."""


def admitted(
    run: str, row: ModelRow, shards: Path, domain: str
) -> tuple[own.OwnModel, dict[str, Any]]:
    """The model of a row of models, on the device at hand, and what a checkpoint says of it.

    UserError, one line that begins with the row's key, for whatever docs/own_models.md forbids.
    """
    manifest = read_manifest(shards)
    classes, task = manifest["classes"], manifest["task"]
    with _about(f"models.{run}"):
        made: Any = make(row, classes)
        named = columns(made.classes, classes, Path(row.classes))
        model = own.wrap(made, row, named, signals(manifest)).to(devices.select())
        if model.waveform and domain != "waveform":
            raise UserError(
                "it hears waveforms: set attack.domain to waveform, and attack.scale.audio with it"
            )
        splits = {
            split: ShardSet(shards, split, waveform=model.waveform)
            for split in filled_splits(shards)
        }
        admit_missing(model, {split: clips.present for split, clips in splits.items()})
        admit(model, _few(splits["eval"], model))
    return model, {"classes": classes, "task": task}


def _few(clips: ShardSet, model: own.OwnModel) -> Batch:
    """A few clips that have all that the model reads, each twice where there is but one."""
    complete = np.logical_and.reduce([clips.present[name] for name in model.modalities])
    rows = np.flatnonzero(complete)
    if not len(rows):
        raise UserError(f"no clip of split eval has {' and '.join(model.modalities)}")
    spread = rows[np.linspace(0, len(rows) - 1, CLIPS).round().astype(np.intp)]
    inputs = clips.gather(spread, model.modalities).inputs
    return to_device({name: inputs[name] for name in model.modalities}, model.device)


@contextmanager
def _about(key: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(f"{key}: {error}") from error
