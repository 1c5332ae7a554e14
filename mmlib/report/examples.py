"""A few adversarial clips to see and hear: clean, perturbed, and the difference magnified."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from matplotlib import colormaps
from numpy.typing import NDArray

from mmlib.params import Mel
from mmlib.report import wording
from mmlib.report.data_uri import invert, png, wav

Floats = NDArray[np.float32]

PEAK = 0.7
# the ends of the red and blue scale are nearly black: stay short of them
MEL_REACH = 0.35


class Example(NamedTuple):
    """One stored adversarial clip.

    Arrays by modality, those that the clip has: audio (T, F), video (3, T, H, W), in [0, 1].
    """

    clip_id: str
    threat: str
    classes: Sequence[str]
    labels: NDArray[np.uint8]
    clean_scores: Floats
    adversarial_scores: Floats
    clean: Mapping[str, Floats]
    adversarial: Mapping[str, Floats]


class Picture(NamedTuple):
    """One `<img>`: its class in the style sheet, data URI, caption and alternative text."""

    kind: str
    source: str
    caption: str
    alt: str


class Sound(NamedTuple):
    """One `<audio>`: data URI and caption."""

    source: str
    caption: str


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
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"mmlib"])
    for row in table.to_pylist():
        yield Example(
            clip_id=row["clip_id"],
            threat=row["threat"],
            classes=about["classes"],
            labels=np.frombuffer(row["labels"], np.uint8),
            clean_scores=np.frombuffer(row["clean_scores"], np.float32),
            adversarial_scores=np.frombuffer(row["adversarial_scores"], np.float32),
            clean=_arrays(row, "clean", about["shapes"]),
            adversarial=_arrays(row, "adversarial", about["shapes"]),
        )


def _arrays(row: Mapping[str, Any], prefix: str, shapes: Mapping[str, Any]) -> dict[str, Floats]:
    found = {}
    for modality, shape in shapes.items():
        stored = row.get(f"{prefix}_{modality}")
        if stored is not None and row.get(f"{modality}_present", True):
            found[modality] = np.frombuffer(stored, np.float32).reshape(shape)
    return found


def card(example: Example, *, task: str, mel: Mel, seconds: float) -> Card:
    """Set one example for the page; `seconds` is the clip's length, for the captions."""
    names = [name for name, hit in zip(example.classes, example.labels, strict=True) if hit]
    pictures = []
    if "audio" in example.clean:
        pictures.append(_spectrograms(example, mel, seconds))
    if "video" in example.clean:
        pictures.append(_strips(example))
    return Card(
        title=f"Clip {example.clip_id}",
        truth=f"True {'tag' if len(names) == 1 else 'tags'}: {wording.listed(names)}.",
        tags=_tags(example, task),
        pictures=pictures,
        sounds=_sounds(example, mel),
    )


def _tags(example: Example, task: str, most: int = 4) -> list[TagList]:
    lists = []
    for title, scores in (
        ("Predicted on the clean clip", example.clean_scores),
        ("Predicted on the perturbed clip", example.adversarial_scores),
    ):
        share = _probabilities(scores, task)
        order = np.argsort(-share, kind="stable")
        chosen = [k for place, k in enumerate(order) if place < most or example.labels[k]]
        rows = [
            Tag(
                example.classes[k],
                bool(example.labels[k]),
                wording.number(float(share[k]), 2),
                f"{100 * share[k]:.1f}",
            )
            for k in chosen
        ]
        lists.append(TagList(title, rows))
    return lists


def _probabilities(logits: Floats, task: str) -> NDArray[np.float64]:
    values = logits.astype(np.float64)
    if task == "single_label":
        powers = np.exp(values - values.max())
        return np.asarray(powers / powers.sum())
    return np.asarray(1 / (1 + np.exp(-values)))


def _magnification(delta: Floats, reach: float) -> int:
    """The factor that lifts the largest change to `reach`, rounded down to one or two digits."""
    largest = float(np.abs(delta).max())
    if largest == 0:
        return 1
    factor = 1.0002 * reach / largest  # float32 rounds 0.02 up
    return max(1, int(factor) if factor < 10 else int(factor // 5 * 5))


def _spectrograms(example: Example, mel: Mel, seconds: float) -> list[Picture]:
    clean, adversarial = example.clean["audio"], example.adversarial["audio"]
    delta = adversarial - clean
    factor = _magnification(delta, MEL_REACH)
    axes = f"0 to {seconds:g} s, {mel.min_hz:g} to {mel.max_hz:g} Hz"
    loudest = float(np.abs(delta).max()) * mel.floor_db
    return [
        _mel_picture(colormaps["magma"](clean.T[::-1]), f"Sound, clean ({axes})"),
        _mel_picture(colormaps["magma"](adversarial.T[::-1]), "Sound, perturbed"),
        _mel_picture(
            colormaps["RdBu_r"](0.5 + factor * delta.T[::-1]),
            f"Difference × {factor}: at most {loudest:.1f} dB"
            if loudest
            else "No difference: not attacked",
        ),
    ]


def _mel_picture(rgba: NDArray[Any], caption: str) -> Picture:
    return Picture("mel", png(rgba[:, :, :3]), caption, f"Log-mel spectrogram. {caption}")


def _strips(example: Example, most: int = 4) -> list[Picture]:
    clean, adversarial = example.clean["video"], example.adversarial["video"]
    steps = np.unique(np.linspace(0, clean.shape[1] - 1, most).round().astype(int))
    delta = adversarial - clean
    factor = _magnification(delta, 0.5)
    largest = float(np.abs(delta).max()) * 255
    captions = (
        f"Picture, clean ({len(steps)} of {clean.shape[1]} frames)",
        "Picture, perturbed",
        f"Difference × {factor}: at most {largest:.1f} grey levels"
        if largest
        else "No difference: not attacked",
    )
    images = (clean, adversarial, 0.5 + factor * delta)
    return [
        Picture("frames", png(_strip(image[:, steps])), caption, f"Frames of the clip. {caption}")
        for image, caption in zip(images, captions, strict=True)
    ]


def _strip(frames: Floats) -> Floats:
    """(3, T, H, W) -> (H, T * (W + 1) - 1, 3), a dark line between frames."""
    padded = np.pad(frames, ((0, 0), (0, 0), (0, 0), (0, 1)))
    channels, steps, height, width = padded.shape
    return padded.transpose(2, 1, 3, 0).reshape(height, steps * width, channels)[:, :-1]


def _sounds(example: Example, mel: Mel) -> list[Sound]:
    if "audio" not in example.clean:
        return []
    clean = invert(example.clean["audio"], mel)
    gain = PEAK / max(float(np.abs(clean).max()), 1e-9)
    sounds = [Sound(wav(gain * clean, mel.sample_rate_hz), "Clean, rebuilt from its log-mel")]
    if not np.array_equal(example.clean["audio"], example.adversarial["audio"]):
        perturbed = gain * invert(example.adversarial["audio"], mel)
        sounds.append(Sound(wav(perturbed, mel.sample_rate_hz), "Perturbed, rebuilt likewise"))
    return sounds
