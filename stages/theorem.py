"""Put Theorem 1 to the models: does fusion break within the radius that its part withstands?"""

from pathlib import Path
from typing import Annotated

from mmlib.evaluation.theorem.compare import compare, radii_csv
from mmlib.evaluation.theorem.theorem import measure, progress
from mmlib.params.attacks import Attack
from mmlib.params.checks import Alone, RadiusSearch
from mmlib.runtime import stage
from mmlib.runtime.scratch import publish_csv, publish_json
from mmlib.runtime.settings import At, Seed, StageSettings


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    seed: Seed
    attack: Attack
    search: Annotated[RadiusSearch, At("theorem.search")]
    alone: Annotated[Alone, At("theorem.fused.{row}")]
    confidence: Annotated[float, At("score.confidence")]


def main(arguments: list[str]) -> None:
    """Write data/theorem/<run>.csv, a row per clip and threat, and metrics/theorem/<run>.json."""
    fused = stage.row(arguments, "theorem")
    settings = Settings.load(row=fused)
    models, alone = Path("data/models"), settings.alone
    given = (
        Path("data/shards"),
        models / fused,
        {"audio": models / alone.audio, "video": models / alone.video},
        settings.attack,
        settings.search,
        settings.seed,
    )
    scratch = progress(*given)
    found = measure(*given, scratch=scratch)
    publish_csv(radii_csv(found), Path(f"data/theorem/{fused}.csv"))
    publish_json(
        {
            threat: compare(radii, settings.search.tolerance, settings.confidence)
            for threat, radii in found.items()
        },
        Path(f"metrics/theorem/{fused}.json"),
    )
    scratch.finish()


if __name__ == "__main__":
    stage.run(main)
