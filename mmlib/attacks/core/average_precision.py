"""A loss for what is scored: the average precision of a whole set, as one clip's damage to it."""

import torch
from torch import Tensor

WIDE, NARROW = 0.7, 0.02
"""Widths of the soft ranks in the first and the last round, in standard deviations [choice].

On a demo of 12 classes, from wide to narrow takes mAP to 0.391 in 30 steps, where one width of 0.3
needs 60 for 0.411 (run mid, audio attacked with eps 0.003, clean 0.745).
"""


def width_of_round(number: int, rounds: int) -> float:
    """The width of ranks in round `number`, from 0, of `rounds`: they sharpen geometrically."""
    share = number / max(1, rounds - 1)
    return float(WIDE ** (1 - share) * NARROW**share)


class SetPrecision:
    """What clips take from the mean average precision of a set whose other clips stay put.

    `reference` (N, K) holds the logits of all clips of the set and `labels` (N, K) their classes;
    the logits that are passed to the loss belong to the rows `places` (B,) of it. The loss of a
    clip, (B,), is minus the mean over classes of the set's average precision with that clip's row
    replaced: the clips of a set can be attacked in batches, one after another or side by side, and
    all the same lower one figure. Ranks are smooth (Brown et al. 2020, Smooth-AP): that a clip
    stands above another is a sigmoid of the difference of their logits, over `width` standard
    deviations of the class's reference logits. Classes without positives or without negatives do
    not count.
    """

    def __init__(self, reference: Tensor, labels: Tensor, places: Tensor, width: float) -> None:
        truth = labels > 0.5
        counted = torch.nonzero(truth.any(0) & ~truth.all(0))[:, 0].tolist()
        spread = reference.std(0, correction=0).clamp_min(1e-12)
        self.classes = [
            _Class(number, reference[:, number], truth[:, number], places, width * spread[number])
            for number in counted
        ]

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The losses (B,) of logits (B, K); `labels` are those of the set, and not read again."""
        # Where no class counts, a gradient of zero rather than none.
        total = 0 * logits.sum(1)
        for each in self.classes:
            total = total + each.precision(logits)
        return -total / max(1, len(self.classes))


class _Class:
    """One class of the reference: its positives (P,), and the ranks of each by the soft count."""

    def __init__(
        self, number: int, scores: Tensor, truth: Tensor, places: Tensor, width: Tensor
    ) -> None:
        self.number, self.width = number, width
        self.positives, self.negatives = scores[truth], scores[~truth]
        above = self._above(self.positives, self.positives)
        self.level = above.sum(0) - above.diagonal()
        self.beaten = self._above(self.negatives, self.positives).sum(0)
        self.positive = truth[places]
        self.own = scores[places]
        order = truth.cumsum(0) - 1
        self.turn = order[places]

    def _above(self, scores: Tensor, others: Tensor) -> Tensor:
        """(S,) against (O,): how far each stands above each, (S, O) in (0, 1)."""
        return torch.sigmoid((scores[:, None] - others) / self.width)

    def precision(self, logits: Tensor) -> Tensor:
        """The class's average precision with one row replaced, for each row of the batch, (B,)."""
        scores = logits[:, self.number]
        gained = self._above(scores, self.positives) - self._above(self.own, self.positives)
        level = self.level + torch.where(self.positive[:, None], gained, 0)
        beaten = self.beaten + torch.where(self.positive[:, None], 0, gained)
        terms = (1 + level) / (1 + level + beaten)
        rows = torch.nonzero(self.positive)[:, 0]
        if len(rows):
            own = self._own(scores[rows], self.turn[rows])
            terms = terms.index_put((rows, self.turn[rows]), own)
        return terms.mean(1)

    def _own(self, scores: Tensor, turn: Tensor) -> Tensor:
        """The precision at positives that moved to `scores` (R,), the others where they are."""
        others = self._above(-scores, -self.positives)
        others = others.scatter(1, turn[:, None], 0.0).sum(1)
        beaten = self._above(-scores, -self.negatives).sum(1)
        return (1 + others) / (1 + others + beaten)
