"""One small artefact of each format as the pipeline writes it, and all that its readers find in it.

`ARTEFACTS`: the name of the file -> how to write it, with what belongs beside it, into a folder,
and how to read it from there.
"""

from collections.abc import Callable
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from mmlib.evaluation.sweep import surface, table
from mmlib.evaluation.sweep.chunk import Example
from mmlib.metrics.geometry.head import read_head
from mmlib.metrics.geometry.table import GeometryTable
from mmlib.metrics.scores.figures import figures_csv, read_figures
from mmlib.metrics.scores.surface import shared_scores
from mmlib.metrics.stored import AttackScores, read_embeddings
from mmlib.models import checkpoint
from mmlib.report import examples
from mmlib.retraining.guide import Guide, read_guide, to_json
from mmlib.runtime import parquet, sealed
from mmlib.runtime.scratch import publish_csv, publish_json, publish_text
from mmlib.runtime.storage import (
    csv_text,
    read_csv,
    read_json,
    read_table,
    reading,
    records_csv,
)
from mmlib.shards.read.format import PAYLOADS, WAVEFORM, ShardReader, write_shard
from mmlib.shards.read.manifest import read_manifest
from mmlib.shards.rows import clips, ledger
from mmlib.training.gblend import read_weights
from tests.fake_run import write_run
from tests.ledger_rows import row
from tests.ledger_rows import table as ledger_table
from tests.models.examples import small
from tests.shards.test_clips import CLIP, FAILED
from tests.shards.test_format import JPEG_LAYOUT, LAYOUT, rows

DECODED = clips.DecodedClip(
    **{name: getattr(CLIP, name) for name in ("clip_id", "source_id", "split", "labels")},
    pcm=np.arange(600, dtype=np.int16).tobytes(),
    frames=bytes(range(96)),
    frame_count=2,
    frame_times=(0.0, 0.5),
    height=4,
    width=4,
    fps=2.0,
    sample_rate_hz=8000,
    audio_s=0.1,
    video_s=1.0,
    offset_s=-0.25,
    audio_present=True,
    video_present=True,
    **{name: getattr(CLIP, name) for name in ("sha256", "source", "status", "error", "message")},
    attempts=1,
)
FIGURES = {"clean": {"mAP": 0.8125, "AUC": None}, "A": {"mAP": 0.25}, "clips": 60}
MANIFEST = {
    "classes": ["a", "b"],
    "task": "multi_label",
    "mel": {"bands": 8},
    "audio": {"frames": 10, "bands": 8, "mean": [0.25, 0.5], "std": [0.125, 0.25]},
    "video": {"frames": 2, "height": 6, "width": 6},
    "clips": {"eval": {"count": 20, "files": {"eval-00000.parquet": 20}}},
    "failed": {"eval": {"timeout": 1}},
}
GUIDE = Guide(
    classes=("x", "y"),
    class_weight=np.array([0.25, 0.75]),
    beta={"audio": np.array([1.0, 2.0]), "video": np.array([1.0, 1.5])},
    temperature=1.0,
    same_class_share=np.array([0.5, 0.25]),
    distances={'a"b': (0.5, 1.25), "c": (), "d": (1.0,)},
)
HEADS = {"heads": {"A": 0.25, "V": 0.25, "AV": 0.5}, "epochs": [0, 7], "init": "mid"}
GEOMETRY = [
    {"class": name, "embedding": "fused", "split": "train", "kappa": value, "log_density_0.5": -2}
    for name, value in (("Bell, church", 0.25), ("7", 0.5), ("Rain", ""))
]


class Artefact(NamedTuple):
    """`write` and `read` take the folder in which the file lies."""

    write: Callable[[Path], object]
    read: Callable[[Path], object]


def _shard(path: Path) -> object:
    reader = ShardReader(path)
    pieces = [(group, name) for group in range(2) for name in (*PAYLOADS.values(), WAVEFORM)]
    return reader.layout, reader.index(), [reader.read(*piece) for piece in pieces]


def _ledger(folder: Path) -> object:
    path = folder / "ledger.parquet"
    return [part.to_pylist() for part in ledger.read_rows(path, ledger.LEDGER_SCHEMA.names)]


def _write_ledger(path: Path) -> None:
    hashed: dict[str, Any] = {"sound_hash": bytes(768), "sha256": "ab" * 32, "audio_s": 1.5}
    found = [row("x", "train", ["a"], **hashed), row("y", "eval", [], "failed", "timeout")]
    ledger.write_ledger(path, [ledger_table(found)])


def _embeddings(folder: Path) -> object:
    path = folder / "embeddings.parquet"
    return [read_embeddings(path, split) for split in ("train", "val", "eval")]


def _attacks(folder: Path) -> object:
    found = AttackScores(folder / "attacks.parquet")
    every = {place: found.scores(place) for place in found.conditions}
    return found.classes, found.task, found.eps, found.threats, found.clip_ids, every


def _write_surface(folder: Path) -> None:
    _write_run(folder)
    ids = AttackScores(folder / "attacks.parquet").clip_ids.tolist()
    values = torch.linspace(0, 1, len(ids), dtype=torch.float64)
    scores = values.float()[:, None].expand(-1, 4)
    point = surface.Point("shared", values, 1 - values, values.float(), scores)
    surface.write_piece(folder / "piece", ids, [point])
    surface.publish([folder / "piece"], folder / "surface.parquet", 4, {"run": "audio"})


def _surface(folder: Path) -> object:
    attacks = AttackScores(folder / "attacks.parquet")
    labels = np.arange(12)[:, None] % 4 == np.arange(4)
    return shared_scores(folder / "surface.parquet", attacks, labels)


def _write_run(folder: Path) -> None:
    write_run(folder, clips=12)
    for name in ("embeddings", "attacks"):
        (folder / f"data/{name}/audio.parquet").rename(folder / f"{name}.parquet")


def _write_examples(folder: Path) -> None:
    sound = torch.linspace(0, 1, 12).view(3, 4)
    scores = torch.tensor([0.5, -0.25])
    shown = [
        Example(name, "A", scores > 0, scores, -scores, {"audio": sound}, {"audio": 1 - sound}, has)
        for name, has in (("x", {"audio": True}), ("y", {"audio": False}))
    ]
    table.write_examples(
        folder / "piece", [one._replace(labels=one.labels.float()) for one in shown]
    )
    facts = {"classes": ["a", "b"], "run": "audio"}
    table.join_examples([folder / "piece"], folder / "examples.parquet", facts)


def _write_model(folder: Path) -> None:
    description = {"classes": list("abcde"), "task": "multi_label", "run": "model"}
    checkpoint.save(small(None, modality="audio"), folder / "model", description)


def _model(folder: Path) -> object:
    model, description = checkpoint.load(folder / "model")
    return description, model.state_dict(), read_head(folder / "model.safetensors")


def _geometry(folder: Path) -> object:
    found = GeometryTable(folder / "geometry.csv")
    classes = [str(line["class"]) for line in GEOMETRY]
    columns = [found.column(name, "fused", classes) for name in ("kappa", "log_density_0.5")]
    return found.spaces, found.quantiles(), columns


def _write_binary(folder: Path) -> None:
    (folder / "piece.npy").write_bytes(np.arange(100.0).tobytes())
    sealed.append(folder / "piece.npy")


def _rows(name: str, schema: pa.Schema, found: list[Any]) -> Callable[[Path], object]:
    facts = {"made_by": "0123456789abcdef", "source": "test"}
    return lambda folder: clips.write_rows(folder / name, schema, found, facts)


def _table(folder: Path) -> object:
    path = folder / "training.csv"
    return read_table(path), read_csv(path)


ARTEFACTS = {
    "clips.parquet": Artefact(
        _rows("clips.parquet", clips.CLIP_SCHEMA, [CLIP, FAILED, replace(CLIP, labels=())] * 8),
        lambda folder: [
            read(folder / "clips.parquet") for read in (_listed, clips.read_facts, _statuses)
        ],
    ),
    "decoded.parquet": Artefact(
        _rows("decoded.parquet", clips.DECODED_SCHEMA, [DECODED] * 3),
        lambda folder: list(clips.read_decoded(folder / "decoded.parquet")),
    ),
    "classes.json": Artefact(
        lambda folder: clips.write_vocabulary(
            folder / "classes.json", clips.Vocabulary(("a", "é"), "multi_label")
        ),
        clips.read_vocabulary,
    ),
    "shard.parquet": Artefact(
        lambda folder: write_shard(folder / "shard.parquet", LAYOUT, rows(20)),
        lambda folder: _shard(folder / "shard.parquet"),
    ),
    "jpeg.parquet": Artefact(
        lambda folder: write_shard(folder / "jpeg.parquet", JPEG_LAYOUT, rows(20)),
        lambda folder: _shard(folder / "jpeg.parquet"),
    ),
    "manifest.json": Artefact(
        lambda folder: publish_json(MANIFEST, folder / "manifest.json"), read_manifest
    ),
    "eval_clips.csv": Artefact(
        lambda folder: publish_csv(
            csv_text(ledger.MANIFEST_HEADS, [("a", "ok", ""), ("b", "failed", "timeout")]),
            folder / "eval_clips.csv",
        ),
        lambda folder: sorted(ledger.read_manifest_csv(folder / "eval_clips.csv") or ()),
    ),
    "ledger.parquet": Artefact(lambda folder: _write_ledger(folder / "ledger.parquet"), _ledger),
    "embeddings.parquet": Artefact(_write_run, _embeddings),
    "attacks.parquet": Artefact(_write_run, _attacks),
    "surface.parquet": Artefact(_write_surface, _surface),
    "examples.parquet": Artefact(
        _write_examples, lambda folder: list(examples.read(folder / "examples.parquet"))
    ),
    "study.parquet": Artefact(
        lambda folder: parquet.write_table(
            pa.Table.from_pylist([{"seed": 1, "pseudo_mAP": [0.5, 0.25]}] * 3),
            folder / "study.parquet",
        ),
        lambda folder: parquet.read_parquet(folder / "study.parquet").to_pylist(),
    ),
    "model.safetensors": Artefact(_write_model, _model),
    "model.json": Artefact(_write_model, _model),
    "temperature.json": Artefact(
        lambda folder: publish_text(to_json(GUIDE, {"dose": 1.5}), folder / "temperature.json"),
        lambda folder: read_guide(folder / "temperature.json"),
    ),
    "blend.json": Artefact(
        lambda folder: publish_json(HEADS, folder / "blend.json"),
        lambda folder: [read(folder / "blend.json") for read in (read_weights, read_json)],
    ),
    "metrics.json": Artefact(
        lambda folder: publish_json(FIGURES, folder / "metrics.json"),
        lambda folder: read_json(folder / "metrics.json"),
    ),
    "figures.csv": Artefact(
        lambda folder: publish_csv(figures_csv(FIGURES), folder / "figures.csv"),
        lambda folder: read_figures(folder / "figures.csv"),
    ),
    "geometry.csv": Artefact(
        lambda folder: publish_csv(records_csv(GEOMETRY), folder / "geometry.csv"), _geometry
    ),
    "training.csv": Artefact(
        lambda folder: publish_csv(
            csv_text(("epoch", "val_mAP"), [(0, 0.25), (1, "")]), folder / "training.csv"
        ),
        _table,
    ),
    "none.csv": Artefact(
        lambda folder: publish_csv(csv_text(("eps_audio", "mAP"), []), folder / "none.csv"),
        lambda folder: read_table(folder / "none.csv"),
    ),
    "piece.npy": Artefact(_write_binary, lambda folder: _opened(folder / "piece.npy")),
}


def _listed(path: Path) -> object:
    return list(clips.read_clips(path))


def _statuses(path: Path) -> object:
    return list(clips.read_columns(path, ("status", "error")))


def _opened(path: Path) -> object:
    with reading(path, "a piece"):
        return sealed.content(path)


def plain(value: Any) -> Any:
    """The same content in tuples, numbers, text and bytes, which == compares, nan and all."""
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        found = tuple(value.tolist()) if value.dtype.kind in "UO" else value.tobytes()
        return value.shape, value.dtype.str, found
    if isinstance(value, dict):
        return tuple((plain(key), plain(one)) for key, one in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(plain, value))
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    return value if isinstance(value, bytes) else repr(value)
