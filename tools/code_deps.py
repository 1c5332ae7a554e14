"""Keep each stage's code dependencies in dvc.yaml equal to what the stage imports.

DVC does not follow Python imports. `python -m tools.code_deps` prints the stages whose list differs
and exits with 1; `--write` rewrites the lists, comments and all other text kept.
"""

import ast
import io
import sys
from pathlib import Path

from mmlib.profiles import round_trip_yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("mmlib", "stages")


def import_closure(script: Path) -> set[Path]:
    """The project's files that importing `script` runs, itself and package __init__ files included.

    Also counts the non-Python files beside a module of a package that are its data (`*.jinja`).
    Imports inside functions count: a stage may reach them.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        if file.suffix != ".py":
            continue
        waiting.extend(_imported(file))
        if file.name != "__init__.py":
            waiting.extend(file.parent.glob(f"{file.stem}*.jinja"))
            waiting.extend(file.parent.glob("template*.jinja") if file.stem == "page" else ())
    return found


def _imported(file: Path) -> set[Path]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {path for name in names if name.split(".")[0] in PACKAGES for path in _files(name)}


def _files(module: str) -> set[Path]:
    files: set[Path] = set()
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        base = ROOT.joinpath(*parts[:length])
        for candidate in (base / "__init__.py", base.with_suffix(".py")):
            if candidate.is_file():
                files.add(candidate)
    return files


def expected(stage: str) -> list[str]:
    """The code deps that the stage should list: sorted paths from the project's root."""
    closure = import_closure(ROOT / "stages" / f"{stage}.py")
    return sorted(str(path.relative_to(ROOT)) for path in closure)


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
