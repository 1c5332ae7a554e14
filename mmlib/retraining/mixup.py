"""Multi-modal mixup: a batch source of clips mixed in pairs, guided by the class-wise metrics.

Zhang et al. 2018 ("mixup") with a lambda for each modality; who meets whom and how strongly comes
from a `Guide` [paper: the idea; choice: the rule], see docs/retraining.md.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch

from mmlib.batch import ALONE, Clips, LabelledBatch, Place, Rows, to_device
from mmlib.params.training import OFF, Batches
from mmlib.retraining.guide import Guide
from mmlib.retraining.pairs import Choice, Pairs, aligned_distances
from mmlib.runtime.ahead import ahead
from mmlib.runtime.arrays import Floats, Ints
from mmlib.runtime.seeds import derive
from mmlib.training.drawing import pace
from mmlib.training.mixing import mix, rows_of


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


class MixupBatches:
    """The batch source of a mixup run: epoch -> batches of mixed clips, for `training.fit`.

    Everything drawn depends on (seed, epoch, step) alone, so that a resumed run equals an
    uninterrupted one. An epoch has as many batches, and as many clips in each, as plain training.
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
        settings: Batches = OFF,
    ) -> None:
        """`guide` None: nothing guided. `beta`: one a for every class, in the guide's place.

        `place`: of several processes each draws all, and reads and mixes its own rows. `settings`
        say how long an epoch is; what they say of sampling and mixing is the guide's to say here.
        """
        self.clips, self.modalities, self.seed, self.place = clips, modalities, seed, place
        self.batch_size, self.settings = min(batch_size, len(clips.clip_ids)), settings
        self.choices: dict[str, Choice] = {"anchors": anchors, "partners": partners}
        self.shared_lambda = shared_lambda
        distances = None
        if guide is not None:
            distances = aligned_distances(guide, clips.classes, clips.clip_ids, clips.labels)
        self.pairs = Pairs(clips.labels, guide, distances)
        one = np.full(len(clips.classes), 1.0 if beta is None else beta)
        self.beta = {m: guide.beta[m] if guide and beta is None else one for m in modalities}

    @property
    def batches_per_epoch(self) -> int:
        """By default those of one pass over as many anchors as the split has clips."""
        return math.prod(pace(len(self.clips.clip_ids), self.batch_size, self.settings))

    def __call__(self, epoch: int) -> Iterator[LabelledBatch]:
        """Yield the epoch's batches; the next one is read and mixed meanwhile."""

        def drawn(step: int, turn: Ints) -> LabelledBatch:
            rng = np.random.default_rng(derive(self.seed, "mixup", epoch, step))
            return self.batch(rng, turn)

        return ahead(lambda one: drawn(*one), enumerate(self._turns(epoch)), 1)

    def _turns(self, epoch: int) -> Iterator[Ints]:
        """The clips of each batch when each is an anchor once a pass."""
        clips, size = len(self.clips.clip_ids), self.batch_size
        rng = np.random.default_rng(derive(self.seed, "mixup", epoch))
        order = np.empty(0, np.intp)
        for number in range(self.batches_per_epoch):
            place = number % (clips // size)
            if place == 0:
                order = rng.permutation(clips)
            yield order[place * size : (place + 1) * size]

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
        read, half = self.clips.gather(pairs, self.modalities), rows.stop - rows.start
        both = read._replace(inputs=to_device(read.inputs, "cpu"))
        return mix(
            rows_of(both, slice(half)),
            rows_of(both, slice(half, None)),
            {m: torch.from_numpy(values[rows.slice]) for m, values in lambdas.items()},
        )
