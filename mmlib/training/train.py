"""Train what a row of params asks for, on the shards, whoever asks for it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmlib.batch import LabelledBatch
from mmlib.models import (
    checkpoint,
    devices,
)
from mmlib.models.base import Model
from mmlib.models.build import architecture, build
from mmlib.params.retraining import RetrainBase
from mmlib.params.training import Learning, ModelSizes, TrainRun
from mmlib.runtime.scratch import (
    Scratch,
    fingerprint,
)
from mmlib.runtime.seeds import derive
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import read_manifest
from mmlib.training.gblend import read_weights
from mmlib.training.history import History
from mmlib.training.loop import (
    TrainSettings,
    fit,
)
from mmlib.training.objectives import (
    BlendedObjective,
    Objective,
    Row,
    plain,
)


class Recipe(NamedTuple):
    """The parts of `training.fit` in which ways to train differ."""

    batches: Callable[[int], Iterator[LabelledBatch]]
    objective: Objective
    on_epoch: Callable[[Sequence[Row]], Row] | None


class Fitted(NamedTuple):
    """A trained model, what `checkpoint.save` is to say of it, its history, and its scratch."""

    model: Model
    description: dict[str, Any]
    history: History
    scratch: Scratch


def train(
    row: TrainRun, sizes: ModelSizes, learning: Learning, data: Path, *, name: str, seed: int
) -> Fitted:
    """Train a new model as the row says, on the shards and guides below `data`.

    `name` is that of the scratch folder, from which a killed run goes on. Raises UserError when
    guide, starts or shards do not fit the row.
    """
    guide, shards = data / f"guides/{row.guide}.json", data / "shards"
    weights = read_weights(guide)
    splits = ShardSet(shards, "train"), ShardSet(shards, "val")
    classes, task = splits[0].classes, splits[0].task
    model = build(
        architecture(row, sizes, heads=weights is not None),
        len(classes),
        read_manifest(shards),
        seed=derive(seed, "model"),
    )
    for modality, weights_file in row.starts.items():
        checkpoint.start_encoder(model, modality, weights_file)
    blend = BlendedObjective(weights, task, row.online_every) if weights else None
    method = Recipe(
        lambda epoch: splits[0].batches(row.batch_size, model.modalities, seed=seed, epoch=epoch),
        blend or plain(task),
        blend.begin_epoch if blend else None,
    )
    mark = fingerprint(
        seed,
        sizes,
        *learning,
        row,
        guide,
        *row.starts.values(),
        shards / "manifest.json",
    )
    return fitted(model, method, row, learning, splits, name=name, mark=mark, seed=seed)


def fitted(
    model: Model,
    method: Recipe,
    row: TrainRun | RetrainBase,
    learning: Learning,
    splits: tuple[ShardSet, ShardSet],
    *,
    name: str,
    mark: str,
    seed: int,
) -> Fitted:
    """Train the model on the splits (train, val), with progress in `scratch/<name>-<mark>`."""
    clips, val = splits
    scratch = Scratch(name, mark)
    history = fit(
        model,
        settings=TrainSettings(row.epochs, row.batch_size, row.learning_rate, *learning),
        batches=method.batches,
        steps_per_epoch=max(1, len(clips) // row.batch_size),
        train=clips,
        val=val,
        objective=method.objective,
        scratch=scratch,
        seed=seed,
        device=devices.select(),
        label=name.partition("-")[2],
        on_epoch=method.on_epoch,
    )
    described = {"classes": clips.classes, "task": clips.task, "params": mark}
    return Fitted(model, described, history, scratch)
