"""From the files that embed and geometry leave behind to the guide that retrain reads."""

import json
import shutil
from collections.abc import Mapping
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


def write_geometry(run: str, counts: Mapping[str, int] | None = None) -> None:
    carriers = labels_of(CLIPS, "multi_label").sum(axis=0).tolist()
    lines = ["class,embedding,n,kappa,log_density_0.6,log_density_0.8"]
    for place, name in enumerate(CLASSES):
        n = (counts or {}).get(name, carriers[place])
        kappa, rho = (values[run][place] for values in (KAPPA, RHO))
        cells = [name, SPACES[run], n, kappa, rho, 9.0]
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
    # 1 - kappa of the fused run, 0.01 at least; nobody has the last class
    assert guide.class_weight == pytest.approx(np.array([0.4, 0.2, 0.01, 0]) / 0.61, rel=1e-5)
    # audio: medians 0.7 and -1.5, both slopes 2; video: median 0.6, densities all alike
    assert guide.beta["audio"] == pytest.approx([1, 1.4, 1 + 2 * 1.0, 1])
    assert guide.beta["video"] == pytest.approx([1.8, 1, 1, 1])
    assert written["thresholds"]["audio"] == {
        "kappa_threshold": 0.7,
        "rho_threshold": -1.5,
        "below_kappa": ["Rain"],
        "below_rho": ["Bird"],
    }
    assert written["rule"]["gamma"] == 1.0
    assert guide.temperature == 1.0


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
        ("gamma: 1.0", "gamma: null", lambda g: g.class_weight is None),
        ("gamma: 1.0", "gamma: 0.0", lambda g: g.class_weight.tolist()[:2] == [1 / 3, 1 / 3]),
        (
            "  partner_temperature: 1.0",
            "  partner_temperature: null",
            lambda g: g.temperature is None,
        ),
        ("base: 1.0", "base: 0.5", lambda g: g.beta["audio"].min() == 0.5),
        ("limit: 4.0", "limit: 1.0", lambda g: (g.beta["audio"] == 1).all()),
        # at tau 0.8 the tables hold one density for all classes
        ("tau: null", "tau: 0.8", lambda g: g.beta["audio"] == pytest.approx([1, 1.4, 1, 1])),
        ("same_class_share: 0.5", "same_class_share: 1.0", lambda g: g.same_class_share == 1),
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


def test_metrics_of_the_eval_split_are_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = labels_of(CLIPS, "multi_label")[: CLIPS // 2].astype(np.bool_)
    monkeypatch.setattr(
        "mmlib.retraining.temperature.read_labels", lambda path, split: (None, half)
    )
    write_geometry("mid", dict(zip(CLASSES, half.sum(axis=0).tolist(), strict=True)))
    with pytest.raises(UserError, match="eval split"):
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
