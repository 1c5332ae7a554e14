"""Train one row of params.study under several seeds, attack and score each."""

from pathlib import Path

from mmlib import params
from mmlib.evaluation.study.study import run_row
from mmlib.runtime import stage
from mmlib.runtime.errors import UserError


def main(arguments: list[str]) -> None:
    """Write metrics/study/<row>.csv and <row>.parquet."""
    if len(arguments) != 1:
        raise UserError("usage: python -m stages.study ROW")
    (row,) = arguments
    settings = params.load()
    if row not in settings.study.rows:
        known = ", ".join(settings.study.rows) or "none"
        raise UserError(f"params.yaml: study.rows has no row {row!r}, only {known}")
    run_row(row, settings, Path("data"), Path("metrics/study"))


if __name__ == "__main__":
    stage.run(main)
