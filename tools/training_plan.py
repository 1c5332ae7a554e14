"""What training the runs of params.yaml would take: steps, clips and time, at this device's pace.

The pace is measured: a few training steps of every net in question, at its size and on clips of the
size that the shards will have, of noise.
"""

import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from mmlib.batch import Batch, to_device
from mmlib.models import devices
from mmlib.models.base import Model
from mmlib.models.build import build
from mmlib.params.retraining import AdversarialRun, RetrainBase
from mmlib.params.training import TrainRun
from mmlib.params.whole.file import Params
from mmlib.training.assessment import MOST_ASSESSED
from mmlib.training.average import WeightAverage
from mmlib.training.drawing import pace
from mmlib.training.optimiser import adamw

CPU_BATCH = 2
"""Clips a measured step on a CPU, which is as fast a clip with few as with many."""
FORWARD = 1 / 3
"""What a pass forward takes of a training pass: the backward one computes twice as much."""


class Net(NamedTuple):
    """Seconds a clip of training steps, and how many clips a step was measured with."""

    seconds: float
    batch: int


@dataclass(frozen=True)
class Planned:
    """One run: its steps, the clips it learns from, and what it takes in time on one device."""

    name: str
    steps: int
    clips: int
    seconds: float


def measure_nets(params: Params, classes: int, steps: int) -> dict[str, Net]:
    """Train each net that a run has for so many steps, on the device at hand: name -> its pace."""
    device = devices.select()
    found = {}
    for name, (modality, batch) in sorted(_nets(params).items()):
        model = _alone(params, name, modality, classes).to(device)
        found[name] = _pace(model, batch if device.type == "cuda" else CPU_BATCH, steps, device)
    return found


def device_name() -> str:
    """The device at hand in words."""
    device = devices.select()
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"this CPU ({platform.machine()}, threads: {torch.get_num_threads()})"


def on_gpu() -> bool:
    """Whether the pace is a GPU's."""
    return devices.select().type == "cuda"


def runs(params: Params, train: int, val: int, nets: Mapping[str, Net]) -> Iterator[Planned]:
    """Plan the rows of train, the heads of blend's guides, and the rows of retrain.

    `train`, `val`: the usable clips of the splits.
    """
    for name, row in params.train.items():
        yield _planned(name, row, row, params, (train, val), nets)
    for name, guide in params.blend.guides.items():
        row = params.train[guide.init]
        yield _planned(f"{name} (guide)", row, row, params, (train, val), nets)
    for name, again in params.retrain.items():
        yield _planned(name, again, params.train[again.init], params, (train, val), nets)


def _planned(
    name: str,
    row: TrainRun | RetrainBase,
    made: TrainRun,
    params: Params,
    counts: tuple[int, int],
    nets: Mapping[str, Net],
) -> Planned:
    train, val = counts
    steps, together = pace(train, row.batch_size, params.batches)
    clips = row.epochs * steps * together * min(row.batch_size, max(1, train))
    attacks = 0.0
    if isinstance(row, AdversarialRun):
        attacks = row.adversarial_share * (row.steps if row.attack == "pgd" else 1)
    assessed = row.epochs * 2 * min(val, train, MOST_ASSESSED)
    passes = clips * (1 + attacks) + assessed * FORWARD
    each = sum(nets[net].seconds for net in (made.audio, made.video) if net)
    return Planned(name, row.epochs * steps, clips, passes * each)


def _nets(params: Params) -> dict[str, tuple[str, int]]:
    """The nets that runs have: name -> modality, and the largest batch that one is given."""
    found: dict[str, tuple[str, int]] = {}
    for row in params.train.values():
        for modality in row.modalities:
            name = getattr(row, modality)
            found[name] = modality, max(row.batch_size, found.get(name, ("", 0))[1])
    return found


def _alone(params: Params, name: str, modality: str, classes: int) -> Model:
    """A net at its size, with the inputs that the shards will have."""
    mel, video = params.shard.mel, params.shard.video
    sizes: dict[str, Any] = {"audio": None, "video": None, "fusion": None, "heads": False}
    sizes[modality] = {"name": name, **getattr(params.model, name).model_dump(mode="json")}
    inputs = {
        "audio": {"frames": mel.frames, "bands": mel.bands},
        "video": {"frames": video.frames, "height": video.size, "width": video.size},
    }
    for held, numbers in (("audio", mel.bands), ("video", 3)):
        inputs[held] |= {"mean": [0.5] * numbers, "std": [0.25] * numbers}  # type: ignore[dict-item]
    return build(sizes, classes, inputs)


def _pace(model: Model, batch: int, steps: int, device: torch.device) -> Net:
    """The fastest of some steps; half the clips, again and again, where memory is too small."""
    try:
        return Net(min(_steps(model, batch, steps, device)) / batch, batch)
    except torch.cuda.OutOfMemoryError:
        if batch == 1:
            raise
    torch.cuda.empty_cache()
    return _pace(model, batch // 2, steps, device)


def _steps(model: Model, batch: int, steps: int, device: torch.device) -> Iterator[float]:
    """Seconds of each training step: copy, forward, backward, optimiser and average.

    On a GPU one more goes first, which chooses kernels.
    """
    inputs, labels = _noise(model, batch)
    optimiser, average = adamw(model.train(), 1e-4), WeightAverage(model, 0.999)
    first = 1 if device.type == "cuda" else 0
    for number in range(first + steps):
        begin = _now(device)
        with devices.training_precision(device):
            logits = model(to_device(inputs, device))
        loss = binary_cross_entropy_with_logits(logits.float(), labels.to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        average.update(number)
        if number >= first:
            yield _now(device) - begin


def _noise(model: Model, count: int) -> tuple[Batch, torch.Tensor]:
    """Clips as shards give them, and labels: noise."""
    generator = torch.Generator().manual_seed(0)
    batch: Batch = {}
    for name, shape in model.description["inputs"].items():
        if name == "audio":
            batch[name] = torch.rand(count, shape["frames"], shape["bands"], generator=generator)
        else:
            sides = shape["frames"], shape["height"], shape["width"], 3
            pixels = torch.randint(256, (count, *sides), dtype=torch.uint8, generator=generator)
            batch[name] = pixels.permute(0, 4, 1, 2, 3)
    classes = model.head.out_features
    return batch, torch.rand(count, classes, generator=generator).round()


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
