"""Keep each stage's code dependencies in dvc.yaml equal to the packages that the stage imports.

DVC does not follow Python imports. `python -m tools.code_deps` prints the stages whose list differs
and exits with 1; `--write` rewrites the lists, comments and all other text kept.
"""

import ast
import io
import sys
from pathlib import Path

from tools.profiles import round_trip_yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("mmlib", "stages")

UNITS = (
    "runtime",
    "threats.py",
    "params",
    "batch.py",
    "features.py",
    "media",
    "shards/rows",
    "shards/retry.py",
    "shards/ledger.py",
    "shards/decode.py",
    "shards/read",
    "shards/make",
    "sources",
    "metrics/ranking.py",
    "metrics/intervals.py",
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
    "evaluation/attacked",
    "evaluation/sweep",
    "evaluation/theorem",
    "evaluation/checks",
    "evaluation/study",
    "report",
)
"""What a stage may name: a unit imports itself and units that stand before it, no others."""


def unit_of(file: Path) -> str | None:
    """The unit that holds a file of mmlib; None for a face, an `__init__` above all units."""
    path = file.relative_to(ROOT / "mmlib").as_posix()
    return next((u for u in UNITS if path == u or path.startswith(f"{u}/")), None)


def import_closure(script: Path) -> set[Path]:
    """The project's files that running `script` may reach: imported, or named as a module."""
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting.extend(imported(file))
    return found


def imported(file: Path) -> set[Path]:
    """The project's files that a file names in an import, or as `python -m` takes them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return {path for name in names if name.split(".")[0] in PACKAGES for path in _files(name)}


def _files(module: str) -> set[Path]:
    base = ROOT.joinpath(*module.split("."))
    return {path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()}


def expected(stage: str) -> list[str]:
    """The code deps that the stage should list: itself, then its units in their order."""
    script = ROOT / "stages" / f"{stage}.py"
    reached = {
        unit_of(file) for file in import_closure(script) if file.is_relative_to(ROOT / "mmlib")
    }
    return [f"stages/{stage}.py", *(f"mmlib/{unit}" for unit in UNITS if unit in reached)]


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
        code = expected(name)
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
