"""Measure the density and convexity of every class in every space of a run."""

from pathlib import Path

from mmlib.metrics.geometry import table
from mmlib.metrics.geometry.bars import class_bars
from mmlib.metrics.geometry.clouds import clouds
from mmlib.metrics.geometry.head import read_head
from mmlib.metrics.geometry.spaces import (
    measure,
    penultimate_space,
)
from mmlib.metrics.stored import measurable, read_embeddings, read_labels
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
    cached = read_embeddings(embeddings, settings.convexity_split)
    dense = read_embeddings(embeddings, settings.density_split)
    head = read_head(model.with_name(f"{run}.safetensors"))
    bars = class_bars(
        cached.task,
        read_labels(embeddings, "train")[1],
        threshold=settings.threshold,
        odds_ratio=settings.odds_ratio,
    )
    top = penultimate_space(cached, head, str(embeddings), bars=bars, sample=settings.points)
    spaces = [top]
    if len(cached.vectors) > 1 or settings.input_points:
        # Only the spaces further down need torch, whose import takes seconds.
        from mmlib.evaluation.inner_spaces import spaces_below

        spaces += spaces_below(
            cached,
            head,
            model,
            Path("data/shards"),
            split=settings.convexity_split,
            bars=bars,
            sample=settings.points,
            input_sample=settings.input_points,
        )
    found = measure(
        spaces,
        cached.classes,
        cached.labels,
        cached.logits,
        dense=clouds(dense, head),
        bars=bars,
        taus=settings.tau,
        p=settings.p,
        seed=everything.seed,
    )
    publish_csv(table.to_csv(found, settings.tau, splits), out)


if __name__ == "__main__":
    stage.run(main)
