"""What dvc.yaml says of the code is what the code says of itself."""

import ast

import pytest
from ruamel.yaml import YAML

from mmlib.runtime.code import import_closure, imported
from tests.conftest import ROOT
from tools import code_deps

MOST_UNITS = {
    "study": 25, "stress": 21, "check": 18, "transfer": 21, "methods": 20, "certify": 19,
}  # fmt: skip
"""Units that a stage may name at most; 15 where nothing is said."""


def test_dvc_yaml_lists_every_stage_s_import_closure(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_deps.main([]) == 0, capsys.readouterr().out


def test_every_stage_of_dvc_yaml_has_a_script_and_a_description() -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    # Runs have rows in three sections: what is done to all of them has three names in dvc.yaml.
    stems = {name.removesuffix("_retrained").removesuffix("_model") for name in stages}
    assert stems == scripts
    assert all(stage.get("do", stage)["desc"] for stage in stages.values())
    # A map to take in at a glance; admit and goals to study are off by default.
    assert len(scripts) <= 22
    assert len((ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 765


def test_a_stage_names_few_units() -> None:
    for script in (ROOT / "stages").glob("[a-z]*.py"):
        units = code_deps.expected(script.stem)[1:]
        assert len(units) <= MOST_UNITS.get(script.stem, 15), (script.stem, units)


def test_every_module_belongs_to_one_unit_and_imports_run_up_the_list() -> None:
    place = {unit: index for index, unit in enumerate(code_deps.UNITS)}
    faults = []
    for path in sorted((ROOT / "mmlib").rglob("*.py")):
        unit, name = code_deps.unit_of(path), path.relative_to(ROOT)
        if unit is None:
            assert path.name == "__init__.py", f"{name} is in no unit: add it to code_deps.UNITS"
            continue
        for other in imported(path):
            if not other.is_relative_to(ROOT / "mmlib"):
                faults.append(f"{name} imports {other.relative_to(ROOT)}")
            elif (reached := code_deps.unit_of(other)) and place[reached] > place[unit]:
                faults.append(f"{name} imports {other.relative_to(ROOT)}, which stands below it")
    assert not faults, "\n".join(faults)


def test_a_unit_holds_no_other_and_few_modules_lie_loose() -> None:
    for unit in code_deps.UNITS:
        assert (ROOT / "mmlib" / unit).exists(), unit
        assert not [other for other in code_deps.UNITS if other.startswith(f"{unit}/")]
    assert len([path for path in (ROOT / "mmlib").glob("*.py") if path.stem != "__init__"]) <= 6


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        if node.module == "mmlib":
            return [f"mmlib.{alias.name}" for alias in node.names]
        return [node.module]
    return []


def test_nets_know_no_data_code() -> None:
    for name in ("base", "build", "cnn14", "csn", "fusion", "layers", "r2plus1d"):
        text = (ROOT / "mmlib" / "models" / f"{name}.py").read_text(encoding="utf-8")
        for forbidden in ("mmlib.shards", "mmlib.media", "pyarrow"):
            assert f"import {forbidden}" not in text
            assert f"from {forbidden}" not in text


@pytest.mark.parametrize("stage", ["download", "decode", "score"])
def test_light_stages_do_not_import_torch(stage: str) -> None:
    """Importing torch costs seconds and most of a gigabyte; these stages have no use for it."""
    for path in import_closure([ROOT / "stages" / f"{stage}.py"]):
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                assert not any(name.split(".")[0] == "torch" for name in _imported(node)), path
