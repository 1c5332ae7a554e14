"""`make evaluate`: a folder of its own, its params set to what the net declares, ours untouched."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mmlib.models.contract import Frames, Input, LogMel, Waveform
from mmlib.params.shard import Shard
from mmlib.params.whole.file import load
from mmlib.runtime.errors import UserError
from mmlib.runtime.settings import read
from tests.conftest import ROOT
from tools import evaluate
from tools.fitted import signals

ADAPTER = ROOT / "tests/pipeline/own_net.py"
LABELS = "clip_id,path,labels,split\na,a.wav,Rain,eval\nb,b.wav,Siren|Rain,eval\n"


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a folder of clips beside."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/labels.csv").write_text(LABELS, encoding="utf-8")
    return tmp_path / "params.yaml"


def held_by(shard: Shard) -> dict[str, Any]:
    """What shards of these params hold, as `fitting.signals` finds it in their manifest."""
    video, mel = shard.video, shard.mel
    return {
        "seconds": shard.seconds,
        "sample_rate_hz": mel.sample_rate_hz,
        "samples": mel.frames * mel.hop,
        "frames": video.frames,
        "frame_rate_hz": video.rate_hz or video.frames / shard.seconds,
        "size": video.size,
    }


def laid(
    params: Path, *arguments: str, model: str = f"{ADAPTER}:both", clips: str = "clips"
) -> Path:
    options = evaluate._options([model, clips, *arguments])
    evaluate._lay_params(params, options, "mine", evaluate._row(options))
    return params


def test_params_are_set_to_what_the_net_declares(params: Path) -> None:
    before = (ROOT / "params.yaml").read_bytes()
    found = load(laid(params, "--eps", "0.002", "--options", "width=3"))
    assert (ROOT / "params.yaml").read_bytes() == before
    assert found.runs == ("mine",)
    assert found.models["mine"].options == {"width": 3}
    assert found.models["mine"].file == ADAPTER
    assert (found.attack.eps, found.attack.domain, found.attack.scale.audio) == (
        0.002,
        "waveform",
        0.33,
    )
    assert (found.decode.sample_rate_hz, found.shard.mel.sample_rate_hz) == (8000, 8000)
    assert (found.shard.seconds, found.shard.waveforms) == (2.0, "all")
    assert (found.shard.video.frames, found.shard.video.size) == (1, 16)
    assert found.data.path == str(params.parent / "clips")
    assert found.data.watch == str(params.parent / "clips/labels.csv")


def test_clips_on_an_object_store_are_named_as_they_are() -> None:
    assert evaluate._data("s3://clips/set") == {"path": "s3://clips/set"}


def test_a_net_of_log_mel_keeps_the_signals_of_params(params: Path) -> None:
    found, ours = load(laid(params, model=f"{ADAPTER}:heard")), load(ROOT / "params.yaml")
    assert found.attack.domain == "log_mel"
    assert found.shard.mel == ours.shard.mel
    assert found.shard.video == ours.shard.video


def test_clips_have_the_seconds_that_are_given_or_what_the_net_needs(params: Path) -> None:
    """Frames around a clip's middle need its length: that of params may be another."""
    assert load(laid(params, "--seconds", "10")).shard.seconds == 10.0
    assert load(laid(params, "--seconds", "1.2")).shard.seconds == 2.0


def test_what_can_be_imported_here_can_be_in_the_folder(
    params: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "src:/elsewhere")
    places = evaluate._import_path(Path("evaluations/mine")).split(os.pathsep)
    here = params.parent.resolve()
    expected = [here / "evaluations/mine", here, here / "src", Path("/elsewhere")]
    assert [Path(place) for place in places] == expected


READER = """
import json
from pathlib import Path
from own_part import HEARD


def factory(weights, classes, settings):
    classes = json.loads(Path(__file__).with_name("names.json").read_text())
    assert json.loads(Path(settings).read_text())["width"] == 8
    return HEARD(weights, classes)
"""


def test_files_that_the_net_is_made_of_are_watched(params: Path) -> None:
    """What its file imports and reads, and what options name: not what is installed."""
    net = params.parent / "net"
    net.mkdir()
    (net / "mine.py").write_text(READER, encoding="utf-8")
    (net / "own_part.py").write_text(
        f"import sys\nsys.path.append({str(ROOT)!r})\n"
        "from tests.pipeline.own_net import heard as HEARD\n",
        encoding="utf-8",
    )
    (net / "names.json").write_text('["Rain", "Siren"]', encoding="utf-8")
    (params.parent / "width.json").write_text('{"width": 8}', encoding="utf-8")
    arguments = ("--options", "settings=width.json")
    row = load(laid(params, *arguments, model="net/mine.py:factory")).models["mine"]
    assert row.options == {"settings": str((params.parent / "width.json").resolve())}
    ours = {Path(place).name: mark for place, mark in row.watched.items()}
    assert {"own_part.py", "names.json", "width.json"} <= set(ours)
    assert not {"mine.py", "torch", "own.py", "start.json"} & set(ours)
    assert not [place for place in row.watched if "site-packages" in place]
    (net / "names.json").write_text('["Rain", "Siren", "Bird"]', encoding="utf-8")
    again = load(laid(params, *arguments, model="net/mine.py:factory")).models["mine"]
    # This process has imported own_part already: a command does once.
    same = row.watched.keys() & again.watched.keys()
    changed = {Path(place).name for place in same if row.watched[place] != again.watched[place]}
    assert changed == {"names.json"}


def test_a_path_that_no_stage_will_find_is_told_before_the_first(params: Path) -> None:
    (params.parent / "work").mkdir()
    (params.parent / "names.json").write_text("[]", encoding="utf-8")
    net = "def factory(weights, classes): return open('names.json')\n"
    (params.parent / "mine.py").write_text(net, encoding="utf-8")
    with pytest.raises(UserError, match=r"begin the path with Path\(__file__\)"):
        laid(params.parent / "work/params.yaml", model="mine.py:factory")


def test_rows_of_our_params_are_left_out(params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They name files relative to another folder, and are evaluated there."""
    ours = load(laid(params)).models["mine"].model_dump(mode="json")
    elsewhere = params.parent / "root"
    shutil.copytree(ROOT / "profiles", elsewhere / "profiles")
    shutil.copy(ROOT / "params.yaml", elsewhere)
    evaluate._set(elsewhere / "params.yaml", {}, {"theirs": ours})
    monkeypatch.setattr(evaluate, "ROOT", elsewhere)
    assert load(laid(params)).runs == ("mine",)


@pytest.mark.parametrize(
    "inputs",
    [
        {"audio": Waveform(32000, 10.0)},
        {"audio": Waveform(16000, 5.12), "video": Frames(16, 15.0, 224)},
        {"video": Frames(16, 15.0, 112)},
        {"audio": LogMel(), "video": Frames(1, 1.0, 224)},
        {"video": Frames(64, 4.0, 8)},
        {"audio": Waveform(44100, 1.0)},
    ],
)
def test_the_shards_hold_what_any_net_declares(params: Path, inputs: dict[str, Input]) -> None:
    """The params are valid, and fit: nothing of the net is refused for want of signal."""
    from mmlib.models.fitting import fitting

    shutil.copy(ROOT / "params.yaml", params)
    evaluate._set(params, signals(inputs, read(params)))
    for declared in inputs.values():
        fitting(declared, held_by(load(params).shard))


def test_code_and_params_stand_in_a_folder_of_their_own(params: Path) -> None:
    folder = params.parent / "evaluations/mine"
    evaluate._lay_code(folder)
    (folder / "data/models/mine.json").write_text("{}", encoding="utf-8")
    evaluate._lay_code(folder)
    for name in ("mmlib/models/own.py", "stages/admit.py", "dvc.yaml", "data/none/classes.csv"):
        assert (folder / name).read_bytes() == (ROOT / name).read_bytes()
    assert (folder / "data/models/mine.json").is_file(), "results stay"
    assert not list(folder.rglob("__pycache__"))


@pytest.mark.parametrize(
    ("given", "arguments", "said"),
    [
        ({"model": ""}, [], "usage: make evaluate"),
        ({"model": "net.py"}, [], r"write path/to/file\.py:function"),
        ({}, ["--weights", "no.pth"], r"WEIGHTS is no\.pth, which is no file"),
        ({}, ["--options", "width"], "OPTIONS holds 'width'"),
        ({"model": f"{ADAPTER}:none"}, [], "there is no function 'none', only both, heard"),
        ({"clips": "nowhere"}, [], r"labels\.csv"),
    ],
)
def test_what_is_wrong_is_one_line(
    params: Path, given: dict[str, str], arguments: list[str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        laid(params, *arguments, **given)
