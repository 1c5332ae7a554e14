"""Score a run clean and under every attack: headline figures, classes and curves."""

from pathlib import Path

from mmlib import params, stage
from mmlib.artefacts import AttackScores, read_labels
from mmlib.errors import UserError
from mmlib.geometry.table import GeometryTable
from mmlib.scoring import tables
from mmlib.scoring.conditions import score_run
from mmlib.scratch import publish_json, publish_text


def main(arguments: list[str]) -> None:
    """Write metrics/<run>.json, metrics/classwise/<run>.csv and metrics/curves/<run>.csv."""
    if len(arguments) != 1:
        raise UserError("usage: python -m stages.score RUN")
    (run,) = arguments
    settings = params.load()
    clip_ids, labels = read_labels(Path(f"data/embeddings/{run}.parquet"), "eval")
    scores = score_run(
        AttackScores(Path(f"data/attacks/{run}.parquet")),
        clip_ids,
        labels,
        resamples=settings.score.resamples,
        confidence=settings.score.confidence,
        seed=settings.seed,
    )
    geometry = GeometryTable(Path(f"data/geometry/{run}.csv"))
    classwise = tables.classwise_csv(scores, geometry)
    publish_json(tables.headline(scores), Path(f"metrics/{run}.json"))
    publish_text(classwise, Path(f"metrics/classwise/{run}.csv"))
    publish_text(tables.curves_csv(scores), Path(f"metrics/curves/{run}.csv"))


if __name__ == "__main__":
    stage.run(main)
