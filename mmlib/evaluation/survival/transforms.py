"""Everything that a clip may go through, by the same door: codecs, the pipeline's own, a user's."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor

from mmlib.attacks.core.expectation import Change, straight_through
from mmlib.batch import Batch, to_device
from mmlib.evaluation.survival.canvas import Canvas
from mmlib.evaluation.survival.chain import Chain, Quality
from mmlib.evaluation.survival.gains import BANDS, measured, weighed
from mmlib.evaluation.survival.signals import SIGNALS, Signal
from mmlib.models.factory import function_in
from mmlib.models.users_code import contained, users_code
from mmlib.params.survival import RANGES, AnyTransform, Own, Plain
from mmlib.runtime.errors import UserError

_NUMPY_SEEDS = 2**32
_CONTAINERS = {"h264_aac": "mp4", "vp9_opus": "webm"}


@dataclass(frozen=True)
class Condition:
    """One thing that clips go through: a codec at a quality, or a transform at a level.

    `kind` and `level` name it; `quality` is None for what is no codec, and then `change` makes of
    clips (B, ...) of `modality`, with a seed each, what is heard or seen.
    """

    kind: str
    level: str
    quality: Quality | None = None
    modality: str = ""
    change: Callable[[Tensor, Sequence[int]], Tensor] | None = None

    def changed(self, batch: Batch, seeds: Sequence[int]) -> Batch:
        """Points before any encoding, such as `Canvas.inputs`, through what is no codec."""
        if self.change is None or self.modality not in batch:
            return batch
        return {**batch, self.modality: self.change(batch[self.modality], seeds)}


@dataclass(frozen=True, eq=False)
class Faced:
    """A condition that an attack is to survive; a `Transform` of its expectation.

    `clean` is what the attack starts from, `Canvas.inputs`; without it what a codec does is passed
    straight through, with it at its measured gains (see `gains`).
    """

    condition: Condition
    canvas: Canvas
    chain: Chain
    clean: Batch | None = None

    def draw(self, batch: Batch, seeds: Sequence[int]) -> Change:
        """Encode the points, whose residual the change adds; or draw a transform of signals."""
        if self.condition.quality is None:
            return lambda points: self.chain.front(self.condition.changed(points, seeds))
        smooth, coded = self.chain.front(batch), self._coded(batch, self.condition.quality)
        passes = {name: self._pass(name, smooth[name], coded[name]) for name in self.chain.reads}

        def change(points: Batch) -> Batch:
            seen = self.chain.front(points)
            return {**seen, **{name: one(seen[name]) for name, one in passes.items()}}

        return change

    def _pass(self, name: str, smooth: Tensor, coded: Tensor) -> Callable[[Tensor], Tensor]:
        if self.clean is None:
            return straight_through(smooth, coded)
        before, after = self._untouched
        gains = measured(BANDS[name], smooth - before[name], coded - after[name])
        return lambda seen: coded + weighed(BANDS[name], seen - smooth, gains)

    def _coded(self, batch: Batch, quality: Quality) -> Batch:
        pcm, frames = self.canvas.written(batch)
        found = self.chain.through(self.canvas, pcm, frames, quality)
        return to_device(found, next(iter(batch.values())).device)

    @cached_property
    def _untouched(self) -> tuple[Batch, Batch]:
        """The clean clips before and after the codec."""
        assert self.clean is not None
        assert self.condition.quality is not None
        coded = self._coded(self.clean, self.condition.quality)
        return self.chain.front(self.clean), coded


def conditions(
    transforms: Sequence[AnyTransform], reads: Sequence[str], code: Path, rate_hz: int
) -> list[Condition]:
    """All that params list, level by level, but for what changes nothing that a run reads.

    UserError for a function that `code` does not hold.
    """
    return [
        condition
        for each in transforms
        for condition in _of(each, code, rate_hz)
        if condition.quality is not None or condition.modality in reads
    ]


def _of(transform: AnyTransform, code: Path, rate_hz: int) -> Iterator[Condition]:
    if isinstance(transform, Plain):
        modality, signal = SIGNALS[transform.kind]
        for level in transform.levels:
            yield Condition(
                transform.kind,
                f"{level:g} {RANGES[transform.kind][2]}",
                modality=modality,
                change=partial(_at, signal, level, rate_hz),
            )
    elif isinstance(transform, Own):
        for level in transform.levels:
            own = UsersTransform(code, transform, level)
            yield Condition(transform.function, f"{level:g}", None, transform.modality, own)
    else:
        picture, sound = transform.kind.upper().split("_")
        for crf, kbps in transform.values:
            yield Condition(
                transform.kind,
                f"{picture} CRF {crf}, {sound} {kbps} kbit/s",
                Quality(_CONTAINERS[transform.kind], crf, kbps),
            )


def _at(signal: Signal, level: float, rate_hz: int, clips: Tensor, seeds: Sequence[int]) -> Tensor:
    return signal(clips, level, seeds, rate_hz)


class UsersTransform:
    """A function of a user's file: function(x, level) -> x, for one clip at a time.

    `x` is (N,) sound in [-1, 1] or (3, T, S, S) pictures in [0, 1], of any T. It may draw from
    torch, numpy or random, which are seeded. One without a gradient is passed straight through.
    """

    def __init__(self, code: Path, own: Own, level: float) -> None:
        self.name, self.level = f"{code}:{own.function}", level
        self.differentiable = own.differentiable
        self.function = function_in(code, own.function, "survival.trial.code")

    def __call__(self, clips: Tensor, seeds: Sequence[int]) -> Tensor:
        """The clips (B, ...), changed."""
        return torch.stack([self._one(x, seed) for x, seed in zip(clips, seeds, strict=True)])

    def _one(self, x: Tensor, seed: int) -> Tensor:
        follows = self.differentiable and torch.is_grad_enabled()
        given = x if follows else x.detach()
        with contained(seed % _NUMPY_SEEDS), users_code(self.name), torch.set_grad_enabled(follows):
            found = self.function(given, self.level)
        if not isinstance(found, Tensor) or found.shape != x.shape:
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise UserError(f"{self.name} must give a tensor {tuple(x.shape)}, not {got}")
        if not bool(torch.isfinite(found).all()):
            raise UserError(f"{self.name} gives NaN or infinity")
        found = found.to(x).clamp(-1.0 if x.ndim == 1 else 0.0, 1.0)
        if not self.differentiable:
            return straight_through(given, found)(x)
        if x.requires_grad and not found.requires_grad:
            raise UserError(f"{self.name} has no gradient: set differentiable to false")
        return found
