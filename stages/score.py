"""Score a run clean and under every attack: headline figures, classes and curves."""

from pathlib import Path

from mmlib.metrics.geometry.table import GeometryTable
from mmlib.metrics.scores import tables
from mmlib.metrics.scores.area import areas
from mmlib.metrics.scores.common import shared
from mmlib.metrics.scores.conditions import score_run
from mmlib.metrics.scores.figures import compared, figures_csv
from mmlib.metrics.scores.matched import (
    equal_damages,
    matched_total,
)
from mmlib.metrics.scores.missing import (
    evaluated,
    read_missing,
)
from mmlib.metrics.scores.recordings import read_recordings
from mmlib.metrics.scores.surface import (
    iso_csv,
    score_surface,
    surface_csv,
)
from mmlib.metrics.scores.worst_case import worst_cases
from mmlib.metrics.stored import (
    AttackScores,
    read_labels,
)
from mmlib.params.score import Score
from mmlib.runtime import stage
from mmlib.runtime.scratch import (
    publish_csv,
    publish_json,
)
from mmlib.runtime.settings import StageSettings
from mmlib.runtime.storage import rounded
from mmlib.shards.rows.ledger import LEDGER_NAME


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    score: Score


def main(arguments: list[str]) -> None:
    """Write metrics/<run>.json, and <run>.csv of figures, classwise, curves, surface, isodamage."""
    run = stage.row(arguments, "score")
    settings = Settings.load()
    clip_ids, labels = read_labels(Path(f"data/embeddings/{run}.parquet"), "eval")
    attacks = AttackScores(Path(f"data/attacks/{run}.parquet"))
    ledger = Path("data/shards") / LEDGER_NAME
    missing = read_missing(ledger, attacks.classes)
    chosen = shared(clip_ids, labels, Path(settings.score.common_with))
    if not chosen.all():
        clip_ids, labels = clip_ids[chosen], labels[chosen]
        attacks.restrict(clip_ids)
    recordings = read_recordings(ledger, clip_ids)
    scores = score_run(
        attacks,
        clip_ids,
        labels,
        confidence=settings.score.confidence,
        recordings=recordings,
    )
    plane = score_surface(
        Path(f"data/attacks/{run}-surface.parquet"),
        attacks,
        labels,
        settings.score.confidence,
        recordings,
    )
    geometry = GeometryTable(Path(f"data/geometry/{run}.csv"))
    classwise = tables.classwise_csv(scores, geometry)
    figures = tables.headline(scores) | {"equal_damage": equal_damages(scores)}
    for threat, area in areas(scores, settings.score.confidence).items():
        named = {"area": area.estimate, "area_lo": area.lo, "area_hi": area.hi}
        figures[threat] |= {name: rounded(value) for name, value in named.items()}
    figures["worst_case"] = worst_cases(attacks, labels)
    if plane is not None:
        figures["matched_total"] = matched_total(plane)
    restricted = not bool(chosen.all())
    figures = evaluated(
        figures, attacks, labels, missing, restricted=restricted, recordings=recordings
    )
    publish_json(compared(figures), Path(f"metrics/{run}.json"))
    publish_csv(figures_csv(figures), Path(f"metrics/figures/{run}.csv"))
    publish_csv(classwise, Path(f"metrics/classwise/{run}.csv"))
    publish_csv(tables.curves_csv(scores), Path(f"metrics/curves/{run}.csv"))
    publish_csv(surface_csv(plane, scores.eps), Path(f"metrics/surface/{run}.csv"))
    publish_csv(iso_csv(plane, scores.eps), Path(f"metrics/isodamage/{run}.csv"))


if __name__ == "__main__":
    stage.run(main)
