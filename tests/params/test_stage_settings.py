"""Each stage reads and declares only its own keys of params.yaml, and reads no others."""

import importlib
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from mmlib.params.whole import file as whole
from mmlib.runtime import stage
from mmlib.runtime.errors import UserError
from mmlib.runtime.settings import StageSettings
from tests.conftest import ROOT

STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
SCRIPTS = sorted(p.stem for p in (ROOT / "stages").glob("*.py") if p.stem != "__init__")
WHOLE = ("params", "report")
DECLARED = {
    str(body["cmd"]).split(".")[-1]: body.get("params")
    for body in (stage.get("do", stage) for stage in STAGES.values())
}


def settings(name: str) -> type[StageSettings]:
    found: type[StageSettings] = importlib.import_module(f"stages.{name}").Settings
    return found


def read(name: str) -> list[str]:
    return settings(name).keys()


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name not in WHOLE])
def test_a_stage_declares_what_it_reads(name: str) -> None:
    keys = [key.replace("{row}", "${key}").replace("{init}", "${item.init}") for key in read(name)]
    assert DECLARED[name] == keys


@pytest.mark.parametrize("name", WHOLE)
def test_some_stages_depend_on_the_whole_file(name: str) -> None:
    assert DECLARED[name] is None
    assert "params.yaml" in STAGES[name]["deps"]


def test_params_yaml_has_the_sections_in_their_order() -> None:
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert list(values) == list(whole.Params.model_fields)


@pytest.mark.parametrize("name", ["download", "decode", "shard", "embed", "geometry", "score"])
def test_what_a_stage_does_not_read_may_be_anything(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    kept = {key.split(".")[0] for key in read(name)} | {"shard"}
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump({key: values[key] if key in kept else "broken" for key in values}, stream)
    monkeypatch.chdir(tmp_path)
    assert settings(name).load()
    with pytest.raises(UserError):
        whole.load()


def test_a_row_is_read_alone_and_a_missing_one_named() -> None:
    train = settings("train")
    mid = train.load(ROOT / "params.yaml", row="mid")
    assert mid.model_dump()["row"]["fusion"] == "mid"
    with pytest.raises(UserError, match=r"train has no row 'mdi', only audio, video, mid, gblend"):
        train.load(ROOT / "params.yaml", row="mdi")


def test_a_fault_is_named_by_its_key_in_the_file(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    path = tmp_path / "params.yaml"
    path.write_text(
        re.sub(r"    epochs: \d+\n", "    epochs: none\n", text, count=1), encoding="utf-8"
    )
    with pytest.raises(UserError, match=r"params\.yaml: train\.audio\.epochs: "):
        settings("train").load(path, row="audio")


def test_the_row_comes_from_dvc_or_from_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    assert stage.row(["mid"], "train") == "mid"
    with pytest.raises(UserError, match=r"usage: python -m stages\.train RUN"):
        stage.row([], "train")
    monkeypatch.setenv("DVC_STAGE", "train@a;touch X;b")
    assert stage.row([], "train") == "a;touch X;b"
    assert stage.row(["mid"], "train") == "mid"
    monkeypatch.setenv("DVC_STAGE", "download")
    with pytest.raises(UserError, match="usage"):
        stage.row([], "train")
