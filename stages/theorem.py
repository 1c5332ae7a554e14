"""Put Theorem 1 to the models: does fusion break within the radius that its part withstands?"""

from pathlib import Path

from mmlib import params
from mmlib.evaluation.theorem.compare import (
    compare,
    radii_csv,
)
from mmlib.evaluation.theorem.theorem import measure
from mmlib.runtime import stage
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import (
    publish_json,
    publish_text,
)


def main(arguments: list[str]) -> None:
    """Write data/theorem.csv, a row a clip and threat, and metrics/theorem.json."""
    if arguments:
        raise UserError("usage: python -m stages.theorem")
    settings = params.load()
    found = measure(
        Path("data/shards"), Path("data/models"), settings.attack, settings.theorem, settings.seed
    )
    tolerance, confidence = settings.theorem.tolerance, settings.score.confidence
    publish_text(radii_csv(found), Path("data/theorem.csv"))
    publish_json(
        {threat: compare(radii, tolerance, confidence) for threat, radii in found.items()},
        Path("metrics/theorem.json"),
    )


if __name__ == "__main__":
    stage.run(main)
