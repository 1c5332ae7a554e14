"""Multi-modal mixup: a batch source of clips mixed in pairs, guided by the class-wise metrics.

Zhang et al. 2018 ("mixup") with a lambda for each modality; who meets whom and how strongly comes
from a `Guide` [paper: the idea; choice: the rule], see docs/retraining.md.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from mmlib.batch import ALONE, Batch, Clips, LabelledBatch, Place, Rows, present
from mmlib.retraining.guide import Guide
from mmlib.retraining.pairs import Choice, Pairs, aligned_distances
from mmlib.runtime.arrays import Floats, Ints
from mmlib.runtime.seeds import derive


def draw_lambdas(
    rng: np.random.Generator, beta: Mapping[str, Floats], *, shared: bool
) -> dict[str, Floats]:
    """Draw each modality's lambda ~ Beta(a, a) for a batch; `beta` holds (B,) a per modality.

    `shared`: one lambda for all modalities, with the mean of their a.
    """
    if not shared:
        return {modality: rng.beta(a, a) for modality, a in beta.items()}
    mean = np.stack(list(beta.values())).mean(axis=0)
    return dict.fromkeys(beta, rng.beta(mean, mean))


def mix(
    first: LabelledBatch, second: LabelledBatch, lambdas: Mapping[str, torch.Tensor]
) -> LabelledBatch:
    """Mix two batches clip by clip: x_m = lambda_m x1_m + (1 - lambda_m) x2_m.

    Labels: y = sum_m w_m (lambda_m y1 + (1 - lambda_m) y2), w_m = 1 / modalities. A modality that
    one clip lacks is taken whole from the clip that has it (lambda 1 for that clip, in the label
    too), never mixed with zeros; one that both lack stays missing and has no part in the label.
    `lambdas`: modality -> (B,) in [0, 1]. [choice; docs/retraining.md]
    """
    inputs: Batch = {}
    weight = torch.zeros(len(first.clip_ids))
    share = torch.zeros_like(weight)
    for modality, drawn in lambdas.items():
        has_first, has_second = present(first.inputs, modality), present(second.inputs, modality)
        lam = torch.where(has_first & ~has_second, 1.0, drawn.to(torch.float32))
        lam = torch.where(has_second & ~has_first, 0.0, lam)
        one, two = first.inputs[modality], second.inputs[modality]
        inputs[modality] = torch.lerp(two, one, lam.view(-1, *[1] * (one.ndim - 1)))
        either = has_first | has_second
        inputs[f"{modality}_present"] = either
        weight += either
        share += either * lam
    plain = torch.stack(list(lambdas.values())).mean(0).to(torch.float32)
    anchor = torch.where(weight > 0, share / weight.clamp_min(1), plain)[:, None]
    labels = torch.lerp(second.labels, first.labels, anchor)
    ids = tuple(f"{a}+{b}" for a, b in zip(first.clip_ids, second.clip_ids, strict=True))
    return LabelledBatch(ids, inputs, labels)


class MixupBatches:
    """The batch source of a mixup run: epoch -> batches of mixed clips, for `training.fit`.

    Everything drawn depends on (seed, epoch, step) alone, so that a resumed run equals an
    uninterrupted one. An epoch has as many steps, and as many clips a step, as plain training.
    """

    def __init__(
        self,
        clips: Clips,
        guide: Guide | None,
        *,
        modalities: tuple[str, ...],
        batch_size: int,
        seed: int,
        anchors: Choice = "guided",
        partners: Choice = "guided",
        beta: float | None = None,
        shared_lambda: bool = False,
        place: Place = ALONE,
    ) -> None:
        """`guide` None: nothing guided. `beta`: one a for every class, in the guide's place.

        `place`: of several processes each draws all, and reads and mixes its own rows.
        """
        self.clips, self.modalities, self.seed, self.place = clips, modalities, seed, place
        self.batch_size = min(batch_size, len(clips.clip_ids))
        self.choices: dict[str, Choice] = {"anchors": anchors, "partners": partners}
        self.shared_lambda = shared_lambda
        distances = None
        if guide is not None:
            distances = aligned_distances(guide, clips.classes, clips.clip_ids, clips.labels)
        self.pairs = Pairs(clips.labels, guide, distances)
        one = np.full(len(clips.classes), 1.0 if beta is None else beta)
        self.beta = {m: guide.beta[m] if guide and beta is None else one for m in modalities}

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass over as many anchors as the split has clips."""
        return len(self.clips.clip_ids) // self.batch_size

    def __call__(self, epoch: int) -> Iterator[LabelledBatch]:
        """Yield the epoch's batches."""
        rng = np.random.default_rng(derive(self.seed, "mixup", epoch))
        order = rng.permutation(len(self.clips.clip_ids))
        for step in range(self.steps_per_epoch):
            turn = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield self.batch(np.random.default_rng(derive(self.seed, "mixup", epoch, step)), turn)

    def batch(self, rng: np.random.Generator, turn: Ints) -> LabelledBatch:
        """Draw one batch; `turn` (B,) are the clips that are anchors when no guide draws them."""
        size = turn.size
        anchors, classes = self.pairs.anchors(rng, size, self.choices["anchors"], turn)
        partners = self.pairs.partners(rng, classes, self.choices["partners"])
        a = {
            modality: np.where(classes >= 0, values[classes], values.mean())
            for modality, values in self.beta.items()
        }
        lambdas = draw_lambdas(rng, a, shared=self.shared_lambda)
        rows = Rows.of(size, self.place)
        pairs = np.concatenate([anchors[rows.slice], partners[rows.slice]])
        both, half = self.clips.gather(pairs, self.modalities), rows.stop - rows.start
        return mix(
            _part(both, slice(None, half)),
            _part(both, slice(half, None)),
            {m: torch.from_numpy(values[rows.slice]) for m, values in lambdas.items()},
        )


def _part(batch: LabelledBatch, rows: slice) -> LabelledBatch:
    inputs = {name: tensor[rows] for name, tensor in batch.inputs.items()}
    return LabelledBatch(batch.clip_ids[rows], inputs, batch.labels[rows])
