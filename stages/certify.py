"""Certify a row's smoothed classifier: the radius of each decision, and what attacks find."""

import sys
from pathlib import Path
from typing import Annotated

from mmlib.evaluation.certify.certify import Places, certify
from mmlib.evaluation.certify.table import (
    attacks_csv,
    curve_csv,
    decisions_csv,
    figures,
    heads_csv,
    outcome,
)
from mmlib.params.attacks import Attack
from mmlib.params.certify import CertifyAttack, CertifyRow, Sampling
from mmlib.params.goals import Decision
from mmlib.runtime import stage
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_csv, publish_json
from mmlib.runtime.settings import At, Seed, StageSettings


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    seed: Seed
    attack: Attack
    wanted: Annotated[CertifyRow, At("certify.rows.{row}")]
    sampling: Annotated[Sampling, At("certify.sampling")]
    search: Annotated[CertifyAttack, At("certify.attack")]
    decision: Annotated[Decision, At("goals.decision")]
    on_failure: Annotated[str, At("checks.on_failure")]


def main(arguments: list[str]) -> None:
    """Write data/certify/<row>/, metrics/certify/<row>.csv and <row>.json."""
    row = stage.row(arguments, "certify", "ROW")
    settings = Settings.load(row=row)
    data = Path("data")
    found = certify(
        row,
        settings.wanted,
        Places(data / "models", data / "shards", data / "embeddings"),
        settings.sampling,
        settings.search,
        settings.decision,
        settings.attack,
        settings.seed,
    )
    folder = data / "certify" / row
    publish_csv(decisions_csv(found), folder / "decisions.csv")
    publish_csv(attacks_csv(found), folder / "attacks.csv")
    publish_csv(heads_csv(found), folder / "heads.csv")
    publish_csv(curve_csv(found), Path(f"metrics/certify/{row}.csv"))
    publish_json(figures(found), Path(f"metrics/certify/{row}.json"))
    result = outcome(found)
    if result.status == "fail":
        print(f"certify: {row}: {result.name} FAILS: {result.message}", file=sys.stderr)
        if settings.on_failure == "stop":
            raise UserError(f"{row}: check {result.name} fails: {result.message}")


if __name__ == "__main__":
    stage.run(main)
