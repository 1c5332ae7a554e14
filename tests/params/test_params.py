"""params.yaml is read as YAML 1.2 and checked to the last key."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from torchaudio.functional import melscale_fbanks

from mmlib.params.shard import Mel
from mmlib.params.whole.file import Params, check, load
from mmlib.runtime.errors import UserError
from tests.conftest import ROOT

AUDIO = "data/models/audio.safetensors"
MET = {"threats": "all"}
GOALS = {"threats": "all", "hide": "each", "inject": [], "swap": []}
CODEC = {"kind": "h264_aac", "crf": [30], "kbps": [24]}
MUSIC = {"pieces": "per_clip"}
MATRIX = {"perturbation": "per_clip", "runs": "all", "threats": "all", "multiples": 1.0}
SMOOTHED = {"run": "mid", "threats": "A", "sigma": {"audio": 0.1, "video": 0.1}}
NOISY = {
    "method": "smoothed", "init": "mid", "guide": "none", "sigma": {"audio": 0, "video": 0},
    "epochs": 1, "batch_size": 32, "learning_rate": 0.001,
}  # fmt: skip
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
        (value_line("restarts"), "  restarts: true", "attack: restarts is true or false"),
        ("    - 1.0\n", "    - true\n", "sweep is true or false"),
        (value_line("clip_norm"), "  clip_norm: .nan", "optimiser.clip_norm"),
        ("  sampling: shuffled", "  sampling: random", "batches.sampling"),
        ("  accumulation: 1", "  accumulation: 0", "batches.accumulation"),
        ("  warmup_steps: null", "  warmup_steps: 0.5", "optimiser.warmup_steps"),
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
            "\n  seconds: 61.0",
            "shard.seconds (61) is above",
        ),
        ("\n  seconds: 3.0", "\n  seconds: 1e9", "shard.seconds: "),
        ("    guide: blend", "    guide: ../x", "train.gblend.guide is '../x': name a guide"),
        ("  loss: bce", "  loss: dlr", "attack.loss is dlr"),
        ("    threat: AV", "    threat: B", "retrain.adversarial.threat: "),
        (
            "data/models/audio.safetensors",
            "data/models/oudio.safetensors",
            "train has no row 'oudio'",
        ),
        (AUDIO, "data/models/video.safetensors", "has no audio net"),
        (AUDIO, "data/models/mid.safetensors", "mid starts from mid: no run can wait for itself"),
        (AUDIO, "audio.onnx", "name a file of weights"),
        (
            "      init: mid",
            "      init: audio",
            "blend.init names 'audio', a run of audio,",
        ),
        ("      init: mid", "      init: mdi", "blend.guides.blend.init names 'mdi', which has no"),
        ("    mid:\n      audio: audio", "    mid:\n      audio: mid", "theorem.fused.mid.audio"),
        ("    tau: null", "    tau: 0.7", "temperature.rule.tau"),
        ("  gblend:\n", "  mixup:\n", "run 'mixup' is in both train and retrain"),
        ("      - gblend\n", "      - gblend\n      - gblend\n", "runs holds 'gblend' twice"),
        ("      - gblend\n", "      - audio\n", "'audio', a run of audio, not of audio and video"),
        ("    sweep_steps: 2", "    sweep_steps: 0", "attack.refine.sweep_steps: "),
        ("    runs:\n      - gblend\n", "    runs: 5\n", "attack.surface.runs: "),
        ("    beta: null", "    beta: -1", "retrain.mixup.beta: "),
        ("    - 0.25\n", "    - 1.0\n", "sweep holds 1 twice"),
        ("  memory_mb: 1500", "  memory_mb: 10000000000000", "decode.memory_mb: "),
        ("  timeout_s: 60.0", "  timeout_s: 1e300", "decode.timeout_s: "),
        ("  max_pixels: 8847360", "  max_pixels: 1", "data.events.size (96) makes frames"),
        ("    n_fft: 2048", "    n_fft: 2049", "an even number"),
        (
            "    bands: 64",
            "    bands: 40",
            "train.audio.audio is csn, which needs a multiple of 32",
        ),
        ("    bands: 64", "    bands: 2048", "narrower than an FFT bin"),
        ("    frames: null", "    frames: 1", "needs at least 4 mel frames, not 1"),
        ("    audio: csn\n", "    audio: cnn14\n", "mid.audio_start is data/models/audio"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path: Path, old: str, new: str, named: str) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: ") as caught:
        load(changed(tmp_path, old, new))
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def load_changed(tmp_path: Path, changes: dict[str, Any]) -> Params:
    """The project's own params with some of its keys set."""
    values = YAML(typ="safe").load(TEXT)
    for key, value in changes.items():
        *above, last = key.split(".")
        section = values
        for part in above:
            section = section[part]
        section[last] = value
    path = tmp_path / "params.yaml"
    with path.open("w", encoding="utf-8") as stream:
        YAML().dump(values, stream)
    return load(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"train.gblend.guide": "temperature"},
            "train.gblend.guide is 'temperature', which steers",
        ),
        ({"train.audio.guide": "blend"}, "train.audio.guide is 'blend', which weighs the heads"),
        ({"train.gblend.fusion": "early"}, "train.gblend.audio_start is data/models/audio"),
        ({"retrain.adversarial.guide": "temperature"}, "adversarial takes one of blend or none"),
        ({"retrain.adversarial.guide": "blend"}, "its init 'mid' was trained without them"),
        ({"retrain.mixup.guide": "blend"}, "mixup takes one of temperature"),
        (
            {"blend.guides.blend.init": "gblend"},
            "gblend waits for the guide blend, which is made from gblend: no run can wait for",
        ),
        (
            {
                "train.mid.audio_start": "data/models/gblend.safetensors",
                "train.gblend.audio_start": "data/none/start.json",
            },
            "mid starts from gblend; gblend waits for the guide blend, which is made from mid",
        ),
        ({"train.audio.video_start": "nofile"}, "the run has no video net: set it to data/none"),
        (
            {"blend.guides.blend_reference": {"init": "mid"}},
            "'blend_reference' is taken",
        ),
        ({"geometry.convexity_split": "eval"}, "geometry.convexity_split is eval, but temperature"),
        ({"shard.seconds": 1.0, "decode.max_seconds": 2.0}, "data.events.seconds (3) is above"),
        ({"blend.from_epoch": 100}, "blend.from_epoch is 100, but run 'mid' has epochs 0 to 3"),
        ({"blend.to_epoch": 7}, "blend.to_epoch is 7, but run 'mid' has epochs 0 to 3"),
        ({"blend.from_epoch": 3, "blend.to_epoch": 3}, "must lie before the last epoch"),
        (
            {"train.mid.epochs": 1},
            "before the last epoch that is compared, 0 of run 'mid'",
        ),
        (
            {
                "train.mid.fusion": "early",
                "train.mid.audio_start": "data/none/start.json",
                "train.mid.video_start": "data/none/start.json",
            },
            "blend.guides.blend.init names 'mid', which fuses early: its heads A and V",
        ),
        ({"study.table.multiples": [1.0, 1.0]}, "study: table.multiples holds 1 twice"),
        ({"temperature.rule.partner_spaces": ["audio", "audio"]}, "holds 'audio' twice"),
        ({"goals.runs": {"mdi": GOALS}}, "goals.runs names 'mdi', which has no row in train"),
        (
            {"goals.runs": {"audio": {**GOALS, "threats": "AV"}}},
            "goals.runs.audio.threats names AV, but the run reads audio only",
        ),
        ({"goals.runs": {"mid": {**GOALS, "threats": "B"}}}, "goals.runs.mid.threats: "),
        ({"goals.runs": {"mid": {**GOALS, "hide": []}}}, "hide, inject and swap are all empty"),
        ({"goals.runs": {"mid": {**GOALS, "hide": ["x", "x"]}}}, "hide holds 'x' twice"),
        (
            {"goals.runs": {"mid": {**GOALS, "swap": [{"hide": "x", "inject": "x"}]}}},
            "goals.runs.mid: swap hides and injects the same tag, 'x'",
        ),
        (
            {"goals.runs": {"mid": {**GOALS, "swap": [{"hide": "x", "injekt": "y"}]}}},
            "goals.runs.mid.swap.0.inject: Field required",
        ),
        ({"goals.runs": {"mid": {**GOALS, "hide": [["x"]]}}}, "goals.runs.mid.hide.0: Input sh"),
        ({"methods.runs": {"mdi": MET}}, "methods.runs names 'mdi', which has no row in train"),
        (
            {"methods.runs": {"audio": {"threats": "AV"}}},
            "methods.runs.audio.threats names AV, but the run reads audio only",
        ),
        ({"methods.search.multiples": [2.0]}, "methods.search: multiples must hold 1.0"),
        ({"methods.search.shares": []}, "methods.search: shares is empty: say which shares"),
        ({"methods.search.shares": [1.0]}, "methods.search.shares.0: "),
        ({"methods.search.weights": []}, "methods.search: weights is empty: say how much"),
        ({"methods.search.methods": ["pgd"]}, "methods.search.methods.0: "),
        ({"methods.search.methods": ["mim", "mim"]}, "methods.search: methods holds 'mim' twice"),
        ({"methods.runs": {"all-surface": MET}}, "the name 'all-surface' is taken"),
        ({"goals.search.multiples": [0.5]}, "goals.search: multiples must hold 1.0"),
        ({"goals.search.multiples": [0, 1]}, "goals.search: multiples must be above 0"),
        ({"goals.decision.rule": "f2"}, "goals.decision.rule: "),
        ({"transfer.rows": {"x": {**MATRIX, "runs": "mdi"}}}, "rows.x.runs names 'mdi', which has"),
        (
            {"transfer.rows": {"x": {**MATRIX, "multiples": 3.0}}},
            "transfer.rows.x.multiples holds 3, which attack.sweep does not",
        ),
        ({"transfer.rows": {"x": {**MATRIX, "multiples": 0.0}}}, "multiples must be above 0"),
        ({"transfer.rows": {"x y": MATRIX}}, "transfer.rows: 'x y' cannot name a row"),
        ({"music.runs": {"midd": MUSIC}}, "music.runs names 'midd', which has no row in train"),
        ({"music.runs": {"video": MUSIC}}, "music.runs names 'video', a run of video, which hears"),
        (
            {"music.runs": {"mid": {"pieces": "one"}}},
            "music.runs.mid.pieces: Input should be 'per_clip' or 'universal'",
        ),
        (
            {"music.runs": {"mid": {"pieces": ["per_clip", "per_clip"]}}},
            "music.runs.mid: pieces holds 'per_clip' twice",
        ),
        (
            {"music.runs": {"mid": {"pieces": "all"}}},
            "music.runs.mid.pieces asks for universal, which is composed on the sound of the split "
            "val, and shard.waveforms keeps that of eval alone: set it to all",
        ),
        ({"music.snr_db": [80.0]}, "music: snr_db holds 80: give levels from -10 to 60"),
        ({"music.snr_db": [3.0, 3.0]}, "music: snr_db holds 3 twice"),
        ({"music.piece.lowest": 77}, "music.piece: lowest (77) is above highest (76)"),
        ({"music.piece.decay_s": [0.5, 0.1]}, "music.piece: decay_s must rise"),
        ({"music.piece.decay_s": [0.0, 0.1]}, "music.piece: decay_s must be above 0"),
        ({"music.piece.grid_s": 3.0}, "music.piece.grid_s is 3, but clips are shard.seconds (3)"),
        ({"music.rooms.rt60_s": [0.0, 0.1]}, "music.rooms: rt60_s begins below 0.05 s"),
        ({"music.rooms.direct_db": [3.0, 0.0]}, "music.rooms: direct_db must rise"),
        (
            {"certify.rows": {"x": {**SMOOTHED, "run": "mdi"}}},
            "certify.rows.x.run names 'mdi', which has no row in train",
        ),
        (
            {"certify.rows": {"x": {**SMOOTHED, "run": "video"}}},
            "certify.rows.x.threats names A, but the run reads video only",
        ),
        (
            {"certify.rows": {"x": {**SMOOTHED, "sigma": {"audio": 0, "video": 1}}}},
            "certify.rows.x.sigma.audio: ",
        ),
        ({"certify.rows": {"x y": SMOOTHED}}, "certify.rows: 'x y' cannot name a row"),
        ({"certify.attack.reaches": [2.0]}, "certify.attack: reaches must hold 1.0"),
        ({"certify.attack.reaches": [0.5, 1.0]}, "certify.attack: reaches must be 1 or more"),
        ({"certify.sampling.alpha": 0.5}, "certify.sampling.alpha: "),
        (
            {"retrain.mixup": NOISY},
            "retrain.mixup: sigma is 0 for audio and video: that is method plain",
        ),
        (
            {"retrain.mixup": {**NOISY, "init": "audio", "sigma": {"audio": 0, "video": 1}}},
            "retrain.mixup.sigma is 0 for audio, which is all that its init 'audio' reads",
        ),
        ({"survival.runs": {"mdi": MET}}, "survival.runs names 'mdi', which has no row in train"),
        (
            {"survival.runs": {"video": {"threats": "A"}}},
            "runs.video.threats names A, but",
        ),
        ({"survival.runs": {"x y": MET}}, "survival.runs: 'x y' cannot name a row"),
        (
            {"survival.trial.score": [{**CODEC, "crf": [46]}]},
            "survival: trial.score holds h264_aac CRF 46, and attack.survive does too",
        ),
        (
            {"survival.attack.survive": [{**CODEC, "kbps": [20]}]},
            "survival: trial.score holds h264_aac kbit/s 20, and attack.survive does too",
        ),
        ({"survival.trial.score": [{**CODEC, "crf": [30, 31]}]}, "crf has 2 values and kbps 1"),
        ({"survival.trial.score": [{"kind": "vp8", "levels": 1}]}, "survival.trial.score.0: "),
        (
            {"survival.trial.score": [{"kind": "crop", "levels": [0.1, 1.0]}]},
            "levels of crop are 0 to 0.9 of the side cut off, not 1",
        ),
        (
            {"survival.attack.survive": [{"kind": "gain", "levels": 3.0}] * 2},
            "survival.attack: survive holds gain 3 twice",
        ),
        ({"survival.trial.pictures.side": 95}, "survival.trial.pictures.side: "),
        ({"stress.runs": ["midd"]}, "stress.runs names 'midd', which has no row in train, retrain"),
        ({"stress.runs": ["mid", "mid"]}, "stress: runs holds 'mid' twice"),
        ({"stress.runs": "mid", "stress.shifts_s": [3.0]}, "stress.shifts_s holds 3, but clips"),
        ({"stress.shifts_s": [0.0]}, "stress: shifts_s holds 0, which shifts nothing"),
        ({"stress.shifts_s": [0.1, 0.1]}, "stress: shifts_s holds 0.1 twice"),
        ({"stress.severities": []}, "severities is empty: name some of 1 to 5"),
        ({"stress.severities": [6]}, "stress.severities.0: "),
        ({"stress.severities": [True]}, "severities is true or false"),
        ({"stress.corruptions": ["fog"]}, "stress.corruptions"),
        ({"stress.swaps": ["any"]}, "stress.swaps.0: "),
        ({"stress.drops": ["sound"]}, "stress.drops.0: "),
        ({"stress.clips": 1}, "stress.clips: "),
        ({"stress.encodings.h264_crf": [52]}, "stress.encodings.h264_crf.0: "),
        ({"stress.encodings.opus_kbps": [5]}, "stress.encodings.opus_kbps.0: "),
        (
            {"stress.encodings.aac_kbps": [64]},
            "stress.encodings: h264_crf has 4 rungs and aac_kbps 1: both are encoded into one",
        ),
        (
            {
                "stress.runs": "all",
                "stress.corruptions": [],
                "stress.shifts_s": [],
                "stress.swaps": [],
                "stress.drops": [],
                "stress.encodings": {
                    "h264_crf": [],
                    "aac_kbps": [],
                    "vp9_crf": [],
                    "opus_kbps": [],
                },
            },
            "stress: runs are named, but nothing to do to their clips: set runs to []",
        ),
    ],
)
def test_what_rows_and_sections_say_of_one_another_must_fit(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: ") as caught:
        load_changed(tmp_path, changes)
    assert said in str(caught.value)


def test_goals_and_transfer_take_lists_names_and_all_of_them(tmp_path: Path) -> None:
    other = {"threats": "A", "hide": "Siren", "inject": "each", "swap": "each"}
    rows = {"x": MATRIX, "y": {**MATRIX, "perturbation": "universal", "multiples": [3.0]}}
    changes = {"goals.runs": {"mid": GOALS, "adversarial": other}, "transfer.rows": rows}
    found = load_changed(tmp_path, changes)
    assert found.goals.runs["mid"].hide == "each"
    assert found.goals.runs["adversarial"].hide == ("Siren",)
    assert found.goals.runs["adversarial"].threats == ("A",)
    assert found.transfer.rows["y"].multiples == (3.0,)


def test_a_retrained_run_goes_on_with_the_heads_of_its_init(tmp_path: Path) -> None:
    changes = {"retrain.adversarial.init": "gblend", "retrain.adversarial.guide": "blend"}
    assert load_changed(tmp_path, changes).retrain["adversarial"].guide == "blend"


@given(
    bands=st.integers(1, 400),
    n_fft=st.sampled_from([256, 512, 1024, 2048, 4096]),
    low=st.floats(0, 2000),
    span=st.floats(500, 6000),
)
def test_a_silent_band_is_one_without_weights(
    bands: int, n_fft: int, low: float, span: float
) -> None:
    """The count that params refuse, against torchaudio's triangles."""
    mel = Mel.model_construct(
        sample_rate_hz=16000, n_fft=n_fft, bands=bands, min_hz=low, max_hz=low + span
    )
    at = np.array(mel.edges_hz) * n_fft / 16000
    assume(np.abs(at - at.round()).min() > 1e-3)  # torchaudio's float32 has its own view there
    with warnings.catch_warnings(action="ignore"):
        filters = melscale_fbanks(
            n_fft // 2 + 1, low, low + span, bands, 16000, norm="slaney", mel_scale="slaney"
        )
    assert mel.silent_bands == int((filters.sum(0) == 0).sum())


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
        (
            "    guide: temperature\n",
            "    guide: blend_reference\n",
            "takes a guide of temperature",
        ),
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
    ("seconds", "frames", "found"), [("5.0", "null", 83), ("5.0", "84", 84), ("0.3", "null", 5)]
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
    (tmp_path / "params.yaml").write_bytes("title: é\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8 at byte 7"):
        load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("[" * 5000, encoding="utf-8")
    with pytest.raises(UserError, match=r"nested too deeply|not YAML"):
        load(tmp_path / "params.yaml")
