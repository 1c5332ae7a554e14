"""Files that params.yaml names and DVC reads: said plainly before DVC, and there in its copies."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from mmlib.params.whole import named
from mmlib.params.whole.file import Params, check, load
from mmlib.runtime.errors import UserError
from tests.conftest import ROOT


def written(folder: Path, **values: str) -> Params:
    """The project's params.yaml in a folder, with other values of some keys."""
    params = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    places = {
        "watch": params["data"],
        "common_with": params["score"],
        "video_start": params["train"]["mid"],
        "guide": params["train"]["gblend"],
        "code": params["survival"]["trial"],
    }
    for key, value in values.items():
        places[key][key] = value
    with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump(params, stream)
    return load(folder / "params.yaml")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("watch", "~/clips/labels.csv", "data.watch is ~/.* write HOME/clips/labels.csv"),
        ("common_with", "~/theirs.csv", "score.common_with is ~/.* write HOME/theirs.csv"),
        ("video_start", "~/a.safetensors", "train.mid.video_start is ~/.*write HOME/a.safetensors"),
        ("code", "mine.py", "survival.trial.code names mine.py, which is no file"),
        ("watch", "labels.csv ", "data.watch names 'labels.csv ', .*blanks"),
        ("watch", "labels.csv", "data.watch names labels.csv, which is no file"),
    ],
)
def test_what_dvc_would_not_find_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: str, said: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    written(tmp_path, **{key: value})
    with pytest.raises(UserError, match=said.replace("HOME", str(tmp_path / "home"))) as caught:
        check()
    assert "\n" not in str(caught.value)


def test_a_copy_gets_the_files_that_git_does_not_track(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ".dvc/tmp/exps/tmp1"
    (tmp_path / "data/guides").mkdir(parents=True)
    copy.mkdir(parents=True)
    files = {"watch": "my/labels.csv", "common_with": "theirs.csv", "video_start": "a.safetensors"}
    (tmp_path / "my").mkdir()
    for name in (*files.values(), "data/guides/mine.json"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(copy)
    (copy / "theirs.csv").write_text("as committed", encoding="utf-8")
    named.bring(written(copy, **files, guide="mine"))
    for name in ("my/labels.csv", "a.safetensors", "data/guides/mine.json"):
        assert (copy / name).read_text(encoding="utf-8") == name
    assert (copy / "theirs.csv").read_text(encoding="utf-8") == "as committed"


def test_in_the_project_nothing_is_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    named.bring(written(tmp_path, watch="labels.csv"))
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
