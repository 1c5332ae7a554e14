"""Stage music on shards: what is scored, on which clips, and the same bytes each time."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import torch

from mmlib.evaluation.music.music import Outcome, measure
from mmlib.evaluation.music.scene import AS_PLAYED, CLEAN, key
from mmlib.evaluation.music.table import figures_of, notes_csv, scored, scores_csv, write_examples
from mmlib.models import checkpoint
from mmlib.params.music import MusicRun, MusicSettings
from mmlib.report.musical import read_heard
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_json
from mmlib.shards.read.format import ShardReader, ShardRow, write_shard
from mmlib.shards.read.manifest import MANIFEST_NAME, ids_hash, read_manifest
from tests.conftest import ROOT
from tests.evaluation.test_attack import NAMES, project
from tests.sweep_toys import MEL, inputs, labelled, log_mel, model, waveforms

SUBSET = ROOT / "data/none/subset.csv"
SNRS = (20.0, 0.0)
SETTINGS = MusicSettings.model_validate(
    {
        "snr_db": [0.0, 20.0],
        "piece": {
            "notes": 2, "lowest": 60, "highest": 72, "grid_s": 0.03, "range_db": 20.0,
            "decay_s": [0.05, 0.5],
        },
        "rooms": {"draws": 1, "unseen": 2, "rt60_s": [0.05, 0.1], "direct_db": [0.0, 6.0]},
        "search": {"clips": None, "batch_size": 4, "steps": 3, "restarts": 2},
        "universal": {"fit_on": "val", "clips": 3, "steps": 2},
        "examples": 3,
    }
)  # fmt: skip


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven eval clips: the second silent, the third without sound; four of val."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MMLIB_WORKERS", "1")
    tags = np.random.default_rng(3).random((7, len(NAMES))) < 0.4
    shards, _ = project(tmp_path, waveforms(7), tags.astype(np.uint8))
    _write_val(shards)
    return tmp_path


def _write_val(shards: Path) -> None:
    reader, sound = ShardReader(shards / "eval-00000.parquet"), waveforms(4, seed=9)
    audio, pcm = log_mel(sound).half().numpy(), (sound * 32768).numpy().astype(np.int16)
    frames = (inputs(4, 9)["video"].permute(0, 2, 3, 4, 1) * 255).round().byte().numpy()
    labels = labelled(model(), clips=4, seed=9).labels.byte().numpy()
    ids = [f"val-{place}" for place in range(4)]
    rows = [ShardRow(n, n, labels[k], audio[k], frames[k], pcm[k]) for k, n in enumerate(ids)]
    layout = reader.layout.model_copy(update={"split": "val"})
    write_shard(shards / "val-00000.parquet", layout, rows)
    manifest = read_manifest(shards)
    known = {"count": 4, "sha256": ids_hash(ids), "files": ["val-00000.parquet"]}
    manifest["clips"]["val"], manifest["waveforms"] = known, ["val", "eval"]
    publish_json(manifest, shards / MANIFEST_NAME)


def play(root: Path, pieces: str = "all", run: str = "mid", **changes: object) -> Outcome:
    settings = SETTINGS.model_copy(update=changes)
    wanted = MusicRun.model_validate({"pieces": pieces})
    shards = root / "shards"
    return measure(root / run, shards, wanted, settings, "bce", 3, common_with=SUBSET)


def test_every_kind_of_music_at_every_level_and_the_same_bytes_again(root: Path) -> None:
    outcome = play(root)
    assert (outcome.kinds, outcome.snrs) == (("random", "per_clip", "universal"), SNRS)
    clean, means = scored(outcome, "mid", 0.95)
    text = scores_csv(clean, means, 0.95)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 1 + 3 * 2 * 2
    for row in rows[1:]:
        assert row["clips"] == "6", "the clip without sound hears nothing"
        for end in ("snr_lo", "snr_hi"):
            assert float(row[end]) == pytest.approx(float(row["snr_db"]), abs=0.1)
        drop = float(rows[0]["mAP"]) - float(row["mAP"])
        assert float(row["drop"]) == pytest.approx(drop, abs=2e-6)
        assert (row["beyond_random"] == "") == (row["music"] == "random")
    for kind in outcome.kinds:
        for snr_db in SNRS:
            for room in (AS_PLAYED, 0, 1):
                logits = outcome.arrays[key("logits", kind, snr_db, room)]
                assert np.array_equal(logits[2], outcome.arrays[CLEAN][2])
                assert not np.array_equal(logits[0], outcome.arrays[CLEAN][0])
    assert set(figures_of(clean, means)) == {"clean", "random", "per_clip", "universal"}
    again = play(root)
    assert scores_csv(*scored(again, "mid", 0.95), 0.95) == text
    assert notes_csv(again) == notes_csv(outcome)
    for name, out in (("one", outcome), ("two", again)):
        write_examples(out, MEL.sample_rate_hz, root / name)
    assert (root / "one").read_bytes() == (root / "two").read_bytes()


def test_notes_keep_their_ranges_and_a_shared_piece_is_one_for_all(root: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(notes_csv(play(root)))))
    assert len(rows) == 3 * 2 * 7 * 2
    for row in rows:
        assert 255 < float(row["pitch_hz"]) < 530
        assert 0 <= float(row["onset_s"]) < 16 * 256 / 16000
        assert -20 <= float(row["level_db"]) <= 0
        assert 0.05 <= float(row["decay_s"]) <= 0.5
    figures = ("pitch_hz", "onset_s", "level_db", "decay_s")
    for kind, pieces in (("universal", 1), ("random", 7)):
        found = {
            row["clip"]: tuple(row[name] for name in figures)
            for row in rows
            if (row["music"], row["snr_db"], row["note"]) == (kind, "0", "0")
        }
        assert len(set(found.values())) == pieces


def test_examples_are_what_was_scored(root: Path) -> None:
    outcome = play(root, "per_clip")
    write_examples(outcome, MEL.sample_rate_hz, root / "examples")
    heard = list(read_heard(root / "examples"))
    assert [clip.clip_id for clip in heard] == ["clip-0", "clip-3", "clip-6"]
    assert {clip.snr_db for clip in heard} == {0.0}
    for clip in heard:
        place = outcome.clip_ids.index(clip.clip_id)
        sound = np.stack([clip.mixed["per_clip"], clip.clean])
        assert np.abs(clip.alone["per_clip"]).max() == round(0.7 * 32768)
        net = checkpoint.load(root / "mid", torch.device("cpu"))[0]
        video = inputs(clips=7)["video"][[place, place]]
        with torch.no_grad():
            read = {"audio": log_mel(torch.from_numpy(sound / np.float32(32768))), "video": video}
            logits = net(read).numpy()
        np.testing.assert_allclose(logits[0], clip.scores["per_clip"], atol=0.02)
        np.testing.assert_allclose(logits[1], clip.clean_scores, atol=0.02)
    write_examples(play(root, "per_clip", examples=0), 16000, root / "none")
    assert not list(read_heard(root / "none"))


def test_clips_are_drawn_and_what_cannot_be_is_said(root: Path) -> None:
    search = SETTINGS.search.model_copy(update={"clips": 3})
    assert len(play(root, "per_clip", search=search, examples=0).clip_ids) == 3
    deaf = model(None, audio=False)
    checkpoint.save(deaf, root / "deaf", {"classes": list(NAMES), "task": "multi_label"})
    with pytest.raises(UserError, match=r"music\.runs names deaf, which reads no sound"):
        play(root, run="deaf")
    manifest = read_manifest(root / "shards")
    publish_json({**manifest, "waveforms": ["eval"]}, root / "shards" / MANIFEST_NAME)
    with pytest.raises(UserError, match=r"no waveforms of the split val: set shard\.waveforms"):
        play(root, "universal")
