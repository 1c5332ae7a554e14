"""Retrain one run of params.retrain: go on from its init by mixup, under attack, or plainly."""

from pathlib import Path

from mmlib import params
from mmlib.models import checkpoint
from mmlib.retraining.retrain import retrain
from mmlib.runtime import stage
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import (
    publish_json,
    publish_text,
)
from mmlib.runtime.seeds import derive

DATA = Path("data")


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
    model, described, history, scratch = retrain(
        row, settings, DATA, name=f"retrain-{run}", seed=derive(settings.seed, run)
    )
    described = {"run": run, "init": row.init, "method": row.method, **described}
    checkpoint.save(model, DATA / "models" / run, described)
    publish_text(history.csv(), Path(f"metrics/training/{run}.csv"))
    publish_json(history.costs.as_dict(), Path(f"metrics/costs/{run}.json"))
    scratch.clear()


if __name__ == "__main__":
    stage.run(main)
