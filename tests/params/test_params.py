"""params.yaml is read as YAML 1.2 and checked to the last key."""

from pathlib import Path

import pytest

from mmlib.params import load
from mmlib.runtime.errors import UserError
from tests.conftest import ROOT

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
        ("\n  - gblend\n", "\n  - gblond\n", "gblond"),
        ("      - gblend\n", "      - gblond\n", "attack.surface.runs names 'gblond'"),
        ("      - 2.0\n", "      - 3.0\n", "surface.multiples holds 3"),
        ("    init: mid", "    init: mdi", "mdi"),
        ("    method: mixup", "    method: mixpu", "retrain.mixup"),
        ("    fusion: mid", "    fusion: null", "fusion joins two nets"),
        ("    max_hz: 8000.0", "    max_hz: 9000.0", "max_hz <= 8000"),
        ("seed: 2022", "seed: -1", "seed"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path: Path, old: str, new: str, named: str) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: ") as caught:
        load(changed(tmp_path, old, new))
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


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
