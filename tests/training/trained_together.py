"""Training in one process and in several from one beginning; `python -m` writes what came of it."""

import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from mmlib.attacks.core.threat import build_threat
from mmlib.batch import LabelledBatch, Rows
from mmlib.models import ranks
from mmlib.models.base import Model
from mmlib.models.build import build
from mmlib.params.retraining import Guard
from mmlib.params.training import Augment, Batches, Optimiser
from mmlib.retraining.adversarial import AdversarialObjective
from mmlib.retraining.guide import Guide
from mmlib.retraining.mixup import MixupBatches
from mmlib.runtime.scratch import Scratch
from mmlib.shards.read.loader import ShardSet
from mmlib.training.drawing import PlainBatches
from mmlib.training.history import History
from mmlib.training.loop import fit
from mmlib.training.mixing import Drawn
from mmlib.training.objectives import BlendedObjective, Objective, plain
from mmlib.training.settings import TrainSettings
from tests.memory_clips import MemoryClips
from tests.models.examples import SMALL_CNN14, describe, manifest, small
from tests.training.together import together

BATCH, STEPS = 14, 2
"""By two processes 7 and 7, by three 4, 5 and 5, by four 3, 4, 3 and 4."""
COUNTS = {"plain": (1, 2, 4), "missing": (1, 2, 4), "blended": (1, 2, 4)}
"""Of other ways 1 and 3."""
AUGMENT = Augment(audio_shift=0.1, video_shift=0.1, flip=True, band_mask=0.1, time_mask=0.1)
OPTIMISER = Optimiser(weight_decay=0.01, warmup_share=0.1, clip_norm=0.5, ema_decay=0.5)
GUARD = Guard(every=1, clips=5, steps=2, ratio=1.0, rise=1.0)
"""Trips at the second probe."""
HEADS = {"A": 0.3, "V": 0.3, "AV": 0.4}


class SomeClips(MemoryClips):
    """Clips of which every so many-th has sound, and as many lack a picture."""

    def __init__(self, count: int, seed: int = 0, *, every: int = 1) -> None:
        super().__init__(count, seed=seed)
        place = torch.arange(count)
        self.present = {
            "audio": place % every == 0,
            "video": (place + 1) % every > 0 if every > 1 else place >= 0,
        }

    def gather(
        self, indices: Any, modalities: tuple[str, ...] = ("audio", "video")
    ) -> LabelledBatch:
        """As of any split; what a clip lacks is zeros."""
        batch = super().gather(indices, modalities)
        for name in modalities:
            held = self.present[name][torch.from_numpy(indices)]
            batch.inputs[name] *= held.view(-1, *[1] * (batch.inputs[name].ndim - 1))
            batch.inputs[f"{name}_present"] = held
        return batch

    def read(
        self, batches: Iterable[Any], modalities: tuple[str, ...], *, pinned: bool
    ) -> Iterator[LabelledBatch]:
        """As `ShardSet.read`."""
        return (self.gather(places, modalities) for places in batches)


def shuffled(clips: SomeClips, model: Model) -> Callable[[int], Iterator[LabelledBatch]]:
    """As `ShardSet.batches`: this process's rows of each batch."""

    def batches(epoch: int) -> Iterator[LabelledBatch]:
        order = np.random.default_rng([7, epoch]).permutation(len(clips))
        for start in range(0, len(order), BATCH):
            whole = order[start : start + BATCH]
            yield clips.gather(whole[Rows.of(len(whole), ranks.place()).slice], model.modalities)

    return batches


def mixed(clips: SomeClips, model: Model) -> MixupBatches:
    """Guided mixup."""
    guide = Guide(
        classes=tuple(clips.classes),
        class_weight=np.full(5, 0.2),
        beta={"audio": np.linspace(1, 2, 5), "video": np.ones(5)},
        temperature=1.0,
        same_class_share=np.full(5, 0.5),
        distances={
            name: (1.0,) * int(row.sum())
            for name, row in zip(clips.clip_ids, clips.labels, strict=True)
        },
    )
    return MixupBatches(
        clips, guide, modalities=model.modalities, batch_size=BATCH, seed=3, place=ranks.place()
    )


def drawn(clips: SomeClips, model: Model) -> PlainBatches:
    """As the recipe draws them."""
    split = cast(ShardSet, clips)
    return PlainBatches(split, model.modalities, BATCH, RECIPE, 3, ranks.place())


Source = Callable[[int], Iterator[Drawn]]
SOURCES: dict[str, Callable[[SomeClips, Model], Source]] = {"mixup": mixed, "recipe": drawn}


def attacked(objective: Objective, attack: Any) -> AdversarialObjective:
    threat = build_threat(
        {"audio": 0.02, "video": 0.02}, "linf", {"audio": (36, 32), "video": (3, 4, 16, 16)}
    )
    return AdversarialObjective(
        objective, threat, loss="bce", attack=attack, steps=2, share=0.6, guard=GUARD
    )


def cnn14() -> Model:
    return build(describe(SMALL_CNN14), 5, manifest())


RECIPE = Batches(sampling="balanced", accumulation=STEPS, epoch_steps=1, mixup_share=0.5)
"""Of the way "recipe": all batches of an epoch make one step."""
SINGLE = " in float32"
EPOCHS = {"missing": 2, "fgsm_rs": 2, "blended": 3}
"""More than one where the next epoch depends on the history; online weights follow from two."""
Way = tuple[Callable[[], Model], Callable[[], Objective], int]
WAYS: dict[str, Way] = {
    "plain": (small, lambda: plain("multi_label"), 1),
    "cnn14": (cnn14, lambda: plain("multi_label"), 2),
    "missing": (small, lambda: plain("multi_label"), 9),
    "recipe": (small, lambda: plain("multi_label"), 3),
    "early": (lambda: small("early"), lambda: plain("multi_label"), 3),
    "blended": (
        lambda: small("gated", heads=True),
        lambda: BlendedObjective(HEADS, "multi_label", 1),
        3,
    ),
    "mixup": (small, lambda: plain("multi_label"), 3),
    "pgd": (small, lambda: attacked(plain("multi_label"), "pgd"), 3),
    "fgsm_rs": (small, lambda: attacked(plain("multi_label"), "fgsm_rs"), 3),
}


def train(way: str, folder: Path, *, stop: int | None = None) -> tuple[Model, History]:
    """Train by one of WAYS, in float64 unless it says so; `stop`: raise before that epoch."""
    begin, choose, every = WAYS[way.removesuffix(SINGLE)]
    model, objective = begin(), choose()
    if not way.endswith(SINGLE):
        model.double()  # what is normalised by numbers in float64 is in float64
    epochs = EPOCHS.get(way.removesuffix(SINGLE), 1)
    clips, val = SomeClips(30, every=every), SomeClips(22, 1)
    accumulation = RECIPE.accumulation if way == "recipe" else 1

    def on_epoch(history: History) -> dict[str, float]:
        if len(history.rows) == stop:
            raise InterruptedError
        found: dict[str, float] = getattr(objective, "begin_epoch", lambda _: {})(history)
        return found

    history = fit(
        model,
        settings=TrainSettings(epochs, BATCH, 1e-3, OPTIMISER, AUGMENT, accumulation),
        batches=SOURCES.get(way, shuffled)(clips, model),
        steps_per_epoch=STEPS // accumulation,
        train=clips,
        val=val,
        objective=objective,
        scratch=Scratch("train", way, folder),
        seed=1,
        device=torch.device("cpu"),
        label=way,
        on_epoch=on_epoch,
    )
    return model, history


def resumed(first: int, then: int, folder: Path) -> Any:
    """Train one epoch in `first` processes, and the second in `then`."""

    def begin() -> None:
        with suppress(InterruptedError):
            train("missing", folder, stop=1)

    together(first, begin)
    return together(then, lambda: told(*train("missing", folder)))[0]


def told(model: Model, history: History) -> dict[str, Any]:
    """What a run leaves behind, but for its seconds."""
    costs = history.costs.as_dict()
    del costs["seconds"]
    return {"weights": model.state_dict(), "rows": history.rows, "costs": costs}


def apart(one: Any, other: Any) -> float:
    """The largest difference of two runs' weights."""
    pairs = zip(one["weights"].values(), other["weights"].values(), strict=True)
    return max(float((a.double() - b.double()).abs().max()) for a, b in pairs)


def scattered(one: Any, other: Any) -> float:
    """The root mean square of the differences of two runs' weights."""
    pairs = zip(one["weights"].values(), other["weights"].values(), strict=True)
    each = torch.cat([(a.double() - b.double()).flatten() for a, b in pairs])
    return float(each.square().mean().sqrt())


def compare(way: str) -> dict[str, Any]:
    """Train by one of WAYS in one process and in several; how far from the first they end."""
    runs = []
    for count in COUNTS.get(way, (1, 3)):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(together(count, partial(_trained, way, Path(folder))))
    one = runs[0][0]
    others = [run[0] for run in runs[1:]]
    columns = [
        abs(value - other["rows"][-1][name])
        for other in others
        for name, value in one["rows"][-1].items()
        if not math.isnan(value)
    ]
    return {
        "moved": scattered(one, {"weights": WAYS[way.removesuffix(SINGLE)][0]().state_dict()}),
        "apart": max(apart(one, other) for other in others),
        "scattered": max(scattered(one, other) for other in others),
        "within": max(apart(run[0], each) for run in runs for each in run),
        "columns": max(columns),
        "costs": [run[0]["costs"] for run in runs],
        "last": one["rows"][-1],
    }


def _trained(way: str, folder: Path) -> dict[str, Any]:
    return told(*train(way, folder))


def resuming() -> dict[str, float]:
    """How far runs that went on under another number of processes are from one that did not."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = together(1, partial(_trained, "missing", folder / "whole"))[0]
        for first, then in ((2, 2), (1, 3), (3, 1)):
            end = resumed(first, then, folder / f"{first}-{then}")
            found[f"{first}-{then}"] = apart(whole, end)
            if first == then:
                again = together(first, partial(_trained, "missing", folder / "again"))[0]
                found["again"] = apart(end, again)
    return found


def main(out: Path, *names: str) -> None:
    """Write what came of the ways of these names, and of resuming."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    found = {name: resuming() if name == "resuming" else compare(name) for name in names}
    out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
