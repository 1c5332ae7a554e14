"""Measure the density and convexity of every class in every space of a run."""

from pathlib import Path

from mmlib.evaluation.class_geometry import RunGeometry, measure_run
from mmlib.metrics.geometry import table
from mmlib.metrics.stored import measurable
from mmlib.params.geometry import Geometry
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_csv
from mmlib.runtime.settings import Seed, StageSettings


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    seed: Seed
    geometry: Geometry


def main(arguments: list[str]) -> None:
    """Write data/geometry/<run>.csv."""
    run = stage.row(arguments, "geometry")
    everything = Settings.load()
    settings = everything.geometry
    embeddings, model = Path(f"data/embeddings/{run}.parquet"), Path(f"data/models/{run}")
    splits = settings.convexity_split, settings.density_split
    out = Path(f"data/geometry/{run}.csv")
    if not measurable(embeddings, {"train", *splits}):
        publish_csv(table.to_csv([], settings.tau, splits), out)
        return
    task = RunGeometry(model, embeddings, Path("data/shards"), settings, everything.seed)
    scratch = task.progress()
    publish_csv(table.to_csv(measure_run(task, scratch), settings.tau, splits), out)
    scratch.finish()


if __name__ == "__main__":
    stage.run(main)
