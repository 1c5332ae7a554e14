"""ShardSet: the same clips whether in memory or streamed, seeded orders, honest errors."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.batch import LabelledBatch, Place, to_device
from mmlib.runtime.arrays import Indices
from mmlib.runtime.errors import UserError
from mmlib.shards.make.shard import make_shards
from mmlib.shards.read import loader
from mmlib.shards.read.format import ShardReader
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import read_manifest
from tests.decoded_shards import SETTINGS, clips, without_audio, write_decoded
from tests.properties import examples


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 clips of train in five shards, one of val without sound."""
    folder = tmp_path_factory.mktemp("shards")
    rows = clips(train=100, val=6, evaluation=9)
    rows[101] = without_audio(rows[101])
    decoded = write_decoded(folder / "decoded", rows)
    make_shards(decoded, folder / "shards", SETTINGS, scratch_root=folder / "scratch")
    return folder / "shards"


@pytest.fixture
def streamed(shards: Path, monkeypatch: pytest.MonkeyPatch) -> ShardSet:
    """Train, read row group by row group, shuffled three of them at a time."""
    monkeypatch.setenv("MMLIB_CACHE_GB", "0")
    monkeypatch.setattr(loader, "_SHUFFLE_BYTES", 3 * 16 * (20 * 12 * 2 + 3 * 8 * 8 * 3))
    return ShardSet(shards, "train")


def ids(batches: list[LabelledBatch]) -> list[str]:
    """The clip ids of some batches, in order."""
    return [clip_id for batch in batches for clip_id in batch.clip_ids]


def test_it_says_what_it_holds(shards: Path) -> None:
    train = ShardSet(shards, "train")
    assert len(train) == len(train.clip_ids) == 100
    assert train.classes == ["Bell", "Rain", "Siren"]
    assert train.task == "multi_label"
    assert train.clip_ids[57] == "train-57"
    assert train.source_ids[57] == "train-source-57"
    assert train.labels.shape == (100, 3)
    assert train.labels.dtype == np.uint8
    assert train.labels[4].tolist() == [0, 1, 0]
    assert train.input_shapes == {"audio": (20, 12), "video": (3, 3, 8, 8)}


def test_a_batch_is_float32_in_the_layout_that_convolutions_like(shards: Path) -> None:
    batch = ShardSet(shards, "train").gather(np.arange(5))
    assert batch.inputs["audio"].shape == (5, 20, 12)
    assert batch.inputs["video"].shape == (5, 3, 3, 8, 8)
    assert batch.inputs["video"].is_contiguous(memory_format=torch.channels_last_3d)
    for name in ("audio", "video"):
        assert batch.inputs[name].dtype == torch.float32
        assert 0 <= batch.inputs[name].min() < batch.inputs[name].max() <= 1
    assert batch.labels.dtype == torch.float32
    assert batch.labels.shape == (5, 3)
    levels = batch.inputs["video"] * 255
    assert torch.equal(levels.round() / 255, batch.inputs["video"])


def test_pixels_become_the_same_floats_on_the_device(shards: Path) -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_device({"video": levels}, "cpu")["video"], levels / 255.0)
    places = np.array([7, 3, 7, 99])
    stored = ShardSet(shards, "train", pixels=True).gather(places)
    assert stored.inputs["video"].dtype == torch.uint8
    found, expected = to_device(stored.inputs, "cpu"), ShardSet(shards, "train").gather(places)
    for name, tensor in expected.inputs.items():
        assert torch.equal(found[name], tensor)
        assert found[name].stride() == tensor.stride()


def test_only_what_is_asked_for_is_read(shards: Path) -> None:
    train = ShardSet(shards, "train")
    assert set(train.gather(np.arange(2), ("video",)).inputs) == {"video"}
    assert set(train.gather(np.arange(2), ("audio",)).inputs) == {"audio"}
    with pytest.raises(KeyError):
        train.gather(np.arange(2), ("smell",))


def test_the_mask_is_there_whenever_the_split_misses_a_track(shards: Path) -> None:
    val = ShardSet(shards, "val")
    for first in range(0, 6, 2):
        batch = val.gather(np.arange(first, first + 2))
        expected = [number != 1 for number in range(first, first + 2)]
        assert batch.inputs["audio_present"].tolist() == expected
        assert "video_present" not in batch.inputs
    assert "audio_present" not in ShardSet(shards, "train").gather(np.arange(2)).inputs


@given(st.lists(st.integers(0, 99), max_size=20))
@examples(25)
def test_gather_is_random_access(shards: Path, places: list[int]) -> None:
    train = ShardSet(shards, "train")
    everything = train.gather(np.arange(100))
    batch = train.gather(np.array(places, np.intp))
    assert batch.clip_ids == tuple(f"train-{place}" for place in places)
    for name, tensor in batch.inputs.items():
        assert torch.equal(tensor, everything.inputs[name][places])
    assert torch.equal(batch.labels, everything.labels[places])


def test_streamed_and_resident_sets_are_equal(shards: Path, streamed: ShardSet) -> None:
    resident = ShardSet(shards, "train")
    resident._resident = True
    for seed in (None, 5):
        pairs = zip(
            resident.batches(7, seed=seed, epoch=2),
            streamed.batches(7, seed=seed, epoch=2),
            strict=True,
        )
        for ours, theirs in pairs:
            assert ours.clip_ids == theirs.clip_ids
            assert torch.equal(ours.labels, theirs.labels)
            assert all(torch.equal(ours.inputs[name], theirs.inputs[name]) for name in ours.inputs)
    places = np.array([99, 0, 50, 50])
    assert torch.equal(
        resident.gather(places).inputs["audio"], streamed.gather(places).inputs["audio"]
    )


@pytest.mark.parametrize("batch_size", [1, 7, 100, 1000])
def test_an_epoch_has_every_clip_once(streamed: ShardSet, batch_size: int) -> None:
    for seed in (None, 0):
        batches = list(streamed.batches(batch_size, ("audio",), seed=seed))
        assert Counter(ids(batches)) == Counter(streamed.clip_ids)
        assert all(len(batch.clip_ids) == batch_size for batch in batches[:-1])
    assert ids(list(streamed.batches(batch_size, ("audio",)))) == streamed.clip_ids


@pytest.mark.parametrize("count", [2, 3])
def test_processes_read_each_batch_together(
    streamed: ShardSet, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each its own rows, no clip of the others'; a batch of 7 cannot be shared evenly."""
    whole = list(streamed.batches(7, seed=3))
    gathered: list[int] = []
    gather = streamed.gather

    def watched(indices: Indices, modalities: tuple[str, ...]) -> LabelledBatch:
        gathered.append(len(indices))
        return gather(indices, modalities)

    monkeypatch.setattr(streamed, "gather", watched)
    parts = [list(streamed.batches(7, seed=3, place=Place(rank, count))) for rank in range(count)]
    assert sum(gathered) == len(streamed)
    for batch, *shares in zip(whole, *parts, strict=True):
        assert [name for part in shares for name in part.clip_ids] == list(batch.clip_ids)
        for name, tensor in batch.inputs.items():
            assert torch.equal(torch.cat([part.inputs[name] for part in shares]), tensor)
        assert torch.equal(torch.cat([part.labels for part in shares]), batch.labels)
        sizes = [len(part.clip_ids) for part in shares]
        assert max(sizes) - min(sizes) <= 1


def test_the_order_follows_from_seed_and_epoch(shards: Path, streamed: ShardSet) -> None:
    def order(seed: int, epoch: int) -> list[str]:
        return ids(list(streamed.batches(9, ("audio",), seed=seed, epoch=epoch)))

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4
    again = ShardSet(shards, "train")
    assert ids(list(again.batches(9, ("audio",), seed=1))) == order(1, 0)


def test_shuffling_mixes_the_whole_of_a_small_split(shards: Path) -> None:
    """The mean place of a batch's clips is that of the split, not of one shard."""
    train = ShardSet(shards, "train")
    places = [int(name.split("-")[1]) for name in ids(list(train.batches(25, ("audio",), seed=0)))]
    means = np.array(places).reshape(4, 25).mean(1)
    assert np.abs(means - 49.5).max() < 20
    assert np.corrcoef(places, np.arange(100))[0, 1] < 0.3


def test_streaming_reads_each_row_group_once(
    streamed: ShardSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: Counter[tuple[str, int]] = Counter()
    true_read = ShardReader.read

    def counted(self: ShardReader, group: int, column: str) -> object:
        reads[self.path.name, group] += 1
        return true_read(self, group, column)

    monkeypatch.setattr(ShardReader, "read", counted)
    list(streamed.batches(7, ("audio",), seed=3))
    assert len(reads) == 10  # five shards of 20 clips: 16 and 4 each
    assert set(reads.values()) == {1}


def test_an_epoch_that_is_left_early_ends_cleanly(streamed: ShardSet) -> None:
    batches = streamed.batches(10, seed=0)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert len(ids(list(streamed.batches(10, seed=0)))) == 100


def copied(shards: Path, folder: Path) -> Path:
    """A copy of the shards to damage."""
    folder.mkdir()
    for path in shards.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_shards_that_do_not_belong_together_are_named(shards: Path, tmp_path: Path) -> None:
    missing = copied(shards, tmp_path / "missing")
    (missing / "train-00002.parquet").unlink()
    with pytest.raises(UserError, match=r"train-00002\.parquet: no such file"):
        ShardSet(missing, "train")
    swapped = copied(shards, tmp_path / "swapped")
    (swapped / "train-00001.parquet").write_bytes((shards / "eval-00000.parquet").read_bytes())
    with pytest.raises(UserError, match=r"train-00001\.parquet: of another run"):
        ShardSet(swapped, "train")
    repeated = copied(shards, tmp_path / "repeated")
    (repeated / "train-00001.parquet").write_bytes((shards / "train-00000.parquet").read_bytes())
    with pytest.raises(UserError, match=r"train-00001\.parquet|the shards of train hold other"):
        ShardSet(repeated, "train")
    older = copied(shards, tmp_path / "older")
    manifest = read_manifest(older)
    manifest["audio"]["bands"] = 64
    (older / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"train-00000\.parquet: of another run"):
        ShardSet(older, "train")


def test_a_damaged_payload_is_named_when_it_is_read(shards: Path, tmp_path: Path) -> None:
    folder = copied(shards, tmp_path / "damaged")
    path = folder / "train-00003.parquet"
    data = bytearray(path.read_bytes())
    reader = ShardReader(path)
    payload = reader.read(0, "frames")[7].tobytes()
    data[data.index(payload) + 100] ^= 1
    path.write_bytes(data)
    train = ShardSet(folder, "train")
    with pytest.raises(UserError, match=r"train-00003\.parquet: cannot be read"):
        train.gather(np.array([65]), ("video",))


def test_missing_and_broken_manifests_are_named(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"manifest\.json: no such file; run `dvc repro"):
        ShardSet(tmp_path, "train")
    for text in ("{", "[]", '{"classes": []}'):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(UserError, match=r"json: (cannot be read as JSON|not a manifest)"):
            read_manifest(tmp_path)
    with pytest.raises(UserError, match=r"no split 'test', only train, val, eval"):
        ShardSet(shards, "test")


@pytest.mark.parametrize("value", ["four", "-1", "nan"])
def test_a_wrong_cache_size_is_refused(
    shards: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("MMLIB_CACHE_GB", value)
    with pytest.raises(UserError, match="MMLIB_CACHE_GB"):
        ShardSet(shards, "train")


def test_the_processes_of_a_machine_share_what_may_be_kept_in_memory(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip_bytes = 20 * 12 * 2 + 3 * 8 * 8 * 3
    monkeypatch.setenv("MMLIB_CACHE_GB", str(150 * clip_bytes / 1e9))
    alone = ShardSet(shards, "train")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    beside_another = ShardSet(shards, "train")
    assert (alone._resident, beside_another._resident) == (True, False)
    indices = np.array([99, 3, 3, 40])
    for name, tensor in alone.gather(indices).inputs.items():
        assert torch.equal(beside_another.gather(indices).inputs[name], tensor)
