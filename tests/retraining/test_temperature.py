"""From the files that embed and geometry leave behind to the guide that retrain reads."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mmlib.metrics.geometry.density import centroid_distances
from mmlib.metrics.stored import read_embeddings
from mmlib.retraining.guide import (
    Guide,
    read_guide,
)
from mmlib.retraining.rule import unguided_shares
from mmlib.runtime.errors import UserError
from stages import temperature
from tests.conftest import ROOT
from tests.fake_run import CLASSES, labels_of, write_run

CLIPS = 60
KAPPA = {
    "audio": [0.9, 0.5, 0.7, None],
    "video": [0.2, 0.8, 0.6, None],
    "mid": [0.6, 0.8, 1.0, None],
}
RHO = {
    "audio": [-1.0, -1.5, -2.5, None],
    "video": [-1.0, -1.0, -1.0, None],
    "mid": [0.0, 0.0, 0.0, None],
}
SPACES = {"audio": "audio", "video": "video", "mid": "fused"}


def write_geometry(run: str, splits: tuple[str, str] = ("val", "train")) -> None:
    lines = ["class,embedding,kappa_split,split,kappa,log_density_0.6,log_density_0.8"]
    for place, name in enumerate(CLASSES):
        kappa, rho = (values[run][place] for values in (KAPPA, RHO))
        cells = [name, SPACES[run], *splits, kappa, rho, 9.0]
        lines.append(",".join("" if cell is None else str(cell) for cell in cells))
    path = Path(f"data/geometry/{run}.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for seed, (run, space) in enumerate(SPACES.items()):
        write_run(tmp_path, run, space=space, clips=CLIPS, seed=seed)
        write_geometry(run)
    return tmp_path


def made() -> tuple[Guide, dict[str, Any]]:
    temperature.main(["temperature"])
    path = Path("data/guides/temperature.json")
    guide = read_guide(path)
    assert guide is not None
    return guide, json.loads(path.read_text(encoding="utf-8"))


def set_param(project: Path, old: str, new: str) -> None:
    path = project / "params.yaml"
    text = path.read_text(encoding="utf-8")
    start = text.index("\ntemperature:")
    assert old in text[start:]
    path.write_text(text[:start] + text[start:].replace(old, new, 1), encoding="utf-8")


def test_the_guide_is_the_rule_applied_to_the_tables(project: Path) -> None:
    guide, written = made()
    assert guide.classes == tuple(CLASSES)
    # share times 1 - place by kappa of the fused run; nobody has the last class
    shares = unguided_shares(labels_of(CLIPS, "multi_label"))
    weight = shares * [5 / 6, 3 / 6, 1 / 6, 0]
    assert guide.class_weight == pytest.approx(weight / weight.sum(), rel=1e-5)
    # both slopes 2; the lowest of three lies two thirds of the way below the median; video's
    # densities are all alike
    assert guide.beta["audio"] == pytest.approx([1, 7 / 3, 7 / 3, 1], rel=1e-5)
    assert guide.beta["video"] == pytest.approx([7 / 3, 1, 1, 1], rel=1e-5)
    assert written["thresholds"]["audio"] == {
        "kappa_threshold": 0.7,
        "rho_threshold": -1.5,
        "below_kappa": ["Rain"],
        "below_rho": ["Bird"],
    }
    assert written["rule"]["gamma"] == written["strength"] == 1.0
    assert guide.temperature == 1.0
    assert guide.same_class_share == pytest.approx([0.5] * 4)
    assert written["dose"]["anchors"] == pytest.approx(
        np.abs(guide.class_weight - shares).sum() / 2, rel=1e-3
    )
    assert (written["dose"]["beta_lo"], written["dose"]["beta_hi"]) == (1.0, 2.333)


def test_strength_zero_guides_nothing_and_more_doses_more(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doses = []
    for old, new in (("1.0", "0.0"), ("0.0", "0.5"), ("0.5", "1.0"), ("1.0", "3.0")):
        set_param(project, f"strength: {old}", f"strength: {new}")
        guide, written = made()
        doses.append([written["dose"][part] for part in ("anchors", "lambdas", "partners")])
        if new == "0.0":
            assert (guide.class_weight, guide.temperature, guide.same_class_share) == (None,) * 3
            assert all((a == 1).all() for a in guide.beta.values())
            assert "0% of the anchors, 0% of the lambdas, 0% of the p" in capsys.readouterr().err
    assert doses[0] == [0, 0, 0]
    assert (np.diff(doses, axis=0) > 0).all()


def test_every_train_clip_has_its_mean_distance_to_each_of_its_centres(project: Path) -> None:
    guide, _ = made()
    expected: dict[str, list[float]] = {}
    runs = {run: read_embeddings(Path(f"data/embeddings/{run}.parquet"), "train") for run in SPACES}
    first = runs["mid"]
    for row, clip_id in enumerate(first.clip_ids):
        for label in np.flatnonzero(first.labels[row]):
            members = np.flatnonzero(first.labels[:, label])
            place = int(np.flatnonzero(members == row)[0])
            found = []
            for run, space in SPACES.items():
                distance = centroid_distances(runs[run].vectors[space][members], 2.0)
                found.append(distance[place] / np.median(distance))
            expected.setdefault(str(clip_id), []).append(float(np.mean(found)))
    assert set(guide.distances) == set(first.clip_ids.tolist())
    for clip_id, distances in guide.distances.items():
        assert distances == pytest.approx(expected.get(clip_id, []), rel=1e-4)


def test_a_clip_without_audio_counts_by_its_video(project: Path) -> None:
    set_param(project, "    - fused\n", "")
    before, _ = made()
    path = project / "data/models/audio.safetensors"
    cached = read_embeddings(Path("data/embeddings/audio.parquet"), "train")
    chosen = int(np.flatnonzero(cached.labels[:, 0])[0])
    # the model's learnt vector for missing audio is this clip's: it has no audio
    save_file({**load_file(path), "missing.audio": cached.vectors["audio"][chosen]}, path)
    after, _ = made()
    clip_id = str(cached.clip_ids[chosen])
    seen = read_embeddings(Path("data/embeddings/video.parquet"), "train")
    members = np.flatnonzero(seen.labels[:, 0])
    distance = centroid_distances(seen.vectors["video"][members], 2.0)
    alone = distance[members == chosen][0] / np.median(distance)
    assert after.distances[clip_id][0] == pytest.approx(alone, rel=1e-4)
    assert before.distances[clip_id] != after.distances[clip_id]


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("gamma: 1.0", "gamma: 0.0", lambda g: g.class_weight is None),
        (
            "  partner_temperature: 1.0",
            "  partner_temperature: null",
            lambda g: g.temperature is None,
        ),
        ("base: 1.0", "base: 0.5", lambda g: g.beta["audio"].min() == 0.5),
        ("limit: 4.0", "limit: 1.0", lambda g: (g.beta["audio"] == 1).all()),
        # at tau 0.8 the tables hold one density for all classes
        (
            "tau: null",
            "tau: 0.8",
            lambda g: g.beta["audio"] == pytest.approx([1, 7 / 3, 1, 1], rel=1e-5),
        ),
        (
            "same_class_share: 0.5",
            "same_class_share: 1.0",
            lambda g: (g.same_class_share == 1).all(),
        ),
        ("same_class_share: 0.5", "same_class_share: null", lambda g: g.same_class_share[3] == 0),
    ],
)
def test_each_part_of_the_rule_is_a_parameter(
    project: Path, old: str, new: str, check: Any
) -> None:
    set_param(project, old, new)
    guide, _ = made()
    assert check(guide)


def test_twice_the_same_is_the_same_file(project: Path) -> None:
    made()
    first = Path("data/guides/temperature.json").read_bytes()
    made()
    assert Path("data/guides/temperature.json").read_bytes() == first


@pytest.mark.parametrize("splits", [("eval", "train"), ("val", "eval")])
@pytest.mark.parametrize("run", ["mid", "audio"])
def test_metrics_of_the_eval_split_are_refused(
    project: Path, run: str, splits: tuple[str, str]
) -> None:
    write_geometry(run, splits)
    with pytest.raises(UserError, match=rf"{run}\.csv: measured on the eval split"):
        temperature.main(["temperature"])


def test_what_does_not_fit_is_said_in_one_line(project: Path) -> None:
    set_param(project, "tau: null", "tau: 0.9")
    with pytest.raises(UserError, match=r"no log_density_0\.9"):
        temperature.main(["temperature"])
    set_param(project, "tau: 0.9", "tau: null")
    write_run(project, "video", space="video", clips=CLIPS - 1)
    with pytest.raises(UserError, match="not those of the fused run"):
        temperature.main(["temperature"])
    set_param(project, "    video: video", "    video: audio")
    with pytest.raises(UserError, match=r"temperature\.guides: video names a run on audio"):
        temperature.main(["temperature"])
    with pytest.raises(UserError, match="usage"):
        temperature.main(["mid", "fused"])
