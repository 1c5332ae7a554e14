"""Train one run of params.train: its nets, on the shards, steered by its guide."""

from pathlib import Path

from mmlib import params
from mmlib.models import checkpoint
from mmlib.runtime import stage
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import (
    publish_json,
    publish_text,
)
from mmlib.runtime.seeds import derive
from mmlib.training.train import train

DATA = Path("data")


def main(arguments: list[str]) -> None:
    """Write data/models/<run>.*, metrics/training/<run>.csv and metrics/costs/<run>.json."""
    if len(arguments) != 1:
        raise UserError("usage: python -m stages.train RUN")
    (run,) = arguments
    settings = params.load()
    if run not in settings.train:
        raise UserError(f"params.yaml: train has no row {run!r}, only {', '.join(settings.train)}")
    model, described, history, scratch = train(
        settings.train[run], settings, DATA, name=f"train-{run}", seed=derive(settings.seed, run)
    )
    checkpoint.save(model, DATA / "models" / run, {"run": run, **described})
    publish_text(history.csv(), Path(f"metrics/training/{run}.csv"))
    publish_json(history.costs.as_dict(), Path(f"metrics/costs/{run}.json"))
    scratch.clear()


if __name__ == "__main__":
    stage.run(main)
