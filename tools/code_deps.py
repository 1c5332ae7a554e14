"""Keep each stage's code dependencies in dvc.yaml equal to the packages that the stage imports.

DVC does not follow Python imports. `python -m tools.code_deps` prints the stages whose list differs
and exits with 1; `--write` rewrites the lists, comments and all other text kept.
"""

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmlib.runtime.code import PACKAGES, ROOT, import_closure
from tools.profiles import round_trip_yaml

UNITS = (
    "runtime",
    "threats.py",
    "params/data.py",
    "params/decode.py",
    "params/shard.py",
    "params/training.py",
    "params/geometry.py",
    "params/retraining.py",
    "params/attacks.py",
    "params/checks.py",
    "params/goals.py",
    "params/methods.py",
    "params/transfer.py",
    "params/score.py",
    "params/study.py",
    "params/stress.py",
    "params/music.py",
    "params/certify.py",
    "params/survival.py",
    "params/report.py",
    "params/whole",
    "batch.py",
    "features.py",
    "media",
    "shards/rows",
    "shards/retry",
    "shards/decode_clip.py",
    "shards/decode.py",
    "shards/read",
    "shards/make",
    "sources",
    "metrics/ranking.py",
    "metrics/intervals.py",
    "metrics/smoothing.py",
    "metrics/stored.py",
    "metrics/geometry",
    "metrics/scores",
    "models",
    "training",
    "attacks/core",
    "attacks/methods",
    "retraining",
    "evaluation/threat_card.py",
    "evaluation/inner_spaces.py",
    "evaluation/class_geometry.py",
    "evaluation/attacked",
    "evaluation/sweep",
    "evaluation/theorem",
    "evaluation/goals",
    "evaluation/methods",
    "evaluation/transfer",
    "evaluation/encoded",
    "evaluation/rooms.py",
    "evaluation/mixing.py",
    "evaluation/stress",
    "evaluation/survival",
    "evaluation/music",
    "evaluation/checks",
    "evaluation/certify",
    "evaluation/study",
    "report",
)
"""What a stage may name: a unit imports itself and units that stand before it, no others."""


def unit_of(file: Path) -> str | None:
    """The unit that holds a file of mmlib; None for a face, an `__init__` above all units."""
    path = file.relative_to(ROOT / "mmlib").as_posix()
    return next((u for u in UNITS if path == u or path.startswith(f"{u}/")), None)


def expected(stage: str) -> list[str]:
    """The code deps that the stage should list: itself, then its units in their order."""
    script = ROOT / "stages" / f"{stage}.py"
    reached = {
        unit_of(file) for file in import_closure([script]) if file.is_relative_to(ROOT / "mmlib")
    }
    named = (_package(unit, reached) for unit in UNITS if unit in reached)
    return [f"stages/{stage}.py", *dict.fromkeys(f"mmlib/{unit}" for unit in named)]


def _package(unit: str, reached: set[str | None]) -> str:
    """The unit, or its package where a stage reaches every unit of it (the report: all params)."""
    package = unit.partition("/")[0]
    return package if reached.issuperset(u for u in UNITS if u.startswith(f"{package}/")) else unit


def script_of(body: Mapping[str, Any]) -> str:
    """The script that a stage of dvc.yaml runs: `python -m stages.train` runs train."""
    return str(body["cmd"]).split()[2].removeprefix("stages.")


def _is_code(dep: object) -> bool:
    return isinstance(dep, str) and dep.split("/")[0] in PACKAGES


def main(arguments: list[str]) -> int:
    """Compare, or with `--write` rewrite; status 1 tells that a list differs and stays so."""
    yaml = round_trip_yaml()
    path = ROOT / "dvc.yaml"
    document = yaml.load(path.read_text(encoding="utf-8"))
    differing = []
    for name, stage in document["stages"].items():
        body = stage.get("do", stage)
        code = expected(script_of(body))
        if [dep for dep in body["deps"] if _is_code(dep)] != code:
            differing.append(name)
            others = [dep for dep in body["deps"] if not _is_code(dep)]
            body["deps"].clear()
            body["deps"].extend(others + code)
    if "--write" in arguments and differing:
        stream = io.StringIO()
        yaml.dump(document, stream)
        path.write_text(stream.getvalue(), encoding="utf-8")
    for name in differing:
        verb = "rewritten" if "--write" in arguments else "differs: run `make deps`"
        print(f"dvc.yaml: code deps of {name} {verb}")
    return 1 if differing and "--write" not in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
