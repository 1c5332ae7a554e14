"""params.yaml is read as YAML 1.2 and checked to the last key."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from mmlib.params.whole.file import check, load
from mmlib.runtime.errors import UserError
from tests.conftest import ROOT

AUDIO = "data/models/audio.safetensors"
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")


def changed(tmp_path: Path, old: str, new: str) -> Path:
    assert TEXT.count(old) >= 1
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    return path


def value_line(key: str) -> str:
    return next(line for line in TEXT.splitlines() if line.strip().startswith(f"{key}:"))


def test_the_project_s_own_file_passes_and_every_row_is_a_run() -> None:
    params = load(ROOT / "params.yaml")
    assert set(params.runs) == set(params.train) | set(params.retrain)
    assert params.attack.eps > 0


def test_a_number_as_dvc_writes_it_is_a_number(tmp_path: Path) -> None:
    """`-S attack.eps=0.00001` writes 1e-05, which YAML 1.1 readers take for a string."""
    path = changed(tmp_path, value_line("weight_decay"), "  weight_decay: 1e-05")
    assert load(path).optimiser.weight_decay == 1e-05


def test_a_scalar_in_the_place_of_a_list_is_a_list_of_one(tmp_path: Path) -> None:
    start, end = TEXT.index("  tau:"), TEXT.index("  # norm of the distances")
    path = changed(tmp_path, TEXT[start:end], "  tau: 0.7\n")
    assert load(path).geometry.tau == (0.7,)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (value_line("restarts"), "  restarts: 2.5", "attack.restarts"),
        (value_line("restarts"), "  restarts: null", "attack.restarts"),
        (value_line("restarts"), "  restart: 2", "attack.restart"),
        (value_line("clip_norm"), "  clip_norm: .nan", "optimiser.clip_norm"),
        ("  domain: log_mel", "  domain: pixels", "attack.domain"),
        ("    - 1.0\n", "", "sweep must hold 1.0"),
        ("      - gblend\n", "      - gblond\n", "attack.surface.runs names 'gblond'"),
        ("      - 2.0\n", "      - 3.0\n", "surface.multiples holds 3"),
        ("    init: mid", "    init: mdi", "mdi"),
        ("    method: mixup", "    method: mixpu", "retrain.mixup"),
        ("    fusion: mid", "    fusion: null", "fusion joins two nets"),
        ("    max_hz: 8000.0", "    max_hz: 9000.0", "max_hz <= 8000"),
        ("seed: 2022", "seed: -1", "seed"),
        ("  source: events", "  source: foo", "data.source"),
        (
            "\n  seconds: 3.0",
            "\n  seconds: 1e9",
            "shard.seconds (1e+09) is above",
        ),
        ("    guide: blend", "    guide: ../x", "train.gblend.guide is '../x': name a guide"),
        ("  loss: bce", "  loss: dlr", "attack.loss is dlr"),
        ("    threat: AV", "    threat: B", "retrain.adversarial.adversarial.threat"),
        (
            "data/models/audio.safetensors",
            "data/models/oudio.safetensors",
            "train has no row 'oudio'",
        ),
        (AUDIO, "data/models/video.safetensors", "has no audio net"),
        (AUDIO, "data/models/mid.safetensors", "start from itself"),
        (AUDIO, "audio.pt", "name a .safetensors file"),
        (
            "      fused: mid",
            "      fused: audio",
            "blend.fused names 'audio', a run of",
        ),
        ("    mid:\n      audio: audio", "    mid:\n      audio: mid", "theorem.fused.mid.audio"),
        ("    tau: null", "    tau: 0.7", "temperature.rule.tau"),
        ("  gblend:\n", "  mixup:\n", "run 'mixup' is in both train and retrain"),
        ("      - gblend\n", "      - gblend\n      - gblend\n", "runs names one run twice"),
        ("      - gblend\n", "      - audio\n", "'audio', a run of audio, not of audio and video"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path: Path, old: str, new: str, named: str) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: ") as caught:
        load(changed(tmp_path, old, new))
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["mid.v2", "mid fusion", "a;touch X;b", "../x", "-x", "x/y", "$(id)", "ü", "'q'", "7"]
)
@pytest.mark.parametrize("section", ["train", "retrain"])
def test_a_name_that_something_would_misread_is_refused(
    tmp_path: Path, section: str, name: str
) -> None:
    values = YAML(typ="safe").load(TEXT)
    rows = values[section]
    rows[int(name) if name.isdigit() else name] = next(iter(rows.values()))
    path = tmp_path / "params.yaml"
    with path.open("w", encoding="utf-8") as stream:
        YAML().dump(values, stream)
    with pytest.raises(
        UserError, match=rf"params\.yaml: {section}: .* cannot name a row"
    ) as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"), [("Mid", "differ in case alone"), ("mid-examples", "taken by a file")]
)
def test_a_name_that_files_would_share_is_refused(tmp_path: Path, name: str, said: str) -> None:
    path = changed(tmp_path, "  gblend:\n", f"  {name}:\n")
    with pytest.raises(UserError, match=said):
        load(path)


def test_one_row_more_is_one_run_more(tmp_path: Path) -> None:
    values = YAML(typ="safe").load(TEXT)
    values["train"]["again"] = values["train"]["mid"]
    values["retrain"]["longer"] = values["retrain"]["mixup"] | {"epochs": 9}
    path = tmp_path / "params.yaml"
    with path.open("w", encoding="utf-8") as stream:
        YAML().dump(values, stream)
    assert load(path).runs == (
        *("audio", "video", "mid", "gblend", "again"),
        *("mixup", "adversarial", "longer"),
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "  watch: data/none/watch.txt",
            "  watch: my/labels.csv",
            "names my/labels.csv",
        ),
        ("  common_with: data/none/subset.csv", "  common_with: x.csv", "score.common_with"),
        (
            "    audio_start: data/models/audio",
            "    audio_start: mine/audio",
            "train.mid.audio_start",
        ),
        ("    guide: blend\n", "    guide: bland\n", "train.gblend.guide is 'bland'"),
        ("  source: events", "  source: folder", "data.path is missing"),
    ],
)
def test_files_that_are_named_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, said: str
) -> None:
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    changed(tmp_path, "seed: 2022", "seed: 2022")
    check()
    changed(tmp_path, old, new)
    with pytest.raises(UserError, match=said) as caught:
        check()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [(), ("audio",), ("video",), ("audio", "video")])
def test_any_set_of_runs_passes(tmp_path: Path, kept: tuple[str, ...]) -> None:
    values = YAML(typ="safe").load(TEXT)
    values["train"] = {name: values["train"][name] for name in kept}
    values["retrain"] = {}
    values["blend"]["guides"] = values["temperature"]["guides"] = values["theorem"]["fused"] = {}
    values["attack"]["surface"]["runs"] = []
    path = tmp_path / "params.yaml"
    with path.open("w", encoding="utf-8") as stream:
        YAML().dump(values, stream)
    assert load(path).runs == kept


@pytest.mark.parametrize(
    ("seconds", "frames", "found"), [("5.0", "null", 83), ("5.0", "84", 84), ("0.001", "null", 1)]
)
def test_as_many_frames_as_the_seconds_need(
    tmp_path: Path, seconds: str, frames: str, found: int
) -> None:
    text = TEXT.replace("\n  seconds: 3.0", f"\n  seconds: {seconds}")
    path = tmp_path / "params.yaml"
    path.write_text(text.replace("    frames: null", f"    frames: {frames}"), encoding="utf-8")
    assert load(path).shard.mel.frames == found


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("\n  seconds: 3.0", "\n  seconds: long", "shard.seconds"),
        ("\n    hop: 960", "\n    hop: 0", "shard.mel.hop"),
        ("\n    hop: 960", "", "shard.mel.hop"),
    ],
)
def test_a_wrong_length_is_named_though_frames_follow_from_it(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    with pytest.raises(UserError, match=named):
        load(changed(tmp_path, old, new))


def test_a_missing_file_and_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1\n", encoding="utf-8")
    with pytest.raises(UserError, match="not YAML"):
        load(tmp_path / "params.yaml")
