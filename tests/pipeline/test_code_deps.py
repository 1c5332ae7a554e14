"""What dvc.yaml says of the code is what the code says of itself."""

import ast
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT
from tools import code_deps

# Who may import whom inside mmlib: a module may import those of its own and of lower layers only.
LAYERS = [
    {"errors", "batch", "seeds", "computed"},
    {"params", "scratch", "pieces", "executor", "stage", "devices", "threat_card"},
    {"profiles", "clips", "shards", "media", "features", "augment", "perceptibility"},
    {"artefacts", "metrics", "stats", "guide", "gblend", "manifest", "ledger", "sources"},
    {"leaks", "outcomes", "listed", "earlier", "fetched_shard", "decoded_shard"},
    {"bootstrap", "geometry", "splits", "loader", "models", "attacks", "selection", "decided"},
    {
        "download",
        "planning",
        "decoding",
        "sharding",
        "average",
        "checkpoint",
        "domain",
        "inference",
        "objectives",
    },
    {"evaluate", "embeddings", "history", "temperature", "pairs", "mixup", "adversarial"},
    {"training", "fitting", "guidance", "retraining", "sweep", "depths", "scoring", "correlation"},
    {"checks", "comparison", "predictors", "theorem", "study"},
    {"report"},
]


def test_dvc_yaml_lists_every_stage_s_import_closure(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_deps.main([]) == 0, capsys.readouterr().out


def test_every_stage_of_dvc_yaml_has_a_script_and_a_description() -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert set(stages) == scripts
    assert all(stage.get("do", stage)["desc"] for stage in stages.values())
    # A map to take in at a glance; study, the last to come, has no rows by default.
    assert len(stages) <= 15


def _modules() -> dict[Path, str]:
    files = [path for path in (ROOT / "mmlib").rglob("*.py") if path != ROOT / "mmlib/__init__.py"]
    return {path: path.relative_to(ROOT / "mmlib").parts[0].removesuffix(".py") for path in files}


def test_imports_run_one_way() -> None:
    level = {name: depth for depth, names in enumerate(LAYERS) for name in names}
    faults = []
    for path, name in _modules().items():
        assert name in level, f"mmlib/{name} has no layer yet: add it to LAYERS"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            imported = _imported(node)
            for other in imported:
                if other.startswith("stages") or other.startswith("tests"):
                    faults.append(f"{path.relative_to(ROOT)} imports {other}")
                inner = other.split(".")[1:2]
                if other.startswith("mmlib.") and level.get(inner[0], 99) > level[name]:
                    faults.append(f"{path.relative_to(ROOT)} imports mmlib.{inner[0]}")
    assert not faults, "\n".join(faults)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        if node.module == "mmlib":
            return [f"mmlib.{alias.name}" for alias in node.names]
        return [node.module]
    return []


def test_models_know_no_data_code() -> None:
    for path in (ROOT / "mmlib" / "models").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for forbidden in ("mmlib.loader", "mmlib.shards", "mmlib.clips", "pyarrow"):
            assert f"import {forbidden}" not in text
            assert f"from {forbidden}" not in text


@pytest.mark.parametrize("stage", ["download", "decode", "score"])
def test_light_stages_do_not_import_torch(stage: str) -> None:
    """Importing torch costs seconds and most of a gigabyte; these stages have no use for it."""
    for path in code_deps.import_closure(ROOT / "stages" / f"{stage}.py"):
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                assert not any(name.split(".")[0] == "torch" for name in _imported(node)), path
