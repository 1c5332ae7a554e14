"""Put Theorem 1 to the models: does fusion break within the radius that its part withstands?"""

from pathlib import Path

from mmlib import params, stage
from mmlib.errors import UserError
from mmlib.scratch import publish_json, publish_text
from mmlib.theorem.compare import compare, radii_csv
from mmlib.theorem.search import measure


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
