"""Embeddings as cached: what the model says, of every clip, however it is batched."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from mmlib.metrics.stored import (
    carriers,
    read_embeddings,
    read_labels,
)
from mmlib.models import checkpoint, embed
from mmlib.models.base import Model
from mmlib.models.embed import embed_run, write_embeddings
from mmlib.models.predict import (
    Prediction,
    predict,
    predict_heads,
)
from mmlib.runtime.arrays import Floats32, Indices
from mmlib.runtime.parquet import Reader
from mmlib.runtime.shares import Finished
from mmlib.shards.read.loader import ShardSet
from tests.evaluation.test_attack import project
from tests.memory_clips import MemoryClips
from tests.models.examples import small

CPU = torch.device("cpu")
SPLITS = {"train": MemoryClips(7), "val": MemoryClips(3, seed=1), "eval": MemoryClips(5, seed=2)}


def cache(folder: Path, model: Model, batch_size: int = 4) -> Path:
    path = folder / "embeddings" / "run.parquet"
    write_embeddings(
        path,
        (
            (split, part)
            for split, clips in SPLITS.items()
            for part in predict(model, clips, batch_size=batch_size, device=CPU)
        ),
        classes=SPLITS["train"].classes,
        task="multi_label",
        run="run",
    )
    return path


@pytest.mark.parametrize("kind", ["mid", "early", "audio", "video"])
def test_what_is_read_back_is_what_the_model_says(tmp_path: Path, kind: str) -> None:
    model = small(modality=kind) if kind in ("audio", "video") else small(kind)
    path = cache(tmp_path, model)
    for split, clips in SPLITS.items():
        found = read_embeddings(path, split)
        assert found.classes == tuple(clips.classes)
        assert found.clip_ids.tolist() == clips.clip_ids
        np.testing.assert_array_equal(found.labels, clips.labels)
        batch = clips.gather(np.arange(len(clips)))
        model.eval()
        with torch.no_grad():
            expected, logits = model.embed(batch.inputs), model(batch.inputs)
        assert set(found.vectors) == set(expected)
        for name, vectors in expected.items():
            np.testing.assert_allclose(found.vectors[name], vectors, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.logits, logits, rtol=1e-4, atol=1e-5)
        top = found.vectors[model.penultimate]
        again = top @ model.head.weight.detach().numpy().T + model.head.bias.detach().numpy()
        np.testing.assert_allclose(found.logits, again, rtol=1e-4, atol=1e-5)


def test_clips_are_sorted_by_id_over_row_groups_and_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    splits = {"train": rng.permutation(13), "val": rng.permutation(4)}
    parts = [
        (split, Prediction(*_said(order[start : start + 3])))
        for split, order in splits.items()
        for start in range(0, len(order), 3)
    ]
    path = tmp_path / "run.parquet"
    monkeypatch.setattr(embed, "_GROUP_BYTES", 300)
    write_embeddings(path, parts, classes=list("abc"), task="multi_label", run="run")
    assert len(Reader(path).sizes) > 2
    for split, order in splits.items():
        found = read_embeddings(path, split)
        ids, labels, logits, vectors = _said(np.sort(order))
        assert found.clip_ids.tolist() == list(ids)
        np.testing.assert_array_equal(found.labels, labels)
        np.testing.assert_array_equal(found.logits, logits)
        np.testing.assert_array_equal(found.vectors["audio"], vectors["audio"])
        assert read_labels(path, split)[1].tolist() == found.labels.tolist()
        counts, clips = carriers(Reader(path), split)
        assert (counts.tolist(), clips) == (labels.sum(0).tolist(), len(order))


def _said(order: Indices) -> tuple[tuple[str, ...], Floats32, Floats32, dict[str, Floats32]]:
    """What is said of clips follows from their numbers."""
    labels = (order[:, None] % [2, 3, 5] == 0).astype(np.float32)
    logits = order[:, None] + np.arange(3, dtype=np.float32)
    vectors = {"audio": (order[:, None] * np.arange(1, 6)).astype(np.float32)}
    return tuple(f"clip{place:02d}" for place in order), labels, logits.astype(np.float32), vectors


def test_rows_keep_the_order_of_the_splits_and_the_metadata_says_what_they_are(
    tmp_path: Path,
) -> None:
    path = cache(tmp_path, small("mid"))
    file = pq.ParquetFile(path)
    assert file.read(columns=["clip_id"])["clip_id"].to_pylist() == [
        clip_id for clips in SPLITS.values() for clip_id in clips.clip_ids
    ]
    facts = Reader(path).facts()
    assert facts["dims"] == {"audio": 32, "video": 32, "fused": 24}
    assert facts["run"] == "run"
    assert facts["task"] == "multi_label"


def test_the_same_model_writes_the_same_bytes(tmp_path: Path) -> None:
    one = cache(tmp_path / "one", small("mid")).read_bytes()
    two = cache(tmp_path / "two", small("mid")).read_bytes()
    assert one == two


def test_the_bytes_do_not_depend_on_how_the_run_was_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of seven clips in pieces of two batches, by two tasks, is that of one loop over it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(embed, "_PIECE_CLIPS", 4)
    shards, model = project(tmp_path)
    net, described = checkpoint.load(model)
    clips = ShardSet(shards, "eval")
    found = predict(net, clips, batch_size=2, device=CPU)
    parts = (("eval", part) for part in found)
    about = {"classes": described["classes"], "task": described["task"], "run": "mid"}
    write_embeddings(tmp_path / "at_once.parquet", parts, **about)
    for place in (1, 0):
        monkeypatch.setenv("MMLIB_SHARE", f"{place}/2")
        with pytest.raises(Finished, match="all are there" if place == 0 else "1 of 2 are missing"):
            embed_run(model, shards, tmp_path / "out.parquet", 2)
    monkeypatch.delenv("MMLIB_SHARE")
    assert len(list((tmp_path / "scratch").glob("embed-mid-*/eval-*.parquet"))) == 2
    embed_run(model, shards, tmp_path / "out.parquet", 2)
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "at_once.parquet").read_bytes()
    assert not list((tmp_path / "scratch").glob("embed-mid-*"))


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no clip"):
        write_embeddings(
            tmp_path / "x.parquet", iter(()), classes=["a"], task="multi_label", run="run"
        )
    assert not list(tmp_path.iterdir())


def test_predictions_do_not_depend_on_the_batch_size() -> None:
    model = small("mid")
    clips = SPLITS["train"]
    found = [
        np.concatenate([p.logits for p in predict(model, clips, batch_size=size, device=CPU)])
        for size in (1, 3, 7)
    ]
    for logits in found[1:]:
        np.testing.assert_allclose(logits, found[0], rtol=1e-4, atol=1e-5)


def test_heads_of_chosen_clips_in_their_order() -> None:
    model = small("mid", heads=True).train()
    clips = SPLITS["train"]
    labels, heads = predict_heads(
        model, clips, batch_size=2, device=CPU, indices=np.array([5, 0, 3])
    )
    assert model.training, "left as it was"
    np.testing.assert_array_equal(labels, clips.labels[[5, 0, 3]])
    _, everything = predict_heads(model, clips, batch_size=7, device=CPU)
    for name, logits in heads.items():
        torch.testing.assert_close(logits, everything[name][[5, 0, 3]], rtol=1e-4, atol=1e-5)
