"""data/attacks/<run>.parquet and <run>-examples.parquet: their columns, pieces and whole."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from torch import Tensor

from mmlib.evaluation.sweep.chunk import (
    Example,
    Record,
)
from mmlib.runtime import parquet
from mmlib.runtime.parquet import binary_column, metadata

MEASURES = (
    "norm_audio",
    "norm_video",
    "mean_abs_audio",
    "mean_abs_video",
    "max_abs_audio",
    "max_abs_video",
    "psnr_video",
    "ssim_video",
    "snr_log_mel",
    "snr_waveform",
)


def schema(classes: int) -> pa.Schema:
    """One row per clip and condition; scores are logits, measures null where they do not apply.

    Norms are in the norm of the budget; `snr_log_mel` and `snr_waveform` name the domain of the
    attack on sound, and the other one is null.
    """
    scores = pa.binary(4 * classes)
    return pa.schema(
        [
            pa.field("clip_id", pa.string(), nullable=False),
            pa.field("threat", pa.string(), nullable=False),
            pa.field("attack", pa.string(), nullable=False),
            pa.field("eps", pa.float64(), nullable=False),
            pa.field("multiple", pa.float64(), nullable=False),
            pa.field("loss", pa.float32(), nullable=False),
            pa.field("scores", scores, nullable=False),
            pa.field("quantised_scores", scores),
            *(pa.field(name, pa.float64()) for name in MEASURES),
        ]
    )


def write_piece(path: Path, clip_ids: Sequence[str], records: Sequence[Record]) -> None:
    """Write one chunk, a row group for each condition."""
    columns = schema(records[0].scores.shape[1])
    with parquet.writer(path, columns, use_dictionary=["threat", "attack"]) as writer:
        for record in records:
            writer.write_table(_rows(clip_ids, record, columns))


def _rows(clip_ids: Sequence[str], record: Record, columns: pa.Schema) -> pa.Table:
    count = len(clip_ids)
    threat, attack, multiple = record.condition
    stored = record.quantised_scores
    arrays = {
        "clip_id": list(clip_ids),
        "threat": [threat] * count,
        "attack": [attack] * count,
        "eps": [record.eps] * count,
        "multiple": [multiple] * count,
        "loss": record.loss.numpy(),
        "scores": packed(record.scores),
        "quantised_scores": [None] * count if stored is None else packed(stored),
    }
    for name in MEASURES:
        values = record.measures.get(name)
        known = [None] * count if values is None else pa.array(values.numpy(), from_pandas=True)
        arrays[name] = known
    return pa.table(arrays, schema=columns)


def attacks_of(piece: Path) -> set[str]:
    """The names of the attacks that a piece holds."""
    column = parquet.Reader(piece, "a finished piece").read(columns=["attack"])["attack"]
    return set(column.unique().to_pylist())


def join_pieces(pieces: Sequence[Path], path: Path, facts: Mapping[str, Any]) -> None:
    """Write the pieces as one file, condition by condition, with the memory of one condition."""
    files = [parquet.Reader(piece, "a finished piece") for piece in pieces]
    columns = files[0].schema.with_metadata(metadata(facts))
    with parquet.writer(path, columns, use_dictionary=["threat", "attack"]) as writer:
        for condition in range(len(files[0].sizes)):
            groups = [file.read(groups=[condition]) for file in files]
            rows = pa.concat_tables(groups).cast(columns).combine_chunks()
            writer.write_table(rows, row_group_size=max(1, rows.num_rows))


def write_examples(path: Path, examples: Sequence[Example]) -> None:
    """Write a few clips whole: `clean_<modality>` and `adversarial_<modality>` as float32.

    `<modality>_present` tells of each clip whether it has the modality at all.
    """
    columns: dict[str, Any] = {
        "clip_id": [example.clip_id for example in examples],
        "threat": [example.threat for example in examples],
        "labels": [example.labels.round().byte().numpy().tobytes() for example in examples],
    }
    for name in ("clean_scores", "adversarial_scores"):
        columns[name] = [_bytes(getattr(example, name)) for example in examples]
    for side in ("clean", "adversarial"):
        for modality in examples[0].clean:
            arrays = [getattr(example, side)[modality] for example in examples]
            columns[f"{side}_{modality}"] = [_bytes(array) for array in arrays]
    for modality in examples[0].clean:
        columns[f"{modality}_present"] = [example.present[modality] for example in examples]
    shapes = {modality: list(array.shape) for modality, array in examples[0].clean.items()}
    table = pa.table(columns).replace_schema_metadata(metadata({"shapes": shapes}))
    parquet.write_table(table, path)


def join_examples(pieces: Sequence[Path], path: Path, facts: Mapping[str, Any]) -> None:
    """Write the pieces of examples as one file; the arrays' shapes go into its metadata."""
    files = [parquet.Reader(piece, "a finished piece") for piece in pieces]
    tables = [file.read() for file in files]
    shapes = files[0].facts()["shapes"] if files else {}
    table = pa.concat_tables(tables) if tables else pa.table({"clip_id": pa.array([], pa.string())})
    about = metadata({**facts, "shapes": shapes})
    parquet.write_table(table.replace_schema_metadata(about), path)


def packed(rows: Tensor) -> pa.Array:
    """Rows (B, K) as fixed-size binary, float32."""
    return binary_column(rows.float().numpy())


def _bytes(array: Tensor) -> bytes:
    return bytes(array.float().contiguous().numpy().tobytes())
