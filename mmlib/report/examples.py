"""A few adversarial clips to see and hear: clean, perturbed, and the difference magnified."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mmlib.params.shard import Mel
from mmlib.report import wording
from mmlib.report.shown import Picture, Sound, sounds, spectrograms, strips
from mmlib.runtime.arrays import Bytes, Floats, Floats32
from mmlib.runtime.parquet import Reader, numbers_of


class Example(NamedTuple):
    """One stored adversarial clip.

    Arrays by modality, those that the clip has: audio (T, F) in [0, 1] or, where the waveform was
    attacked, (N,) in [-1, 1]; video (3, T, H, W) in [0, 1].
    """

    clip_id: str
    threat: str
    classes: Sequence[str]
    labels: Bytes
    clean_scores: Floats32
    adversarial_scores: Floats32
    clean: Mapping[str, Floats32]
    adversarial: Mapping[str, Floats32]


class Tag(NamedTuple):
    """A predicted tag: whether it is true, its probability as text and as a bar in per cent."""

    name: str
    true: bool
    value: str
    width: str


class TagList(NamedTuple):
    """The highest tags before or after the attack, with the true ones always among them."""

    title: str
    rows: Sequence[Tag]


class Card(NamedTuple):
    """Everything that the page shows of one example."""

    title: str
    truth: str
    tags: Sequence[TagList]
    pictures: Sequence[Sequence[Picture]]
    sounds: Sequence[Sound]


def read(path: Path) -> Iterator[Example]:
    """The examples stored beside a run's attacks, in their order; none when there is no file."""
    if not path.is_file():
        return
    file = Reader(path)
    table, facts = file.read(), file.facts()
    for place, clip_id in enumerate(table["clip_id"].to_pylist()):
        row = table.slice(place, 1)
        yield Example(
            clip_id=clip_id,
            threat=row["threat"][0].as_py(),
            classes=facts["classes"],
            labels=numbers_of(row["labels"], np.uint8)[0],
            clean_scores=numbers_of(row["clean_scores"], np.float32)[0],
            adversarial_scores=numbers_of(row["adversarial_scores"], np.float32)[0],
            clean=_arrays(row, "clean", facts["shapes"]),
            adversarial=_arrays(row, "adversarial", facts["shapes"]),
        )


def _arrays(row: pa.Table, prefix: str, shapes: Mapping[str, Any]) -> dict[str, Floats32]:
    return {
        modality: numbers_of(row[f"{prefix}_{modality}"], np.float32).reshape(shape)
        for modality, shape in shapes.items()
        if row[f"{modality}_present"][0].as_py()
    }


def card(example: Example, *, task: str, mel: Mel, seconds: float) -> Card:
    """Set one example for the page; `seconds` is the clip's length, for the captions."""
    names = [name for name, hit in zip(example.classes, example.labels, strict=True) if hit]
    clean, adversarial = example.clean, example.adversarial
    pictures, heard = [], []
    if "audio" in clean:
        pictures.append(spectrograms(clean["audio"], adversarial["audio"], mel, seconds))
        heard = sounds(clean["audio"], adversarial["audio"], mel)
    if "video" in clean:
        pictures.append(strips(clean["video"], adversarial["video"]))
    return Card(
        title=f"Clip {example.clip_id}",
        truth=f"True {'tag' if len(names) == 1 else 'tags'}: {wording.listed(names)}.",
        tags=tag_lists(
            example.classes,
            example.labels,
            {
                "Predicted on the clean clip": example.clean_scores,
                "Predicted on the perturbed clip": example.adversarial_scores,
            },
            task,
        ),
        pictures=pictures,
        sounds=heard,
    )


def tag_lists(
    classes: Sequence[str],
    labels: Bytes,
    scores_by_title: Mapping[str, Floats32],
    task: str,
    most: int = 4,
) -> list[TagList]:
    """The highest tags of each of some logits (K,), the true ones always among them."""
    lists = []
    for title, scores in scores_by_title.items():
        share = _probabilities(scores, task)
        order = np.argsort(-share, kind="stable")
        chosen = [k for place, k in enumerate(order) if place < most or labels[k]]
        rows = [
            Tag(
                classes[k],
                bool(labels[k]),
                wording.number(float(share[k]), 2),
                f"{100 * share[k]:.1f}",
            )
            for k in chosen
        ]
        lists.append(TagList(title, rows))
    return lists


def _probabilities(logits: Floats32, task: str) -> Floats:
    values = logits.astype(np.float64)
    if task == "single_label":
        powers = np.exp(values - values.max())
        return np.asarray(powers / powers.sum())
    return np.asarray(1 / (1 + np.exp(-values)))
