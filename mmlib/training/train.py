"""Train what a row of params asks for, on the shards, whoever asks for it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmlib.models import (
    checkpoint,
    devices,
    ranks,
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
from mmlib.training.drawing import PlainBatches, class_shares, pace
from mmlib.training.gblend import HEADS, read_weights
from mmlib.training.history import History, Row
from mmlib.training.loop import fit
from mmlib.training.mixing import Drawn
from mmlib.training.objectives import (
    BlendedObjective,
    Objective,
    plain,
    prior_logits,
)
from mmlib.training.settings import TrainSettings


class Recipe(NamedTuple):
    """The parts of `training.fit` in which ways to train differ."""

    batches: Callable[[int], Iterator[Drawn]]
    objective: Objective
    on_epoch: Callable[[History], Row] | None


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
    guide = data / f"guides/{row.guide}.json"
    weights = read_weights(guide)
    model, splits = _started(row, sizes, learning, data, seed, heads=weights is not None)
    blend = None
    if weights:
        bootstrap = derive(seed, "bootstrap")
        blend = BlendedObjective(weights, splits[0].task, row.online_every, bootstrap)
    method = Recipe(
        plain_batches(row, model, splits[0], learning, seed),
        blend or plain(splits[0].task),
        blend.begin_epoch if blend else None,
    )
    mark = fingerprint(seed, sizes, *learning.marks, row, guide, *_files(row, data))
    return fitted(model, method, row, learning, splits, name=name, mark=mark, seed=seed)


def train_heads(
    row: TrainRun, sizes: ModelSizes, learning: Learning, data: Path, *, name: str, seed: int
) -> Fitted:
    """Train the heads A, V and AV together, weighed alike, from the start of the row's run.

    The encoders begin as that run's, all three heads anew, so that none is ahead of another. Else
    as `train`, but for the row's guide.
    """
    model, splits = _started(row, sizes, learning, data, seed, heads=True, fresh_heads=True)
    alike = BlendedObjective(dict.fromkeys(HEADS, 1 / len(HEADS)), splits[0].task)
    method = Recipe(plain_batches(row, model, splits[0], learning, seed), alike, None)
    mark = fingerprint(seed, sizes, *learning.marks, row, *_files(row, data))
    return fitted(model, method, row, learning, splits, name=name, mark=mark, seed=seed)


def _started(
    row: TrainRun,
    sizes: ModelSizes,
    learning: Learning,
    data: Path,
    seed: int,
    *,
    heads: bool,
    fresh_heads: bool = False,
) -> tuple[Model, tuple[ShardSet, ShardSet]]:
    """The row's model as it begins, and the splits train and val."""
    shards = data / "shards"
    splits = ShardSet(shards, "train", pixels=True), ShardSet(shards, "val", pixels=True)
    model = build(
        architecture(row, sizes, heads=heads),
        len(splits[0].classes),
        read_manifest(shards),
        seed=derive(seed, "model"),
    )
    labels, balanced = splits[0].labels, learning.batches.sampling == "balanced"
    drawn = class_shares(labels) if balanced else None
    model.begin_heads_at(prior_logits(splits[0].task, labels, drawn))
    for modality, weights_file in row.starts.items():
        checkpoint.start_encoder(model, modality, weights_file, head=not fresh_heads)
    return model, splits


def plain_batches(
    row: TrainRun | RetrainBase,
    model: Model,
    train: ShardSet,
    learning: Learning,
    seed: int,
    *,
    mixes: bool = True,
) -> PlainBatches:
    """The batches of a run, those of this process; `mixes`: see `drawing.PlainBatches`."""
    return PlainBatches(
        train,
        model.modalities,
        row.batch_size,
        learning.batches,
        seed,
        ranks.place(),
        pinned=devices.select().type == "cuda",
        mixes=mixes,
    )


def _files(row: TrainRun, data: Path) -> list[Path]:
    """What a run of the row begins with."""
    return [*row.starts.values(), data / "shards/manifest.json"]


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
    optimiser, augment, batches = learning
    steps, together = pace(len(clips), row.batch_size, batches)
    history = fit(
        model,
        settings=TrainSettings(
            row.epochs, row.batch_size, row.learning_rate, optimiser, augment, together
        ),
        batches=method.batches,
        steps_per_epoch=steps,
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
