"""Runs on altered clips: each track is encoded once, and fused with the clean and the altered."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmlib.batch import Batch, to_device
from mmlib.evaluation.stress.clips import FULL_SCALE, Altered, Clips
from mmlib.evaluation.stress.conditions import Condition
from mmlib.features import LogMel
from mmlib.models import checkpoint
from mmlib.models.base import Model
from mmlib.params.shard import Mel
from mmlib.runtime.arrays import Bools, Bytes, Floats32, Ints16
from mmlib.threats import THREATS

Inputs = dict[str, Tensor]
"""`log_mel`, `waveform` and `frames`: what some run reads of some clips."""


@dataclass(frozen=True, eq=False)
class Nets:
    """The runs' models in eval mode on one device, and the front end of those that hear log-mel."""

    models: Mapping[str, Model]
    log_mel: LogMel
    device: torch.device

    @classmethod
    def load(cls, folder: Path, runs: tuple[str, ...], mel: Mel, device: torch.device) -> "Nets":
        """Load the checkpoints of the runs; UserError as `checkpoint.load`."""
        models = {run: checkpoint.load(folder / run, device)[0] for run in runs}
        return cls(models, LogMel(mel).to(device), device)

    def on(self, clips: Clips) -> "Heard":
        """The runs on these clips."""
        return Heard(self, clips)

    def inputs(self, pcm: Ints16 | None, frames: Bytes | None) -> Inputs:
        """What the runs read, as the loader gives it: the log-mel rounded to float16."""
        found: Inputs = {}
        if pcm is not None:
            waveform = torch.from_numpy(pcm.astype(np.float32) / FULL_SCALE).to(self.device)
            if any(model.waveform for model in self._listening):
                found["waveform"] = waveform
            if not all(model.waveform for model in self._listening):
                found["log_mel"] = self.log_mel(waveform).half().float()
        if frames is not None and any("video" in m.modalities for m in self.models.values()):
            pictures = torch.from_numpy(frames).to(self.device) / 255.0
            found["frames"] = pictures.permute(0, 4, 1, 2, 3)
        return found

    @property
    def _listening(self) -> list[Model]:
        return [model for model in self.models.values() if "audio" in model.modalities]


class Heard:
    """The runs on some clips; what they make of the clean tracks is kept."""

    def __init__(self, nets: Nets, clips: Clips) -> None:
        self.nets, self.clips = nets, clips
        with torch.inference_mode():
            inputs = nets.inputs(clips.pcm, clips.frames)
            self.clean = {
                run: {name: self._encode(model, name, inputs) for name in model.modalities}
                for run, model in nets.models.items()
            }

    def clean_scores(self) -> dict[str, Floats32]:
        """Logits (B, K) of every run on the clips as they are."""
        with torch.inference_mode():
            return {
                run: _numbers(self.nets.models[run].classify(encoded))
                for run, encoded in self.clean.items()
            }

    def scores(self, altered: Altered) -> Iterator[tuple[str, str, Floats32]]:
        """Run, threat and logits (B, K): each changed track alone, then both."""
        with torch.inference_mode():
            inputs = self.nets.inputs(altered.pcm, altered.frames)
            for run, model in self.nets.models.items():
                yield from self._run(run, model, altered, inputs)

    def _run(
        self, run: str, model: Model, altered: Altered, inputs: Inputs
    ) -> Iterator[tuple[str, str, Floats32]]:
        condition: Condition = altered.condition
        there = [name for name in condition.modalities if name in model.modalities]
        absent = np.zeros(len(self.clips), np.bool_) if altered.dropped else None
        encoded = {name: self._encode(model, name, inputs, absent) for name in there}
        if altered.dropped and len(there) == len(model.modalities):
            # Nothing is left to tell clips apart: one answer for all, to the last bit.
            alone = _numbers(model.classify({name: one[:1] for name, one in encoded.items()}))
            (threat,) = condition.threats(model.modalities)
            yield run, threat, np.repeat(alone, len(self.clips), axis=0)
            return
        for threat in condition.threats(model.modalities):
            chosen = {name: encoded[name] for name in THREATS[threat]}
            yield run, threat, _numbers(model.classify({**self.clean[run], **chosen}))

    def _encode(
        self, model: Model, modality: str, inputs: Inputs, present: Bools | None = None
    ) -> Tensor:
        """What a run makes of one modality; of clips that lack it what stands for it."""
        mask = self.clips.present[modality] if present is None else present
        part: Batch = {modality: self._read(model, modality, inputs)}
        if not mask.all():
            part[f"{modality}_present"] = torch.from_numpy(mask)
        return model.encode_one(modality, to_device(part, self.nets.device))

    def _read(self, model: Model, modality: str, inputs: Inputs) -> Tensor:
        sound = "waveform" if model.waveform else "log_mel"
        kept = sound if modality == "audio" else "frames"
        if kept in inputs:
            return inputs[kept]
        # A track that is taken away is not read; what stands for it has its shape.
        return self.nets.inputs(self.clips.pcm, self.clips.frames)[kept]


def _numbers(logits: Tensor) -> Floats32:
    found: Floats32 = logits.float().cpu().numpy()
    return found
