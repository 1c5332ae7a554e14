"""The features that attacks on time and on alignment work on, of the pipeline's nets and users'."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmlib.attacks.methods.guided import Featured
from mmlib.batch import Batch, present
from mmlib.models.base import Model
from mmlib.models.cnn14 import Cnn14
from mmlib.models.csn import Csn
from mmlib.models.r2plus1d import R2plus1d

Encode = Callable[[Batch], Mapping[str, Tensor]]
"""A batch -> what each encoder makes of it, as `Model.classify` reads it."""

_JOINT = "fused"
"""The name of the one encoder of both modalities, in early fusion."""


@dataclass(frozen=True)
class Features:
    """What a model shows of its clips, each None where it has no such features.

    `timed` as `along_time` gives it, `paired` as `side_by_side` does, where the two compare.
    """

    timed: Featured | None
    paired: Featured | None

    def of(self, method: str) -> Featured | None:
        """What the method, one of `params.attacks.GUIDED`, works on."""
        return self.paired if method == "misalign" else self.timed


def shown(model: Model, encode: Encode, batch: Batch, attacked: Collection[str]) -> Features:
    """The features of a batch, as `frozen.cached_encoders` gives it and `encode`."""
    paired = side_by_side(model, encode)
    if paired is not None and not comparable(paired, batch):
        paired = None
    return Features(along_time(model, encode, attacked), paired)


def along_time(model: Model, encode: Encode, attacked: Collection[str]) -> Featured | None:
    """The deepest maps of the attacked encoders that have steps in time, (B, T, ...), and logits.

    None where no attacked encoder is a net whose layers are known: a user's own.
    """
    known = {
        name: found
        for name, encoder in model.encoders.items()
        if name in (*attacked, _JOINT) and (found := _layers(encoder)) is not None
    }
    if not known:
        return None

    def featured(inputs: Batch) -> tuple[Mapping[str, Tensor], Tensor]:
        seen: dict[str, list[Tensor]] = {name: [] for name in known}
        hooks = [
            hook
            for name, (layers, axis) in known.items()
            for hook in _watch(layers, axis, seen[name])
        ]
        try:
            logits = model.classify(encode(inputs))
        finally:
            for hook in hooks:
                hook.remove()
        maps = {name: _deepest(found) for name, found in seen.items()}
        moving = {name: each for name, each in maps.items() if each is not None}
        clips = len(logits)
        if not moving:
            return {"none": logits.new_zeros(clips, 1)}, logits
        return {name: _of_all(name, each, inputs, clips) for name, each in moving.items()}, logits

    return featured


def _layers(encoder: nn.Module) -> tuple[Sequence[nn.Module], int] | None:
    """The layers of a net whose outputs have a time axis, and which one that is."""
    if isinstance(encoder, R2plus1d):
        return list(encoder.layers), 1
    if isinstance(encoder, Csn):
        return list(encoder.blocks), 1
    if isinstance(encoder, Cnn14):
        return list(encoder.blocks), 2
    return None


def _watch(layers: Sequence[nn.Module], axis: int, seen: list[Tensor]) -> Sequence[RemovableHandle]:
    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        seen.append(output.movedim(axis, 1))

    return [layer.register_forward_hook(keep) for layer in layers]


def _deepest(seen: Sequence[Tensor]) -> Tensor | None:
    return next((each for each in reversed(seen) if each.shape[1] > 1), None)


def _of_all(name: str, found: Tensor, inputs: Batch, clips: int) -> Tensor:
    """Rows of zeros for the clips that lack the modality, which no encoder has seen."""
    if len(found) == clips:
        return found
    mask = present(inputs, name)
    return found.new_zeros(clips, *found.shape[1:]).index_put((mask,), found)


def side_by_side(model: Model, encode: Encode) -> Featured | None:
    """One vector of each modality, (B, D), both in one space, and logits.

    The space is that of the penultimate vector: a modality's is what the fusion makes of it where
    the learnt vector for what is missing stands for the other [choice], so that nets whose encoders
    differ in size have it too. For a user's net that splits: the outputs of its `encode`, where
    they have one shape. None for anything else, and for a single modality.
    """
    if len(model.modalities) < 2 or (model.foreign and not getattr(model, "splits", False)):
        return None

    def featured(inputs: Batch) -> tuple[Mapping[str, Tensor], Tensor]:
        found = encode(inputs)
        vectors = found if model.foreign else {name: _alone(model, name, found) for name in found}
        return vectors, model.classify(found)

    return featured


def _alone(model: Model, name: str, found: Mapping[str, Tensor]) -> Tensor:
    """What the fusion makes of one modality beside what stands for a missing other one."""
    clips = len(found[name])
    others = {
        other: model.missing[other].expand(clips, *model.shapes[other])
        for other in model.modalities
        if other != name
    }
    return model.fuse({**others, name: found[name]})


def comparable(featured: Featured, batch: Batch) -> bool:
    """Whether the features of a batch are of one shape, two axes each."""
    with torch.no_grad():
        shapes = {tuple(each.shape) for each in featured(batch)[0].values()}
    return len(shapes) == 1 and len(next(iter(shapes))) == 2
