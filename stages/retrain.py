"""Retrain one run of params.retrain: go on from its init by mixup, under attack, or plainly."""

from pathlib import Path

from mmlib import checkpoint, devices, params, stage
from mmlib.errors import UserError
from mmlib.loader import ShardSet
from mmlib.retraining import recipe
from mmlib.scratch import Scratch, fingerprint, publish_json, publish_text
from mmlib.seeds import derive
from mmlib.training import TrainSettings, fit

SHARDS = Path("data/shards")
MODELS = Path("data/models")


def main(arguments: list[str]) -> None:
    """Write data/models/<run>.*, metrics/training/<run>.csv and metrics/costs/<run>.json."""
    if len(arguments) != 1:
        raise UserError("usage: python -m stages.retrain RUN")
    (run,) = arguments
    settings = params.load()
    if run not in settings.retrain:
        raise UserError(
            f"params.yaml: retrain has no row {run!r}, only {', '.join(settings.retrain)}"
        )
    row = settings.retrain[run]
    guide = Path(f"data/guides/{row.guide}.json")
    train, val = ShardSet(SHARDS, "train"), ShardSet(SHARDS, "val")
    model, description = checkpoint.load(MODELS / row.init)
    if description["classes"] != train.classes:
        raise UserError(
            f"data/models/{row.init}.json: has other classes than the shards; train again"
        )
    seed = derive(settings.seed, run)
    method = recipe(row, model, train, guide, seed)
    mark = fingerprint(
        settings.seed,
        settings.optimiser,
        settings.augment,
        row,
        guide,
        SHARDS / "manifest.json",
        MODELS / f"{row.init}.safetensors",
        MODELS / f"{row.init}.json",
    )
    scratch = Scratch(f"retrain-{run}", mark)
    history = fit(
        model,
        settings=TrainSettings(
            row.epochs, row.batch_size, row.learning_rate, settings.optimiser, settings.augment
        ),
        batches=method.batches,
        steps_per_epoch=max(1, len(train) // row.batch_size),
        train=train,
        val=val,
        objective=method.objective,
        scratch=scratch,
        seed=seed,
        device=devices.select(),
        label=run,
        on_epoch=method.on_epoch,
    )
    described = {
        "run": run,
        "init": row.init,
        "method": row.method,
        "classes": train.classes,
        "task": train.task,
        "params": mark,
    }
    checkpoint.save(model, MODELS / run, described)
    publish_text(history.csv(), Path(f"metrics/training/{run}.csv"))
    publish_json(history.costs.as_dict(), Path(f"metrics/costs/{run}.json"))
    scratch.clear()


if __name__ == "__main__":
    stage.run(main)
