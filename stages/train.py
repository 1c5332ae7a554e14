"""Train one run of params.train: its nets, on the shards, steered by its guide."""

from pathlib import Path

from mmlib import checkpoint, devices, params, stage
from mmlib.errors import UserError
from mmlib.gblend import read_weights
from mmlib.loader import ShardSet, read_manifest
from mmlib.models.build import architecture, build
from mmlib.objectives import BlendedObjective, plain
from mmlib.scratch import Scratch, fingerprint, publish_json, publish_text
from mmlib.seeds import derive
from mmlib.training import TrainSettings, fit

SHARDS = Path("data/shards")


def main(arguments: list[str]) -> None:
    """Write data/models/<run>.*, metrics/training/<run>.csv and metrics/costs/<run>.json."""
    if len(arguments) != 1:
        raise UserError("usage: python -m stages.train RUN")
    (run,) = arguments
    settings = params.load()
    if run not in settings.train:
        raise UserError(f"params.yaml: train has no row {run!r}, only {', '.join(settings.train)}")
    row = settings.train[run]
    guide = Path(f"data/guides/{row.guide}.json")
    weights = read_weights(guide)
    train, val = ShardSet(SHARDS, "train"), ShardSet(SHARDS, "val")
    seed = derive(settings.seed, run)
    model = build(
        architecture(row, settings.model, heads=weights is not None),
        len(train.classes),
        read_manifest(SHARDS),
        seed=derive(seed, "model"),
    )
    for modality, weights_file in row.starts.items():
        checkpoint.start_encoder(model, modality, weights_file)
    blend = BlendedObjective(weights, train.task, row.online_every) if weights else None
    mark = fingerprint(
        settings.seed,
        settings.model,
        settings.optimiser,
        settings.augment,
        row,
        guide,
        *row.starts.values(),
        SHARDS / "manifest.json",
    )
    scratch = Scratch(f"train-{run}", mark)
    history = fit(
        model,
        settings=TrainSettings(
            row.epochs, row.batch_size, row.learning_rate, settings.optimiser, settings.augment
        ),
        batches=lambda epoch: train.batches(
            row.batch_size, model.modalities, seed=seed, epoch=epoch
        ),
        steps_per_epoch=max(1, len(train) // row.batch_size),
        train=train,
        val=val,
        objective=blend or plain(train.task),
        scratch=scratch,
        seed=seed,
        device=devices.select(),
        label=run,
        on_epoch=blend.begin_epoch if blend else None,
    )
    described = {"run": run, "classes": train.classes, "task": train.task, "params": mark}
    checkpoint.save(model, Path("data/models") / run, described)
    publish_text(history.csv(), Path(f"metrics/training/{run}.csv"))
    publish_json(history.costs.as_dict(), Path(f"metrics/costs/{run}.json"))
    scratch.clear()


if __name__ == "__main__":
    stage.run(main)
