"""Clips that splits share: hashes of copies and of others, what is found, what is done."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.signal import lfilter

from mmlib.runtime.arrays import Bytes, Floats, Ints16, Records
from mmlib.runtime.errors import UserError
from mmlib.shards.make.leaks.hashes import (
    pack,
    picture_hash,
    sound_hash,
)
from mmlib.shards.make.leaks.search import (
    near_pairs,
    pictures,
    sounds,
)
from mmlib.shards.make.shard import make_shards
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import read_manifest
from mmlib.shards.rows.clips import DecodedClip
from mmlib.shards.rows.ledger import (
    LEDGER_NAME,
    PICTURE,
    SOUND,
)
from mmlib.shards.rows.tally import Ledger
from tests.decoded_shards import (
    CLASSES,
    SETTINGS,
    clips,
    failed,
    without_audio,
    write_decoded,
)

RATE = 8000


def speech(seed: int, seconds: float = 2.0) -> Ints16:
    """Bursts of noise through resonances that come and go."""
    rng = np.random.default_rng(seed)
    parts: list[Floats] = []
    while sum(len(part) for part in parts) < seconds * RATE:
        noise = rng.standard_normal(int(rng.uniform(0.05, 0.2) * RATE))
        turn = np.exp(2j * np.pi * rng.uniform(200, 3000) / RATE)
        voiced = lfilter([1], [1, -2 * 0.97 * turn.real, 0.97**2], noise)
        parts.append(rng.uniform(0.1, 1) * voiced / np.abs(voiced).max())
    return (12000 * np.concatenate(parts)[: int(seconds * RATE)]).astype(np.int16)


def film(seed: int, room: float = 80.0) -> Bytes:
    """Six frames, half a second apart, of discs that move before the same wall."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[0:32, 0:32]
    wall = 90 + room * np.sin(row / 5) * np.cos(column / 7)
    frames = []
    for _ in range(6):
        centre = rng.uniform(6, 26, 2)
        near = np.exp(-((row - centre[0]) ** 2 + (column - centre[1]) ** 2) / 30)
        frames.append(wall + 70 * near)
    return np.stack([np.stack(frames)] * 3, -1).clip(0, 255).astype(np.uint8)


def stored(hashes: list[Any], dtype: np.dtype[np.void]) -> Records:
    return np.frombuffer(b"".join(map(pack, hashes)), dtype)


def test_copies_of_a_sound_are_near_and_others_are_not() -> None:
    originals = [speech(seed) for seed in range(30)]
    rng = np.random.default_rng(9)
    noise = [rng.normal(0, 20, len(sound)) for sound in originals]
    quiet = [sound * 0.2 + hiss for sound, hiss in zip(originals, noise, strict=True)]
    changes = {
        "quiet": [sound.astype(np.int16) for sound in quiet],
        "trimmed": [sound[int(0.23 * RATE) :] for sound in originals],
        "cut": [sound[: int(1.5 * RATE)] for sound in originals],
    }
    first = sounds(stored([sound_hash(sound, RATE) for sound in originals], SOUND))
    for name, copies in changes.items():
        second = sounds(stored([sound_hash(sound, RATE) for sound in copies], SOUND))
        pairs = near_pairs(first, second, 0.15)
        assert pairs.first.tolist() == pairs.second.tolist() == list(range(30)), name


def test_copies_of_a_film_are_near_and_others_before_the_same_wall_are_not() -> None:
    originals = [film(seed) for seed in range(30)]
    first = pictures(stored([picture_hash(frames, 2.0) for frames in originals], PICTURE))
    copies_of = {
        "dark": [(frames * 0.8).astype(np.uint8) for frames in originals],
        "small": [frames.reshape(6, 16, 2, 16, 2, 3).mean((2, 4)) for frames in originals],
        "cut": [frames[:5] for frames in originals],
    }
    for copied in copies_of.values():
        copies = [picture_hash(frames.astype(np.uint8), 2.0) for frames in copied]
        pairs = near_pairs(first, pictures(stored(copies, PICTURE)), 0.1)
        assert pairs.first.tolist() == pairs.second.tolist() == list(range(30))


def test_silence_black_pictures_and_stills_match_nothing() -> None:
    hushed = [np.zeros(2 * RATE, np.int16), np.zeros(0, np.int16), np.ones(RATE, np.int16)]
    found = sounds(stored([sound_hash(sound, RATE) for sound in hushed], SOUND))
    assert len(near_pairs(found, found, 0.5).first) == 0
    still = np.repeat(film(0)[:1], 6, 0)
    dark = [np.zeros((6, 32, 32, 3), np.uint8), np.full((6, 32, 32, 3), 200, np.uint8), still]
    shown = [picture_hash(frames, 2.0) for frames in (*dark, film(0)[:0], film(0)[:1])]
    seen = pictures(stored(shown, PICTURE))
    assert len(near_pairs(seen, seen, 0.99).first) == 0


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = [sound_hash(speech(seed % 12), RATE) for seed in range(20)]
    found = sounds(stored(hashes, SOUND))
    whole = near_pairs(found, found, 0.15)
    monkeypatch.setattr("mmlib.shards.make.leaks.search._ROWS", 7)
    monkeypatch.setattr("mmlib.shards.make.leaks.sieve._COLUMNS", 5)
    monkeypatch.setattr("mmlib.shards.make.leaks.search._PAIRS", 3)
    parts = near_pairs(found, found, 0.15)
    assert len(whole.first) == 20 + 2 * 8
    for one, two in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, two)


def leaky() -> list[DecodedClip]:
    """train-3 is eval-1 quieter; train-4 is val-2's very bytes; all else differs."""
    rows = clips(train=24)
    places = {row.clip_id: place for place, row in enumerate(rows)}
    sound = speech(5, 1.0)
    for name, pcm in (("eval-1", sound), ("train-3", (0.5 * sound).astype(np.int16))):
        rows[places[name]] = replace(rows[places[name]], pcm=pcm.tobytes())
    twin = rows[places["val-2"]]
    rows[places["train-4"]] = replace(
        rows[places["train-4"]], pcm=twin.pcm, frames=twin.frames, sha256=twin.sha256
    )
    return rows


def made(folder: Path, rows: list[DecodedClip], **changed: Any) -> Ledger:
    leaks = {k: v for k, v in changed.items() if k in type(SETTINGS.leaks).model_fields}
    rest = {k: v for k, v in changed.items() if k not in leaks}
    settings = SETTINGS.model_copy(
        update={**rest, "leaks": SETTINGS.leaks.model_copy(update=leaks)}
    )
    task = "single_label" if changed.get("single") else "multi_label"
    decoded = write_decoded(folder / "decoded", rows, task=task)
    return make_shards(decoded, folder / "shards", settings, scratch_root=folder / "scratch")


def ledger_of(folder: Path) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(folder / "shards" / LEDGER_NAME).to_pylist()
    return {row["clip_id"]: row for row in rows}


def test_leaks_are_told_and_the_earlier_clip_dropped(tmp_path: Path) -> None:
    ledger = made(tmp_path, leaky(), near_duplicate="drop")
    rows = ledger_of(tmp_path)
    assert {name: row["error"] for name, row in rows.items() if row["status"] == "dropped"} == {
        "train-3": "leak_near_duplicate",
        "train-4": "leak_identical",
    }
    assert rows["train-4"]["message"] == "train-4 (train) is byte for byte the same as val-2 (val)"
    assert rows["train-3"]["stage"] == "shard"
    assert "eval-1" in rows["train-3"]["message"]
    with (tmp_path / "shards/leaks.csv").open(encoding="utf-8") as stream:
        pairs = list(csv.DictReader(stream))
    assert [(p["kind"], p["clip_id"], p["later_clip_id"]) for p in pairs] == [
        ("near_duplicate_sound", "train-3", "eval-1"),
        ("identical", "train-4", "val-2"),
    ]
    assert pairs[0]["group"] != pairs[1]["group"]
    train = ShardSet(tmp_path / "shards", "train")
    assert not {"train-3", "train-4"} & set(train.clip_ids)
    manifest = read_manifest(tmp_path / "shards")
    assert manifest["dropped"]["train"] == {"leak_identical": 1, "leak_near_duplicate": 1}
    audio = train.gather(np.arange(len(train))).inputs["audio"].double().flatten(0, 1).numpy()
    assert np.allclose(manifest["audio"]["mean"], audio.mean(0), rtol=1e-6)
    assert "1 dropped, leak_identical; the first: train-4" in "\n".join(ledger.lines())


def test_warn_keeps_and_stop_refuses(tmp_path: Path) -> None:
    ledger = made(tmp_path / "warn", leaky(), identical="warn")
    assert {row["status"] for row in ledger_of(tmp_path / "warn").values()} == {"ok"}
    assert sum("leaks into a later split" in line for line in ledger.warnings) == 2
    with pytest.raises(UserError, match=r"train-4 \(train\) is byte for byte.*identical=drop"):
        made(tmp_path / "stop", leaky(), identical="stop")
    assert not (tmp_path / "stop/shards").exists()


def test_a_recording_in_two_splits_is_refused_or_dropped(tmp_path: Path) -> None:
    rows = clips()
    rows[2] = replace(rows[2], source_id="eval-source-0")
    with pytest.raises(UserError, match=r"train-2 \(train\) is cut from the same recording"):
        made(tmp_path / "stop", rows)
    made(tmp_path / "drop", rows, same_source="drop")
    assert ledger_of(tmp_path / "drop")["train-2"]["error"] == "leak_same_source"


def test_no_row_is_ever_lost(tmp_path: Path) -> None:
    rows = leaky()
    rows[7] = failed(rows[7])
    rows[8] = replace(failed(rows[8], "http_404"), sha256=None)
    rows[9] = without_audio(rows[9])
    rows[-1] = replace(rows[-1], message="damaged: half of it", damage=("cut_short",))
    made(tmp_path, rows, missing_modality="drop")
    found = pq.read_table(tmp_path / "shards" / LEDGER_NAME).to_pylist()
    assert [row["clip_id"] for row in found] == [row.clip_id for row in rows]
    by_id = {row["clip_id"]: row for row in found}
    for row in rows:
        assert by_id[row.clip_id]["labels"] == list(row.labels)
        assert by_id[row.clip_id]["sha256"] == row.sha256
    assert (by_id["train-7"]["stage"], by_id["train-7"]["error"]) == ("decode", "timeout")
    assert (by_id["train-8"]["stage"], by_id["train-8"]["error"]) == ("download", "http_404")
    assert (by_id["train-9"]["status"], by_id["train-9"]["error"]) == ("dropped", "no_audio")
    assert by_id[rows[-1].clip_id]["damage"] == ["cut_short"]
    manifest = json.loads((tmp_path / "shards/manifest.json").read_text(encoding="utf-8"))
    examples = {rows[-1].clip_id: "half of it"}
    assert manifest["damage"] == {"cut_short": {"clips": {"eval": 1}, "examples": examples}}
    inside = [
        c for s in ("train", "val", "eval") for c in ShardSet(tmp_path / "shards", s).clip_ids
    ]
    assert inside == [row["clip_id"] for row in found if row["status"] == "ok"]
    assert by_id["train-0"]["sound_hash"] is not None
    assert by_id["train-9"]["sound_hash"] is None


def test_classes_without_training_clips(tmp_path: Path) -> None:
    rows = [row for row in clips() if row.split != "train" or "Siren" not in row.labels]
    with pytest.raises(UserError, match=r"1 of 3 classes .*Siren.*untrained_classes=drop"):
        made(tmp_path / "stop", rows)
    made(tmp_path / "keep", rows, untrained_classes="keep")
    kept = ShardSet(tmp_path / "keep/shards", "eval")
    assert (kept.classes, kept.labels.shape[1]) == (list(CLASSES), 3)
    ledger = made(tmp_path / "drop", rows, untrained_classes="drop")
    left = ShardSet(tmp_path / "drop/shards", "eval")
    assert left.classes == ["Bell", "Rain"]
    np.testing.assert_array_equal(left.labels, kept.labels[:, :2])
    assert any("Siren" in line for line in ledger.warnings)
    made(tmp_path / "single", rows, untrained_classes="drop", single=True)
    assert len(ShardSet(tmp_path / "single/shards", "eval")) == 6
    gone = [row for row in ledger_of(tmp_path / "single").values() if row["status"] == "dropped"]
    assert {row["error"] for row in gone} == {"untrained_class"}
    assert {row["split"] for row in gone} == {"val", "eval"}
