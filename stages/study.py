"""Train one row of params.study under several seeds, attack and score each."""

from pathlib import Path

from mmlib.evaluation.study.study import run_row
from mmlib.params.study import StudySettings
from mmlib.runtime import stage

Settings = StudySettings


def main(arguments: list[str]) -> None:
    """Write metrics/study/<row>.csv and <row>.parquet."""
    name = stage.row(arguments, "study", "ROW")
    run_row(name, Settings.of(name), Path("data"), Path("metrics/study"))


if __name__ == "__main__":
    stage.run(main)
