"""A row of params.models on the clips that it will meet: made, fitted, admitted."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mmlib.batch import Batch, to_device
from mmlib.models import devices, own
from mmlib.models.admission import admit
from mmlib.models.factory import make, neighbours
from mmlib.models.fitting import signals
from mmlib.models.naming import columns
from mmlib.models.remade import check_first_calls, check_loaded
from mmlib.params.training import ModelRow
from mmlib.runtime.arrays import Bools
from mmlib.runtime.errors import UserError
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import filled_splits, read_manifest

CLIPS = 4
"""As many clips try the contract."""
_APART = "move it and the factory's file to a folder of their own, and give the row that as code"


def admitted(
    run: str, row: ModelRow, shards: Path, domain: str
) -> tuple[own.OwnModel, dict[str, Any]]:
    """The model of a row of models, on the device at hand, and what a checkpoint says of it.

    UserError, one line that begins with the row's key, for whatever docs/own_models.md forbids.
    """
    manifest = read_manifest(shards)
    classes, task = manifest["classes"], manifest["task"]
    with _about(f"models.{run}"):
        known = set(sys.modules)
        made: Any = make(row, classes)
        _all_watched(row, set(sys.modules) - known)
        check_loaded(made, row, classes)
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
        clips = _few(splits["eval"], model)
        admit(model, clips)
        check_first_calls(model, classes, clips)
    return model, {"classes": classes, "task": task}


def admit_missing(model: own.OwnModel, present: Mapping[str, Mapping[str, Bools]]) -> None:
    """Refuse clips without a track that the net does not call optional.

    `present`: split -> modality -> (N,), which clips have it.
    """
    optional = getattr(model.net, "optional", ())
    for split, tracks in present.items():
        for name in model.modalities:
            lacking = int((~tracks[name]).sum())
            if lacking and name not in optional:
                raise UserError(
                    f"{lacking} clips of the split {split} have no {name}: set "
                    "shard.missing_modality to drop, or, where the net can do without, give it "
                    f'optional = ("{name}",) (such a clip is silent or black)'
                )


def _all_watched(row: ModelRow, modules: set[str]) -> None:
    """Refuse a file whose neighbours may change without its model being evaluated anew."""
    if row.file is None:
        return
    code, watched = Path(row.code).resolve(), set(row.watched)
    for path in neighbours(row.file, modules):
        if not path.is_relative_to(code) and str(path) not in watched:
            folder = os.path.relpath(row.file.resolve().parent)
            raise UserError(
                f"it imports {os.path.relpath(path)}, which DVC does not watch: "
                + (f"give the row {folder} as code" if folder != "." else _APART)
            )


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
