"""Stage shard: what gets in, what is counted, the normalisation, and the same bytes every time."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mmlib.features import LogMel, clip_frames
from mmlib.params.shard import Shard
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import Scratch
from mmlib.shards.make import shard
from mmlib.shards.make.manifest import SMALLEST_STD
from mmlib.shards.make.shard import make_shards
from mmlib.shards.read import format
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import filled_splits, ids_hash, read_manifest
from mmlib.shards.rows.clips import DecodedClip
from tests.decoded_shards import (
    CLASSES,
    SETTINGS,
    clip,
    clips,
    failed,
    without_audio,
    without_video,
    write_decoded,
)


def shards_of(folder: Path, rows: list[DecodedClip], settings: Shard = SETTINGS) -> Path:
    """Make shards of the rows in a fresh folder."""
    decoded = write_decoded(folder / "decoded", rows)
    make_shards(decoded, folder / "shards", settings, scratch_root=folder / "scratch")
    return folder / "shards"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file's bytes."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_each_clip_holds_its_features(tmp_path: Path) -> None:
    made = shards_of(tmp_path, clips())
    assert sorted(contents(made)) == [
        "eval-00000.parquet",
        "leaks.csv",
        "ledger.parquet",
        "manifest.json",
        "train-00000.parquet",
        "train-00001.parquet",
        "val-00000.parquet",
    ]
    evaluation = ShardSet(made, "eval")
    row = clip("eval", 4)
    batch = evaluation.gather(np.array([4]))
    assert batch.clip_ids == ("eval-4",)
    pcm = np.frombuffer(row.pcm or b"", np.int16)
    waveform = torch.from_numpy(pcm.astype(np.float32) / 32768)[None]
    assert torch.equal(evaluation.waveforms(np.array([4])), waveform)
    with torch.inference_mode():
        exact = LogMel(SETTINGS.mel)(waveform)
    assert (batch.inputs["audio"] - exact).abs().max() < 2.0**-11  # float16: 0.02 dB
    frames = np.frombuffer(row.frames or b"", np.uint8).reshape(4, 12, 12, 3)
    video = clip_frames(frames, np.array(row.frame_times), seconds=1.0, count=3, size=8)
    stored = batch.inputs["video"].permute(0, 2, 3, 4, 1)[0]
    assert torch.equal(stored, torch.from_numpy(video) / 255.0)
    assert batch.labels.tolist() == [[0.0, 1.0, 0.0]]


def test_the_manifest_counts_and_names_every_clip(tmp_path: Path) -> None:
    rows = clips(train=30)
    rows += [failed(clip("train", 100)), failed(clip("train", 101), "no_tracks")]
    rows += [failed(clip("eval", 100)), without_audio(clip("val", 100))]
    manifest = read_manifest(shards_of(tmp_path, rows))
    assert manifest["classes"] == list(CLASSES)
    assert manifest["task"] == "multi_label"
    assert manifest["failed"] == {
        "train": {"no_tracks": 1, "timeout": 1},
        "val": {},
        "eval": {"timeout": 1},
    }
    assert {split: found["count"] for split, found in manifest["clips"].items()} == {
        "train": 30,
        "val": 7,
        "eval": 9,
    }
    ids = [row.clip_id for row in rows if row.split == "train" and row.status == "ok"]
    assert manifest["clips"]["train"]["sha256"] == ids_hash(ids[::-1])
    assert manifest["clips"]["train"]["files"] == {
        "train-00000.parquet": 20,
        "train-00001.parquet": 10,
    }
    assert {split: found["requested"] for split, found in manifest["clips"].items()} == {
        "train": 32,
        "val": 7,
        "eval": 10,
    }
    assert manifest["clips"]["val"]["without_audio"] == 1
    total = sum(found["count"] for found in manifest["clips"].values())
    assert total + sum(sum(errors.values()) for errors in manifest["failed"].values()) == len(rows)


def test_normalisation_is_that_of_train_as_the_models_see_it(tmp_path: Path) -> None:
    rows = clips()
    rows[3], rows[8] = without_audio(rows[3]), without_video(rows[8])
    made = shards_of(tmp_path, rows)
    manifest = read_manifest(made)
    train = ShardSet(made, "train")
    batch = train.gather(np.arange(len(train)))
    heard = batch.inputs["audio"][batch.inputs["audio_present"]].double().flatten(0, 1).numpy()
    shown = batch.inputs["video"][batch.inputs["video_present"]].double()
    seen = shown.transpose(0, 1).flatten(1).numpy()
    assert np.allclose(manifest["audio"]["mean"], heard.mean(0), rtol=1e-6)
    assert np.allclose(manifest["audio"]["std"], heard.std(0), rtol=1e-6)
    assert np.allclose(manifest["video"]["mean"], seen.mean(1), rtol=1e-6)
    assert np.allclose(manifest["video"]["std"], seen.std(1), rtol=1e-6)
    assert (manifest["audio"]["frames"], manifest["audio"]["bands"]) == (20, 12)
    assert [manifest["video"][key] for key in ("frames", "height", "width")] == [3, 8, 8]


def test_silent_bands_do_not_divide_by_zero(tmp_path: Path) -> None:
    silence = bytes(len(clip("train", 0).pcm or b""))
    rows = [replace(row, pcm=silence) for row in clips()]
    manifest = read_manifest(shards_of(tmp_path, rows))
    assert manifest["audio"]["mean"] == [0.0] * 12
    assert manifest["audio"]["std"] == [SMALLEST_STD] * 12


def test_a_set_without_sound_has_neutral_statistics(tmp_path: Path) -> None:
    made = shards_of(tmp_path, [without_audio(row) for row in clips()])
    manifest = read_manifest(made)
    assert manifest["audio"]["mean"] == [0.0] * 12
    assert manifest["audio"]["std"] == [1.0] * 12
    assert not ShardSet(made, "val").gather(np.arange(3)).inputs["audio_present"].any()


def test_missing_modalities_are_kept_and_marked_or_dropped_and_counted(tmp_path: Path) -> None:
    rows = clips()
    rows[3], rows[8] = without_audio(rows[3]), without_video(rows[8])
    kept = ShardSet(shards_of(tmp_path / "keep", rows), "train")
    assert len(kept) == 40
    assert np.flatnonzero(~kept.present["audio"]).tolist() == [3]
    assert np.flatnonzero(~kept.present["video"]).tolist() == [8]
    settings = SETTINGS.model_copy(update={"missing_modality": "drop"})
    dropped = shards_of(tmp_path / "drop", rows, settings)
    assert len(ShardSet(dropped, "train")) == 38
    assert read_manifest(dropped)["dropped"]["train"] == {"no_audio": 1, "no_video": 1}


def test_short_clips_are_padded_and_long_ones_cut(tmp_path: Path) -> None:
    rows = clips()
    whole = np.frombuffer(rows[-1].pcm or b"", np.int16)
    rows[-1] = replace(rows[-1], pcm=whole[:1000].tobytes())
    rows[-2] = replace(rows[-2], pcm=np.concatenate([whole, whole]).tobytes())
    evaluation = ShardSet(shards_of(tmp_path, rows), "eval")
    waveforms = (evaluation.waveforms(np.arange(len(evaluation))) * 32768).numpy()
    assert (waveforms[-1, :1000] == whole[:1000]).all()
    assert not waveforms[-1, 1000:].any()
    assert (waveforms[-2] == whole).all()
    audio = evaluation.gather(np.arange(len(evaluation)), ("audio",)).inputs["audio"]
    assert not audio[-1, 4:].any()  # the window of frame 3 is the last to reach sample 1000


def test_eval_alone_keeps_its_waveforms_unless_all_are_asked_for(tmp_path: Path) -> None:
    made = shards_of(tmp_path / "eval", clips())
    with pytest.raises(UserError, match=r"set shard\.waveforms to all"):
        ShardSet(made, "train").waveforms(np.array([0]))
    everything = SETTINGS.model_copy(update={"waveforms": "all"})
    made = shards_of(tmp_path / "all", clips(), everything)
    for split in ("train", "val", "eval"):
        stored = ShardSet(made, split, waveform=True).gather(np.array([3])).inputs
        pcm = np.frombuffer(clip(split, 3).pcm or b"", np.int16)
        assert torch.equal(stored["audio"][0], torch.from_numpy(pcm / np.float32(32768)))
        assert torch.equal(
            stored["video"], ShardSet(made, split).gather(np.array([3])).inputs["video"]
        )


def test_a_list_of_eval_clips_alone_is_taken_where_nothing_need_be_trained(tmp_path: Path) -> None:
    rows = clips(train=0, val=0)
    with pytest.raises(UserError, match="have no usable clip in split train"):
        shards_of(tmp_path / "stop", rows)
    kept = SETTINGS.model_copy(update={"untrained_classes": "keep"})
    decoded, made = write_decoded(tmp_path / "decoded", rows), tmp_path / "shards"
    ledger = make_shards(decoded, made, kept, scratch_root=tmp_path / "scratch")
    assert ledger.warnings == []
    assert filled_splits(made) == ["eval"]
    assert len(ShardSet(made, "eval")) == 9
    with pytest.raises(UserError, match="the split train has no clips"):
        ShardSet(made, "train")
    failing = [*rows, failed(clip("val", 0))]
    with pytest.raises(UserError, match="split val has no usable clip"):
        shards_of(tmp_path / "failed", failing, kept)


def test_workers_and_kills_leave_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = contents(shards_of(tmp_path / "reference", clips()))
    decoded = write_decoded(tmp_path / "decoded", clips())
    whole = format.write_shard
    calls = []

    def killed(path: Path, *rest: object) -> None:
        calls.append(path)
        if len(calls) == 3:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        whole(path, *rest)  # type: ignore[arg-type]

    scratch, out = tmp_path / "scratch", tmp_path / "shards"
    monkeypatch.setattr(shard, "write_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        make_shards(decoded, out, SETTINGS, scratch_root=scratch)
    assert not out.exists()
    # What kill -9 leaves, which no handler has cleaned up.
    (left,) = scratch.glob("shard-[0-9a-f]*")
    (left / ".val-00000.parquet.1.partial").write_bytes(b"half")
    make_shards(decoded, out, SETTINGS, scratch_root=scratch)
    assert len(calls) == 5  # two were finished, and were not made again
    assert contents(out) == reference
    assert not any(scratch.iterdir())


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames as JPEG among them."""
    video = SETTINGS.video.model_copy(update={"jpeg_quality": 95})
    settings = SETTINGS.model_copy(update={"video": video})
    reference = contents(shards_of(tmp_path / "one", clips(), settings))
    monkeypatch.setenv("MMLIB_WORKERS", "2")
    assert contents(shards_of(tmp_path / "two", clips(), settings)) == reference


def test_other_settings_do_not_take_up_old_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, scratch, out = write_decoded(tmp_path / "d", clips()), tmp_path / "s", tmp_path / "o"
    with monkeypatch.context() as patch:
        patch.setattr(Scratch, "publish", lambda *_: None)
        make_shards(decoded, out, SETTINGS, scratch_root=scratch)
    louder = SETTINGS.mel.model_copy(update={"floor_db": 60.0})
    make_shards(decoded, out, SETTINGS.model_copy(update={"mel": louder}), scratch_root=scratch)
    other = read_manifest(out)["audio"]["mean"]
    make_shards(decoded, out, SETTINGS, scratch_root=scratch)
    assert read_manifest(out)["audio"]["mean"] != other


def test_useless_splits_are_refused_and_the_old_shards_stay(tmp_path: Path) -> None:
    made = shards_of(tmp_path, clips())
    before = contents(made)
    cases = {
        r"Siren": [row for row in clips() if row.split != "train" or "Siren" not in row.labels],
        r"split eval has no usable clip": [
            failed(row) if row.split == "eval" else row for row in clips()
        ],
        r"clip id train-0 occurs twice": [*clips(), clip("train", 0)],
    }
    for number, (message, rows) in enumerate(cases.items()):
        decoded = write_decoded(tmp_path / f"decoded-{number}", rows)
        with pytest.raises(UserError, match=message):
            make_shards(decoded, made, SETTINGS, scratch_root=tmp_path / "scratch")
    assert contents(made) == before


def test_contradicting_settings_and_damaged_rows_are_refused(tmp_path: Path) -> None:
    longer = SETTINGS.model_copy(update={"seconds": 3.0})
    with pytest.raises(UserError, match=r"shard\.seconds=3: set shard\.mel\.frames=60"):
        shards_of(tmp_path / "length", clips(), longer)
    rate = SETTINGS.mel.model_copy(update={"sample_rate_hz": 8010})
    with pytest.raises(UserError, match=r"decoded at 8000 Hz.*decode\.sample_rate_hz"):
        shards_of(tmp_path / "rate", clips(), SETTINGS.model_copy(update={"mel": rate}))
    rows = clips()
    rows[5] = replace(rows[5], frame_count=5)
    with pytest.raises(UserError, match=r"train-00000\.parquet.*clip train-5.*dvc repro"):
        shards_of(tmp_path / "count", rows)


def test_the_ledger_tells_what_happened(tmp_path: Path) -> None:
    decoded = write_decoded(tmp_path / "d", [*clips(), failed(clip("train", 77))])
    ledger = make_shards(decoded, tmp_path / "o", SETTINGS, scratch_root=tmp_path / "s")
    lines = "\n".join(ledger.lines())
    assert "train: 40 of 41 clips" in lines
    assert "1 failed, timeout; the first: train-77: it took too long" in lines
    assert json.loads((tmp_path / "o" / "manifest.json").read_text())["seconds"] == 1.0
